/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/collectors/definition/forum.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct forum_post *forum_add(struct forum *forum, int64_t created_s, int64_t thread)
{
    struct forum_post *post = &forum->posts[forum->count++];

    assert_true(forum->count < FORUM_MAX);
    *post = (struct forum_post){.id = (int64_t)forum->count,
                                .created_s = created_s,
                                .updated_s = created_s,
                                .thread = thread == 0 ? (int64_t)forum->count : thread};
    snprintf(post->text, sizeof post->text, "post %" PRId64, post->id);
    return post;
}

struct forum_post *forum_get(struct forum *forum, int64_t id)
{
    return id > 0 && id <= (int64_t)forum->count ? &forum->posts[id - 1] : NULL;
}

void forum_fill(struct forum *forum, size_t count, int64_t every_s, int64_t ago_s)
{
    const int64_t last_s = NOON_US / SECOND_US - ago_s;

    for (size_t i = 0; i < count; i++) {
        forum_add(forum, last_s - (int64_t)(count - 1 - i) * every_s, 0);
    }
}

size_t forum_alive(const struct forum *forum)
{
    size_t count = 0;

    for (size_t i = 0; i < forum->count; i++) {
        count += forum->posts[i].deleted ? 0 : 1;
    }
    return count;
}

static int64_t replies_of(const struct forum *forum, int64_t thread)
{
    int64_t count = 0;

    for (size_t i = 0; i < forum->count; i++) {
        const struct forum_post *post = &forum->posts[i];

        count += !post->deleted && post->thread == thread && post->id != thread ? 1 : 0;
    }
    return count;
}

static void write_post(const struct forum *forum, const struct forum_post *post, bool first,
                       FILE *out)
{
    fprintf(out,
            "%s{\"id\":%" PRId64 ",\"text\":\"%s\",\"created\":%" PRId64 ",\"updated\":%" PRId64
            ",\"thread\":%" PRId64 ",\"replies\":%" PRId64 ",\"author\":\"kim\"}",
            first ? "" : ",", post->id, post->text, post->created_s, post->updated_s, post->thread,
            post->thread == post->id ? replies_of(forum, post->id) : 0);
}

