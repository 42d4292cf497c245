/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of posts. The hashes are part of the log (topic `seen`): changing what goes into them
 * publishes everything that is still listed anew.
 */

#include "collectors/post.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/account.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/json_instant.h"
#include "common/settings/settings.h"
#include "common/text/text.h"

enum { POST_ID_MAX = 2048, POST_LANG_MAX = 35 };

struct post_rules {
    const struct settings *settings;
    const struct pseudonym_key *key;
    struct accounts *accounts;
};

int post_rules_new(struct post_rules **out, const struct settings *settings,
                   const struct pseudonym_key *key, struct ear_error *err)
{
    struct post_rules *rules = calloc(1, sizeof(*rules));

    if (rules == NULL) {
        return ear_fail_memory(err, "the rules of posts");
    }
    rules->settings = settings;
    rules->key = key;
    if (accounts_new(&rules->accounts, settings, err) != 0) {
        free(rules);
        return -1;
    }
    *out = rules;
    return 0;
}

void post_rules_free(struct post_rules *rules)
{
    if (rules != NULL) {
        accounts_free(rules->accounts);
        free(rules);
    }
}

/* --- whose ids --- */

/* The host of a URL, lower case, its port kept unless it is the scheme's own. NULL: none in it. */
static char *host_of(const char *url)
{
    const char *from = strstr(url, "://");
    const char *end = NULL;
    const char *at = NULL;
    char *host = NULL;
    size_t length = 0;

    if (from == NULL) {
        return NULL;
    }
    from += 3;
    end = from + strcspn(from, "/?#");
    for (at = from; at < end; at++) {
        from = *at == '@' ? at + 1 : from;
    }
    length = (size_t)(end - from);
    if (length > 3 && strncmp(url, "http:", 5) == 0 && strncmp(end - 3, ":80", 3) == 0) {
        length -= 3;
    } else if (length > 4 && strncmp(url, "https:", 6) == 0 && strncmp(end - 4, ":443", 4) == 0) {
        length -= 4;
    }
    host = length == 0 ? NULL : strndup(from, length);
    for (char *each = host; each != NULL && *each != '\0'; each++) {
        *each = (char)tolower((unsigned char)*each);
    }
    return host;
}

int post_origin_init(struct post_origin *out, const struct settings_source *source,
                     const struct source_reader *reader, struct ear_error *err)
{
    const char *base = config_scalar(config_get(source->node, "base"));
    const char *url = config_scalar(config_get(source->node, "url"));

    *out = (struct post_origin){
        .source = source,
        .platform = reader->name,
        .channel = source->channel == NULL ? reader->channel : source->channel,
    };
    if (base != NULL) {
        out->host = host_of(base);
    } else if (url != NULL) {
        out->host = host_of(url);
    }
    out->lists_again = out->host != NULL || reader->self != NULL; /* a definition */
    if (out->host == NULL) {
        out->host = strdup(source->name);
    }
    return out->host == NULL ? ear_fail_memory(err, "a host") : 0;
}

void post_origin_clear(struct post_origin *origin)
{
    free(origin->host);
    origin->host = NULL;
}

/* --- what a record is --- */

static const char *platform_of(const struct post *post)
{
    return post->record->platform == NULL ? post->origin->platform : post->record->platform;
}

static const char *record_host(const struct post *post)
{
    return post->record->host == NULL ? post->origin->host : post->record->host;
}

/* U+FFFD stands for what was not UTF-8, a NUL or half a character: two ids that differ there only
 * would become one post. */
static bool is_good_id(const char *id)
{
    const size_t length = id == NULL ? 0 : strlen(id);

    if (length == 0 || length > POST_ID_MAX || !text_valid(id, length) ||
        strstr(id, "\xEF\xBF\xBD") != NULL) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)id[i] < ' ' || id[i] == 127) {
            return false;
        }
    }
    return true;
}

/* Bytes to be hashed, each piece with its length before it, so that no two lists look alike. */
struct pieces {
    char *bytes; /* [length] */
    size_t length, capacity;
    bool failed;
};

static void add_piece(struct pieces *pieces, const char *bytes, size_t length)
{
    const uint64_t count = bytes == NULL ? UINT64_MAX : length;
    const size_t needed = pieces->length + sizeof(count) + length;

    length = bytes == NULL ? 0 : length;
    if (needed > pieces->capacity) {
        const size_t capacity = needed * 2 + 256;
        char *grown = realloc(pieces->bytes, capacity);

        pieces->failed = pieces->failed || grown == NULL;
        pieces->bytes = grown == NULL ? pieces->bytes : grown;
        pieces->capacity = grown == NULL ? pieces->capacity : capacity;
    }
    if (pieces->failed) {
        return;
    }
    memcpy(pieces->bytes + pieces->length, &count, sizeof(count));
    pieces->length += sizeof(count);
    if (length > 0) {
        memcpy(pieces->bytes + pieces->length, bytes, length);
        pieces->length += length;
    }
}

