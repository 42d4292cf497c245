/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A message of insights as the store wants it. Whatever a stranger wrote gets in as text; only what
 * the store cannot do without is asked for: an id and a version. A missing time is the time of
 * collecting, a missing author is a person of its own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/text/text.h"
#include "sinks/apply/apply_internal.h"

int64_t hash_number(const struct hash128 *hash)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++) {
        number = number << 8 | hash->bytes[i];
    }
    number >>= 1;
    return number == 0 ? 1 : (int64_t)number;
}

void post_names_add(struct post_names *names, const char *name, size_t limit)
{
    if (name == NULL || name[0] == '\0' || strlen(name) > POST_NAME_MAX || names->count >= limit) {
        return;
    }
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return;
        }
    }
    names->items[names->count++] = name;
}

void post_names_remove(struct post_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            memmove(&names->items[i], &names->items[i + 1],
                    (names->count - i - 1) * sizeof names->items[0]);
            names->count--;
            return;
        }
    }
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

void post_names_sort(struct post_names *names)
{
    qsort(names->items, names->count, sizeof names->items[0], compare_names);
}

static const char *short_or(const char *text, const char *otherwise)
{
    return text == NULL || strlen(text) > POST_NAME_MAX ? otherwise : text;
}

static void add_strings(struct post_names *names, const struct json_node *array, size_t limit)
{
    for (const struct json_node *item = json_first(array); item != NULL; item = json_next(item)) {
        post_names_add(names, json_string(item, NULL), limit);
    }
}

static double number_or_nan(const struct json_node *node)
{
    double value = NAN;

    json_number(node, &value);
    return value;
}

static void read_insight(struct post *post, const struct json_node *insight)
{
    const struct json_node *signals = json_get(insight, "signals");

    post->wish = number_or_nan(json_get(insight, "wish"));
    post->complaint = number_or_nan(json_get(insight, "complaint"));
    post->praise = number_or_nan(json_get(insight, "praise"));
    post->sentiment = number_or_nan(json_get(insight, "sentiment"));
    post->model = short_or(json_string(json_get(insight, "model"), NULL), "");
    add_strings(&post->labels, json_get(insight, "labels"), POST_LABELS_MAX);
    post_names_sort(&post->labels);
    add_strings(&post->brands, json_get(insight, "brands"), POST_BRANDS_MAX);
    add_strings(&post->brands, json_get(insight, "competitors"), POST_BRANDS_MAX);
    for (const struct json_node *signal = json_first(signals); signal != NULL;
         signal = json_next(signal)) {
        const char *kind = json_string(json_get(signal, "kind"), NULL);
        const char *value = json_string(json_get(signal, "value"), NULL);

        if (kind != NULL && strcmp(kind, "touchpoint") == 0) {
            post_names_add(&post->touchpoints, value, POST_TOUCHPOINTS_MAX);
        } else if (kind != NULL && strcmp(kind, "theme") == 0 && post->theme[0] == '\0') {
            post->theme = short_or(value, "");
        }
    }
}

static int64_t instant_of(const struct ear_message *message, const char *name)
{
    size_t length = 0;
    const char *text = message_string(message, name, &length);
    int64_t at_us = INT64_MIN;

    if (text != NULL) {
        instant_parse_rfc3339(&at_us, text, length);
    }
    return at_us;
}

static void read_times(struct post *post, const struct apply *apply,
                       const struct ear_message *message)
{
    post->created_us = instant_of(message, "created_at");
    post->edited_us = instant_of(message, "edited_at");
    post->collected_us = instant_of(message, "collected_at");
    if (post->created_us == INT64_MIN) {
        post->created_us = post->collected_us != INT64_MIN ? post->collected_us : post->version;
    }
    post->day = zone_day(apply->config.zone, post->created_us);
    post->hour = zone_hour(apply->config.zone, post->created_us);
}

/* Who counts, and what they are part of. A native thread id means something on its platform and
 * host only: the front of the post's id, up to the second colon, says which. */
