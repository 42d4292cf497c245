/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `import FILE|-`: a file taken whole, through the file reader, as a source that is named for once.
 * No cursor is kept: what was imported before is known from `seen`, so that importing again changes
 * nothing. Appends beside a running collector.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectors/commands.h"
#include "collectors/intake.h"
#include "collectors/post.h"
#include "collectors/session.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "common/terminal.h"
#include "common/testpoint.h"
#include "common/text/text.h"

enum { DESCRIPTION_MAX = 64 * 1024, NAME_MAX_BYTES = 100 };

const struct ear_option collect_import_options[] = {
    {"source", EAR_STRING, offsetof(struct import_values, source), NULL,
     "what it is called; part of the ids (the file's name without extension)", NULL},
    {"channel", EAR_CHOICE, offsetof(struct import_values, channel),
     "survey|forum|blog|social|video|review|frontline|helpdesk|ideas|crowd|internal",
     "what kind of place it comes from", NULL},
    {"map", EAR_STRINGS, offsetof(struct import_values, map), NULL,
     "FIELD=COLUMN: which column is the text, the time, … (repeat, or separate by commas)", NULL},
    {"about", EAR_STRING, offsetof(struct import_values, about), NULL, "the brand that it is about",
     NULL},
    {"lang", EAR_STRING, offsetof(struct import_values, lang), NULL, "its language, as a hint",
     NULL},
    {"zone", EAR_STRING, offsetof(struct import_values, zone), NULL,
     "the time zone of times without one", NULL},
    {"delimiter", EAR_STRING, offsetof(struct import_values, delimiter), NULL,
     "between cells; found out by itself", NULL},
    {"scale", EAR_STRING, offsetof(struct import_values, scale), NULL,
     "the best rating there is, such as 5 or 10 (else ratings are 0 to 1)", NULL},
    {0},
};

struct import {
    const struct command_call *call;
    struct session session;
    const struct import_values *options;
    struct settings_source source;
    struct source_entry entry;
    struct post_origin origin;
    struct intake *intake;
    struct intake_part part;
    struct intake_counts counts;  /* of what is committed */
    struct intake_counts pending; /* of the open group */
    char *first_reject;           /* what, where and what to do; NULL: none */
    char name[NAME_MAX_BYTES + 1];
    char path[4096];
    int copy; /* of standard input; -1: none */
};

/* --- the source --- */

static bool is_folder(const char *file)
{
    struct stat status;

    return stat(file, &status) == 0 && S_ISDIR(status.st_mode);
}

static int name_it(struct import *import, const char *file, struct ear_error *err)
{
    char *folder = is_folder(file) ? realpath(file, NULL) : NULL; /* what "." and "in/" are */
    const char *whole = folder != NULL ? folder : file;
    const char *slash = strrchr(whole, '/');
    const char *start = slash == NULL ? whole : slash + 1;
    const char *dot = strrchr(start, '.');
    size_t length =
        dot == NULL || dot == start || folder != NULL ? strlen(start) : (size_t)(dot - start);
    int result = -1;

    if (import->options->source != NULL) {
        start = import->options->source;
        length = strlen(start);
    } else if (strcmp(file, "-") == 0) {
        start = "stdin";
        length = 5;
    }
    if (length == 0 || length > NAME_MAX_BYTES || memchr(start, '/', length) != NULL) {
        ear_fail(err, EAR_CONFIG,
                 "'%.120s' cannot name a source; give one with --source, such as survey-1",
                 import->options->source != NULL ? start : file);
        goto done;
    }
    for (size_t i = 0; i < length; i++) {
        /* As in a configuration's names: no blanks, no colon. */
        const unsigned char byte = (unsigned char)start[i];

        import->name[i] =
            (char)(byte <= ' ' || byte == ':' || byte == '"' || byte == '\\' || byte == 127 ? '-'
                                                                                            : byte);
    }
    import->name[length] = '\0';
    result = 0;

done:
    free(folder);
    return result;
}

