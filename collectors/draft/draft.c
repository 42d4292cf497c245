/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each list of objects in the answer is a candidate, and so is an object within its elements
 * ({"kind", "data": {…}}): the one in which most of a post's fields are found is taken. A field is
 * looked for by the names that APIs give it, the likeliest first, one level down as well.
 */
#include "collectors/draft/draft_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/json/json.h"

enum { DEPTH_MAX = 6 };

/* The names of a field, the likeliest first; a dot goes one level down. */
static const struct {
    const char *names;
    int worth; /* how much it says that this is a post */
} wanted[W_COUNT] = {
    [W_ID] = {"uri objectID id _id guid uuid key recommendationid question_id post_id comment_id "
              "review_id item_id number name",
              3},
    [W_URL] = {"html_url permalink permalink_url link web_url url", 1},
    [W_TITLE] = {"title title.rendered subject headline summary story_title link_title topic_title",
                 2},
    [W_TEXT] = {"body content content.rendered text message review comment description cooked "
                "html selftext comment_text caption record.text textDisplay plaintext raw "
                "content.label body_html bodyHtml content_html contentHtml text_html body_text "
                "content_text",
                4},
    [W_CREATED] = {"created_at createdAt created_utc created_at_i created created_time date_gmt "
                   "published_at publishedAt published creation_date timestamp_created indexedAt "
                   "posted_at date_published date timestamp time",
                   3},
    [W_EDITED] = {"edited_at lastEditedAt edited updated_at updatedAt updated_time modified_gmt "
                  "modified updated last_edit_date date_modified timestamp_updated",
                  1},
    [W_AUTHOR_ID] = {"author_fullname user_id author_id author.did author.id user.id account.url "
                     "from.id owner.user_id user.login author.steamid creator.id author.uuid "
                     "user.uuid member.id customer.id poster.id author.key authorId userId by",
                     1},
    [W_AUTHOR_NAME] = {"author_name username author.handle author.name user.name user.login "
                       "user.username author.username author.login author.display_name "
                       "author.nickname user.display_name user.handle user.nickname member.name "
                       "customer.name poster.name creator.name authorName userName account.acct "
                       "from.name owner.display_name author by "
                       "display_name name",
                       1},
    [W_LANG] = {"lang language language_code", 0},
    [W_THREAD] = {"conversation_id thread_id topic_id link_id post discussion_id story_id", 0},
    [W_PARENT] = {"parent_id in_reply_to_id reply_to parent parentId", 0},
    [W_LIKES] = {"like_count likeCount likes favourites_count points score ups upvotes votes "
                 "votes_up",
                 0},
    [W_REPLIES] = {"reply_count replyCount replies_count num_comments comments_count comment_count "
                   "comments",
                   0},
};

/* --- fields of a record --- */

bool draft_is_plain(const struct json_node *node)
{
    const enum json_kind kind = json_kind_of(node);

    return kind == JSON_STRING || kind == JSON_NUMBER;
}

static bool is_time(const struct json_node *node)
{
    int64_t at_us = 0;
    size_t length = 0;
    const char *text = json_string(node, &length);

    return text != NULL && length >= 8 && instant_parse_any(&at_us, text, length, NULL);
}

static bool fits(enum wanted which, const struct json_node *node)
{
    if (which == W_CREATED || which == W_EDITED) {
        return is_time(node);
    }
    if (which == W_LIKES || which == W_REPLIES) {
        return json_kind_of(node) == JSON_NUMBER;
    }
    if (which == W_TEXT || which == W_TITLE || which == W_URL) {
        return json_kind_of(node) == JSON_STRING;
    }
    return draft_is_plain(node);
}

/* One name, "author.name": *node and its pointer. */
static bool try_name(struct found *found, enum wanted which, const struct json_node *record,
                     const char *name, size_t length)
{
    const char *dot = memchr(name, '.', length);
    char first[64];
    char second[64] = "";
    const struct json_node *node = NULL;

    (void)snprintf(first, sizeof(first), "%.*s", (int)(dot == NULL ? length : (size_t)(dot - name)),
                   name);
    node = json_get(record, first);
    if (dot != NULL) {
        (void)snprintf(second, sizeof(second), "%.*s", (int)(name + length - dot - 1), dot + 1);
        node = json_get(node, second);
    }
    if (node == NULL || !fits(which, node)) {
        return false;
    }
    found->nodes[which] = node;
    (void)snprintf(found->pointers[which], sizeof(found->pointers[which]), "/%s%s%s", first,
                   dot == NULL ? "" : "/", second);
    return true;
}

static void look(struct found *found, const struct json_node *record)
{
    *found = (struct found){0};
    for (size_t i = 0; i < W_COUNT; i++) {
        for (const char *name = wanted[i].names; *name != '\0';) {
            const size_t length = strcspn(name, " ");

            if (try_name(found, (enum wanted)i, record, name, length)) {
                found->worth += wanted[i].worth;
                break;
            }
            name += length + (name[length] == ' ' ? 1 : 0);
        }
    }
}

