/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll of a feed:
 *
 *        ┌──────┐ fetch ┌──────┐        ┌──────┐ more  ┌─────────────┐ done
 *   ────▶│ ASK  │──────▶│ READ │───────▶│ EMIT │──────▶│ what is due │─────▶
 *        └──────┘       └──────┘        └──────┘       └─────────────┘
 *                           ▲   comment feed  ▲            │    │ missing entry
 *                           └─────────────────┼────────────┘    ▼
 *                                             └──────────── CONFIRM
 *
 * The feed itself is asked for conditionally by the collector, which keeps its ETag once the poll
 * is through. A 304 does not end the poll: WordPress answers so although there are new comments.
 */
#include "collectors/feed/feed.h"
#include "collectors/feed/feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/settings/settings.h"

enum {
    PIECE = 200, /* entries a step */
    COMMENT_FEEDS_A_POLL = 20,
    CONFIRM_A_POLL = 3,
    CURSOR_MAX = 900 * 1024,
};

struct feed_config {
    const char *url;
    bool comments;
};

static const struct ear_option options[] = {
    {"url", EAR_STRING, offsetof(struct feed_config, url), "!",
     "address of the feed, or of the site", NULL},
    {"comments", EAR_BOOLEAN, offsetof(struct feed_config, comments), "false",
     "read the comment feeds that the site and its entries name as well", NULL},
    {0},
};

enum phase { ASK, READ, EMIT, CONFIRM };

struct feed_state {
    const struct source_poll *poll;
    const struct feed_config *config;
    struct zone *zone; /* the source's own; NULL: the configuration's */
    enum phase phase;
    struct feed_memory memory;
    struct feed_page page;
    size_t next_entry;
    char *etag, *last_modified;     /* of the page that is emitted */
    struct feed_comments *comments; /* whose page it is; NULL: the feed's own */
    struct feed_item *confirming;
    size_t comment_feeds, confirmed; /* asked for in this poll */
    bool no_more_comments;           /* the host asked to be left alone */
    bool counted;                    /* the page was read in this poll */
    bool asked_again;                /* for the page, without a condition */
    bool distrusts;                  /* likewise, from the start */
    bool is_site;                    /* the address was one when it was asked for last */
    bool refused;                    /* something of the page was, or it is not known */
    struct hash128 digest;           /* of the page that is emitted */
    bool searched;                   /* the site's page was read in this poll */
    size_t tried;                    /* of the usual places */
    char *site;                      /* where its page is, after redirects */
    struct json_writer *writer;
};

static const struct fetch_header accept_header = {
    "Accept", "application/atom+xml, application/rss+xml, application/feed+json, "
              "application/rdf+xml, application/xml;q=0.9, */*;q=0.5"};

static void end(void *user)
{
    struct feed_state *state = user;

    if (state == NULL) {
        return;
    }
    zone_close(state->zone);
    memory_clear(&state->memory);
    page_clear(&state->page);
    free(state->etag);
    free(state->last_modified);
    free(state->site);
    json_writer_free(state->writer);
    free(state);
}

/* Whether a host with its port can be one: named, without blanks, a port below 65536. */
static bool is_host(const char *host)
{
    const char *rest = host != NULL && host[0] == '[' ? strchr(host, ']') : host;
    const char *port = rest != NULL ? strchr(rest, ':') : NULL;

    if (rest == NULL || rest[0] == '\0' || port == host ||
        strpbrk(host, " \t\"<>\\^`{|}") != NULL) {
        return false;
    }
    return port == NULL || (strspn(port + 1, "0123456789") == strlen(port + 1) &&
                            strtol(port + 1, NULL, 10) >= 1 && strtol(port + 1, NULL, 10) <= 65535);
}

static void check(struct config *config, const struct settings_source *source,
                  const void *reader_config)
{
    const struct feed_config *feed = reader_config;
    char *host = feed->url != NULL ? link_host(feed->url) : NULL;

    if (feed->url != NULL && !is_host(host)) {
        config_report(config, CONFIG_ERROR, config_get(source->node, "url"),
                      "'%s' is no http or https address; write one such as "
                      "https://blog.example/feed",
                      strpbrk(feed->url, "@?") == NULL ? feed->url : "…"); /* may hold a secret */
    }
    free(host);
}

