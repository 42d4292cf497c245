/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The trend feed as text: Atom (RFC 4287) and JSON Feed 1.1. Ids are UUIDs made of what an entry is
 * about (RFC 9562, version 8), so they stay. Only http and https addresses of posts become links.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/instant.h"
#include "sinks/trends/feed.h"
#include "sinks/trends/view_internal.h"

enum {
    UUID_SIZE = 48,
    TITLE_SIZE = 512,
    WEEK_SIZE = 40,
    PATH_SIZE = 4096,
    ENTRIES_MAX = 4096,
    JSON_BYTES = 32 * 1024 * 1024,
};

struct entry {
    int64_t week, updated_us;
    char *brand, *label, *summary;
    size_t summary_length;
};

struct feed {
    const struct feed_config *config;
    struct entry *entries; /* [count] */
    size_t count;
    int64_t updated_us;
    struct json *json;
};

/* --- reading --- */

static int compare_entries(const void *left, const void *right)
{
    const struct entry *one = left;
    const struct entry *other = right;
    size_t one_rank = label_rank(one->label);
    size_t other_rank = label_rank(other->label);

    if (one->week != other->week) {
        return one->week > other->week ? -1 : 1;
    }
    if (one_rank != other_rank) {
        return one_rank < other_rank ? -1 : 1;
    }
    return strcmp(one->label, other->label) != 0 ? strcmp(one->label, other->label)
                                                 : strcmp(one->brand, other->brand);
}

static int read_entry(struct feed *feed, const struct store_rows *rows, struct ear_error *err)
{
    struct entry *entry = &feed->entries[feed->count];

    entry->week = store_get_integer(rows, 0);
    entry->updated_us = store_get_integer(rows, 4);
    entry->brand = strdup(store_get_text(rows, 1, NULL));
    entry->label = strdup(store_get_text(rows, 2, NULL));
    entry->summary = strdup(store_get_text(rows, 3, &entry->summary_length));
    feed->count++;
    if (entry->brand == NULL || entry->label == NULL || entry->summary == NULL) {
        ear_fail_memory(err, "the trend feed");
        return -1;
    }
    if (entry->updated_us > feed->updated_us) {
        feed->updated_us = entry->updated_us;
    }
    return 0;
}

