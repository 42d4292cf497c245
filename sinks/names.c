/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/names.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

enum { NAMES_SLOTS = 4096, NAMES_MAX = 2048 }; /* slots is a power of two */

struct slot {
    char *word;
    int64_t number;
};

struct names {
    struct store *store, *adder;
    struct slot slots[NAMES_SLOTS];
    size_t count;
};

int names_new(struct names **out, struct store *store, struct store *adder, struct ear_error *err)
{
    struct names *names = calloc(1, sizeof *names);

    if (names == NULL) {
        return ear_fail_memory(err, "names");
    }
    names->store = store;
    names->adder = adder == NULL ? store : adder;
    *out = names;
    return 0;
}

void names_forget(struct names *names)
{
    for (size_t i = 0; i < NAMES_SLOTS; i++) {
        free(names->slots[i].word);
        names->slots[i].word = NULL;
    }
    names->count = 0;
}

void names_free(struct names *names)
{
    if (names != NULL) {
        names_forget(names);
        free(names);
    }
}

/* The slot that holds the word, or the empty one where it belongs. */
static struct slot *slot_of(struct names *names, const char *word, size_t length)
{
    size_t at = (size_t)hash64_of(word, length, 0) % NAMES_SLOTS;

    while (names->slots[at].word != NULL && strcmp(names->slots[at].word, word) != 0) {
        at = (at + 1) % NAMES_SLOTS;
    }
    return &names->slots[at];
}

int64_t names_find(struct store *store, const char *word, struct ear_error *err)
{
    struct store_value values[] = {store_text(word)};
    int64_t number = -1;
    bool found = false;

    if (word[0] == '\0') {
        return 0;
    }
    if (store_ask_integer(&number, &found, store, QUERY_NAME_FIND, values, 1, err) != 0) {
        return -2;
    }
    return found ? number : -1;
}

int64_t names_number(struct names *names, const char *word, struct ear_error *err)
{
    struct store_value values[] = {store_text(word)};
    struct slot *slot = NULL;
    int64_t number = 0;

    if (word == NULL || word[0] == '\0') {
        return 0;
    }
    slot = slot_of(names, word, strlen(word));
    if (slot->word != NULL) {
        return slot->number;
    }
    number = names_find(names->adder, word, err);
    if (number == -2 || (number == -1 && store_ask_integer(&number, NULL, names->adder,
                                                           QUERY_NAME_ADD, values, 1, err) != 0)) {
        return -1;
    }
    if (names->count >= NAMES_MAX) {
        names_forget(names);
        slot = slot_of(names, word, strlen(word));
    }
    slot->word = strdup(word);
    if (slot->word == NULL) {
        return ear_fail_memory(err, "names");
    }
    slot->number = number;
    names->count++;
    return number;
}