static void add_string(struct pieces *pieces, const char *text)
{
    add_piece(pieces, text, text == NULL ? 0 : strlen(text));
}

static void add_times(struct pieces *pieces, const struct source_record *record)
{
    char rating[32];

    add_piece(pieces, (const char *)&record->created_us, sizeof(record->created_us));
    add_piece(pieces, (const char *)&record->edited_us, sizeof(record->edited_us));
    (void)snprintf(rating, sizeof(rating), "%.6f", record->rating < 0 ? -1.0 : record->rating);
    add_string(pieces, rating);
}

static int finish_hash(struct hash128 *out, struct pieces *pieces, struct ear_error *err)
{
    const bool failed = pieces->failed;

    if (!failed) {
        *out = hash128_of(pieces->bytes, pieces->length);
    }
    free(pieces->bytes);
    return failed ? ear_fail_memory(err, "a record") : 0;
}

static int hash_raw(struct post *post, struct ear_error *err)
{
    const struct source_record *record = post->record;
    struct pieces pieces = {0};

    add_string(&pieces, record->url);
    add_string(&pieces, record->title);
    add_piece(&pieces, record->text, record->text == NULL ? 0 : record->text_length);
    add_string(&pieces, record->format == SOURCE_HTML ? "html" : "plain");
    add_string(&pieces, record->author_id);
    add_string(&pieces, record->author_name);
    add_string(&pieces, record->thread);
    add_string(&pieces, record->parent);
    add_string(&pieces, record->lang);
    add_times(&pieces, record);
    return finish_hash(&post->raw, &pieces, err);
}

int post_read(struct post *post, const struct post_rules *rules, const struct post_origin *origin,
              const struct source_record *record, struct ear_error *err)
{
    size_t size = 0;

    *post = (struct post){
        .rules = rules, .origin = origin, .record = record, .repaired = record->repaired};
    if (!is_good_id(record->native_id)) {
        return ear_fail(err, EAR_REJECT,
                        "bad_id: an id is 1 to %d bytes of UTF-8 without control characters",
                        POST_ID_MAX);
    }
    size = strlen(platform_of(post)) + strlen(record_host(post)) + strlen(record->native_id) + 3;
    post->id = malloc(size);
    if (post->id == NULL) {
        return ear_fail_memory(err, "an id");
    }
    post->id_length = (size_t)snprintf(post->id, size, "%s:%s:%s", platform_of(post),
                                       record_host(post), record->native_id);
    if (!is_good_id(post->id)) {
        return ear_fail(err, EAR_REJECT, "bad_id: with platform and host it is no id any more");
    }
    post->id_hash = hash128_of(post->id, post->id_length);
    post->native = record->host == NULL && record->platform == NULL
                       ? hash128_of(record->native_id, strlen(record->native_id))
                       : post->id_hash;
    return record->deleted ? 0 : hash_raw(post, err);
}

/* --- what it says --- */

/* Mends, decodes, normalises, tidies. NULL for nothing to say: then *failed tells whether memory
 * ran out. */
static char *clean(struct post *post, const char *bytes, size_t length, enum source_format format,
                   size_t *out_length, bool *failed)
{
    char *mended = NULL;
    char *plain = NULL;
    char *normal = NULL;

    if (bytes == NULL) {
        return NULL;
    }
    mended = text_repair(bytes, length, &length, &post->repaired);
    if (mended != NULL && format == SOURCE_HTML) {
        plain = text_from_html(mended, length, &length);
        free(mended);
    } else {
        plain = mended;
    }
    normal = plain == NULL ? NULL : text_nfc(plain, length, &length);
    free(plain);
    if (normal == NULL) {
        *failed = true;
        return NULL;
    }
    length = text_tidy(normal, length);
    normal[length] = '\0';
    if (length == 0) {
        free(normal);
        return NULL;
    }
    if (out_length != NULL) {
        *out_length = length;
    }
    return normal;
}

static char *clean_string(struct post *post, const char *text, enum source_format format,
                          bool *failed)
{
    return clean(post, text, text == NULL ? 0 : strlen(text), format, NULL, failed);
}

