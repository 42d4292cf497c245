/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From text to tape. yajl tells one token after the other; where each ends is
 * yajl_get_bytes_consumed, and it begins after the last one's end and what may lie between (blanks,
 * commas, colons). yajl's own decoding of strings is passed over, as it turns a lone surrogate into
 * '?': strings are decoded here, from the text.
 *
 * The handle is made to allow several values so that it can be used for one text after the other;
 * a second value in one text is refused here. Each text gets a blank behind it, which ends a number
 * that stands alone.
 */
#include "common/json/json_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "common/text/text.h"
#include "common/utf8.h"

const struct json_limits json_limits_default = {
    .bytes = (size_t)16 * 1024 * 1024,
    .depth = JSON_DEPTH_MAX,
    .members = JSON_MEMBERS_MAX,
};

enum { CANCEL = 0, GO_ON = 1, FEW_MEMBERS = 32 };

static int hex_value(const char *digits)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        int digit = (unsigned char)digits[i];

        digit = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
        value = value * 16 + digit;
    }
    return value;
}

/* Decodes \uXXXX at `at` (the u); what is no character becomes U+FFFD, in the text as well. */
static size_t decode_unicode(struct json *json, char *out, char *at, const char *end, size_t *used)
{
    static const char fffd[] = {'f', 'f', 'f', 'd'};
    int code = hex_value(at + 1);

    *used = 5;
    if (code >= 0xD800 && code <= 0xDBFF && end - at >= 11 && at[5] == '\\' && at[6] == 'u') {
        int low = hex_value(at + 7);

        if (low >= 0xDC00 && low <= 0xDFFF) {
            *used = 11;
            return utf8_put(out, 0x10000U + ((uint32_t)(code - 0xD800) << 10) +
                                     (uint32_t)(low - 0xDC00));
        }
    }
    if (code == 0 || (code >= 0xD800 && code <= 0xDFFF)) {
        memcpy(at + 1, fffd, sizeof fffd);
        json->repaired = true;
        code = 0xFFFD;
    }
    return utf8_put(out, (uint32_t)code);
}

/* Decodes what stands between the quotes; yajl has checked the form. Returns where the string now
 * lies, NUL-ended. */
static const char *decode(struct json *json, char *from, size_t size, uint32_t *length)
{
    char *start = json->strings + json->strings_length;
    char *out = start;
    char *end = from + size;

    while (from < end) {
        char *escape = memchr(from, '\\', (size_t)(end - from));
        size_t plain = (size_t)((escape != NULL ? escape : end) - from);

        memcpy(out, from, plain);
        out += plain;
        from += plain;
        if (escape == NULL) {
            break;
        }
        size_t used = 1;

        from++;
        switch (*from) {
        case 'b':
            *out++ = '\b';
            break;
        case 'f':
            *out++ = '\f';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'u':
            out += decode_unicode(json, out, from, end, &used);
            break;
        default:
            *out++ = *from;
        }
        from += used;
    }
    *out = '\0';
    *length = (uint32_t)(out - start);
    json->strings_length += *length + 1U;
    return start;
}

static int refuse(struct json *json, const char *code, const char *what)
{
    ear_fail(json->err, EAR_REJECT, "%s: byte %zu: %s", code, json->end, what);
    return CANCEL;
}