static int begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    int result = -1;
    struct feed_state *state = calloc(1, sizeof *state);

    if (state == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    state->poll = poll;
    state->config = poll->config;
    if (poll->source->zone != NULL && zone_open(&state->zone, poll->source->zone, err) != 0) {
        goto done;
    }
    if (json_writer_new(&state->writer, CURSOR_MAX, err) != 0 ||
        memory_load(&state->memory, state->config->url, poll->probe ? NULL : poll->cursor,
                    poll->cursor_length, err) != 0) {
        goto done;
    }
    *out = state;
    state = NULL;
    result = 0;

done:
    end(state);
    return result;
}

static int put_cursor(struct feed_state *state, const struct source_output *output,
                      struct ear_error *err)
{
    size_t length = 0;
    const char *text = NULL;

    if (state->poll->probe) {
        return 0;
    }
    json_writer_reset(state->writer);
    memory_write(&state->memory, state->writer);
    text = json_writer_text(state->writer, &length, err);
    return text != NULL ? output->cursor(output->user, text, length, err) : -1;
}

static void replace(char **field, const char *text)
{
    free(*field);
    *field = text != NULL && strlen(text) <= FEED_URL_MAX ? strdup(text) : NULL;
}

/* --- emitting --- */

/* What is to be kept of a page, once its last entry is emitted. */
static int page_emitted(struct feed_state *state, struct ear_error *err)
{
    if (state->comments != NULL) {
        replace(&state->comments->etag, state->etag);
        replace(&state->comments->last_modified, state->last_modified);
        state->comments->read_count = state->comments->count;
        state->comments = NULL;
        return 0;
    }
    state->counted = true;
    state->memory.fresh = false;
    memory_note_page(&state->memory, &state->page, state->etag, state->last_modified,
                     state->distrusts, state->poll->now_us);
    state->memory.whole = !state->refused && !state->poll->probe;
    state->memory.page = state->digest;
    state->memory.whole_us = state->poll->now_us;
    if (state->memory.feed != NULL) {
        replace(&state->memory.feed_etag, state->etag);
        replace(&state->memory.feed_modified, state->last_modified);
    }
    if (memory_note_items(&state->memory, &state->page, err) != 0) {
        return -1;
    }
    return state->config->comments ? memory_note_comments(&state->memory, &state->page, err) : 0;
}

/* --- asking --- */

static void ask(struct feed_state *state, struct fetch_request *request, const char *url,
                const char *etag, const char *last_modified)
{
    *request = (struct fetch_request){
        .url = url,
        .headers = &accept_header,
        .header_count = 1,
        .etag = etag,
        .last_modified = last_modified,
        .source = state->poll->source->name,
    };
}

/* What comes after a page: a comment feed, a missing entry, or the end. */
static void ask_next(struct feed_state *state, struct source_turn *turn)
{
    int64_t now_us = state->poll->now_us;

    turn->next = SOURCE_DONE;
    page_clear(&state->page);
    state->comments = NULL;
    if (state->poll->probe) {
        return;
    }
    turn->any_status = true;
    if (state->config->comments && !state->no_more_comments &&
        state->comment_feeds < COMMENT_FEEDS_A_POLL) {
        state->comments = memory_next_comments(&state->memory, state->counted, now_us);
        if (state->comments != NULL) {
            state->comment_feeds++;
            state->comments->asked_us = now_us;
            ask(state, &turn->request, state->comments->url, state->comments->etag,
                state->comments->last_modified);
            state->phase = READ;
            turn->next = SOURCE_FETCH;
            return;
        }
    }
    if (state->confirmed < CONFIRM_A_POLL) {
        state->confirming = memory_next_missing(&state->memory, now_us);
        if (state->confirming != NULL) {
            state->confirmed++;
            ask(state, &turn->request, state->confirming->url, NULL, NULL);
            state->phase = CONFIRM;
            turn->next = SOURCE_FETCH;
            return;
        }
    }
}

/* --- answers --- */

static bool wants_rest(int status)
{
    return status == 0 || status == 429 || status >= 500;
}

/* A comment feed that is no page: left until it changes or a day has passed. */
static int refuse_comments(struct feed_state *state, const struct source_output *output,
                           struct ear_error *err)
{
    struct ear_error reason = *err;
    size_t code = strcspn(reason.message, ":");
    char name[64];

    if (reason.kind != EAR_REJECT) {
        return -1;
    }
    ear_error_clear(err);
    snprintf(name, sizeof name, "%.*s", (int)code, reason.message);
    state->comments->read_count = state->comments->count;
    return output->reject(output->user, state->comments->url, name,
                          reason.message[code] == ':' ? reason.message + code + 1 : reason.message,
                          state->comments->url, strlen(state->comments->url), err);
}

/* --- a site's address --- */

