/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_ACCOUNT_H
#define EARSHOT_COLLECTORS_ACCOUNT_H

/*
 * Accounts as people write them in the configuration (`accounts:`), and whether a record's author
 * is one of them: "reddit:AcmeHelp" (on one platform), "@acme@mastodon.example" (on one host),
 * "AcmeHelp" (anywhere). Letters A–Z and a leading @ make no difference.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum account_kind { ACCOUNT_OURS, ACCOUNT_STAFF, ACCOUNT_SAME };

struct settings;
struct accounts;

EAR_MUST_CHECK
int accounts_new(struct accounts **out, const struct settings *settings, struct ear_error *err);
void accounts_free(struct accounts *accounts);

/* Who wrote a record, as its platform writes it. */
struct account_author {
    const char *platform, *host, *id, *name; /* name may be NULL */
};

bool accounts_has(const struct accounts *accounts, enum account_kind kind,
                  const struct account_author *author);

/* Of several accounts of one person (`accounts.same`) the first stands for all: writes its platform
 * and handle; an author of whom nothing is said stands for themselves. */
void accounts_person(const struct accounts *accounts, const struct account_author *author,
                     const char **platform, const char **handle);

#endif