/* One line. */
static char *flatten(char *text)
{
    for (char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r' || *at == '\t') {
            *at = ' ';
        }
    }
    return text;
}

/* BCP 47's letters, digits and hyphens; anything else is no language. */
static bool is_language(const char *lang)
{
    const size_t length = lang == NULL ? 0 : strlen(lang);

    if (length < 2 || length > POST_LANG_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)lang[i]) && lang[i] != '-') {
            return false;
        }
    }
    return true;
}

static void find_author(struct post *post)
{
    const struct source_record *record = post->record;
    const char *id = record->author_id;
    const char *platform = NULL;
    const char *handle = NULL;
    struct account_author author;

    if (id == NULL || *id == '\0') {
        id = record->author_name;
    }
    if (id == NULL || *id == '\0') {
        return;
    }
    author = (struct account_author){
        .platform = platform_of(post),
        .host = record_host(post),
        .id = id,
        .name = record->author_name,
    };
    post->ours = accounts_has(post->rules->accounts, ACCOUNT_OURS, &author);
    post->staff = accounts_has(post->rules->accounts, ACCOUNT_STAFF, &author);
    accounts_person(post->rules->accounts, &author, &platform, &handle);
    pseudonym_of(post->author, post->rules->key, platform, handle);
    post->author_hash = hash128_of(post->author, strlen(post->author));
}

int post_clean(struct post *post, struct ear_error *err)
{
    const struct source_record *record = post->record;
    struct pieces pieces = {0};
    bool failed = false;

    post->text = clean(post, record->text, record->text == NULL ? 0 : record->text_length,
                       record->format, &post->text_length, &failed);
    post->title = flatten(clean_string(post, record->title, record->format, &failed));
    post->url = flatten(clean_string(post, record->url, SOURCE_PLAIN, &failed));
    post->thread = flatten(clean_string(post, record->thread, SOURCE_PLAIN, &failed));
    post->parent = flatten(clean_string(post, record->parent, SOURCE_PLAIN, &failed));
    post->name = flatten(clean_string(post, record->author_name, SOURCE_PLAIN, &failed));
    if (is_language(record->lang)) {
        post->lang = clean_string(post, record->lang, SOURCE_PLAIN, &failed);
    }
    if (failed) {
        return ear_fail_memory(err, "a post");
    }
    find_author(post);
    add_string(&pieces, post->url);
    add_string(&pieces, post->title);
    add_piece(&pieces, post->text, post->text == NULL ? 0 : post->text_length);
    add_string(&pieces, post->author);
    add_string(&pieces, post->thread);
    add_string(&pieces, post->parent);
    add_string(&pieces, post->lang);
    add_times(&pieces, record);
    return finish_hash(&post->hash, &pieces, err);
}

/* --- how it is told --- */

static bool is_believable(int64_t at_us, int64_t now_us)
{
    return at_us > 0 && at_us <= now_us + CLOCK_DAY_US;
}

int64_t post_version(const struct post *post, int64_t before, int64_t now_us)
{
    int64_t version = now_us;

    if (is_believable(post->record->edited_us, now_us) && post->record->edited_us > version) {
        version = post->record->edited_us;
    }
    return version <= before ? before + 1 : version;
}

/* Arrival is the time of what is written as it comes. */
static bool is_told_by_arrival(const struct source_record *record)
{
    return record->just_written && record->created_us == INT64_MIN;
}

bool post_is_dated(const struct post *post, int64_t now_us)
{
    return is_believable(post->record->created_us, now_us) || is_told_by_arrival(post->record);
}

int64_t post_created(const struct post *post, int64_t before_us, int64_t now_us)
{
    if (is_believable(post->record->created_us, now_us)) {
        return post->record->created_us;
    }
    return before_us == INT64_MIN ? now_us : before_us;
}

static void write_author(const struct post *post, struct json_writer *writer)
{
    if (post->author[0] == '\0') {
        return;
    }
    json_write_key(writer, "author");
    json_write_object(writer);
    json_member_string(writer, "id", post->author);
    if (post->rules->settings->author_names) {
        json_member_string(writer, "name", post->name);
    }
    json_write_object_end(writer);
}

static void write_count(struct json_writer *writer, const char *key, int64_t count)
{
    if (count >= 0) {
        json_member_integer(writer, key, count);
    }
}