/* Where the token that ends at `end` begins. */
static char *token_start(struct json *json)
{
    char *at = json->text + json->end;

    while (*at == ',' || *at == ':' || *at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

static int grow_tape(struct json *json)
{
    size_t capacity = json->capacity == 0 ? 64 : json->capacity * 2;
    struct json_node *tape = realloc(json->tape, capacity * sizeof *tape);

    if (tape == NULL) {
        ear_fail_memory(json->err, "a JSON document");
        return CANCEL;
    }
    json->tape = tape;
    json->capacity = capacity;
    return GO_ON;
}

/* Links the node that comes next on the tape to its container. */
static int link_node(struct json *json)
{
    struct json_frame *frame = &json->frames[json->depth - 1];
    uint32_t index = (uint32_t)json->count;

    if (++json->members > json->limits.members) {
        return refuse(json, "too_many", "more members and elements than the limit allows");
    }
    json->tape[frame->container].count++;
    if (frame->last == 0) {
        json->tape[frame->container].first = index - frame->container;
    } else {
        json->tape[frame->last].next = index - frame->last;
    }
    frame->last = index;
    return GO_ON;
}

static struct json_node *add(struct json *json, enum json_kind kind, char *raw)
{
    struct json_node *node = NULL;

    if (json->depth == 0 && json->count > 0) {
        refuse(json, "bad_json", "something follows the value");
        return NULL;
    }
    if (json->count == json->capacity && !grow_tape(json)) {
        return NULL;
    }
    if (json->depth > 0 && !link_node(json)) {
        return NULL;
    }
    node = &json->tape[json->count++];
    *node = (struct json_node){.kind = kind, .raw = raw};
    if (json->key != NULL) {
        node->key = json->key;
        node->key_length = json->key_length;
        node->key_raw = json->key_raw;
        node->key_hash = 2166136261U; /* FNV-1a */
        for (uint32_t i = 0; i < node->key_length; i++) {
            node->key_hash = (node->key_hash ^ (unsigned char)node->key[i]) * 16777619U;
        }
        json->key = NULL;
    }
    json->end = yajl_get_bytes_consumed(json->yajl);
    node->raw_length = (uint32_t)(json->text + json->end - raw);
    return node;
}

static int on_simple(struct json *json, enum json_kind kind)
{
    return add(json, kind, token_start(json)) != NULL ? GO_ON : CANCEL;
}

static int on_null(void *user)
{
    return on_simple(user, JSON_NULL);
}

static int on_boolean(void *user, int value)
{
    return on_simple(user, value ? JSON_TRUE : JSON_FALSE);
}

static int on_number(void *user, const char *text, size_t length)
{
    struct json *json = user;
    struct json_node *node = add(json, JSON_NUMBER, token_start(json));
    char *copy = json->strings + json->strings_length;

    if (node == NULL) {
        return CANCEL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    json->strings_length += length + 1;
    node->string = copy;
    node->string_length = (uint32_t)length;
    if ((length > 300 || strpbrk(copy, "eE") != NULL) && !isfinite(strtod(copy, NULL))) {
        return refuse(json, "bad_number", "a number beyond what a double holds");
    }
    return GO_ON;
}

static int on_string(void *user, const unsigned char *text, size_t length)
{
    struct json *json = user;
    char *raw = token_start(json);
    struct json_node *node = add(json, JSON_STRING, raw);

    (void)text;
    (void)length;
    if (node == NULL) {
        return CANCEL;
    }
    node->string = decode(json, raw + 1, node->raw_length - 2, &node->string_length);
    return GO_ON;
}

static int on_key(void *user, const unsigned char *text, size_t length)
{
    struct json *json = user;
    char *raw = token_start(json);

    (void)text;
    (void)length;
    json->end = yajl_get_bytes_consumed(json->yajl);
    json->key_raw = raw;
    json->key =
        decode(json, raw + 1, (size_t)(json->text + json->end - raw) - 2, &json->key_length);
    return GO_ON;
}

static int on_start(struct json *json, enum json_kind kind)
{
    if (json->depth >= json->limits.depth) {
        return refuse(json, "too_deep", "nested deeper than the limit allows");
    }
    if (add(json, kind, token_start(json)) == NULL) {
        return CANCEL;
    }
    json->frames[json->depth++] = (struct json_frame){.container = (uint32_t)(json->count - 1)};
    return GO_ON;
}

static int on_start_object(void *user)
{
    return on_start(user, JSON_OBJECT);
}

static int on_start_array(void *user)
{
    return on_start(user, JSON_ARRAY);
}

static bool same_key(const struct json_node *one, const struct json_node *other)
{
    return one->key_hash == other->key_hash && one->key_length == other->key_length &&
           memcmp(one->key, other->key, one->key_length) == 0;
}

static struct json_node *next_of(struct json_node *node)
{
    return node->next > 0 ? node + node->next : NULL;
}

/* Of equal keys all but the last are marked: they lose `key_raw`. */
static void mark_among_few(struct json_node *first, bool *found)
{
    for (struct json_node *node = first; node != NULL; node = next_of(node)) {
        for (struct json_node *later = next_of(node); later != NULL; later = next_of(later)) {
            if (same_key(node, later)) {
                node->key_raw = NULL;
                *found = true;
                break;
            }
        }
    }
}

/* By hash, key, place: equal keys stand together, the last one of the text last. No set of keys
 * makes this slow, as hashing alone could be made to be. */
static int by_key(const void *left, const void *right)
{
    const struct json_node *one = *(const struct json_node *const *)left;
    const struct json_node *other = *(const struct json_node *const *)right;
    int order = (one->key_hash > other->key_hash) - (one->key_hash < other->key_hash);

    if (order == 0) {
        order = (one->key_length > other->key_length) - (one->key_length < other->key_length);
    }
    if (order == 0) {
        order = memcmp(one->key, other->key, one->key_length);
    }
    return order != 0 ? order : (one > other) - (one < other);
}

static int mark_among_many(struct json *json, struct json_node *first, size_t count, bool *found)
{
    size_t used = 0;

    if (count > json->sorted_capacity) {
        struct json_node **sorted = realloc(json->sorted, count * sizeof(struct json_node *));

        if (sorted == NULL) {
            ear_fail_memory(json->err, "a JSON document");
            return CANCEL;
        }
        json->sorted = sorted;
        json->sorted_capacity = count;
    }
    for (struct json_node *node = first; node != NULL; node = next_of(node)) {
        json->sorted[used++] = node;
    }
    qsort(json->sorted, used, sizeof(struct json_node *), by_key);
    for (size_t i = 0; i + 1 < used; i++) {
        if (same_key(json->sorted[i], json->sorted[i + 1])) {
            json->sorted[i]->key_raw = NULL;
            *found = true;
        }
    }
    return GO_ON;
}

/* Links the container past its marked members. The last member is never marked. */
static void unlink_marked(struct json_node *object)
{
    struct json_node *before = NULL;

    for (struct json_node *node = object + object->first; node != NULL; node = next_of(node)) {
        if (node->key_raw == NULL) {
            object->count--;
        } else if (before == NULL) {
            object->first = (uint32_t)(node - object);
            before = node;
        } else {
            before->next = (uint32_t)(node - before);
            before = node;
        }
    }
}

static int drop_duplicates(struct json *json, struct json_node *object)
{
    bool found = false;

    if (object->count <= FEW_MEMBERS) {
        mark_among_few(object + object->first, &found);
    } else if (!mark_among_many(json, object + object->first, object->count, &found)) {
        return CANCEL;
    }
    if (found) {
        unlink_marked(object);
        json->duplicates = true;
    }
    return GO_ON;
}

static int on_end(void *user)
{
    struct json *json = user;
    struct json_node *node = &json->tape[json->frames[--json->depth].container];

    json->end = yajl_get_bytes_consumed(json->yajl);
    node->raw_length = (uint32_t)(json->text + json->end - node->raw);
    if (node->kind == JSON_OBJECT && node->count > 1) {
        return drop_duplicates(json, node);
    }
    return GO_ON;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_map_key = on_key,
    .yajl_start_map = on_start_object,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

void json_yajl_free(struct json *json)
{
    if (json->yajl != NULL) {
        yajl_free(json->yajl);
        json->yajl = NULL;
    }
}

static int reserve(char **buffer, size_t *capacity, size_t size, struct ear_error *err)
{
    char *bigger = NULL;

    if (size <= *capacity) {
        return 0;
    }
    bigger = malloc(size + size / 4);
    if (bigger == NULL) {
        return ear_fail_memory(err, "a JSON document");
    }
    free(*buffer);
    *buffer = bigger;
    *capacity = size + size / 4;
    return 0;
}

/* Copies the text, mended, with the blank behind it; makes room for its strings. */
static int take_text(struct json *json, const char *text, size_t length, struct ear_error *err)
{
    int result = -1;
    char *mended = NULL;

    if (!text_valid(text, length)) {
        mended = text_repair(text, length, &length, &json->repaired);
        if (mended == NULL) {
            ear_fail_memory(err, "a JSON document");
            goto done;
        }
        text = mended;
    }
    if (length > json->limits.bytes) {
        ear_fail(err, EAR_REJECT, "too_big: byte %zu: the limit for a JSON text", length);
        goto done;
    }
    if (reserve(&json->text, &json->text_capacity, length + 2, err) != 0 ||
        reserve(&json->strings, &json->strings_capacity, length + 2, err) != 0) {
        goto done;
    }
    if (length > 0) {
        memcpy(json->text, text, length);
    }
    json->text[length] = ' ';
    json->text[length + 1] = '\0';
    json->text_length = length + 1;
    result = 0;

done:
    free(mended);
    return result;
}

/* yajl takes VT and FF for blanks; JSON has neither, in strings or between values. */
static int check_blanks(const struct json *json, struct ear_error *err)
{
    size_t plain = strcspn(json->text, "\v\f"); /* there is no NUL before the end */

    if (plain < json->text_length) {
        return ear_fail(err, EAR_REJECT, "bad_json: byte %zu: a control character", plain);
    }
    return 0;
}

static int make_yajl(struct json *json, struct ear_error *err)
{
    if (json->yajl != NULL) {
        return 0;
    }
    json->yajl = yajl_alloc(&callbacks, NULL, json);
    if (json->yajl == NULL) {
        return ear_fail_memory(err, "the JSON reader");
    }
    yajl_config(json->yajl, yajl_allow_multiple_values, 1);
    yajl_config(json->yajl, yajl_dont_validate_strings, 1); /* the text is mended before */
    return 0;
}

static int refuse_syntax(struct json *json, const unsigned char *text, size_t length)
{
    unsigned char *reason = yajl_get_error(json->yajl, 0, text, length);
    size_t at = yajl_get_bytes_consumed(json->yajl);
    int words = reason != NULL ? (int)strcspn((char *)reason, "\n") : 0;

    ear_fail(json->err, EAR_REJECT, "bad_json: byte %zu: %.*s", at, words,
             reason != NULL ? (char *)reason : "");
    if (reason != NULL) {
        yajl_free_error(json->yajl, reason);
    }
    return -1;
}

static int parse(struct json *json, struct ear_error *err)
{
    const unsigned char *text = (const unsigned char *)json->text;
    yajl_status status = yajl_parse(json->yajl, text, json->text_length);

    if (status == yajl_status_client_canceled) {
        return -1; /* the callback has filled err */
    }
    if (status != yajl_status_ok) {
        return refuse_syntax(json, text, json->text_length);
    }
    if (json->count == 0) {
        return ear_fail(err, EAR_REJECT, "bad_json: byte %zu: no value", json->text_length - 1);
    }
    if (json->depth > 0) {
        return ear_fail(
            err, EAR_REJECT, "bad_json: byte %zu: it ends inside an %s", json->text_length - 1,
            json->tape[json->frames[json->depth - 1].container].kind == JSON_OBJECT ? "object"
                                                                                    : "array");
    }
    /* yajl would still wait for the end of a string behind the value. */
    if (json->text[json->end + strspn(json->text + json->end, " \t\r\n")] != '\0') {
        return ear_fail(err, EAR_REJECT, "bad_json: byte %zu: something follows the value",
                        json->end);
    }
    return 0;
}

const struct json_node *json_read(struct json *json, const char *text, size_t length,
                                  const struct json_limits *limits, struct ear_error *err)
{
    json->limits = *limits;
    json->limits.depth = limits->depth < JSON_DEPTH_MAX ? limits->depth : JSON_DEPTH_MAX;
    json->limits.bytes = limits->bytes < UINT32_MAX / 2 ? limits->bytes : UINT32_MAX / 2;
    json->count = json->depth = json->members = json->end = json->strings_length = 0;
    json->key = NULL;
    json->repaired = json->duplicates = false;
    json->err = err;
    if (length > json->limits.bytes) {
        ear_fail(err, EAR_REJECT, "too_big: byte %zu: the limit for a JSON text is %zu", length,
                 json->limits.bytes);
        return NULL;
    }
    if (take_text(json, text, length, err) != 0 || check_blanks(json, err) != 0 ||
        make_yajl(json, err) != 0) {
        return NULL;
    }
    if (parse(json, err) != 0) {
        json_yajl_free(json);
        json->count = 0;
        return NULL;
    }
    json->text[--json->text_length] = '\0'; /* the blank */
    return json->tape;
}
