/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transaction to be has added lies in a hash table with open addressing, at most half
 * full; it is emptied, not freed, between transactions. A journal of what stood before lets a step
 * be taken back: a slot once taken stays so (others may lie behind it), with what it held before.
 */

#include "collectors/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/outgoing.h"
#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/stream/stream.h"
#include "common/testfault.h"

enum { KEY_MAX = 256, VALUE_MAX = 1024, SLOTS_MIN = 64, SLOTS_KEPT_MAX = 1 << 16 };

struct slot {
    struct hash128 item; /* of source and native id */
    bool taken;
    struct ledger_entry entry; /* not known: the log has to be asked */
};

struct ledger {
    struct stream *stream;
    struct json *json;
    struct json_writer *writer;
    struct slot *slots; /* [slot_count], a power of two */
    size_t slot_count, used;
    struct slot *journal; /* [journal_count] what stood before, since the mark */
    size_t journal_count, journal_capacity;
};

int ledger_new(struct ledger **out, struct stream *stream, struct ear_error *err)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    int result = -1;

    if (ledger == NULL) {
        ear_fail_memory(err, "the ledger");
        goto done;
    }
    ledger->stream = stream;
    ledger->slot_count = SLOTS_MIN;
    ledger->slots = calloc(SLOTS_MIN, sizeof(*ledger->slots));
    if (ledger->slots == NULL) {
        ear_fail_memory(err, "the ledger");
        goto done;
    }
    if (json_new(&ledger->json, err) != 0 ||
        json_writer_new(&ledger->writer, VALUE_MAX, err) != 0) {
        goto done;
    }
    *out = ledger;
    ledger = NULL;
    result = 0;

done:
    ledger_free(ledger);
    return result;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    json_free(ledger->json);
    json_writer_free(ledger->writer);
    free(ledger->slots);
    free(ledger->journal);
    free(ledger);
}

void ledger_reset(struct ledger *ledger)
{
    ledger_mark(ledger);
    if (ledger->used == 0) {
        return;
    }
    if (ledger->slot_count > SLOTS_KEPT_MAX) {
        struct slot *fewer = calloc(SLOTS_MIN, sizeof(*fewer));

        if (fewer != NULL) {
            free(ledger->slots);
            ledger->slots = fewer;
            ledger->slot_count = SLOTS_MIN;
        }
    }
    memset(ledger->slots, 0, ledger->slot_count * sizeof(*ledger->slots));
    ledger->used = 0;
}

/* One name for an item among those of all sources. */
static struct hash128 item_of(const char *source, struct hash128 native)
{
    struct hash128 item = hash128_of(source, strlen(source));

    for (size_t i = 0; i < sizeof(item.bytes); i++) {
        item.bytes[i] ^= native.bytes[i];
    }
    return item;
}

/* The slot of an item, or the free one where it belongs. */
static struct slot *slot_of(struct slot *slots, size_t slot_count, struct hash128 item)
{
    size_t place = 0;

    memcpy(&place, item.bytes, sizeof(place));
    for (;; place++) {
        struct slot *slot = &slots[place & (slot_count - 1)];

        if (!slot->taken || memcmp(slot->item.bytes, item.bytes, sizeof(item.bytes)) == 0) {
            return slot;
        }
    }
}

static int grow(struct ledger *ledger, struct ear_error *err)
{
    const size_t count = ledger->slot_count * 2;
    struct slot *slots = calloc(count, sizeof(*slots));

    if (slots == NULL) {
        return ear_fail_memory(err, "the ledger");
    }
    for (size_t i = 0; i < ledger->slot_count; i++) {
        if (ledger->slots[i].taken) {
            *slot_of(slots, count, ledger->slots[i].item) = ledger->slots[i];
        }
    }
    free(ledger->slots);
    ledger->slots = slots;
    ledger->slot_count = count;
    return 0;
}

/* --- taking back --- */

void ledger_mark(struct ledger *ledger)
{
    ledger->journal_count = 0;
}

void ledger_rewind(struct ledger *ledger)
{
    while (ledger->journal_count > 0) {
        const struct slot *before = &ledger->journal[--ledger->journal_count];

        slot_of(ledger->slots, ledger->slot_count, before->item)->entry = before->entry;
    }
}

static int note_before(struct ledger *ledger, const struct slot *slot, struct hash128 item,
                       struct ear_error *err)
{
    if (ledger->journal_count == ledger->journal_capacity) {
        const size_t capacity =
            ledger->journal_capacity == 0 ? SLOTS_MIN : ledger->journal_capacity * 2;
        struct slot *journal = realloc(ledger->journal, capacity * sizeof(*journal));

        if (journal == NULL) {
            return ear_fail_memory(err, "the ledger");
        }
        ledger->journal = journal;
        ledger->journal_capacity = capacity;
    }
    ledger->journal[ledger->journal_count] = *slot;
    ledger->journal[ledger->journal_count++].item = item;
    return 0;
}

/* --- entries --- */

