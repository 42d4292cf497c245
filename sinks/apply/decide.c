/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What people say about posts, and sources about themselves: decisions, forgotten, cursors. A
 * decision is kept whether its post has come or not, so one that is early waits, and one about a
 * label outlives every version of its post.
 */
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "sinks/apply/apply_internal.h"

/* Sets one label as a decision has it; null takes the decision back: what the model said stands. */
static void decide_one(struct post_names *labels, const struct post_names *said,
                       const struct json_node *member)
{
    const char *label = json_key(member);
    bool wanted = false;

    if (json_kind_of(member) == JSON_NULL) {
        post_names_remove(labels, label);
        for (size_t i = 0; i < said->count; i++) {
            if (strcmp(said->items[i], label) == 0) {
                post_names_add(labels, said->items[i], POST_LABELS_MAX);
            }
        }
    } else if (json_boolean(member, &wanted)) {
        post_names_remove(labels, label);
        if (wanted) {
            post_names_add(labels, label, POST_LABELS_MAX);
        }
    }
}

/* The labels now borrow from the decision: their words move into the arena. */
static int keep_words(struct post_names *labels, struct apply *apply, struct ear_error *err)
{
    for (size_t i = 0; i < labels->count; i++) {
        size_t size = strlen(labels->items[i]) + 1;
        char *word = message_arena_take(apply->arena, size, err);

        if (word == NULL) {
            return -1;
        }
        memcpy(word, labels->items[i], size);
        labels->items[i] = word;
    }
    return 0;
}

int decide_labels(struct post_names *labels, struct apply *apply, const struct hash128 *post,
                  struct ear_error *err)
{
    struct store_value values[] = {store_blob(post->bytes, sizeof post->bytes),
                                   store_text("label")};
    struct post_names said = *labels;
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, apply->store, QUERY_DECISION_OF_POST, values, 2, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        size_t length = 0;
        const char *body = store_get_text(rows, 0, &length);
        const struct json_node *root =
            json_read(apply->json, body, length, &json_limits_default, err);