/* --- the list of records --- */

/* A key as a pointer's step: ~ and / escaped. */
static void append(char *pointer, const char *key)
{
    size_t at = strlen(pointer);

    if (at + 2 * strlen(key) + 2 >= DRAFT_POINTER_MAX) {
        return;
    }
    pointer[at++] = '/';
    for (; *key != '\0'; key++) {
        if (*key == '~' || *key == '/') {
            pointer[at++] = '~';
            pointer[at++] = *key == '~' ? '0' : '1';
        } else {
            pointer[at++] = *key;
        }
    }
    pointer[at] = '\0';
}

/* A key that a draft can name. */
static bool is_tame(const char *key)
{
    for (; *key != '\0'; key++) {
        if ((unsigned char)*key < 0x20 || strchr("\"\\$\x7f", *key) != NULL) { /* ${file:…} */
            return false;
        }
    }
    return true;
}

static const struct json_node *last_of(const struct json_node *list)
{
    const struct json_node *last = NULL;

    for (const struct json_node *each = json_first(list); each != NULL; each = json_next(each)) {
        last = each;
    }
    return last;
}

/* What there was instead, for who asks why nothing was found: the keys of the first of a list. */
static void keep_keys(struct best *best, const struct json_node *first)
{
    size_t used = 0;

    if (best->seen[0] != '\0' || json_kind_of(first) != JSON_OBJECT) {
        return;
    }
    for (const struct json_node *each = json_first(first); each != NULL; each = json_next(each)) {
        if (is_tame(json_key(each)) && used + strlen(json_key(each)) + 6 < sizeof(best->seen)) {
            used += (size_t)snprintf(best->seen + used, sizeof(best->seen) - used, "%s%s",
                                     used == 0 ? "" : ", ", json_key(each));
        }
    }
}

static void try_record(struct best *best, const struct json_node *list, const char *pointer,
                       const char *inner)
{
    struct found found;
    const struct json_node *first = json_first(list);
    const struct json_node *last = last_of(list);

    if (inner != NULL) {
        first = json_get(first, inner);
        last = json_get(last, inner);
    }
    look(&found, first);
    keep_keys(best, first);
    if (found.nodes[W_ID] == NULL ||
        (found.nodes[W_TEXT] == NULL && found.nodes[W_TITLE] == NULL) ||
        found.worth <= best->found.worth) {
        return;
    }
    best->first = first;
    best->last = last;
    best->count = json_count(list);
    best->found = found;
    (void)snprintf(best->records, sizeof(best->records), "%s/*", pointer);
    if (inner != NULL) {
        append(best->records, inner);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX deep */
static void search(struct best *best, const struct json_node *node, const char *pointer, int depth)
{
    char below[DRAFT_POINTER_MAX];

    if (depth > DEPTH_MAX) {
        return;
    }
    if (json_kind_of(node) == JSON_ARRAY && json_kind_of(json_first(node)) == JSON_OBJECT) {
        try_record(best, node, pointer, NULL);
        for (const struct json_node *each = json_first(json_first(node)); each != NULL;
             each = json_next(each)) {
            if (json_kind_of(each) == JSON_OBJECT && is_tame(json_key(each))) {
                try_record(best, node, pointer, json_key(each));
            }
        }
    }
    for (const struct json_node *each = json_first(node);
         each != NULL && json_kind_of(node) == JSON_OBJECT; each = json_next(each)) {
        if (is_tame(json_key(each))) {
            (void)snprintf(below, sizeof(below), "%s", pointer);
            append(below, json_key(each));
            search(best, each, below, depth + 1);
        }
    }
}

int draft_make(char **out, char name[80], const struct draft_sample *sample, struct ear_error *err)
{
    struct best best = {0};
    struct address address = {0};
    size_t size = 0;
    FILE *file = NULL;
    int result = -1;

    search(&best, sample->answer, "", 0);
    if (best.first == NULL) {
        keep_keys(&best, sample->answer);
        return ear_fail(err, EAR_REJECT,
                        "nothing in the answer looks like a list of posts: none has an id and a "
                        "text or title by their names; what is there: %s; `earshot example "
                        "definition` shows how to name them yourself",
                        best.seen[0] == '\0' ? "no object" : best.seen);
    }
    if (draft_read_address(&address, sample->url, err) != 0) {
        goto done;
    }
    draft_name(name, address.base);
    *out = NULL;
    file = open_memstream(out, &size);
    if (file == NULL) {
        ear_fail_memory(err, "a draft");
        goto done;
    }
    draft_write(file, name, sample, &address, &best);
    if (fclose(file) != 0) {
        free(*out);
        *out = NULL;
        ear_fail_memory(err, "a draft");
        goto done;
    }
    result = 0;

done:
    free(address.text);
    return result;
}
