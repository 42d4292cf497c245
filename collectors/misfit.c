/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/misfit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"

/* A definition may have lost the place since: then nothing ever fits there again. */
#define FORGOTTEN_US (7 * CLOCK_DAY_US)

void misfits_clear(struct misfits *misfits)
{
    free(misfits->items);
    *misfits = (struct misfits){0};
}

static void drop(struct misfits *misfits, size_t at)
{
    misfits->count--;
    for (size_t i = at; i < misfits->count; i++) {
        misfits->items[i] = misfits->items[i + 1];
    }
}

static size_t find(const struct misfits *misfits, const char *where)
{
    size_t at = 0;

    while (at < misfits->count && strcmp(misfits->items[at].where, where) != 0) {
        at++;
    }
    return at;
}

static int add(struct misfits *misfits, const struct misfit *told, struct ear_error *err)
{
    if (misfits->count == MISFITS_MAX) {
        drop(misfits, 0);
    }
    if (misfits->items == NULL) {
        misfits->items = calloc(MISFITS_MAX, sizeof(*misfits->items));
        if (misfits->items == NULL) {
            return ear_fail_memory(err, "what does not fit");
        }
    }
    misfits->items[misfits->count++] = *told;
    return 0;
}

int misfits_tell(struct misfits *misfits, const struct misfit *told, int64_t now_us, bool *news,
                 struct ear_error *err)
{
    const size_t at = find(misfits, told->where);
    struct misfit *known = at == misfits->count ? NULL : &misfits->items[at];

    if (told->text[0] == '\0') {
        *news = known != NULL;
        if (known != NULL) {
            drop(misfits, at);
        }
        if (misfits->count == 0) {
            misfits_clear(misfits);
        }
        return 0;
    }
    *news = known == NULL;
    if (known == NULL) {
        struct misfit added = *told;

        added.told_us = now_us;
        return add(misfits, &added, err);
    }
    if (now_us - known->told_us >= CLOCK_DAY_US || now_us < known->told_us) {
        memcpy(known->text, told->text, sizeof(known->text));
        known->told_us = now_us;
        *news = true;
    }
    return 0;
}

void misfits_write(const struct misfits *misfits, struct json_writer *writer)
{
    char at[INSTANT_SIZE];

    if (misfits->count == 0) {
        return;
    }
    json_write_key(writer, "misfits");
    json_write_array(writer);
    for (size_t i = 0; i < misfits->count; i++) {
        json_write_object(writer);
        json_member_string(writer, "where", misfits->items[i].where);
        json_member_string(writer, "text", misfits->items[i].text);
        json_member_string(writer, "at", instant_format(at, misfits->items[i].told_us));
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

int misfits_read(struct misfits *out, const struct json_node *root, int64_t now_us,
                 struct ear_error *err)
{
    const struct json_node *list = json_get(root, "misfits");

    if (list == NULL || json_kind_of(list) != JSON_ARRAY) {
        return 0;
    }
    for (const struct json_node *node = json_first(list); node != NULL; node = json_next(node)) {
        const char *where = json_string(json_get(node, "where"), NULL);
        const char *text = json_string(json_get(node, "text"), NULL);
        size_t length = 0;
        const char *at = json_string(json_get(node, "at"), &length);
        struct misfit read = {.told_us = 0};

        if (where == NULL || text == NULL || at == NULL ||
            !instant_parse_rfc3339(&read.told_us, at, length) ||
            now_us - read.told_us > FORGOTTEN_US) {
            continue;
        }
        (void)snprintf(read.where, sizeof(read.where), "%s", where);
        (void)snprintf(read.text, sizeof(read.text), "%s", text);
        if (add(out, &read, err) != 0) {
            return -1;
        }
    }
    return 0;
}