static int read_people(struct post *post, struct apply *apply, struct ear_error *err)
{
    const char *first = strchr(post->id, ':');
    const char *second = first == NULL ? NULL : strchr(first + 1, ':');
    size_t front = second == NULL ? 0 : (size_t)(second - post->id) + 1;
    size_t length = strlen(post->id) + 16;
    size_t thread_length = post->thread == NULL ? 0 : strlen(post->thread);
    char *text = message_arena_take(apply->arena, length + thread_length, err);
    struct hash128 hash = post->hash;

    if (text == NULL) {
        return -1;
    }
    if (thread_length > 0 && strncmp(post->thread, post->id, front) != 0) {
        memcpy(text, post->id, front);
        memcpy(text + front, post->thread, thread_length);
        hash = hash128_of(text, front + thread_length);
    } else if (thread_length > 0) {
        hash = hash128_of(post->thread, thread_length);
    }
    post->conversation = hash_number(&hash);
    if (post->author[0] != '\0') {
        post->author_hash = hash128_of(post->author, strlen(post->author));
        hash = post->author_hash;
    } else {
        length = (size_t)snprintf(text, length, "post %s", post->id);
        hash = hash128_of(text, length);
    }
    post->person = hash_number(&hash);
    return 0;
}

static void read_audience(struct post *post, const struct ear_message *message)
{
    const char *audience = message_string(message, "audience", NULL);
    bool ours = false;
    bool staff = false;

    message_boolean(message, "ours", &ours);
    message_boolean(message, "staff", &staff);
    staff = staff || (audience != NULL && strcmp(audience, "internal") == 0) ||
            strcmp(post->channel, "internal") == 0;
    post->audience = ours ? AUDIENCE_OURS : staff ? AUDIENCE_STAFF : AUDIENCE_CUSTOMERS;
}

/* What copies are told by: the folded words, whatever the line ends. */
static int read_fold(struct post *post, struct ear_error *err)
{
    size_t length = 0;
    char *folded = NULL;
    struct hash128 hash;

    if (post->text == NULL || text_code_points(post->text, post->text_length) < COPY_POINTS_MIN) {
        return 0;
    }
    folded = text_fold(post->text, post->text_length, &length);
    if (folded == NULL) {
        return ear_fail_memory(err, "a folded text");
    }
    length = text_tidy(folded, length);
    hash = hash128_of(folded, length);
    free(folded);
    post->fold = hash_number(&hash);
    return 0;
}

static int read_body(struct post *post, struct apply *apply, struct ear_message *message,
                     struct ear_error *err)
{
    const struct json_node *author = message_node(message, "author");
    const struct json_node *insight = message_node(message, "insight");

    post->source = short_or(message_string(message, "source", NULL), "");
    post->platform = message_string(message, "platform", NULL);
    post->channel = short_or(message_string(message, "channel", NULL), "");
    post->url = message_string(message, "url", NULL);
    post->title = message_string(message, "title", &post->title_length);
    post->text = message_string(message, "text", &post->text_length);
    post->lang = short_or(message_string(message, "lang", NULL), "");
    post->thread = message_string(message, "thread", NULL);
    post->parent = message_string(message, "parent", NULL);
    post->author = short_or(json_string(json_get(author, "id"), NULL), "");
    post->author_name = json_string(json_get(author, "name"), NULL);
    post->engagement = message_raw(message, "engagement", &post->engagement_length);
    post->flags = message_raw(message, "flags", &post->flags_length);
    message_number(message, "rating", &post->rating);
    read_insight(post, insight);
    read_times(post, apply, message);
    read_audience(post, message);
    return read_people(post, apply, err) != 0 ? -1 : read_fold(post, err);
}

int post_read(struct post *post, struct apply *apply, const char *text, size_t length,
              struct ear_error *err)
{
    struct ear_message *message = message_read(apply->arena, text, length, err);
    size_t id_length = 0;
    const char *model = NULL;

    if (message == NULL) {
        return -1;
    }
    apply->seen_source = message_string(message, "source", NULL);
    message_integer(message, "version", &apply->seen_version);
    *post = (struct post){.model = "",
                          .source = "",
                          .channel = "",
                          .author = "",
                          .lang = "",
                          .theme = "",
                          .rating = NAN,
                          .wish = NAN,
                          .complaint = NAN,
                          .praise = NAN,
                          .sentiment = NAN,
                          .body = text,
                          .body_length = length};
    post->id = message_string(message, "id", &id_length);
    if (post->id == NULL || id_length == 0) {
        return ear_fail(err, EAR_REJECT, "schema: no 'id'; an insight names its post");
    }
    if (!message_integer(message, "version", &post->version)) {
        return ear_fail(err, EAR_REJECT, "schema: 'version' is no integer; expected microseconds");
    }
    post->hash = hash128_of(post->id, id_length);
    message_boolean(message, "deleted", &post->deleted);
    message_boolean(message, "dropped", &post->dropped);
    if (post->deleted || post->dropped) {
        model = message_string(message, "model", NULL);
        post->model = short_or(model, "");
        return 0;
    }
    return read_body(post, apply, message, err);
}
