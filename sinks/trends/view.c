/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The walk reads one stretch of the file: facts are clustered by day and post, so the rows of a
 * post lie together and become one view_post before the filter looks at it. Of the rows of a post
 * only those without a touch point (for its labels) and those without a label (for its touch
 * points) are read. What facts do not know (words in the text, tags, segments) is looked up in the
 * post's body, for the posts that all else let through.
 */
#include "sinks/trends/view.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/text/text.h"
#include "sinks/asks/asks.h"
#include "sinks/names.h"
#include "sinks/setup.h"
#include "sinks/trends/view_internal.h"

#define DEFAULT_PERIOD_US (30 * CLOCK_DAY_US)

enum { NAMES_MAX = 65536 };

#define OPTION(name, help)                                                                         \
    {                                                                                              \
        #name, EAR_STRING, offsetof(struct view_options, name), NULL, help, NULL                   \
    }

const struct ear_option view_options[] = {
    OPTION(brand, "only posts that name this brand"),
    OPTION(competitor, "only posts that name this competitor"),
    OPTION(label, "only posts with this label"),
    OPTION(theme, "only posts of this theme"),
    OPTION(touchpoint, "only posts about this touch point"),
    OPTION(segment, "only posts by people of this segment"),
    OPTION(channel, "only this channel: forum, blog, social, survey, …"),
    OPTION(source, "only this source"),
    OPTION(tag, "only sources with this tag"),
    OPTION(lang, "only this language: en, de, …"),
    OPTION(contains, "only posts with these words in title or text"),
    OPTION(ask, "only what answers this ask (earshot ask list)"),
    OPTION(since, "from this date, instant or so long ago (30d)"),
    OPTION(until, "up to this date or instant, not included (now)"),
    {"audience", EAR_CHOICE, offsetof(struct view_options, audience), "public|internal|ours|all",
     "public: customers; internal: our own staff; ours: our own accounts", NULL},
    {"limit,n", EAR_INTEGER, offsetof(struct view_options, limit), "20 [0..1000000]",
     "rows of a table; 0 shows all", NULL},
    {"posts", EAR_BOOLEAN, offsetof(struct view_options, posts), "false",
     "the posts behind the numbers, newest first", NULL},
    {"feed", EAR_STRING, offsetof(struct view_options, feed), NULL,
     "export trends: the trend feed as atom or json", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* --- opening --- */

static int open_store(struct view *view, const struct command_call *call, struct ear_error *err)
{
    struct setup setup = {0};
    struct store_config config;
    int result = -1;

    if (setup_init(&setup, call->settings, err) != 0) {
        return -1;
    }
    config = setup_store(&setup);
    config.read_only = true;
    config.role = "view";
    if (config_errors(call->settings->config) > 0) {
        settings_print_findings(call->settings, false);
        result =
            ear_fail(err, EAR_CONFIG, "the configuration has mistakes; earshot check names them");
    } else if (store_missing(&config)) {
        result = 0;
    } else if (store_open(&view->store, &config, err) == 0) {
        result = store_begin(view->store, err);
    }
    setup_clear(&setup);
    return result;
}

/* A time of the command line; EXIT_USAGE where it is none. */
static int read_time(int64_t *out_us, const struct view *view, const struct command_call *call,
                     const char *option, const char *text)
{
    struct ear_error err = {0};

    return instant_parse_bound(out_us, text, view->now_us, view->zone, &err) == 0
               ? 0
               : command_misused(call, "%s: %s", option, err.message);
}

static int read_period(struct view *view, const struct command_call *call, bool all_time)
{
    const struct view_options *options = view->options;

    view->until_us = view->now_us + 1; /* a post said at this very instant counts */
    if (options->until != NULL &&
        read_time(&view->until_us, view, call, "--until", options->until) != 0) {
        return EXIT_USAGE;
    }
    if (options->since != NULL) {
        if (read_time(&view->since_us, view, call, "--since", options->since) != 0) {
            return EXIT_USAGE;
        }
    } else if (all_time) {
        view->since_us = INT64_MIN / 4;
        view->until_us = options->until == NULL ? INT64_MAX / 4 : view->until_us;
    } else {
        view->since_us =
            (options->until == NULL ? view->now_us : view->until_us) - DEFAULT_PERIOD_US;
    }
    if (view->since_us > view->until_us) {
        return command_misused(call, "--since lies after --until; swap them");
    }
    view->before_us = view->since_us - (view->until_us - view->since_us);
    return 0;
}

static int read_words(struct view *view, const struct command_call *call, struct ear_error *err)
{
    static const char *const names[WORD_COUNT] = {
        [WORD_BRAND] = "brand",           [WORD_COMPETITOR] = "competitor",
        [WORD_LABEL] = "label",           [WORD_THEME] = "theme",
        [WORD_TOUCHPOINT] = "touchpoint", [WORD_CHANNEL] = "channel",
        [WORD_SOURCE] = "source",         [WORD_LANG] = "lang",
    };
    const struct view_options *options = view->options;
    const char *const words[WORD_COUNT] = {
        [WORD_BRAND] = options->brand,           [WORD_COMPETITOR] = options->competitor,
        [WORD_LABEL] = options->label,           [WORD_THEME] = options->theme,
        [WORD_TOUCHPOINT] = options->touchpoint, [WORD_CHANNEL] = options->channel,
        [WORD_SOURCE] = options->source,         [WORD_LANG] = options->lang,
    };

    for (int i = 0; i < WORD_COUNT; i++) {
        view->numbers[i] = WORD_ANY;
        if (words[i] == NULL || view->store == NULL) {
            continue;
        }
        view->numbers[i] = names_find(view->store, words[i], err);
        if (view->numbers[i] == -2) {
            return -1;
        }
        if (view->numbers[i] == WORD_UNSAID) {
            log_plain(call->program,
                      "--%s: nothing that is stored has '%s'; mind spelling and case", names[i],
                      words[i]);
            view->impossible = true;
        }
    }
    if (options->contains != NULL) {
        view->contains = text_fold(options->contains, strlen(options->contains), NULL);
        if (view->contains == NULL) {
            ear_fail_memory(err, "--contains");
            return -1;
        }
    }
    return 0;
}

static int read_names(struct view *view, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    view->names = calloc(NAMES_MAX, sizeof *view->names);
    if (view->names == NULL) {
        ear_fail_memory(err, "names");
        return -1;
    }
    if (store_select(&rows, view->store, QUERY_NAME_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        int64_t number = store_get_integer(rows, 0);

        if (number >= NAMES_MAX) {
            break; /* in order of numbers; such late words show as nothing */
        }
        view->names[number] = strdup(store_get_text(rows, 1, NULL));
        if (view->names[number] == NULL) {
            ear_fail_memory(err, "names");
            there = -1;
            break;
        }
        view->name_count = (size_t)number + 1;
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* The ask of the filter narrows the period too; one that is not known is said, and nothing fits. */
static int read_ask(struct view *view, const struct command_call *call, struct ear_error *err)
{
    const char *id = view->options->ask;
    const struct ask *ask = NULL;

    if (id == NULL || view->store == NULL) {
        return 0;
    }
    view->asks = calloc(1, sizeof *view->asks);
    if (view->asks == NULL) {
        return ear_fail_memory(err, "the asks");
    }
    if (asks_load(view->asks, view->store, err) != 0) {
        return -1;
    }
    ask = asks_find(view->asks, id);
    if (ask == NULL) {
        log_plain(call->program, "--ask: no ask is called '%s'; earshot ask list names them", id);
        view->impossible = true;
        return 0;
    }
    return ask_filter_new(&view->ask_filter, view->store, ask, err);
}

int view_open(struct view *view, const struct command_call *call, bool all_time,
              struct ear_error *err)
{
    const struct view_options *options = call->options;
    const char *audience = options->audience;
    int code = 0;

    *view = (struct view){
        .zone = call->settings->zone, .options = options, .now_us = clock_now_us(&call->clock)};
    view->audience = strcmp(audience, "public") == 0     ? 0
                     : strcmp(audience, "internal") == 0 ? 1
                     : strcmp(audience, "ours") == 0     ? 2
                                                         : -1;
    code = options->feed != NULL && strcmp(call->name, "export") != 0
               ? command_misused(call, "--feed belongs to export trends")
               : read_period(view, call, all_time);
    if (code != 0) {
        return code;
    }
    if (open_store(view, call, err) != 0 || read_words(view, call, err) != 0 ||
        read_ask(view, call, err) != 0 || (view->store != NULL && read_names(view, err) != 0)) {
        view_close(view);
        return -1;
    }
    return 0;
}

int view_over(struct view *view, struct store *store, const struct zone *zone, int64_t now_us,
              struct ear_error *err)
{
    static const struct view_options none = {.audience = "public"};

    *view = (struct view){
        .store = store, .zone = zone, .options = &none, .now_us = now_us, .borrowed = true};
    for (int i = 0; i < WORD_COUNT; i++) {
        view->numbers[i] = WORD_ANY;
    }
    if (read_names(view, err) != 0) {
        view_close(view);
        return -1;
    }
    return 0;
}

void view_close(struct view *view)
{
    for (size_t i = 0; i < view->name_count; i++) {
        free(view->names[i]);
    }
    free(view->names);
    free(view->contains);
    ask_filter_free(view->ask_filter);
    if (view->asks != NULL) {
        asks_clear(view->asks);
        free(view->asks);
    }
    if (view->store != NULL && !view->borrowed) {
        store_rollback(view->store);
        store_close(view->store);
    }
    *view = (struct view){0};
}

const char *view_name(const struct view *view, int64_t number)
{
    if (number < 0 || (size_t)number >= view->name_count || view->names[number] == NULL) {
        return "";
    }
    return view->names[number];
}

/* --- the walk --- */

struct walk {
    const struct view *view;
    struct json *json; /* made when a body is first read */
    int (*visit)(void *user, const struct view_post *post, struct ear_error *err);
    void *user;
    struct view_post post;
    int64_t theme, channel, source, lang, audience; /* of the post under way */
};

static void add_number(int64_t numbers[], size_t *count, int64_t number)
{
    for (size_t i = 0; i < *count; i++) {
        if (numbers[i] == number) {
            return;
        }
    }
    if (*count < VIEW_WORDS_MAX) {
        numbers[(*count)++] = number;
    }
}

static bool among(const int64_t numbers[], size_t count, int64_t wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == wanted) {
            return true;
        }
    }
    return wanted == WORD_ANY;
}

static bool facts_fit(const struct walk *walk)
{
    const struct view *view = walk->view;
    const struct view_post *post = &walk->post;
    const int64_t *wanted = view->numbers;

    return (view->audience < 0 || walk->audience == view->audience) &&
           (wanted[WORD_THEME] == WORD_ANY || wanted[WORD_THEME] == walk->theme) &&
           (wanted[WORD_CHANNEL] == WORD_ANY || wanted[WORD_CHANNEL] == walk->channel) &&
           (wanted[WORD_SOURCE] == WORD_ANY || wanted[WORD_SOURCE] == walk->source) &&
           (wanted[WORD_LANG] == WORD_ANY || wanted[WORD_LANG] == walk->lang) &&
           among(post->brands, post->brand_count, wanted[WORD_BRAND]) &&
           among(post->brands, post->brand_count, wanted[WORD_COMPETITOR]) &&
           among(post->labels, post->label_count, wanted[WORD_LABEL]) &&
           among(post->touchpoints, post->touchpoint_count, wanted[WORD_TOUCHPOINT]);
}

static int contains(bool *out, const char *words, const char *text, size_t length,
                    struct ear_error *err)
{
    char *folded = NULL;

    if (text == NULL || *out) {
        return 0;
    }
    folded = text_fold(text, length, NULL);
    if (folded == NULL) {
        ear_fail_memory(err, "a folded text");
        return -1;
    }
    *out = strstr(folded, words) != NULL;
    free(folded);
    return 0;
}

static bool has_tag(const struct json_node *body, const char *tag)
{
    for (const struct json_node *item = json_first(json_get(body, "tags")); item != NULL;
         item = json_next(item)) {
        const char *text = json_string(item, NULL);

        if (text != NULL && strcmp(text, tag) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_segment(const struct json_node *body, const char *segment)
{
    const struct json_node *signals = json_pointer(body, "/insight/signals");

    for (const struct json_node *item = json_first(signals); item != NULL; item = json_next(item)) {
        const char *kind = json_string(json_get(item, "kind"), NULL);
        const char *value = json_string(json_get(item, "value"), NULL);

        if (kind != NULL && value != NULL && strcmp(kind, "segment") == 0 &&
            strcmp(value, segment) == 0) {
            return true;
        }
    }
    return false;
}

static int body_fits(bool *out, struct walk *walk, const struct store_rows *rows,
                     struct ear_error *err)
{
    const struct view_options *options = walk->view->options;
    size_t length = 0;
    const char *text = store_get_text(rows, 17, &length);
    const struct json_node *body = NULL;

    if (options->tag == NULL && options->segment == NULL) {
        return 0;
    }
    if (walk->json == NULL && json_new(&walk->json, err) != 0) {
        return -1;
    }
    body = json_read(walk->json, text, length, &json_limits_default, err);
    if (body == NULL) {
        return -1;
    }
    *out = *out && (options->tag == NULL || has_tag(body, options->tag)) &&
           (options->segment == NULL || has_segment(body, options->segment));
    return 0;
}

/* What facts do not know. */
static int row_fits(bool *out, struct walk *walk, struct ear_error *err)
{
    const struct view *view = walk->view;
    struct store_value values[] = {store_integer(walk->post.row)};
    struct store_rows *rows = NULL;
    int there = 0;

    *out = true;
    if (view->ask_filter != NULL &&
        (ask_filter_fits(out, view->ask_filter, walk->post.row, err) != 0 || !*out)) {
        return err->kind == EAR_NONE ? 0 : -1;
    }
    if (view->contains == NULL && view->options->tag == NULL && view->options->segment == NULL) {
        return 0;
    }
    if (store_select(&rows, view->store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    *out = there == 1 && view->contains == NULL;
    if (there == 1 && view->contains != NULL) {
        for (int column = 3; column <= 4 && there == 1; column++) {
            size_t length = 0;
            const char *text = store_get_text(rows, column, &length);

            there = contains(out, view->contains, text, length, err) != 0 ? -1 : 1;
        }
    }
    if (there == 1 && *out && body_fits(out, walk, rows, err) != 0) {
        there = -1;
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* A post's rows have all been read. */
static int end_post(struct walk *walk, struct ear_error *err)
{
    bool fits = walk->post.row >= 0 && facts_fit(walk);

    if (fits && row_fits(&fits, walk, err) != 0) {
        return -1;
    }
    return fits ? walk->visit(walk->user, &walk->post, err) : 0;
}

static void begin_post(struct walk *walk, const struct store_rows *rows)
{
    walk->post = (struct view_post){
        .row = store_get_integer(rows, 0),
        .person = store_get_integer(rows, 9),
        .thread = store_get_integer(rows, 10),
        .created_us = store_get_integer(rows, 11),
        .day = store_get_integer(rows, 12),
    };
    walk->audience = store_get_integer(rows, 4);
    walk->channel = store_get_integer(rows, 5);
    walk->source = store_get_integer(rows, 6);
    walk->lang = store_get_integer(rows, 7);
    walk->theme = store_get_integer(rows, 8);
}

static int walk_rows(struct walk *walk, struct store_rows *rows, struct ear_error *err)
{
    int there = 0;

    while ((there = store_next(rows, err)) == 1) {
        int64_t label = store_get_integer(rows, 2);
        int64_t touchpoint = store_get_integer(rows, 3);

        if (store_get_integer(rows, 0) != walk->post.row) {
            if (end_post(walk, err) != 0) {
                return -1;
            }
            begin_post(walk, rows);
        }
        add_number(walk->post.brands, &walk->post.brand_count, store_get_integer(rows, 1));
        if (label != 0) {
            add_number(walk->post.labels, &walk->post.label_count, label);
        }
        if (touchpoint != 0) {
            add_number(walk->post.touchpoints, &walk->post.touchpoint_count, touchpoint);
        }
    }
    return there < 0 ? -1 : end_post(walk, err);
}

int view_walk(const struct view *view, int64_t since_us, int64_t until_us,
              int (*visit)(void *user, const struct view_post *post, struct ear_error *err),
              void *user, struct ear_error *err)
{
    struct walk walk = {.view = view, .visit = visit, .user = user, .post = {.row = -1}};
    struct store_rows *rows = NULL;
    int result = -1;
    bool all = since_us <= INT64_MIN / 8;
    struct store_value values[] = {
        store_integer(all ? INT64_MIN : zone_day(view->zone, since_us)),
        store_integer(until_us >= INT64_MAX / 8 ? INT64_MAX : zone_day(view->zone, until_us)),
        store_integer(since_us), store_integer(until_us)};

    if (view->store == NULL || view->impossible) {
        return 0;
    }
    if (store_select(&rows, view->store, QUERY_FACT_SCAN, values, 4, err) != 0) {
        return -1;
    }
    result = walk_rows(&walk, rows, err);
    store_rows_end(rows);
    json_free(walk.json);
    return result;
}
