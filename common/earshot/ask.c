/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot ask`: a question put out, a contest, an invitation. What people decide of it is appended
 * to `decisions`; what answers it follows from that and the posts (sinks/asks), so an ask may be
 * made known after the first answers came.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/earshot/earshot_internal.h"
#include "common/log.h"

enum { DECISION_MAX = 64 * 1024, NAME_MAX_BYTES = 64, TITLE_MAX_BYTES = 500, URL_MAX_BYTES = 2000 };

static const int64_t carry_us = 10 * CLOCK_MINUTE_US;

const struct ear_option ask_options[] = {
    {"thread", EAR_STRING, offsetof(struct ask_values, thread), NULL,
     "the address of the thread or page whose replies answer it", NULL},
    {"source", EAR_STRINGS, offsetof(struct ask_values, sources), NULL,
     "a source whose entries answer it, such as a form or a survey; again for each", NULL},
    {"since", EAR_STRING, offsetof(struct ask_values, since), NULL,
     "from this date, instant or so long ago; of a source, else from now on", NULL},
    {"until", EAR_STRING, offsetof(struct ask_values, until), NULL,
     "up to this date or instant, not included", NULL},
    {"name", EAR_STRING, offsetof(struct ask_values, name), NULL,
     "what it is called in commands (else made of the title)", NULL},
    {"who", EAR_STRING, offsetof(struct ask_values, who), NULL, "who says so (else $USER)", NULL},
    {"limit,n", EAR_INTEGER, offsetof(struct ask_values, limit), "20 [0..1000000]",
     "show: so many entries; 0 shows all", NULL},
    {"no-wait", EAR_BOOLEAN, offsetof(struct ask_values, no_wait), "false",
     "return at once, before it has reached the store", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* --- its name --- */

/* "Which colour next?" → which-colour-next */
static void name_by_title(char out[NAME_MAX_BYTES + 1], const char *title)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t used = 0;

    for (; *title != '\0' && used < 48; title++) {
        char byte = (char)(*title >= 'A' && *title <= 'Z' ? *title - 'A' + 'a' : *title);

        if (strchr(letters, byte) != NULL) {
            out[used++] = byte;
        } else if (used > 0 && out[used - 1] != '-') {
            out[used++] = '-';
        }
    }
    while (used > 0 && out[used - 1] == '-') {
        used--;
    }
    out[used] = '\0';
}

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= NAME_MAX_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

/* --- asking the store --- */

/* earshot-sink asks [ID]: an exit code, or -1. */
static int ask_store(const struct command_call *call, const char *id, struct ear_error *err)
{
    static const char *const outputs[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_CSV] = "csv"};
    const struct ask_values *options = call->options;
    struct launch launch;
    char limit[32];

    launch_init(&launch, call, roles[ROLE_SINK].program, "asks");
    snprintf(limit, sizeof limit, "%lld", (long long)options->limit);
    launch_add(&launch, "--limit");
    launch_add(&launch, limit);
    launch_add(&launch, "-o");
    launch_add(&launch, outputs[call->output]);
    if (id != NULL) {
        launch_add(&launch, "--");
        launch_add(&launch, id);
    }
    return launch_run(&launch, err);
}

/* --- new, change, end, remove --- */

/* What an ask is to become. */
struct deed {
    const struct command_call *call;
    const struct ask_values *options;
    struct json_writer *writer;
    char name[NAME_MAX_BYTES + 1];
    const char *title; /* new; change: NULL where it stays */
};

static int read_time(int64_t *out_us, const struct command_call *call, const char *option,
                     const char *text)
{
    struct ear_error err = {EAR_NONE, ""};

    if (instant_parse_bound(out_us, text, clock_now_us(&call->clock), call->settings->zone, &err) !=
        0) {
        return command_misused(call, "%s: %s", option, err.message);
    }
    return EXIT_DONE;
}

static int check_sources(const struct command_call *call, const struct ear_strings *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        bool known = false;

        for (size_t j = 0; j < call->settings->source_count; j++) {
            known = known || strcmp(call->settings->sources[j].name, sources->items[i]) == 0;
        }
        if (!known) {
            fprintf(stderr,
                    "'%s' is no source of the configuration; entries of that name count all the "
                    "same, an import's for instance\n",
                    sources->items[i]);
        }
    }
    return EXIT_DONE;
}

static int check_where(const struct deed *deed)
{
    const struct ask_values *options = deed->options;

    if (options->thread != NULL &&
        (strstr(options->thread, "://") == NULL || strlen(options->thread) > URL_MAX_BYTES)) {
        return command_misused(deed->call, "--thread takes an address, such as https://…/t/12");
    }
    return check_sources(deed->call, &options->sources);
}

static int check_new(const struct deed *deed)
{
    const struct ask_values *options = deed->options;
    const struct command_call *call = deed->call;

    if (deed->title[0] == '\0' || strlen(deed->title) > TITLE_MAX_BYTES) {
        return command_misused(call, "say what was asked: earshot ask new \"Which colour next?\"");
    }
    if (options->thread == NULL && options->sources.count == 0) {
        return command_misused(call, "say where the answers come: --thread URL or --source NAME");
    }
    if (!is_name(deed->name)) {
        return command_misused(call, "give it a name of small letters, digits and -: --name NAME");
    }
    return check_where(deed);
}

static int check_change(const struct deed *deed)
{
    const struct ask_values *options = deed->options;

    if (deed->title != NULL && (deed->title[0] == '\0' || strlen(deed->title) > TITLE_MAX_BYTES)) {
        return command_misused(deed->call, "an ask's title has 1 to %d bytes", TITLE_MAX_BYTES);
    }
    if (deed->title == NULL && options->thread == NULL && options->sources.count == 0 &&
        options->since == NULL && options->until == NULL) {
        return command_misused(deed->call,
                               "say what changes: another title, --thread, --source, --since or "
                               "--until; the rest stays");
    }
    return check_where(deed);
}

static void write_where(struct json_writer *writer, const struct ask_values *options)
{
    char thread[URL_MAX_BYTES + 1];
    size_t length = 0;

    if (options->thread != NULL) {
        length = strcspn(options->thread, "#");
        while (length > 0 && options->thread[length - 1] == '/') {
            length--;
        }
        snprintf(thread, sizeof thread, "%.*s", (int)length, options->thread);
        json_member_string(writer, "thread", thread);
    }
    if (options->sources.count > 0) {
        json_write_key(writer, "sources");
        json_write_array(writer);
        for (size_t i = 0; i < options->sources.count; i++) {
            json_write_string(writer, options->sources.items[i]);
        }
        json_write_array_end(writer);
    }
}

/* When it is open. Of a new one by a thread every reply counts, of a source what comes from now
 * on. An exit code. */
static int write_when(const struct deed *deed, const char *since)
{
    const struct command_call *call = deed->call;
    const char *until = deed->options->until;
    int64_t since_us = INT64_MIN;
    int64_t until_us = INT64_MAX;
    char at[INSTANT_SIZE];
    int code = EXIT_DONE;

    if (since != NULL) {
        code = read_time(&since_us, call, "--since", since);
        json_member_string(deed->writer, "since", instant_format(at, since_us));
    }
    if (code == EXIT_DONE && until != NULL) {
        code = read_time(&until_us, call, "--until", until);
        json_member_string(deed->writer, "until", instant_format(at, until_us));
    }
    if (code == EXIT_DONE && until_us <= clock_now_us(&call->clock)) {
        return command_misused(call,
                               "--until: '%s' has passed; nothing more would answer. `ask end NAME "
                               "--until %s` closes one at a time that has passed",
                               until, until);
    }
    if (code == EXIT_DONE && since_us >= until_us) {
        return command_misused(call, "--since lies after --until; swap them");
    }
    return code;
}