/* A pipe is copied to a file without a name: the reader reads pieces. */
static int copy_input(struct import *import, struct ear_error *err)
{
    char bytes[65536];
    ssize_t got = 0;

    import->copy = open(import->session.settings->data_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (import->copy < 0) { /* a file system that has no such thing */
        import->copy = memfd_create("earshot-import", MFD_CLOEXEC);
    }
    if (import->copy < 0) {
        return ear_fail(err, EAR_FATAL, "%s: no temporary file can be made: %s",
                        import->session.settings->data_dir, strerrordesc_np(errno));
    }
    while ((got = read(STDIN_FILENO, bytes, sizeof(bytes))) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 || write(import->copy, bytes, (size_t)got) != got) {
            return ear_fail(err, EAR_FATAL, "standard input could not be copied: %s",
                            strerrordesc_np(errno));
        }
    }
    (void)snprintf(import->path, sizeof(import->path), "/proc/self/fd/%d", import->copy);
    return 0;
}

static int find_path(struct import *import, const char *file, struct ear_error *err)
{
    char *whole = NULL;

    if (strcmp(file, "-") == 0) {
        return copy_input(import, err);
    }
    whole = realpath(file, NULL);
    if (whole == NULL || access(whole, R_OK) != 0) {
        free(whole);
        return ear_fail(err, EAR_CONFIG, "%s cannot be read: %s", file, strerrordesc_np(errno));
    }
    (void)snprintf(import->path, sizeof(import->path), "%s", whole);
    free(whole);
    return 0;
}

/* "text=Comment,created_at=Date": the pieces; a comma within a column's name is part of it unless
 * what follows holds another '='. */
static int write_map(struct json_writer *writer, const char *text, struct ear_error *err)
{
    while (*text != '\0') {
        const char *equals = strchr(text, '=');
        const char *next = equals == NULL ? NULL : strchr(equals + 1, '=');
        const char *end = equals == NULL ? NULL : equals + strlen(equals);
        char key[64];

        if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof(key)) {
            return ear_fail(err, EAR_CONFIG,
                            "--map '%.100s': write FIELD=COLUMN, such as text=Comment", text);
        }
        for (const char *at = next; at != NULL && at > equals; at--) {
            if (*at == ',') {
                end = at;
                break;
            }
        }
        memcpy(key, text, (size_t)(equals - text));
        key[equals - text] = '\0';
        json_write_key(writer, key);
        json_write_bytes(writer, equals + 1, (size_t)(end - equals - 1));
        text = *end == ',' ? end + 1 : end;
    }
    return 0;
}

/* The source as a configuration would have it: JSON is YAML. */
static const struct config_node *describe(struct import *import, struct ear_error *err)
{
    const struct import_values *options = import->options;
    struct json_writer *writer = NULL;
    const struct config_node *node = NULL;
    const char *text = NULL;
    size_t length = 0;

    if (json_writer_new(&writer, DESCRIPTION_MAX, err) != 0) {
        return NULL;
    }
    json_write_object(writer);
    json_member_string(writer, "path", import->path);
    json_member_string(writer, "delimiter", options->delimiter);
    json_member_string(writer, "scale", options->scale);
    if (options->map.count > 0) {
        json_write_key(writer, "map");
        json_write_object(writer);
        for (size_t i = 0; i < options->map.count; i++) {
            if (write_map(writer, options->map.items[i], err) != 0) {
                goto done;
            }
        }
        json_write_object_end(writer);
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text != NULL) {
        node = config_read_text(import->session.settings->config, "import", text, err);
    }

done:
    json_writer_free(writer);
    return node;
}

/* A collector of another machine may have a source of that name, and keeps what it has seen of it
 * in memory: two would write for one source. */
static int check_name(const struct import *import, struct ear_error *err)
{
    const struct settings *settings = import->session.settings;

    for (size_t i = 0; settings_on_kafka(settings) && i < settings->source_count; i++) {
        if (strcmp(settings->sources[i].name, import->name) == 0) {
            return ear_fail(err, EAR_CONFIG,
                            "--source '%s' is a source of the configuration, which the collectors "
                            "read; give the import a name of its own, such as --source %s-import",
                            import->name, import->name);
        }
    }
    return 0;
}