static void write_numbers(const struct source_record *record, struct json_writer *writer)
{
    if (record->rating >= 0 && record->rating <= 1) {
        json_write_key(writer, "rating");
        json_write_number(writer, record->rating, 4);
    }
    if (record->likes >= 0 || record->replies >= 0 || record->shares >= 0 || record->views >= 0) {
        json_write_key(writer, "engagement");
        json_write_object(writer);
        write_count(writer, "likes", record->likes);
        write_count(writer, "replies", record->replies);
        write_count(writer, "shares", record->shares);
        write_count(writer, "views", record->views);
        json_write_object_end(writer);
    }
}

static void write_true(struct json_writer *writer, const char *key, bool value)
{
    if (value) {
        json_write_key(writer, key);
        json_write_boolean(writer, true);
    }
}

static void write_source(const struct post *post, struct json_writer *writer)
{
    const struct settings_source *source = post->origin->source;

    json_member_string(writer, "about", source->about);
    if (source->tags.count > 0) {
        json_write_key(writer, "tags");
        json_write_array(writer);
        for (size_t i = 0; i < source->tags.count; i++) {
            json_write_string(writer, source->tags.items[i]);
        }
        json_write_array_end(writer);
    }
    if (source->audience != NULL && strcmp(source->audience, "internal") == 0) {
        json_member_string(writer, "audience", "internal");
    }
    write_true(writer, "ours", post->ours);
    write_true(writer, "staff", post->staff);
}

static void write_flags(const struct post *post, struct json_writer *writer, bool suspect)
{
    if (!suspect && !post->repaired) {
        return;
    }
    json_write_key(writer, "flags");
    json_write_array(writer);
    if (suspect) {
        json_write_string(writer, "time_suspect");
    }
    if (post->repaired) {
        json_write_string(writer, "text_repaired");
    }
    json_write_array_end(writer);
}

/* The times, and whether one of them is not to be believed. */
static bool write_times(const struct post *post, struct json_writer *writer, int64_t first_us,
                        int64_t now_us)
{
    const struct source_record *record = post->record;
    const bool created = is_believable(record->created_us, now_us);
    const bool edited = is_believable(record->edited_us, now_us);

    json_member_instant(writer, "created_at", created ? record->created_us : first_us, INT64_MIN);
    if (edited) {
        json_member_instant(writer, "edited_at", record->edited_us, INT64_MIN);
    }
    json_member_instant(writer, "collected_at", now_us, INT64_MIN);
    return (!created && !is_told_by_arrival(record)) || (!edited && record->edited_us != INT64_MIN);
}

int post_write(const struct post *post, struct json_writer *writer, int64_t version,
               int64_t first_us, int64_t now_us, const char **text, size_t *length,
               struct ear_error *err)
{
    const struct source_record *record = post->record;
    bool suspect = false;

    json_write_object(writer);
    json_member_string(writer, "id", post->id);
    json_member_string(writer, "source", post->origin->source->name);
    json_member_string(writer, "platform", platform_of(post));
    json_member_string(writer, "channel",
                       record->channel == NULL ? post->origin->channel : record->channel);
    json_member_string(writer, "url", post->url);
    write_author(post, writer);
    suspect = write_times(post, writer, first_us, now_us);
    json_member_integer(writer, "version", version);
    json_member_string(writer, "title", post->title);
    json_write_key(writer, "text");
    json_write_bytes(writer, post->text == NULL ? "" : post->text, post->text_length);
    json_member_string(writer, "lang", post->lang);
    json_member_string(writer, "thread", post->thread);
    json_member_string(writer, "parent", post->parent);
    write_numbers(record, writer);
    write_source(post, writer);
    write_flags(post, writer, suspect);
    if (record->extra != NULL && *record->extra != '\0') {
        json_write_raw(writer, record->extra, strlen(record->extra)); /* members, not a value */
    }
    json_write_object_end(writer);
    *text = json_writer_text(writer, length, err);
    return *text == NULL ? -1 : 0;
}

int post_write_deleted(const struct post *post, struct json_writer *writer, int64_t version,
                       const char **text, size_t *length, struct ear_error *err)
{
    json_write_object(writer);
    json_member_string(writer, "id", post->id);
    json_member_string(writer, "source", post->origin->source->name);
    json_member_integer(writer, "version", version);
    write_true(writer, "deleted", true);
    json_write_object_end(writer);
    *text = json_writer_text(writer, length, err);
    return *text == NULL ? -1 : 0;
}

void post_clear(struct post *post)
{
    free(post->id);
    free(post->url);
    free(post->title);
    free(post->text);
    free(post->thread);
    free(post->parent);
    free(post->lang);
    free(post->name);
    *post = (struct post){0};
}