static int write_new(const struct deed *deed)
{
    const struct ask_values *options = deed->options;
    bool is_new = strcmp(deed->call->arguments[0], "new") == 0;
    const char *since = options->since != NULL              ? options->since
                        : is_new && options->thread == NULL ? "now"
                                                            : NULL;
    int code = EXIT_DONE;

    json_member_string(deed->writer, "title", deed->title);
    write_where(deed->writer, options);
    code = write_when(deed, since);
    if (is_new || options->until != NULL) {
        json_write_key(deed->writer, "ended");
        json_write_boolean(deed->writer, false);
    }
    return code;
}

static int write_end(const struct deed *deed)
{
    const char *until = deed->options->until;
    int64_t until_us = 0;
    char at[INSTANT_SIZE];
    int code = read_time(&until_us, deed->call, "--until", until != NULL ? until : "now");

    json_member_string(deed->writer, "until", instant_format(at, until_us));
    json_write_key(deed->writer, "ended");
    json_write_boolean(deed->writer, true);
    return code;
}

static int write_remove(const struct deed *deed)
{
    json_write_key(deed->writer, "removed");
    json_write_boolean(deed->writer, true);
    return EXIT_DONE;
}

/* A new one is new, the others are there: an exit code. */
static int confirm_name(const struct deed *deed, const struct asks_known *known)
{
    bool is_new = strcmp(deed->call->arguments[0], "new") == 0;
    bool there = asks_known_have(known, deed->name);
    const char *program = deed->call->program;
    char nearest[160] = "";

    if (is_new == !there) {
        return EXIT_DONE;
    }
    if (is_new) {
        log_plain(program,
                  "there is an ask '%s' already, and it stays as it is; `earshot ask change %s` "
                  "changes it, --name OTHER makes another, `earshot ask remove %s` removes it",
                  deed->name, deed->name, deed->name);
        return EXIT_FAILED;
    }
    if (known->count > 0) {
        config_suggest(nearest, sizeof nearest, deed->name, known->names);
    }
    log_plain(program, "no ask is called '%s'; %s%searshot ask list names them", deed->name,
              nearest, nearest[0] == '\0' ? "" : " ");
    return EXIT_FAILED;
}