static int check_words(const struct import *import, struct ear_error *err)
{
    const struct import_values *options = import->options;
    const struct settings *settings = import->session.settings;
    struct zone *zone = NULL;
    bool known = options->about == NULL;

    for (size_t i = 0; i < settings->brand_count; i++) {
        known = known || strcmp(settings->brands[i].name, options->about) == 0;
    }
    if (!known) {
        return ear_fail(err, EAR_CONFIG,
                        "--about '%.100s' stands neither among brands nor competitors of the "
                        "configuration; add it there, or leave it out",
                        options->about);
    }
    if (options->zone != NULL) {
        if (zone_open(&zone, options->zone, err) != 0) {
            return -1;
        }
        zone_close(zone);
    }
    return 0;
}

/* What the command line got wrong is usage, not configuration. */
static int misused(const struct import *import, const struct ear_error *err)
{
    return err->kind == EAR_CONFIG ? command_misused(import->call, "%s", err->message) : -1;
}

/* The source and its reader's keys. An exit code; -1: err. */
static int make_source(struct import *import, const char *file, struct ear_error *err)
{
    const struct import_values *options = import->options;
    struct settings *settings = import->session.settings;

    if (name_it(import, file, err) != 0 || check_name(import, err) != 0 ||
        check_words(import, err) != 0) {
        return misused(import, err);
    }
    if (find_path(import, file, err) != 0) {
        return -1;
    }
    import->source = (struct settings_source){
        .name = import->name,
        .use = "file",
        .channel = options->channel,
        .about = options->about,
        .lang = options->lang,
        .audience = "public",
        .zone = options->zone,
        .history_us = INT64_MAX,
        .threshold_wish = -1,
        .threshold_complaint = -1,
        .threshold_praise = -1,
    };
    import->source.node = describe(import, err);
    if (import->source.node == NULL) {
        if (err->kind != EAR_NONE) {
            return misused(import, err);
        }
        (void)settings_print_findings(settings, false);
        return EXIT_USAGE;
    }
    if (source_entry_init(&import->entry, settings, &import->source, source_reader_find, NULL,
                          err) != 0) {
        return -1;
    }
    if (config_errors(settings->config) > 0) {
        (void)settings_print_findings(settings, false);
        return EXIT_USAGE;
    }
    return post_origin_init(&import->origin, &import->source, import->entry.reader, err);
}

/* --- taking it in --- */

static int commit(struct import *import, struct ear_error *err)
{
    if (intake_holds(import->intake) && intake_commit(import->intake, err) != 0) {
        return -1;
    }
    intake_counts_add(&import->counts, &import->pending);
    import->pending = (struct intake_counts){0};
    return 0;
}

/* Keeps what the first reject of all was. Names of files are any bytes. */
static int hear_reject(struct import *import, struct ear_error *err)
{
    struct intake_reject first;
    char *mended = NULL;
    bool repaired = false;
    size_t length = 0;

    if (import->first_reject != NULL || !intake_first_reject(&first, import->intake)) {
        return 0;
    }
    if (asprintf(&mended, "%s: %s: %s; %s", first.item, first.code, first.reason,
                 first.what_to_do) >= 0) {
        import->first_reject = text_repair(mended, strlen(mended), &length, &repaired);
        free(mended);
    }
    return import->first_reject == NULL ? ear_fail_memory(err, "a reject") : 0;
}

/* One step, and the commit where it is time. 1: there is more. */
static int step(struct import *import, void *state, struct ear_error *err)
{
    struct source_turn turn = {0};

    if (intake_begin(import->intake, &import->origin, NULL, 0, clock_now_us(&import->session.clock),
                     err) != 0) {
        return -1;
    }
    if (import->entry.reader->step(state, NULL, intake_output(import->intake), &turn, err) != 0) {
        intake_drop(import->intake);
        return -1;
    }
    TESTPOINT("collect.after-step");
    if (hear_reject(import, err) != 0) {
        return -1;
    }
    intake_counts_add(&import->pending, intake_counts(import->intake));
    if (intake_is_empty(import->intake)) {
        intake_drop(import->intake);
    } else if (intake_keep(import->intake, &import->part, NULL, 0, err) != 0) {
        return -1;
    }
    if ((turn.next != SOURCE_MORE || intake_is_full(import->intake)) && commit(import, err) != 0) {
        return -1;
    }
    return turn.next == SOURCE_MORE ? 1 : 0;
}

