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

/* --- new and end --- */

static int read_time(char out[INSTANT_SIZE], const struct command_call *call, const char *option,
                     const char *text)
{
    struct ear_error err = {EAR_NONE, ""};
    int64_t at_us = 0;

    if (instant_parse_bound(&at_us, text, clock_now_us(&call->clock), call->settings->zone, &err) !=
        0) {
        return command_misused(call, "%s: %s", option, err.message);
    }
    instant_format(out, at_us);
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

static int check_new(const struct command_call *call, const char *title, const char *name)
{
    const struct ask_values *options = call->options;

    if (title[0] == '\0' || strlen(title) > TITLE_MAX_BYTES) {
        return command_misused(call, "say what was asked: earshot ask new \"Which colour next?\"");
    }
    if (options->thread == NULL && options->sources.count == 0) {
        return command_misused(call, "say where the answers come: --thread URL or --source NAME");
    }
    if (options->thread != NULL &&
        (strstr(options->thread, "://") == NULL || strlen(options->thread) > URL_MAX_BYTES)) {
        return command_misused(call, "--thread takes an address, such as https://…/t/12");
    }
    if (!is_name(name)) {
        return command_misused(call, "give it a name of small letters, digits and -: --name NAME");
    }
    return check_sources(call, &options->sources);
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

/* Of a thread every reply counts, of a source what comes from now on. An exit code. */
static int write_when(struct json_writer *writer, const struct command_call *call)
{
    const struct ask_values *options = call->options;
    const char *since = options->since != NULL    ? options->since
                        : options->thread == NULL ? "now"
                                                  : NULL;
    char at[INSTANT_SIZE];
    int code = EXIT_DONE;

    if (since != NULL) {
        code = read_time(at, call, "--since", since);
        json_member_string(writer, "since", at);
    }
    if (code == EXIT_DONE && options->until != NULL) {
        code = read_time(at, call, "--until", options->until);
        json_member_string(writer, "until", at);
    }
    return code;
}

static int publish(const struct command_call *call, struct json_writer *writer, const char *name,
                   struct ear_error *err)
{
    const struct ask_values *options = call->options;
    const char *decision = json_writer_text(writer, NULL, err);
    struct stream *stream = NULL;
    int result = -1;

    if (decision == NULL || settings_open_stream(&stream, call->settings, false, err) != 0) {
        return -1;
    }
    result = publish_one(stream, "decisions", name, decision, clock_now_us(&call->clock), err);
    stream_close(stream);
    if (result == 0 && !options->no_wait) {
        result = carry_through(call, call->settings, clock_mono_us() + carry_us, err);
    }
    return result;
}

static int decide_new(const struct command_call *call, struct json_writer *writer,
                      struct ear_error *err)
{
    const struct ask_values *options = call->options;
    const char *title = call->argument_count > 1 ? call->arguments[1] : "";
    char name[NAME_MAX_BYTES + 1] = "";
    int code = EXIT_DONE;

    if (options->name != NULL) {
        snprintf(name, sizeof name, "%s", options->name);
    } else {
        name_by_title(name, title);
    }
    code = check_new(call, title, name);
    if (code == EXIT_DONE) {
        code = decision_begin(writer, options->who, "ask", name, clock_now_us(&call->clock), err);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    json_write_key(writer, "ask");
    json_write_object(writer);
    json_member_string(writer, "title", title);
    write_where(writer, options);
    code = write_when(writer, call);
    json_write_key(writer, "ended");
    json_write_boolean(writer, false);
    json_write_object_end(writer);
    json_write_object_end(writer);
    if (code == EXIT_DONE) {
        code = publish(call, writer, name, err);
    }
    if (code == EXIT_DONE) {
        printf("%s\n", name);
        fprintf(stderr, "earshot ask show %s tells who answered\n", name);
    }
    return code;
}

static int decide_end(const struct command_call *call, struct json_writer *writer,
                      struct ear_error *err)
{
    const struct ask_values *options = call->options;
    char at[INSTANT_SIZE];
    int code = EXIT_DONE;

    if (call->argument_count < 2 || !is_name(call->arguments[1])) {
        return command_misused(call,
                               "say which: earshot ask end NAME; earshot ask list names them");
    }
    code = read_time(at, call, "--until", options->until != NULL ? options->until : "now");
    if (code == EXIT_DONE) {
        code = decision_begin(writer, options->who, "ask", call->arguments[1],
                              clock_now_us(&call->clock), err);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    json_write_key(writer, "ask");
    json_write_object(writer);
    json_member_string(writer, "until", at);
    json_write_key(writer, "ended");
    json_write_boolean(writer, true);
    json_write_object_end(writer);
    json_write_object_end(writer);
    return publish(call, writer, call->arguments[1], err);
}

int command_ask(const struct command_call *call, struct ear_error *err)
{
    static const char *const words[] = {"new", "list", "show", "end", NULL};
    const char *word = call->argument_count > 0 ? call->arguments[0] : "list";
    struct json_writer *writer = NULL;
    char nearest[128];
    int code = -1;

    if (strcmp(word, "list") == 0) {
        return ask_store(call, NULL, err);
    }
    if (strcmp(word, "show") == 0) {
        return call->argument_count < 2 ? command_misused(call, "say which: earshot ask show NAME")
                                        : ask_store(call, call->arguments[1], err);
    }
    if (strcmp(word, "new") != 0 && strcmp(word, "end") != 0) {
        config_suggest(nearest, sizeof nearest, word, words);
        return command_misused(call, "'%s' is none of new, list, show, end%s%s", word,
                               nearest[0] == '\0' ? "" : "; ", nearest);
    }
    if (json_writer_new(&writer, DECISION_MAX, err) != 0) {
        return -1;
    }
    code = strcmp(word, "new") == 0 ? decide_new(call, writer, err) : decide_end(call, writer, err);
    json_writer_free(writer);
    return code;
}
