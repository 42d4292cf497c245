/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of requests: taken apart, joined with a redirect's target, compared by origin (scheme, host,
 * port: RFC 6454). User and password are taken out, so that a URL may be shown.
 */

#include "collectors/fetch/fetch_url.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *part(CURLU *url, CURLUPart which, unsigned int flags)
{
    char *curls = NULL;
    char *copy = NULL;

    if (curl_url_get(url, which, &curls, flags) == CURLUE_OK) {
        copy = strdup(curls);
        curl_free(curls);
    }
    return copy;
}

static char *lower(char *text)
{
    for (char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            *at = (char)(*at - 'A' + 'a');
        }
    }
    return text;
}

/* "[::1]" to "::1". */
static char *unbracket(char *host)
{
    const size_t length = host == NULL ? 0 : strlen(host);

    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
    return host;
}

/* Fills `out` from a parsed URL whose user and password it takes away. */
static bool split(struct fetch_url *out, CURLU *url)
{
    char *port = NULL;
    size_t size = 0;

    out->login = part(url, CURLUPART_USER, CURLU_URLDECODE);
    out->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    if (curl_url_set(url, CURLUPART_USER, NULL, 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK) {
        return false;
    }
    out->text = part(url, CURLUPART_URL, 0);
    out->scheme = lower(part(url, CURLUPART_SCHEME, 0));
    out->host = unbracket(lower(part(url, CURLUPART_HOST, 0)));
    port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (out->text != NULL && out->scheme != NULL && out->host != NULL && port != NULL) {
        size = strlen(out->scheme) + strlen(out->host) + strlen(port) + 5;
        out->origin = malloc(size);
        if (out->origin != NULL) {
            (void)snprintf(out->origin, size, "%s://%s:%s", out->scheme, out->host, port);
        }
    }
    free(port);
    return out->origin != NULL;
}

int fetch_url_parse(struct fetch_url *out, const char *text, const char *base,
                    struct ear_error *err)
{
    CURLU *url = curl_url();
    int result = -1;
    CURLUcode code = CURLUE_OK;

    *out = (struct fetch_url){0};
    if (url == NULL) {
        ear_fail_memory(err, "a URL");
        goto done;
    }
    if (base != NULL) {
        code = curl_url_set(url, CURLUPART_URL, base, 0);
    }
    if (code == CURLUE_OK) {
        code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);
    }
    if (code != CURLUE_OK) {
        ear_fail(err, EAR_CONFIG, "this is no URL (%s); write one such as https://forum.example/",
                 curl_url_strerror(code));
        goto done;
    }
    if (!split(out, url)) {
        ear_fail(err, EAR_CONFIG,
                 "this is no URL with a host; write one such as "
                 "https://forum.example/");
        goto done;
    }
    if (strcmp(out->scheme, "http") != 0 && strcmp(out->scheme, "https") != 0) {
        ear_fail(err, EAR_CONFIG, "'%.20s' is not fetched; only http and https are", out->scheme);
        goto done;
    }
    result = 0;

done:
    if (result != 0) {
        fetch_url_clear(out);
    }
    curl_url_cleanup(url);
    return result;
}

void fetch_url_clear(struct fetch_url *url)
{
    free(url->text);
    free(url->scheme);
    free(url->host);
    free(url->origin);
    free(url->login);
    free(url->password);
    *url = (struct fetch_url){0};
}