static int take_feed(struct feed_state *state, char *url, struct source_turn *turn,
                     struct ear_error *err)
{
    free(state->memory.feed);
    state->memory.feed = url;
    if (url == NULL) {
        return err->kind != EAR_NONE
                   ? -1
                   : ear_fail(err, EAR_REJECT,
                              "no_feed: it is a web page that names no feed, and none is where "
                              "feeds usually are; give the address of a feed");
    }
    ask(state, &turn->request, url, NULL, NULL);
    turn->any_status = true;
    turn->next = SOURCE_FETCH;
    return 0;
}

/* What the site's page names. */
static int search_site(struct feed_state *state, const struct page_source *source,
                       struct source_turn *turn, struct ear_error *err)
{
    struct feed_found found;
    int result = -1;

    state->searched = true;
    state->site = strdup(source->url);
    if (state->site == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    if (find_feeds(&found, source, err) != 0) {
        return -1;
    }
    if (!state->config->comments ||
        memory_note_site_comments(&state->memory, found.comments, err) == 0) {
        if (found.feed == NULL) {
            found.feed = find_usual(state->site, state->tried++, err);
        }
        result = take_feed(state, found.feed, turn, err);
        found.feed = NULL;
    }
    free(found.feed);
    free(found.comments);
    return result;
}

/* The page that was asked for is no feed, or is not there: turn says where to look next. */
static int look_elsewhere(struct feed_state *state, const struct page_source *source,
                          struct source_turn *turn, struct ear_error *err)
{
    if (state->searched) {
        return take_feed(state, find_usual(state->site, state->tried++, err), turn, err);
    }
    if (state->memory.feed != NULL) { /* it was found once: where is it now? */
        replace(&state->memory.feed, NULL);
        replace(&state->memory.feed_etag, NULL);
        replace(&state->memory.feed_modified, NULL);
        ask(state, &turn->request, state->config->url, NULL, NULL);
        turn->next = SOURCE_FETCH;
        return 0;
    }
    return search_site(state, source, turn, err);
}

/* Whether the feed has to be looked for, once its answer is in hand. */
static bool is_elsewhere(const struct feed_state *state, const struct fetch_answer *answer,
                         const struct page_source *source)
{
    if (state->comments != NULL || answer->status == 304) {
        return false;
    }
    if (answer->status == 200) { /* a page instead of what was a feed: "back soon" */
        return page_is_html(source) && (state->memory.fresh || state->is_site);
    }
    return state->memory.feed != NULL && answer->status >= 400 && answer->status < 500 &&
           answer->status != 408 && answer->status != 429;
}

/* Whether the feed's page is the one that was read whole; then that is noted. */
static bool is_same_page(struct feed_state *state, const struct fetch_answer *answer,
                         const struct page_source *source)
{
    const char *zone = state->poll->source->zone;

    if (state->comments != NULL) {
        return false;
    }
    state->digest = page_digest(source, zone != NULL ? zone : state->poll->settings->timezone,
                                state->config->comments);
    if (state->poll->backfill_since_us != 0 ||
        !memory_has_page(&state->memory, state->digest, state->poll->now_us)) {
        return false;
    }
    state->counted = true;
    memory_note_same(&state->memory, answer->etag, answer->last_modified, state->distrusts,
                     state->poll->now_us);
    if (state->memory.feed != NULL) {
        replace(&state->memory.feed_etag, answer->etag);
        replace(&state->memory.feed_modified, answer->last_modified);
    }
    return true;
}

/* Reads the answer; 1: there is a page to emit, 0: there is none, or turn says what to ask for. */
static int read_answer(struct feed_state *state, const struct fetch_answer *answer,
                       const struct source_output *output, struct source_turn *turn,
                       struct ear_error *err)
{
    struct page_source source = {
        .url = answer->url,
        .type = answer->type != NULL ? answer->type : "",
        .bytes = answer->body,
        .length = answer->body_length,
        .zone = state->zone != NULL ? state->zone : state->poll->settings->zone,
    };

