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

enum {
    KEY_MAX = 256,
    VALUE_MAX = 1024,
    SLOTS_MIN = 64,
    SLOTS_KEPT_MAX = 1 << 16,
    KNOWN_MIN = 1 << 12,
    KNOWN_WAYS = 4
};

#define KNOWN_FOR_US CLOCK_DAY_US

struct slot {
    struct hash128 item; /* of source and native id */
    bool taken;
    struct ledger_entry entry; /* not known: the log has to be asked */
};

/* Bits of an item's hash and of its content's; both 0: free. */
struct known {
    uint64_t item, raw;
};

struct ledger {
    struct stream *stream;
    struct json *json;
    struct json_writer *writer;
    struct slot *slots; /* [slot_count], a power of two */
    size_t slot_count, used;
    struct slot *journal; /* [journal_count] what stood before, since the mark */
    size_t journal_count, journal_capacity;
    struct known *known; /* [known_count], 0 or a power of two: sets of KNOWN_WAYS, by item */
    size_t known_count, known_used;
    int64_t known_us; /* since when */
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
    free(ledger->known);
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

/* --- what is known to stand in the log --- */

static struct known known_of(struct hash128 item, struct hash128 raw)
{
    struct known known = {0};

    memcpy(&known.item, item.bytes + sizeof(item.bytes) - sizeof(known.item), sizeof(known.item));
    memcpy(&known.raw, raw.bytes, sizeof(known.raw));
    return known;
}

static struct known *known_set(struct known *all, size_t count, uint64_t item)
{
    return &all[(item & (count / KNOWN_WAYS - 1)) * KNOWN_WAYS];
}

/* Into its set; where that is full, one of the others has to be looked up again. */
static void keep_known(struct known *all, size_t count, const struct known *one, size_t *used)
{
    struct known *set = known_set(all, count, one->item);
    size_t place = one->raw % KNOWN_WAYS;

    for (size_t i = 0; i < KNOWN_WAYS; i++) {
        if (set[i].item == one->item || (set[i].item == 0 && set[i].raw == 0)) {
            place = i;
            break;
        }
    }
    *used += set[place].item == 0 && set[place].raw == 0 ? 1 : 0;
    set[place] = *one;
}

/* Twice the room. Without memory it stays as it is. */
static void grow_known(struct ledger *ledger)
{
    const size_t count = ledger->known_count == 0 ? KNOWN_MIN : ledger->known_count * 2;
    struct known *all = calloc(count, sizeof(*all));
    size_t used = 0;

    if (all == NULL) {
        return;
    }
    for (size_t i = 0; i < ledger->known_count; i++) {
        if (ledger->known[i].item != 0 || ledger->known[i].raw != 0) {
            keep_known(all, count, &ledger->known[i], &used);
        }
    }
    free(ledger->known);
    ledger->known = all;
    ledger->known_count = count;
    ledger->known_used = used;
}

void ledger_forget_known(struct ledger *ledger)
{
    if (ledger->known_used > 0) {
        memset(ledger->known, 0, ledger->known_count * sizeof(*ledger->known));
        ledger->known_used = 0;
    }
}

void ledger_know(struct ledger *ledger, const char *source, struct hash128 native,
                 struct hash128 raw)
{
    const struct hash128 item = item_of(source, native);
    const struct known one = known_of(item, raw);

    if (slot_of(ledger->slots, ledger->slot_count, item)->taken) {
        return; /* it was told of the group, which may come to nothing */
    }
    if (ledger->known_used * 4 >= ledger->known_count * 3 &&
        ledger->known_count < LEDGER_KNOWN_MAX) {
        grow_known(ledger);
    }
    if (ledger->known_count > 0) {
        keep_known(ledger->known, ledger->known_count, &one, &ledger->known_used);
    }
}

bool ledger_knows(struct ledger *ledger, const char *source, struct hash128 native,
                  struct hash128 raw, int64_t now_us)
{
    const struct hash128 item = item_of(source, native);
    const struct known one = known_of(item, raw);
    const struct known *set = NULL;

    if (now_us - ledger->known_us > KNOWN_FOR_US || now_us < ledger->known_us) {
        ledger_forget_known(ledger);
        ledger->known_us = now_us;
    }
    if (ledger->known_used == 0 ||
        slot_of(ledger->slots, ledger->slot_count, item)->taken) { /* the group says better */
        return false;
    }
    set = known_set(ledger->known, ledger->known_count, one.item);
    for (size_t i = 0; i < KNOWN_WAYS; i++) {
        if (set[i].item == one.item && set[i].raw == one.raw) {
            return true;
        }
    }
    return false;
}

static void forget_one(struct ledger *ledger, struct hash128 item)
{
    const struct known one = known_of(item, item);
    struct known *set =
        ledger->known_used == 0 ? NULL : known_set(ledger->known, ledger->known_count, one.item);

    for (size_t i = 0; set != NULL && i < KNOWN_WAYS; i++) {
        if (set[i].item == one.item && (one.item != 0 || set[i].raw != 0)) {
            set[i] = (struct known){0};
            ledger->known_used--;
        }
    }
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
    forget_one(ledger, item);
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
