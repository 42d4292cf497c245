/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FETCH_FETCH_URL_H
#define EARSHOT_COLLECTORS_FETCH_FETCH_URL_H

/* URLs within the fetcher; see fetch_url.c. */

#include <curl/curl.h>

#include "common/error.h"

struct fetch_url {
    char *text;             /* without user, password and fragment */
    char *scheme, *host;    /* lower case */
    char *origin;           /* "https://forum.example:443" */
    char *login, *password; /* decoded; NULL: none */
};

/*
 * Takes a URL apart; with `base`, `text` is relative to it (RFC 3986, section 5). EAR_CONFIG: no
 * http or https URL; the message does not repeat it, for it may hold a secret. Caller clears.
 */
EAR_MUST_CHECK
int fetch_url_parse(struct fetch_url *out, const char *text, const char *base,
                    struct ear_error *err);
void fetch_url_clear(struct fetch_url *url);

#endif
