/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COLLECTORS_DEFINITION_FORUM_H
#define EARSHOT_TESTS_COLLECTORS_DEFINITION_FORUM_H

/*
 * A forum that never was, told in the ways that platforms tell theirs:
 *
 *     /posts?before=ID            newest first by id; older than ID
 *     /token?after=T              newest first by time; {"posts":[…],"next":T}
 *     /number?page=N  /offset?start=N   newest first
 *     /link?max=ID                newest first; the header Link has rel="next"
 *     /changed?since=S&page=N     oldest first by `updated` (seconds, inclusive)
 *     /after?min=ID               oldest first by id, no pages
 *     /tag?max_id=ID  ?min_id=ID  as Mastodon: Link has rel="next" and rel="prev"
 *     /threads?after=T            roots alone, newest first, with the number of their replies
 *     /replies?thread=ID&page=N   oldest first;  /many?threads=ID;ID
 *     /item/ID                    404 where it is gone, null where it is not ready
 *     /max
 *
 * What is deleted is not shown.
 */

#include "tests/collectors/definition/paper.h"

enum { FORUM_MAX = 3000 };

struct forum_post {
    int64_t id, created_s, updated_s, thread; /* thread: its own id where it is a root */
    char text[32];
    bool deleted, unready;
};

struct forum {
    struct forum_post posts[FORUM_MAX];
    size_t count;
    int64_t page;     /* posts a page */
    int64_t pinned;   /* id of the post on top of the first page; 0: none */
    bool etags, lies; /* it knows 304; it says so though something is new */
    int64_t unseen;   /* … and what it lies about */
    /* A fault in front of an answer: of the n-th request from now; 0: none */
    int64_t fault_in;
    int fault_status;
    const char *fault_path, *fault_body;
    /* after each request: what happens meanwhile; NULL: nothing */
    void (*meanwhile)(struct forum *forum, int64_t requests);
    int64_t requests;
};

struct forum_post *forum_add(struct forum *forum, int64_t created_s, int64_t thread);
struct forum_post *forum_get(struct forum *forum, int64_t id);
/* `count` threads a step of `every_s` apart, the last one `ago_s` before noon. */
void forum_fill(struct forum *forum, size_t count, int64_t every_s, int64_t ago_s);
void forum_serve(void *world, const struct fetch_request *request, struct reply *reply);
size_t forum_alive(const struct forum *forum);

/* Everything the forum shows is in the store, with its text, and nothing else is. */
void forum_compare(const struct forum *forum, const struct paper *paper);

#endif
