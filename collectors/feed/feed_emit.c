/* SPDX-License-Identifier: Apache-2.0 */
/* An entry as a record, or as a reject. */
#include "collectors/feed/feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/source.h"

static char *escape_html(const char *text)
{
    size_t size = strlen(text);
    char *out = malloc(size * 5 + 1);
    char *at = out;

    if (out == NULL) {
        return NULL;
    }
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            at = stpcpy(at, "&amp;");
            break;
        case '<':
            at = stpcpy(at, "&lt;");
            break;
        case '\n':
            at = stpcpy(at, "<br>");
            break;
        default:
            *at++ = *text;
        }
    }
    *at = '\0';
    return out;
}

/* What a comment belongs to: the entry whose feed it came from, or what it says itself. */
static void place_comment(const struct feed_entry *entry, const char *of,
                          struct source_record *record, char **thread)
{
    const char *sign = entry->parent != NULL ? strstr(entry->parent, "#comment") : NULL;

    record->parent = entry->parent;
    if (of != NULL && of[0] != '\0') {
        record->parent = entry->parent != NULL ? entry->parent : of;
        record->thread = of;
    } else if (sign != NULL) { /* an answer to a comment */
        *thread = strndup(entry->parent, (size_t)(sign - entry->parent));
        record->thread = *thread;
    } else {
        record->thread = entry->parent != NULL ? entry->parent : entry->guid;
    }
    if (record->parent != NULL) {
        record->title = NULL; /* "Comment on X by Y" is the server's, not the author's */
    }
}

static int reject_entry(const struct feed_entry *entry, const char *code, const char *reason,
                        const struct source_output *output, struct ear_error *err)
{
    char item[40];

    snprintf(item, sizeof item, "entry %zu", entry->number);
    return output->reject(output->user, item, code, reason, entry->guid, strlen(entry->guid), err);
}

/* Both HTML if either is: a record has one format. */
static int choose_text(const struct feed_entry *entry, struct source_record *record, char **escaped,
                       struct ear_error *err)
{
    bool has_text = entry->text != NULL;
    const char *text = has_text ? entry->text : entry->summary;
    bool html = has_text ? entry->text_html : entry->summary_html;
    const char *title = record->title;

    if (text == NULL || (title != NULL && html != entry->title_html)) {
        const char *plain = text == NULL ? "" : html ? title : text;

        *escaped = escape_html(plain);
        if (*escaped == NULL) {
            return ear_fail_memory(err, "an entry of a feed");
        }
        if (text == NULL) {
            html = entry->title_html;
            text = *escaped;
        } else if (html) {
            record->title = *escaped;
        } else {
            text = *escaped;
            html = true;
        }
    }
    record->format = html ? SOURCE_HTML : SOURCE_PLAIN;
    record->text = text;
    record->text_length = strlen(text);
    return 0;
}

int entry_emit(const struct feed_entry *entry, const char *of, bool repaired,
               const struct source_output *output, struct ear_error *err)
{
    int result = -1;
    char *thread = NULL;
    char *escaped = NULL;
    struct source_record record = {
        .native_id = entry->guid,
        .url = entry->link,
        .title = entry->title,
        .author_id = entry->author != NULL ? entry->author : entry->author_link,
        .author_name = entry->author,
        .lang = entry->lang,
        .created_us = entry->created_us,
        .edited_us = entry->edited_us,
        .rating = -1,
        .likes = -1,
        .replies = entry->comments,
        .shares = -1,
        .views = -1,
        .repaired = repaired,
    };

    place_comment(entry, of, &record, &thread);
    if (entry->too_large) {
        result = reject_entry(entry, "too_large", "a text of more than 8 MiB", output, err);
    } else if (entry->text == NULL && entry->summary == NULL && record.title == NULL) {
        result = reject_entry(entry, "schema", "it has neither a title nor a text", output, err);
    } else if (choose_text(entry, &record, &escaped, err) == 0) {
        result = output->emit(output->user, &record, err);
    }
    free(thread);
    free(escaped);
    return result;
}