static int64_t number(const struct fetch_request *request, const char *name, int64_t otherwise)
{
    const char *text = asked_for(request, name);

    return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

typedef int64_t (*order_of)(const struct forum_post *post);

static int64_t by_id(const struct forum_post *post)
{
    return post->id;
}

/* Those shown, in order; to be freed. */
static const struct forum_post **sorted(const struct forum *forum, order_of order, bool newest,
                                        size_t *count)
{
    const struct forum_post **out = calloc(forum->count + 1, sizeof(void *));

    assert_non_null(out);
    *count = 0;
    for (size_t i = 0; i < forum->count; i++) {
        size_t at = *count;

        if (forum->posts[i].deleted || forum->posts[i].id == forum->unseen) {
            continue;
        }
        while (at > 0 && (newest ? order(out[at - 1]) < order(&forum->posts[i])
                                 : order(out[at - 1]) > order(&forum->posts[i]))) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = &forum->posts[i];
        (*count)++;
    }
    return out;
}

static int64_t by_updated(const struct forum_post *post)
{
    return post->updated_s * 10000 + post->id;
}

static int64_t by_created(const struct forum_post *post)
{
    return post->created_s * 10000 + post->id;
}

/* Writes those from `from` on, a page of them. Returns one past the last. */
static size_t write_page(const struct forum *forum, const struct forum_post *const posts[],
                         size_t count, size_t from, const struct forum_post *pinned, FILE *out)
{
    size_t until = from + (size_t)forum->page;

    until = until > count ? count : until;
    fputs("{\"posts\":[", out);
    if (pinned != NULL) {
        write_post(forum, pinned, true, out);
    }
    for (size_t i = from; i < until; i++) {
        write_post(forum, posts[i], pinned == NULL && i == from, out);
    }
    fputs("]", out);
    return until;
}

static void serve_down(struct forum *forum, const struct fetch_request *request,
                       struct reply *reply)
{
    size_t count = 0;
    const struct forum_post **posts = sorted(
        forum, asked_path(request, "/posts") || asked_path(request, "/link") ? by_id : by_created,
        true, &count);
    const int64_t before = number(request, asked_path(request, "/link") ? "max" : "before", 0);
    const int64_t after = number(request, "after", 0);
    size_t from = 0;
    size_t until = 0;

    if (asked_path(request, "/number")) {
        from = (size_t)(number(request, "page", 1) - 1) * (size_t)forum->page;
    } else if (asked_path(request, "/offset")) {
        from = (size_t)number(request, "start", 0);
    }
    while (from < count && before != 0 && posts[from]->id >= before) {
        from++;
    }
    while (from < count && after != 0 && posts[from]->id != after) {
        from++;
    }
    from += after != 0 ? 1 : 0;
    from = from > count ? count : from;
    until = write_page(forum, posts, count, from,
                       from == 0 ? forum_get(forum, forum->pinned) : NULL, reply->out);
    if (asked_path(request, "/token") && until < count) {
        fprintf(reply->out, ",\"next\":\"%" PRId64 "\"", posts[until - 1]->id);
    }
    if (asked_path(request, "/link") && until < count) {
        reply_header(reply, "link", "</link?max=%" PRId64 "&key=S3CRET>; rel=\"next\"",
                     posts[until - 1]->id);
    }
    fputs("}", reply->out);
    free(posts);
}

static void serve_up(struct forum *forum, const struct fetch_request *request, struct reply *reply)
{
    const bool changed = asked_path(request, "/changed");
    size_t count = 0;
    const struct forum_post **posts = sorted(forum, changed ? by_updated : by_id, false, &count);
    const int64_t since = number(request, "since", 0);
    const int64_t min = number(request, "min", 0);
    size_t from = 0;

    while (from < count && (changed ? posts[from]->updated_s < since : posts[from]->id <= min)) {
        from++;
    }
    from += (size_t)(number(request, "page", 1) - 1) * (size_t)forum->page;
    from = from > count ? count : from;
    write_page(forum, posts, count, from, NULL, reply->out);
    fputs("}", reply->out);
    free(posts);
}

static void serve_tag(struct forum *forum, const struct fetch_request *request, struct reply *reply)
{
    size_t count = 0;
    const struct forum_post **posts = sorted(forum, by_id, true, &count);
    const int64_t max = number(request, "max_id", INT64_MAX);
    const int64_t min = number(request, "min_id", 0);
    size_t from = 0;
    size_t until = 0;

    while (from < count && posts[from]->id >= max) {
        from++;
    }
    while (count > 0 && posts[count - 1]->id <= min) {
        count--;
    }
    if (min > 0 && count > (size_t)forum->page) { /* the oldest of what is newer */
        from = count - (size_t)forum->page;
    }
    from = from > count ? count : from;
    until = write_page(forum, posts, count, from, NULL, reply->out);
    fputs("}", reply->out);
    if (until > from) {
        reply_header(reply, "link",
                     "<https://forum.example/tag?max_id=%" PRId64 ">; rel=\"next\", "
                     "<https://forum.example/tag?min_id=%" PRId64 ">; rel=\"prev\"",
                     posts[until - 1]->id, posts[from]->id);
    }
    free(posts);
}

static void serve_threads(struct forum *forum, const struct fetch_request *request,
                          struct reply *reply)
{
    const int64_t after = number(request, "after", INT64_MAX);
    int64_t shown = 0;
    int64_t last = 0;

    fputs("{\"posts\":[", reply->out);
    for (size_t i = forum->count; i > 0; i--) {
        const struct forum_post *post = &forum->posts[i - 1];

        if (post->thread != post->id || post->deleted || post->id >= after) {
            continue;
        }
        if (shown == forum->page) {
            last = forum->posts[i].id;
            break;
        }
        write_post(forum, post, shown == 0, reply->out);
        shown++;
        last = 0;
    }
    fputs("]", reply->out);
    if (last != 0) {
        for (size_t i = (size_t)last; i <= forum->count; i++) { /* the last one shown */
            if (forum->posts[i - 1].thread == forum->posts[i - 1].id &&
                !forum->posts[i - 1].deleted) {
                fprintf(reply->out, ",\"next\":%" PRId64, forum->posts[i - 1].id);
                break;
            }
        }
    }
    fputs("}", reply->out);
}

static void serve_replies(struct forum *forum, const struct fetch_request *request,
                          struct reply *reply)
{
    const char *threads = asked_for(request, asked_path(request, "/many") ? "threads" : "thread");
    const int64_t from = (number(request, "page", 1) - 1) * forum->page;
    int64_t at = 0;
    bool first = true;

    assert_non_null(threads);
    fputs("{\"posts\":[", reply->out);
    for (size_t i = 0; i < forum->count; i++) {
        const struct forum_post *post = &forum->posts[i];
        char wanted[200];
        char name[32];

        snprintf(wanted, sizeof wanted, ";%s;", threads);
        snprintf(name, sizeof name, ";%" PRId64 ";", post->thread);
        if (post->deleted || post->thread == post->id || strstr(wanted, name) == NULL) {
            continue;
        }
        if (at >= from && at < from + forum->page) {
            write_post(forum, post, first, reply->out);
            first = false;
        }
        at++;
    }
    fputs("]}", reply->out);
}

static void serve_item(struct forum *forum, const struct fetch_request *request,
                       struct reply *reply)
{
    const struct forum_post *post =
        forum_get(forum, strtoll(strrchr(request->url, '/') + 1, NULL, 10));

    if (post == NULL || post->deleted) {
        reply->status = 404;
        fputs("{\"error\":\"gone\"}", reply->out);
    } else if (post->unready) {
        fputs("null", reply->out);
    } else {
        write_post(forum, post, true, reply->out);
    }
}

static bool is_faulty(struct forum *forum, const struct fetch_request *request, struct reply *reply)
{
    if (forum->fault_in == 0 ||
        (forum->fault_path != NULL && strstr(request->url, forum->fault_path) == NULL)) {
        return false;
    }
    if (forum->fault_in > 1) {
        forum->fault_in--;
        return false;
    }
    reply->status = forum->fault_status;
    fputs(forum->fault_body == NULL ? "{}" : forum->fault_body, reply->out);
    forum->fault_in = 0;
    return true;
}

/* What it shows has this hash: its ETag. */
static void name_page(struct forum *forum, struct reply *reply)
{
    int64_t sum = (int64_t)forum->count;

    for (size_t i = 0; i < forum->count; i++) {
        sum += forum->posts[i].updated_s * (forum->posts[i].deleted ? 2 : 1);
    }
    snprintf(reply->etag, sizeof reply->etag, "\"%" PRId64 "\"", forum->lies ? 1 : sum);
}

void forum_serve(void *world, const struct fetch_request *request, struct reply *reply)
{
    struct forum *forum = world;

    forum->requests++;
    if (is_faulty(forum, request, reply)) {
        return;
    }
    if (forum->etags) {
        name_page(forum, reply);
        if (request->etag != NULL && strcmp(request->etag, reply->etag) == 0) {
            reply->status = 304;
            return;
        }
    }
    if (asked_path(request, "/changed") || asked_path(request, "/after")) {
        serve_up(forum, request, reply);
    } else if (asked_path(request, "/tag")) {
        serve_tag(forum, request, reply);
    } else if (asked_path(request, "/threads")) {
        serve_threads(forum, request, reply);
    } else if (asked_path(request, "/replies") || asked_path(request, "/many")) {
        serve_replies(forum, request, reply);
    } else if (asked_path(request, "/max")) {
        fprintf(reply->out, "%zu", forum->count);
    } else if (strstr(request->url, "/item/") != NULL) {
        serve_item(forum, request, reply);
    } else {
        serve_down(forum, request, reply);
    }
    if (forum->meanwhile != NULL) {
        forum->meanwhile(forum, forum->requests);
    }
}

void forum_compare(const struct forum *forum, const struct paper *paper)
{
    for (size_t i = 0; i < forum->count; i++) {
        const struct forum_post *post = &forum->posts[i];
        char id[32];
        const struct paper_post *found = NULL;

        snprintf(id, sizeof id, "%" PRId64, post->id);
        found = paper_find(paper, id);
        if (post->deleted) {
            continue;
        }
        if (found == NULL || found->deleted) {
            fail_msg("post %s is missing:\n%s", id, paper->log);
        } else if (strcmp(found->text, post->text) != 0) {
            fail_msg("post %s is '%s', not '%s'", id, found->text, post->text);
        }
    }
}