        if (root == NULL) {
            there = -1;
            break;
        }
        for (const struct json_node *member = json_first(json_get(root, "set")); member != NULL;
             member = json_next(member)) {
            decide_one(labels, &said, member);
        }
        if (keep_words(labels, apply, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    post_names_sort(labels);
    return there;
}

static int64_t stored_row(struct apply *apply, const struct hash128 *hash, bool *frozen,
                          struct ear_error *err)
{
    struct known known = {0};
    int64_t row = known_load(&known, apply, hash, NULL, err) != 0 ? -1
                  : known.stored                                  ? known.row
                                                                  : 0;

    *frozen = known.stored && known.day < apply->horizon_day;
    known_clear(&known);
    return row;
}

int decide_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err)
{
    struct ear_message *decision = NULL;
    const char *kind = NULL;
    const char *id = NULL;
    const char *post = NULL;
    struct hash128 hash;
    int64_t added = 0;
    int64_t row = 0;
    bool frozen = false;

    if (message->value == NULL) {
        return 0; /* decisions are kept for ever */
    }
    decision = message_read(apply->arena, message->value, message->value_length, err);
    if (decision == NULL) {
        return -1;
    }
    kind = message_string(decision, "kind", NULL);
    id = message_string(decision, "id", NULL);
    post = message_string(decision, "post", NULL);
    if (id == NULL || kind == NULL || (post == NULL && strcmp(kind, "label") == 0)) {
        return ear_fail(err, EAR_REJECT, "schema: a decision has 'id', 'kind' and 'post'");
    }
    post = post == NULL ? "" : post;
    hash = hash128_of(post, strlen(post));
    {
        struct store_value values[] = {
            store_text(id),
            store_blob(hash.bytes, sizeof hash.bytes),
            store_text(kind),
            store_text(message_string(decision, "at", NULL)),
            store_text(message_string(decision, "who", NULL)),
            store_bytes(message->value, message->value_length),
        };

        added = store_change(apply->store, QUERY_DECISION_ADD, values, 6, err);
    }
    if (added <= 0 || strcmp(kind, "label") != 0) {
        return added < 0 ? -1 : 0;
    }
    row = stored_row(apply, &hash, &frozen, err);
    return row < 0 ? -1 : row == 0 || frozen ? 0 : rows_refresh(apply, row, err);
}

static int digit(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool read_hash(struct hash128 *out, const char *text, size_t length)
{
    if (length != HASH128_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < HASH128_SIZE; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out->bytes[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

/* The rows of an author by the hash of the pseudonym; caller frees. */
static int rows_of_author(int64_t **out, size_t *count, struct apply *apply,
                          const struct hash128 *author, struct ear_error *err)
{
    struct store_value values[] = {store_integer(hash_number(author))};
    struct store_rows *rows = NULL;
    size_t room = 0;
    int there = 0;

    if (store_select(&rows, apply->store, QUERY_INSIGHT_BY_PERSON, values, 1, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        size_t length = 0;
        const char *text = store_get_text(rows, 1, &length);
        struct hash128 hash = hash128_of(text, length);

        if (memcmp(hash.bytes, author->bytes, sizeof hash.bytes) != 0) {
            continue;
        }
        if (*count == room) {
            int64_t *more = NULL;

            room = room == 0 ? 64 : 2 * room;
            more = realloc(*out, room * sizeof **out);
            if (more == NULL) {
                there = ear_fail_memory(err, "an author's posts");
                break;
            }
            *out = more;
        }
        (*out)[(*count)++] = store_get_integer(rows, 0);
    }
    store_rows_end(rows);
    return there;
}

static int forget_author(struct apply *apply, const struct hash128 *author, struct ear_error *err)
{
    int64_t *rows = NULL;
    size_t count = 0;
    int result = rows_of_author(&rows, &count, apply, author, err);

    for (size_t i = 0; result == 0 && i < count; i++) {
        result = rows_remove(apply, rows[i], true, err);
    }
    free(rows);
    return result;
}

int forget_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err)
{
    struct ear_message *forgotten = NULL;
    const char *kind = NULL;
    struct hash128 hash;

    if (message->value == NULL) {
        return 0;
    }
    forgotten = message_read(apply->arena, message->value, message->value_length, err);
    if (forgotten == NULL) {
        return -1;
    }
    kind = message_string(forgotten, "kind", NULL);
    if (!read_hash(&hash, message->key, message->key_length) || kind == NULL) {
        return ear_fail(err, EAR_REJECT,
                        "schema: what is forgotten has a hash of 32 digits as its key and a kind");
    }
    {
        struct store_value values[] = {store_blob(hash.bytes, sizeof hash.bytes), store_text(kind),
                                       store_integer(message->at_us)};

        if (store_run(apply->store, QUERY_FORGOTTEN_ADD, values, 3, err) < 0) {
            return -1;
        }
    }
    return strcmp(kind, "author") == 0 ? forget_author(apply, &hash, err)
                                       : rows_remove_hash(apply, &hash, err);
}

static struct store_value instant_field(const struct ear_message *message, const char *name)
{
    size_t length = 0;
    const char *text = message_string(message, name, &length);
    int64_t at_us = 0;

    if (text == NULL || !instant_parse_rfc3339(&at_us, text, length)) {
        return store_null();
    }
    return store_integer(at_us);
}

static struct store_value integer_field(const struct ear_message *message, const char *name,
                                        bool zero)
{
    int64_t value = 0;

    if (!message_integer(message, name, &value) && !zero) {
        return store_null();
    }
    return store_integer(value);
}

int source_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err)
{
    struct store_value key[] = {store_bytes(message->key, message->key_length)};
    struct ear_message *cursor = NULL;
    const char *state = NULL;

    if (message->value == NULL) {
        return store_run(apply->store, QUERY_SOURCE_DELETE, key, 1, err) < 0 ? -1 : 0;
    }
    cursor = message_read(apply->arena, message->value, message->value_length, err);
    if (cursor == NULL) {
        return -1;
    }
    state = message_string(cursor, "state", NULL);
    {
        struct store_value values[] = {
            key[0],
            store_text(state == NULL ? "ok" : state),
            instant_field(cursor, "at"),
            instant_field(cursor, "last_success_at"),
            instant_field(cursor, "last_post_at"),
            instant_field(cursor, "next_at"),
            integer_field(cursor, "every_us", false),
            store_text(message_string(cursor, "code", NULL)),
            store_text(message_string(cursor, "error", NULL)),
            integer_field(cursor, "failures", true),
            instant_field(cursor, "plan_at"),
        };

        if (store_run(apply->store, QUERY_SOURCE_PUT, values, 11, err) < 0) {
            return -1;
        }
    }
    return coverage_apply(apply, message, cursor, err);
}