/*
 * Without the share of the collectors, although on Kafka their group guards what they write: an
 * import would then be given sources that are not its own, and its own perhaps to another. What it
 * writes is nobody else's: on Kafka its name may be of no configured source (check_name). So
 * nothing is lost: what was not committed is not in `seen` and comes with the next import of the
 * file, whose ids are the same. And nothing is doubled in the store, where ids are unique. In the
 * log an item may stand twice, alike, if the same file is imported again within seconds, while a
 * dead collector's open transaction hides what the first import has seen; or twice at once.
 */
static int take_in(struct import *import, struct ear_error *err)
{
    const struct source_poll poll = {
        .settings = import->session.settings,
        .source = &import->source,
        .config = import->entry.config,
        .now_us = clock_now_us(&import->session.clock),
    };
    void *state = NULL;
    int more = 1;

    if (intake_new(&import->intake, import->session.stream, NULL, import->session.rules, NULL,
                   err) != 0 ||
        import->entry.reader->begin(&state, &poll, err) != 0) {
        return -1;
    }
    while (more == 1) {
        if (command_stop_asked()) {
            more = ear_fail(err, EAR_RETRY, "stopped; import the file again to take in the rest");
        } else if (stream_fullness(import->session.stream) >= 0.9) {
            more = ear_fail(err, EAR_RETRY,
                            "the log is nearly full; run the other roles, or raise stream.size, "
                            "and import the file again");
        } else {
            more = step(import, state, err);
        }
    }
    import->entry.reader->end(state);
    return more;
}

/* What was rejected in an earlier import of the file is rejected in this one: an exit code. */
static int report(const struct import *import, bool as_json, struct ear_error *err)
{
    struct intake_counts counted = import->counts;
    const struct intake_counts *counts = &counted;
    bool useless = false;
    int result = 0;

    counted.rejected += counted.again;
    counted.unchanged -= counted.again;
    useless = counts->rejected > 0 && counts->fresh + counts->edited + counts->deleted +
                                              counts->unchanged + counts->forgotten ==
                                          0;
    intake_tell_undated(import->name, counts->undated);
    if (as_json) {
        result = collect_print_counts(import->name, counts, 0,
                                      useless ? import->first_reject : NULL, NULL, err);
    } else {
        (void)fprintf(
            stderr, "%s: %lld new, %lld edited, %lld unchanged, %lld rejected, %lld undated\n",
            import->name, (long long)counts->fresh, (long long)counts->edited,
            (long long)counts->unchanged, (long long)counts->rejected, (long long)counts->undated);
    }
    if (counts->rejected > 0) {
        print_text(stderr, import->first_reject, 0);
        (void)fprintf(stderr, "\n%lld rejected; `earshot rejects` says which and why\n",
                      (long long)counts->rejected);
    }
    return result == 0 && useless ? EXIT_FAILED : result;
}

int collect_import(const struct command_call *call, struct ear_error *err)
{
    struct import import = {.call = call, .options = call->options, .copy = -1};
    int result = session_check(&import.session, call, err);

    command_stop_on_signals();
    if (result == EXIT_DONE) {
        result = session_open(&import.session, "import", err);
    }
    if (result == EXIT_DONE) {
        result = make_source(&import, call->arguments[0], err);
    }
    if (result == EXIT_DONE) {
        result = take_in(&import, err);
        if (result != 0) {
            ear_error_context(err, "%s", call->arguments[0]);
        }
    }
    if (result == EXIT_DONE) {
        result = report(&import, call->output != OUTPUT_TABLE, err);
    }
    intake_free(import.intake);
    source_entry_clear(&import.entry);
    post_origin_clear(&import.origin);
    session_close(&import.session);
    free(import.first_reject);
    if (import.copy >= 0) {
        close(import.copy);
    }
    return result;
}