    if (state->comments != NULL && answer->status != 200) {
        state->no_more_comments = wants_rest(answer->status);
        if (!state->no_more_comments) {
            state->comments->read_count = state->comments->count;
        }
        return 0;
    }
    if (is_elsewhere(state, answer, &source)) {
        return look_elsewhere(state, &source, turn, err);
    }
    if (answer->status != 200 && answer->status != 304 && state->comments == NULL &&
        !state->asked_again) {
        turn->next = SOURCE_JUDGE;
        return 0;
    }
    if (answer->status != 200 && state->comments == NULL && state->asked_again) {
        return ear_fail(err, EAR_RETRY, "the server answered %d", answer->status);
    }
    if (answer->status == 304 || is_same_page(state, answer, &source)) {
        return 0;
    }
    state->refused = false;
    page_clear(&state->page);
    if (page_read(&state->page, &source, output, err) != 0) {
        return state->comments != NULL ? refuse_comments(state, output, err) : -1;
    }
    if (memory_part_shared(&state->memory, &state->page, err) != 0) {
        return -1;
    }
    replace(&state->etag, answer->etag);
    replace(&state->last_modified, answer->last_modified);
    state->next_entry = 0;
    return 1;
}

static int emit_piece(struct feed_state *state, const struct source_output *output, bool *all,
                      struct ear_error *err)
{
    size_t until = state->next_entry + PIECE;

    for (; state->next_entry < state->page.count && state->next_entry < until;
         state->next_entry++) {
        const struct feed_entry *entry = &state->page.entries[state->next_entry];

        if (!entry->repeated &&
            entry_emit(entry, state->comments == NULL ? NULL : state->comments->parent,
                       state->page.repaired, output, err) != 0) {
            return -1;
        }
    }
    state->refused = state->refused || output->refused == NULL || output->refused(output->user);
    *all = state->next_entry == state->page.count;
    return *all ? page_emitted(state, err) : 0;
}

/* An entry that was missing: only 404 and 410 say that it is gone. */
static int confirm(struct feed_state *state, const struct fetch_answer *answer,
                   const struct source_output *output, struct ear_error *err)
{
    struct feed_item *item = state->confirming;
    struct source_record record = {
        .native_id = item->guid,
        .url = item->url,
        .created_us = INT64_MIN,
        .edited_us = INT64_MIN,
        .deleted = true,
        .rating = -1,
        .likes = -1,
        .replies = -1,
        .shares = -1,
        .views = -1,
    };

    state->confirming = NULL;
    if (answer->status == 404 || answer->status == 410) {
        if (output->emit(output->user, &record, err) != 0) {
            return -1;
        }
        memory_drop_item(&state->memory, item);
    } else if (wants_rest(answer->status)) {
        state->confirmed = CONFIRM_A_POLL; /* at the next poll */
    } else {
        memory_note_there(&state->memory, item, state->poll->now_us);
    }
    return 0;
}

static int step(void *user, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    struct feed_state *state = user;
    bool all = true;

    if (state->phase == ASK) {
        const struct feed_memory *memory = &state->memory;

        state->is_site = memory->feed != NULL;
        state->distrusts =
            memory_distrusts(memory, state->poll->source->every_us, state->poll->now_us);
        /* It may have moved; and the collector puts no condition to it. */
        turn->any_status = memory->feed != NULL || state->distrusts;
        ask(state, &turn->request, memory->feed != NULL ? memory->feed : state->config->url,
            state->distrusts ? NULL : memory->feed_etag,
            state->distrusts ? NULL : memory->feed_modified);
        state->phase = READ;
        turn->next = SOURCE_FETCH;
        return 0;
    }
    if (state->phase == READ && answer->status == 304 && state->memory.fresh &&
        !state->asked_again) {
        /* The ETag is of the address that was configured before. */
        state->asked_again = turn->any_status = true;
        ask(state, &turn->request, state->config->url, NULL, NULL);
        turn->next = SOURCE_FETCH;
        return 0;
    }
    if (state->phase == READ) {
        int found = read_answer(state, answer, output, turn, err);

        if (found < 0) {
            return -1;
        }
        if (turn->next != SOURCE_DONE) { /* the feed is looked for, or not to be had now */
            return 0;
        }
        state->phase = found > 0 ? EMIT : READ;
    }
    if (state->phase == EMIT && emit_piece(state, output, &all, err) != 0) {
        return -1;
    }
    if (state->phase == CONFIRM && confirm(state, answer, output, err) != 0) {
        return -1;
    }
    turn->next = SOURCE_MORE;
    if (all) {
        ask_next(state, turn);
    }
    return put_cursor(state, output, err);
}

const struct source_reader feed_reader = {
    .name = "feed",
    .about = "RSS, Atom, RDF and JSON feeds",
    .channel = "blog",
    .example = "earshot: 1\n"
               "sources:\n"
               "  - {name: our-blog, use: feed, url: \"https://blog.example/\", every: 30m}\n",
    .options = options,
    .config_size = sizeof(struct feed_config),
    .check = check,
    .begin = begin,
    .step = step,
    .end = end,
};