static int read_entries(struct feed *feed, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    feed->count = 0;
    feed->entries = calloc(ENTRIES_MAX, sizeof *feed->entries);
    if (feed->entries == NULL) {
        ear_fail_memory(err, "the trend feed");
        return -1;
    }
    if (feed->config->store == NULL) {
        return 0;
    }
    if (store_select(&rows, feed->config->store, QUERY_FEED_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while (feed->count < ENTRIES_MAX && (there = store_next(rows, err)) == 1) {
        if (read_entry(feed, rows, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    if (there >= 0 && feed->count > 0) {
        qsort(feed->entries, feed->count, sizeof feed->entries[0], compare_entries);
    }
    return there < 0 ? -1 : 0;
}

static void feed_clear(struct feed *feed)
{
    for (size_t i = 0; i < feed->count; i++) {
        free(feed->entries[i].brand);
        free(feed->entries[i].label);
        free(feed->entries[i].summary);
    }
    free(feed->entries);
    json_free(feed->json);
}

/* --- words --- */

static const char *uuid_of(char out[UUID_SIZE], const char *text)
{
    struct hash128 hash = hash128_of(text, strlen(text));
    char digits[HASH128_TEXT_SIZE];

    hash.bytes[6] = (unsigned char)((hash.bytes[6] & 0x0f) | 0x80);
    hash.bytes[8] = (unsigned char)((hash.bytes[8] & 0x3f) | 0x80);
    hash128_format(digits, hash);
    snprintf(out, UUID_SIZE, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
             digits + 16, digits + 20);
    return out;
}

/* "2026-W47": the week's number is that of its Thursday in the Thursday's year. */
static const char *week_name(char out[WEEK_SIZE], int64_t monday)
{
    char thursday[DAY_SIZE];
    char first[INSTANT_SIZE];
    int64_t first_us = 0;
    int64_t first_day = 0;
    int64_t number = 0;

    day_format(thursday, monday + 3);
    snprintf(first, sizeof first, "%.4s-01-01T00:00:00Z", thursday);
    instant_parse_rfc3339(&first_us, first, strlen(first));
    first_day = zone_day(NULL, first_us);
    number = (monday + 3 - first_day) / 7 + 1;
    snprintf(out, WEEK_SIZE, "%.4s-W%02lld", thursday, (long long)number);
    return out;
}

static const char *entry_id(char out[UUID_SIZE], const struct entry *entry)
{
    char week[WEEK_SIZE];
    char about[TITLE_SIZE];

    snprintf(about, sizeof about, "earshot trend\n%s\n%s\n%s", entry->brand, entry->label,
             week_name(week, entry->week));
    return uuid_of(out, about);
}

static int64_t number_of(const struct json_node *summary, const char *name)
{
    int64_t value = 0;

    json_integer(json_get(summary, name), &value);
    return value;
}

static const char *entry_title(char out[TITLE_SIZE], const struct entry *entry,
                               const struct json_node *summary)
{
    bool named = strcmp(entry->brand, "-") != 0;
    int64_t posts = number_of(summary, "posts");
    int64_t people = number_of(summary, "people");

    snprintf(out, TITLE_SIZE, "%s %s%.128s: %lld %s by %lld %s, %lld the week before",
             label_title(entry->label), named ? "about " : "that name no brand",
             named ? entry->brand : "", (long long)posts, posts == 1 ? "post" : "posts",
             (long long)people, people == 1 ? "person" : "people",
             (long long)number_of(summary, "before"));
    return out;
}

static const char *entry_period(char out[TITLE_SIZE], const struct entry *entry,
                                const struct json_node *summary)
{
    char week[WEEK_SIZE];
    char first[DAY_SIZE];
    char last[DAY_SIZE];
    long long conversations = (long long)number_of(summary, "conversations");

    snprintf(out, TITLE_SIZE, "Week %s (%s to %s), %lld conversation%s. A person counts once.",
             week_name(week, entry->week), day_format(first, entry->week),
             day_format(last, entry->week + 6), conversations, conversations == 1 ? "" : "s");
    return out;
}

static bool is_web(const char *url)
{
    return url != NULL && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
}

/* --- Atom --- */

/* Escaped for XML, once; what XML 1.0 has no way to say is left out. */
static void xml(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char letter = (unsigned char)*text;

        if (letter == '&') {
            fputs("&amp;", out);
        } else if (letter == '<') {
            fputs("&lt;", out);
        } else if (letter == '>') {
            fputs("&gt;", out);
        } else if (letter == '"') {
            fputs("&quot;", out);
        } else if (letter >= 0x20 || letter == '\n' || letter == '\t') {
            fputc(letter, out);
        }
    }
}

static void element(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<%s>", name);
    xml(out, text);
    fprintf(out, "</%s>\n", name);
}

/* HTML of an entry, to be escaped once more inside Atom. */
static char *entry_html(const struct entry *entry, const struct json_node *summary)
{
    char *text = NULL;
    size_t size = 0;
    char period[TITLE_SIZE];
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "<p>%s</p><ul>", entry_period(period, entry, summary));
    for (const struct json_node *item = json_first(json_get(summary, "sample")); item != NULL;
         item = json_next(item)) {
        const char *id = json_string(json_get(item, "id"), NULL);
        const char *url = json_string(json_get(item, "url"), NULL);

        fputs("<li>", out);
        if (is_web(url)) {
            fputs("<a href=\"", out);
            xml(out, url);
            fputs("\" rel=\"noopener\">", out);
        }
        xml(out, id == NULL ? "" : id);
        fputs(is_web(url) ? "</a></li>" : "</li>", out);
    }
    fputs("</ul>", out);
    return fclose(out) == 0 ? text : NULL;
}

static int atom_entry(FILE *out, const struct feed *feed, const struct entry *entry,
                      const struct json_node *summary, struct ear_error *err)
{
    char text[TITLE_SIZE];
    char id[UUID_SIZE];
    char at[INSTANT_SIZE];
    char *html = entry_html(entry, summary);

    if (html == NULL) {
        ear_fail_memory(err, "the trend feed");
        return -1;
    }
    fputs("<entry>\n", out);
    element(out, "id", entry_id(id, entry));
    element(out, "title", entry_title(text, entry, summary));
    element(out, "published",
            instant_format(at, zone_day_start_us(feed->config->zone, entry->week)));
    element(out, "updated", instant_format(at, entry->updated_us));
    fputs("<category term=\"", out);
    xml(out, entry->label);
    fputs("\"/>\n<category term=\"", out);
    xml(out, entry->brand);
    fputs("\"/>\n<content type=\"html\">", out);
    xml(out, html);
    fputs("</content>\n</entry>\n", out);
    free(html);
    return 0;
}

/* What an entry says, read; NULL with err. */
static const struct json_node *summary_of(struct feed *feed, const struct entry *entry,
                                          struct ear_error *err)
{
    return json_read(feed->json, entry->summary, entry->summary_length, &json_limits_default, err);
}

static char *atom_text(struct feed *feed, struct ear_error *err)
{
    char *text = NULL;
    size_t size = 0;
    char id[UUID_SIZE];
    char at[INSTANT_SIZE];
    int result = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        ear_fail_memory(err, "the trend feed");
        return NULL;
    }
    fputs("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
          "<feed xmlns=\"http://www.w3.org/2005/Atom\">\n",
          out);
    element(out, "id", uuid_of(id, "earshot trends"));
    element(out, "title", "Earshot: trends");
    element(out, "updated", instant_format(at, feed->updated_us));
    fputs("<author><name>Earshot</name></author>\n<generator>Earshot</generator>\n", out);
    for (size_t i = 0; i < feed->count && result == 0; i++) {
        const struct json_node *summary = summary_of(feed, &feed->entries[i], err);

        result = summary == NULL ? -1 : atom_entry(out, feed, &feed->entries[i], summary, err);
    }
    fputs("</feed>\n", out);
    if (fclose(out) != 0 || result != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- JSON Feed --- */

static void json_entry(struct json_writer *writer, const struct feed *feed,
                       const struct entry *entry, const struct json_node *summary)
{
    char text[TITLE_SIZE];
    char id[UUID_SIZE];
    char at[INSTANT_SIZE];
    char week[WEEK_SIZE];
    size_t length = 0;
    const char *raw = NULL;

    json_write_object(writer);
    json_member_string(writer, "id", entry_id(id, entry));
    json_member_string(writer, "title", entry_title(text, entry, summary));
    json_member_string(writer, "content_text", entry_period(text, entry, summary));
    json_member_string(writer, "date_published",
                       instant_format(at, zone_day_start_us(feed->config->zone, entry->week)));
    json_member_string(writer, "date_modified", instant_format(at, entry->updated_us));
    json_write_key(writer, "tags");
    json_write_array(writer);
    json_write_string(writer, entry->label);
    json_write_string(writer, entry->brand);
    json_write_array_end(writer);
    json_write_key(writer, "_earshot");
    json_write_object(writer);
    json_member_string(writer, "brand", entry->brand);
    json_member_string(writer, "label", entry->label);
    json_member_string(writer, "week", week_name(week, entry->week));
    json_write_key(writer, "cell");
    raw = json_raw(summary, &length);
    json_write_raw(writer, raw, length);
    json_write_object_end(writer);
    json_write_object_end(writer);
}

static int json_entries(struct json_writer *writer, struct feed *feed, struct ear_error *err)
{
    for (size_t i = 0; i < feed->count; i++) {
        const struct json_node *summary = summary_of(feed, &feed->entries[i], err);

        if (summary == NULL) {
            return -1;
        }
        json_entry(writer, feed, &feed->entries[i], summary);
    }
    return 0;
}

static char *json_text(struct feed *feed, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    const char *text = NULL;
    char *copy = NULL;

    if (json_writer_new(&writer, JSON_BYTES, err) != 0) {
        return NULL;
    }
    json_write_object(writer);
    json_member_string(writer, "version", "https://jsonfeed.org/version/1.1");
    json_member_string(writer, "title", "Earshot: trends");
    json_member_string(writer, "description",
                       "What customers complain about, wish for and praise, week by week");
    json_write_key(writer, "items");
    json_write_array(writer);
    if (json_entries(writer, feed, err) == 0) {
        json_write_array_end(writer);
        json_write_object_end(writer);
        text = json_writer_text(writer, NULL, err);
    }
    if (text != NULL && asprintf(&copy, "%s\n", text) < 0) {
        copy = NULL;
        ear_fail_memory(err, "the trend feed");
    }
    json_writer_free(writer);
    return copy;
}

/* --- the door --- */

char *feed_text(const struct feed_config *config, enum feed_form form, int64_t now_us,
                struct ear_error *err)
{
    struct feed feed = {.config = config};
    char *text = NULL;

    if (json_new(&feed.json, err) == 0 && read_entries(&feed, err) == 0) {
        feed.updated_us = feed.count == 0 ? now_us : feed.updated_us;
        text = form == FEED_ATOM ? atom_text(&feed, err) : json_text(&feed, err);
    }
    feed_clear(&feed);
    return text;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, text, length);

        if (written < 0 && errno != EINTR) {
            return -1;
        }
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
    return fsync(fd);
}

static int replace_file(const char *dir, const char *name, const char *text, struct ear_error *err)
{
    char path[PATH_SIZE];
    char fresh[PATH_SIZE];
    int fd = -1;
    int failed = 0;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(fresh, sizeof fresh, "%s/.%s.new", dir, name);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return ear_fail(err, EAR_RETRY, "%s: %s", fresh, strerrordesc_np(errno));
    }
    failed = write_all(fd, text, strlen(text));
    if (close(fd) != 0 || failed != 0 || rename(fresh, path) != 0) {
        return ear_fail(err, EAR_RETRY, "%s: %s; free some room", path, strerrordesc_np(errno));
    }
    return 0;
}

int feed_write(const struct feed_config *config, const char *dir, int64_t now_us,
               struct ear_error *err)
{
    static const struct {
        enum feed_form form;
        const char *name;
    } files[] = {{FEED_ATOM, "trends.atom"}, {FEED_JSON, "trends.json"}};

    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return ear_fail(err, EAR_RETRY, "%s: %s", dir, strerrordesc_np(errno));
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *text = feed_text(config, files[i].form, now_us, err);
        int result = text == NULL ? -1 : replace_file(dir, files[i].name, text, err);

        free(text);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}
