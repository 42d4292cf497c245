/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/account.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/config.h"
#include "common/settings/settings.h"

struct account {
    enum account_kind kind;
    char *handle;                         /* owned: the text of all three */
    const char *platform, *host;          /* NULL: any */
    const char *person, *person_platform; /* ACCOUNT_SAME: who stands for this one */
};

struct accounts {
    struct account *items; /* [count] */
    size_t count, capacity;
};

static const char *without_at(const char *handle)
{
    return *handle == '@' ? handle + 1 : handle;
}

/* Takes "platform:handle", "@handle@host" or "handle" apart. */
static bool parse(struct account *out, enum account_kind kind, const char *text)
{
    char *copy = strdup(text);
    char *split = NULL;

    if (copy == NULL) {
        return false;
    }
    *out = (struct account){.kind = kind, .handle = copy};
    split = strchr(copy, ':');
    if (split != NULL && strncmp(split, "://", 3) != 0) {
        *split = '\0';
        out->platform = copy;
        out->handle = split + 1;
        return true;
    }
    split = *copy == '@' ? strchr(copy + 1, '@') : NULL;
    if (split != NULL) {
        *split = '\0';
        out->host = split + 1;
    }
    return true;
}

static void release(struct account *account)
{
    free(account->platform != NULL ? (char *)account->platform : account->handle);
}

static int add(struct accounts *accounts, enum account_kind kind, const char *text,
               struct ear_error *err)
{
    if (accounts->count == accounts->capacity) {
        const size_t capacity = accounts->capacity == 0 ? 16 : accounts->capacity * 2;
        struct account *items = realloc(accounts->items, capacity * sizeof(*items));

        if (items == NULL) {
            return ear_fail_memory(err, "the accounts");
        }
        accounts->items = items;
        accounts->capacity = capacity;
    }
    if (!parse(&accounts->items[accounts->count], kind, text)) {
        return ear_fail_memory(err, "the accounts");
    }
    accounts->count++;
    return 0;
}

static int add_list(struct accounts *accounts, enum account_kind kind,
                    const struct ear_strings *list, struct ear_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (add(accounts, kind, list->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* [["reddit:jo", "@jo@mastodon.example"], …] */
static int add_same(struct accounts *accounts, const struct config_node *same,
                    struct ear_error *err)
{
    for (size_t i = 0; config_is_sequence(same) && i < config_count(same); i++) {
        const struct config_node *person = config_at(same, i);
        const size_t first = accounts->count;

        for (size_t j = 0; config_is_sequence(person) && j < config_count(person); j++) {
            const char *text = config_scalar(config_at(person, j));

            if (text != NULL && add(accounts, ACCOUNT_SAME, text, err) != 0) {
                return -1;
            }
        }
        for (size_t j = first; j < accounts->count; j++) {
            accounts->items[j].person = accounts->items[first].handle;
            accounts->items[j].person_platform = accounts->items[first].platform;
        }
    }
    return 0;
}

int accounts_new(struct accounts **out, const struct settings *settings, struct ear_error *err)
{
    struct accounts *accounts = calloc(1, sizeof(*accounts));

    if (accounts == NULL) {
        return ear_fail_memory(err, "the accounts");
    }
    if (add_list(accounts, ACCOUNT_OURS, &settings->ours, err) != 0 ||
        add_list(accounts, ACCOUNT_STAFF, &settings->staff, err) != 0 ||
        add_same(accounts, settings->same, err) != 0) {
        accounts_free(accounts);
        return -1;
    }
    *out = accounts;
    return 0;
}

void accounts_free(struct accounts *accounts)
{
    if (accounts == NULL) {
        return;
    }
    for (size_t i = 0; i < accounts->count; i++) {
        release(&accounts->items[i]);
    }
    free(accounts->items);
    free(accounts);
}

/* Is this handle the account's? "jo", "@jo" and, on its host, "jo@host" are the same. */
static bool is_handle(const struct account *account, const char *handle, const char *host)
{
    const char *given = NULL;
    const char *own = without_at(account->handle);
    const char *at = NULL;

    if (handle == NULL) {
        return false;
    }
    given = without_at(handle);
    at = strchr(given, '@');
    if (account->host == NULL) {
        return strcasecmp(given, own) == 0;
    }
    if (at != NULL) {
        return strlen(own) == (size_t)(at - given) &&
               strncasecmp(given, own, (size_t)(at - given)) == 0 &&
               strcasecmp(at + 1, account->host) == 0;
    }
    return host != NULL && strcasecmp(host, account->host) == 0 && strcasecmp(given, own) == 0;
}

static bool is_author(const struct account *account, const struct account_author *author)
{
    if (account->platform != NULL && strcasecmp(account->platform, author->platform) != 0) {
        return false;
    }
    return is_handle(account, author->id, author->host) ||
           is_handle(account, author->name, author->host);
}

bool accounts_has(const struct accounts *accounts, enum account_kind kind,
                  const struct account_author *author)
{
    for (size_t i = 0; i < accounts->count; i++) {
        if (accounts->items[i].kind == kind && is_author(&accounts->items[i], author)) {
            return true;
        }
    }
    return false;
}

void accounts_person(const struct accounts *accounts, const struct account_author *author,
                     const char **platform, const char **handle)
{
    *platform = author->platform;
    *handle = author->id;
    for (size_t i = 0; i < accounts->count; i++) {
        const struct account *account = &accounts->items[i];

        if (account->kind == ACCOUNT_SAME && is_author(account, author)) {
            *handle = account->person;
            *platform =
                account->person_platform == NULL ? author->platform : account->person_platform;
            return;
        }
    }
}