static int publish(const struct deed *deed, const char *decision, struct ear_error *err)
{
    const struct command_call *call = deed->call;
    struct asks_known known = {0};
    struct stream *stream = NULL;
    int code = -1;

    if (settings_open_stream(&stream, call->settings, false, err) != 0) {
        return -1;
    }
    if (asks_known_read(&known, stream, err) == 0) {
        code = confirm_name(deed, &known);
    }
    if (code == EXIT_DONE) {
        code =
            publish_one(stream, "decisions", deed->name, decision, clock_now_us(&call->clock), err);
    }
    asks_known_clear(&known);
    stream_close(stream);
    if (code == EXIT_DONE && !deed->options->no_wait) {
        code = carry_through(call, call->settings, clock_mono_us() + carry_us, err);
    }
    return code;
}

/* An exit code, or -1. */
static int decide(const struct deed *deed, int (*write)(const struct deed *deed),
                  struct ear_error *err)
{
    struct json_writer *writer = deed->writer;
    const char *decision = NULL;
    int code = decision_begin(writer, deed->options->who, "ask", deed->name,
                              clock_now_us(&deed->call->clock), err);

    if (code != 0) {
        return code;
    }
    json_write_key(writer, "ask");
    json_write_object(writer);
    code = write(deed);
    json_write_object_end(writer);
    json_write_object_end(writer);
    decision = code == EXIT_DONE ? json_writer_text(writer, NULL, err) : NULL;
    if (code == EXIT_DONE) {
        code = decision == NULL ? -1 : publish(deed, decision, err);
    }
    return code;
}

static int decide_new(struct deed *deed, struct ear_error *err)
{
    int code = EXIT_DONE;

    deed->title = deed->call->argument_count > 1 ? deed->call->arguments[1] : "";
    if (deed->options->name != NULL) {
        snprintf(deed->name, sizeof deed->name, "%s", deed->options->name);
    } else {
        name_by_title(deed->name, deed->title);
    }
    code = check_new(deed);
    if (code == EXIT_DONE) {
        code = decide(deed, write_new, err);
    }
    if (code == EXIT_DONE) {
        printf("%s\n", deed->name);
        fprintf(stderr, "earshot ask show %s tells who answered\n", deed->name);
    }
    return code;
}

/* Of one that is there: change, end, remove. */
static int decide_about(struct deed *deed, struct ear_error *err)
{
    const struct command_call *call = deed->call;
    const char *word = call->arguments[0];
    bool changes = strcmp(word, "change") == 0;
    int code = EXIT_DONE;

    if (call->argument_count < 2 || !is_name(call->arguments[1])) {
        return command_misused(call, "say which: earshot ask %s NAME; earshot ask list names them",
                               word);
    }
    snprintf(deed->name, sizeof deed->name, "%s", call->arguments[1]);
    deed->title = changes && call->argument_count > 2 ? call->arguments[2] : NULL;
    code = changes ? check_change(deed) : EXIT_DONE;
    if (code == EXIT_DONE) {
        code = decide(deed,
                      changes                    ? write_new
                      : strcmp(word, "end") == 0 ? write_end
                                                 : write_remove,
                      err);
    }
    return code;
}

int command_ask(const struct command_call *call, struct ear_error *err)
{
    static const char *const words[] = {"new", "list", "show", "change", "end", "remove", NULL};
    const char *word = call->argument_count > 0 ? call->arguments[0] : "list";
    struct deed deed = {.call = call, .options = call->options};
    char nearest[128];
    size_t which = 0;
    int code = -1;

    while (words[which] != NULL && strcmp(words[which], word) != 0) {
        which++;
    }
    if (words[which] == NULL) {
        config_suggest(nearest, sizeof nearest, word, words);
        return command_misused(call, "'%s' is none of new, list, show, change, end, remove%s%s",
                               word, nearest[0] == '\0' ? "" : "; ", nearest);
    }
    if (strcmp(word, "list") == 0) {
        return ask_store(call, NULL, err);
    }
    if (strcmp(word, "show") == 0) {
        return call->argument_count < 2 ? command_misused(call, "say which: earshot ask show NAME")
                                        : ask_store(call, call->arguments[1], err);
    }
    if (json_writer_new(&deed.writer, DECISION_MAX, err) != 0) {
        return -1;
    }
    code = strcmp(word, "new") == 0 ? decide_new(&deed, err) : decide_about(&deed, err);
    json_writer_free(deed.writer);
    return code;
}