static size_t write_key(char out[KEY_MAX], const char *source, struct hash128 native)
{
    char digits[HASH128_TEXT_SIZE];

    return (size_t)snprintf(out, KEY_MAX, "%.200s/%s", source, hash128_format(digits, native));
}

static bool read_digit(unsigned char *out, char digit)
{
    if (digit >= '0' && digit <= '9') {
        *out = (unsigned char)(*out << 4 | (digit - '0'));
        return true;
    }
    if (digit >= 'a' && digit <= 'f') {
        *out = (unsigned char)(*out << 4 | (digit - 'a' + 10));
        return true;
    }
    return false;
}

static bool read_hash(struct hash128 *out, const char *text)
{
    struct hash128 hash = {0};

    if (text == NULL || strlen(text) != HASH128_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < HASH128_TEXT_SIZE - 1; i++) {
        if (!read_digit(&hash.bytes[i / 2], text[i])) {
            return false;
        }
    }
    *out = hash;
    return true;
}

static int read_entry(struct ledger *ledger, struct ledger_entry *entry, const char *text,
                      size_t length, struct ear_error *err)
{
    const struct json_node *root = json_read(ledger->json, text, length, &json_limits_default, err);
    const char *hash = json_string(json_get(root, "hash"), NULL);
    size_t first_length = 0;
    const char *first = json_string(json_get(root, "created_at"), &first_length);

    if (root == NULL) {
        return -1;
    }
    entry->known = true;
    entry->deleted = hash != NULL && strcmp(hash, "deleted") == 0;
    if (!json_integer(json_get(root, "version"), &entry->version) ||
        (!entry->deleted && !read_hash(&entry->hash, hash))) {
        return ear_fail(err, EAR_REJECT, "a message of topic 'seen' is not understood");
    }
    (void)read_hash(&entry->raw, json_string(json_get(root, "raw"), NULL));
    if (json_integer(json_get(root, "at"), &entry->at_us)) {
        entry->at_us *= CLOCK_SECOND_US;
    }
    entry->first_us = INT64_MIN;
    if (first != NULL) {
        (void)instant_parse_rfc3339(&entry->first_us, first, first_length);
    }
    return 0;
}

int ledger_find(struct ledger *ledger, const char *source, struct hash128 native,
                struct ledger_entry *entry, struct ear_error *err)
{
    const struct slot *slot = slot_of(ledger->slots, ledger->slot_count, item_of(source, native));
    char key[KEY_MAX];
    char *value = NULL;
    size_t length = 0;
    int found = 0;

    *entry = (struct ledger_entry){.first_us = INT64_MIN};
    if (TESTFAULT("dedupe-off")) {
        return 0;
    }
    if (slot->entry.known) {
        *entry = slot->entry;
        return 0;
    }
    found = stream_lookup(ledger->stream, "seen", key, write_key(key, source, native), &value,
                          &length, err);
    if (found == 1 && read_entry(ledger, entry, value, length, err) != 0) {
        ear_error_context(err, "%s", key);
        err->kind = err->kind == EAR_REJECT ? EAR_FATAL : err->kind;
        found = -1;
    }
    free(value);
    return found < 0 ? -1 : 0;
}

static const char *write_entry(struct ledger *ledger, const struct ledger_entry *entry,
                               int64_t now_us, size_t *length, struct ear_error *err)
{
    struct json_writer *writer = ledger->writer;
    char text[HASH128_TEXT_SIZE];
    char instant[INSTANT_SIZE];

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "hash",
                       entry->deleted ? "deleted" : hash128_format(text, entry->hash));
    json_member_integer(writer, "version", entry->version);
    json_member_integer(writer, "at", now_us / CLOCK_SECOND_US);
    if (!entry->deleted) {
        json_member_string(writer, "raw", hash128_format(text, entry->raw));
    }
    if (entry->first_us != INT64_MIN) {
        json_member_string(writer, "created_at", instant_format(instant, entry->first_us));
    }
    json_write_object_end(writer);
    return json_writer_text(writer, length, err);
}

int ledger_put(struct ledger *ledger, struct outgoing *outgoing, const char *source,
               struct hash128 native, const struct ledger_entry *entry, int64_t now_us,
               struct ear_error *err)
{
    const struct hash128 item = item_of(source, native);
    char key[KEY_MAX];
    const size_t key_length = write_key(key, source, native);
    size_t length = 0;
    const char *value = write_entry(ledger, entry, now_us, &length, err);
    struct slot *slot = NULL;

    if (value == NULL ||
        outgoing_add(outgoing, "seen", key, key_length, value, length, now_us, err) != 0) {
        return -1;
    }
    if ((ledger->used + 1) * 2 > ledger->slot_count && grow(ledger, err) != 0) {
        return -1;
    }
    slot = slot_of(ledger->slots, ledger->slot_count, item);
    if (note_before(ledger, slot, item, err) != 0) {
        return -1;
    }
    ledger->used += slot->taken ? 0 : 1;
    slot->taken = true;
    slot->item = item;
    slot->entry = *entry;
    slot->entry.known = true;
    slot->entry.at_us = now_us;
    return 0;
}
