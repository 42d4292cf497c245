/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses what a record has, the rest are its strings, parted by zeros. Whatever a
 * server says: a post is valid JSON with valid text, or it is rejected with a code.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/post.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/settings/settings.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1795334400000000)

static const char *next_string(const char **at, const char *end)
{
    const char *text = *at;

    if (text >= end) {
        return NULL;
    }
    *at = text + strlen(text) + 1;
    return text;
}

static void check_post(const char *text, size_t length)
{
    struct ear_error err = {0};
    struct json *json = NULL;
    const struct json_node *root = NULL;
    size_t size = 0;
    const char *words = NULL;

    assert(json_new(&json, &err) == 0);
    root = json_read(json, text, length, &json_limits_default, &err);
    assert(root != NULL && !json_repaired(json));
    words = json_string(json_get(root, "text"), &size);
    assert(words != NULL && text_valid(words, size));
    assert(json_string(json_get(root, "id"), NULL) != NULL);
    assert(json_string(json_get(root, "created_at"), NULL) != NULL);
    json_free(json);
}

static void make(const struct source_record *record)
{
    static const char *const ours[] = {"acme:help", "@acme@example.org"};
    static const struct settings_source source = {.name = "s", .use = "feed"};
    static const struct source_reader reader = {.name = "feed", .channel = "blog"};
    static const struct pseudonym_key key = {{1}};
    const struct settings settings = {.ours = {ours, 2}, .author_names = true};
    struct ear_error err = {0};
    struct post_rules *rules = NULL;
    struct post_origin origin = {0};
    struct json_writer *writer = NULL;
    struct post post = {0};
    const char *text = NULL;
    size_t length = 0;

    assert(post_rules_new(&rules, &settings, &key, &err) == 0);
    assert(post_origin_init(&origin, &source, &reader, &err) == 0);
    assert(json_writer_new(&writer, MESSAGE_POST_MAX, &err) == 0);
    if (post_read(&post, rules, &origin, record, &err) == 0 && post_clean(&post, &err) == 0 &&
        post_write(&post, writer, post_version(&post, 0, NOW), post_created(&post, INT64_MIN, NOW),
                   NOW, &text, &length, &err) == 0) {
        check_post(text, length);
    } else {
        assert(err.kind == EAR_REJECT && err.message[0] != '\0');
    }
    post_clear(&post);
    json_writer_free(writer);
    post_origin_clear(&origin);
    post_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    const char *at = copy;
    const char *end = copy + size;
    struct source_record record = {
        .rating = -1, .likes = -1, .replies = -1, .shares = -1, .views = -1};

    assert(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    if (size > 0) {
        record.format = (*at & 1) != 0 ? SOURCE_HTML : SOURCE_PLAIN;
        record.created_us = (*at & 2) != 0 ? NOW - 1000000 : INT64_MIN;
        record.edited_us = (*at & 4) != 0 ? INT64_MAX : INT64_MIN;
        record.rating = (*at & 8) != 0 ? 0.5 : -1;
        record.likes = (*at & 16) != 0 ? INT64_MAX : -1;
        at++;
    }
    record.native_id = next_string(&at, end);
    record.host = next_string(&at, end);
    record.author_id = next_string(&at, end);
    record.author_name = next_string(&at, end);
    record.url = next_string(&at, end);
    record.title = next_string(&at, end);
    record.lang = next_string(&at, end);
    record.thread = next_string(&at, end);
    record.text = at < end ? at : NULL;
    record.text_length = at < end ? (size_t)(end - at) : 0;
    make(&record);
    free(copy);
    return 0;
}
