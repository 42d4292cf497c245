/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `source test NAME --record DIR`: asks a configured source as `probe` does and keeps what it asked
 * and got. `--replay DIR`: the same from what was kept, without a network; posts have to be those
 * that lie beside it. A record's posts are made of the record itself, at once, so that it is known
 * to suffice.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/commands.h"
#include "collectors/private_file.h"
#include "collectors/probe.h"
#include "collectors/session.h"
#include "collectors/source_compare.h"
#include "collectors/source_hide.h"
#include "collectors/tape/tape.h"
#include "collectors/token/token.h"

#define POSTS_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* One way through: with the network, or without. */
struct run {
    struct session session;
    struct probe probe;
    struct tape *tape;
};

/* --- the two ways --- */

static int ask_and_keep(void *user, const struct fetch_request *request,
                        const struct fetch_answer **answer, struct ear_error *err)
{
    struct run *run = user;
    const int code = probe_fetch(&run->session, request, answer, err);

    if (code == 0 && (*answer)->status != 0 && tape_keep(run->tape, request, *answer, err) != 0) {
        return -1;
    }
    return code;
}

static int ask_the_tape(void *user, const struct fetch_request *request,
                        const struct fetch_answer **answer, struct ear_error *err)
{
    struct run *run = user;

    /* What a token is, is known only once it was given out. */
    return source_hide_tokens(run->tape, &run->session, err) != 0
               ? -1
               : tape_answer(run->tape, request, answer, err);
}

/* Opens what a run needs. An exit code; -1: err. */
static int begin(struct run *run, const struct command_call *call, const char *name,
                 int (*open)(struct session *session, struct ear_error *err), struct ear_error *err)
{
    const int code = session_check(&run->session, call, err);

    run->probe.session = &run->session;
    run->probe.user = run;
    if (code != EXIT_DONE) {
        return code;
    }
    if (probe_find(&run->probe.entry, &run->session, name, err) != 0 ||
        open(&run->session, err) != 0) {
        return -1;
    }
    return EXIT_DONE;
}

static void end(struct run *run)
{
    probe_clear(&run->probe);
    tape_free(run->tape);
    session_close(&run->session);
}

/* Plays the record in a folder: an exit code, with the posts in run->probe. */
static int play(struct run *run, const struct command_call *call, const char *name,
                const char *folder, struct ear_error *err)
{
    struct tape_about about;
    int code = begin(run, call, name, session_open_tape, err);

    if (code != EXIT_DONE) {
        return code;
    }
    if (tape_load(&run->tape, folder, &about, err) != 0 ||
        source_hide(run->tape, &run->session, run->probe.entry, err) != 0) {
        return -1;
    }
    run->probe.ask = ask_the_tape;
    run->probe.now_us = about.at_us;
    run->probe.pages = about.pages;
    code = probe_run(&run->probe, err);
    return code == -1 ? probe_code(name, err) : code;
}

/* Asks the source and keeps what it says in a folder. An exit code. */
static int keep(struct run *run, const struct command_call *call, const char *name,
                const char *folder, struct ear_error *err)
{
    struct tape_about about = {0};
    int code = begin(run, call, name, session_open_probe, err);

    if (code != EXIT_DONE) {
        return code;
    }
    if (tape_new(&run->tape, err) != 0 ||
        source_hide(run->tape, &run->session, run->probe.entry, err) != 0) {
        return -1;
    }
    tokens_begin_anew(run->session.tokens);
    (void)snprintf(about.source, sizeof(about.source), "%s", name);
    (void)snprintf(about.use, sizeof(about.use), "%s", run->probe.entry->source->use);
    about.at_us = clock_now_us(&run->session.clock);
    run->probe.ask = ask_and_keep;
    run->probe.forgets = true;
    run->probe.pages = about.pages = PROBE_PAGES;
    run->probe.now_us = about.at_us;
    code = probe_run(&run->probe, err);
    code = code == -1 ? probe_code(name, err) : code;
    if (code == -1 || tape_count(run->tape) == 0) {
        if (code == EXIT_DONE) {
            return ear_fail(err, EAR_REJECT,
                            "source '%s' asks nobody over the network: there is nothing to record",
                            name);
        }
        return code;
    }
    if (source_hide(run->tape, &run->session, run->probe.entry, err) != 0 ||
        tape_save(run->tape, folder, &about, err) != 0) {
        return -1;
    }
    return code;
}

/* --- the posts beside it --- */

static int posts_path(char out[PATH_MAX], const char *folder, struct ear_error *err)
{
    return (size_t)snprintf(out, PATH_MAX, "%s/posts.ndjson", folder) < PATH_MAX
               ? 0
               : ear_fail(err, EAR_CONFIG, "%.200s: the path is too long", folder);
}

static int save_posts(const struct probe *probe, const char *folder, struct ear_error *err)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    bool whole = true;

    if (posts_path(path, folder, err) != 0) {
        return -1;
    }
    file = fopen(path, "we");
    if (file == NULL) {
        return ear_fail(err, EAR_RETRY, "%s: %s", path, strerrordesc_np(errno));
    }
    for (size_t i = 0; i < probe->count; i++) {
        whole = fprintf(file, "%s\n", probe->posts[i].json) > 0 && whole;
    }
    whole = fclose(file) == 0 && whole;
    return whole ? 0 : ear_fail(err, EAR_RETRY, "%s: cannot be written", path);
}

/* An exit code: whether they are those that were kept. */
static int compare(const struct probe *probe, const char *folder, struct ear_error *err)
{
    char path[PATH_MAX];
    char *kept = NULL;
    size_t length = 0;
    size_t differences = 0;
    int result = -1;

    if (posts_path(path, folder, err) != 0 ||
        private_file_read(&kept, &length, path, POSTS_BYTES_MAX, false, err) != 0) {
        goto done;
    }
    if (kept == NULL) {
        (void)fprintf(stderr, "%s: missing; --accept writes it with the posts of now\n", path);
        result = EXIT_FAILED;
        goto done;
    }
    if (posts_compare(&differences, kept, probe, stderr, err) != 0) {
        ear_error_context(err, "%s", path);
        goto done;
    }
    if (differences > 0) {
        (void)fprintf(stderr, "%zu %s than in %s; --accept takes them as they are now\n",
                      differences, differences == 1 ? "post is other" : "posts are other", path);
    }
    result = differences == 0 ? EXIT_DONE : EXIT_FAILED;

done:
    free(kept);
    return result;
}

/* --- the command --- */

/* NNN.request, NNN.head, NNN.body and the two beside them; what begins with a dot is nobody's. */
static bool is_of_record(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    const char *rest = name + digits;

    return name[0] == '.' || strcmp(name, "record.json") == 0 ||
           strcmp(name, "posts.ndjson") == 0 ||
           (digits > 0 && (strcmp(rest, ".request") == 0 || strcmp(rest, ".head") == 0 ||
                           strcmp(rest, ".body") == 0));
}

/* A record takes its folder for itself: an exit code. */
static int check_folder(const struct command_call *call, const char *folder)
{
    DIR *open = opendir(folder);
    const struct dirent *entry = NULL;
    int code = EXIT_DONE;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream */
    while (open != NULL && code == EXIT_DONE && (entry = readdir(open)) != NULL) {
        if (!is_of_record(entry->d_name)) {
            code = command_misused(call,
                                   "--record %.200s: there is '%.100s', which is of no record; "
                                   "name a folder of its own, such as tests/%.100s",
                                   folder, entry->d_name, call->arguments[1]);
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    return code;
}

static int record(const struct command_call *call, const char *name, const char *folder,
                  struct ear_error *err)
{
    struct run live = {0};
    struct run played = {0};
    int code = check_folder(call, folder);

    if (code == EXIT_DONE) {
        code = keep(&live, call, name, folder, err);
    }
    if (code == EXIT_DONE) {
        code = play(&played, call, name, folder, err);
    }
    if (code == EXIT_DONE && save_posts(&played.probe, folder, err) != 0) {
        code = -1;
    }
    if (code == EXIT_DONE) {
        (void)fprintf(stderr, "%zu answers and %zu posts in %s; read them before you commit them\n",
                      tape_count(live.tape), played.probe.count, folder);
    }
    end(&live);
    end(&played);
    return code;
}

static void tell_count(const struct probe *probe, const char *how)
{
    (void)fprintf(stderr, "%zu %s%s", probe->count, probe->count == 1 ? "post" : "posts", how);
    if (probe->rejected > 0) {
        (void)fprintf(stderr, ", %zu would be rejected", probe->rejected);
    }
    (void)fputc('\n', stderr);
}

static int replay(const struct command_call *call, const char *name, const char *folder,
                  bool accept, struct ear_error *err)
{
    struct run run = {0};
    int code = play(&run, call, name, folder, err);

    if (code == EXIT_DONE) {
        if (tape_unasked(run.tape) > 0) {
            (void)fprintf(stderr, "%zu of %zu answers were not asked for\n", tape_unasked(run.tape),
                          tape_count(run.tape));
        }
        code = !accept                                    ? compare(&run.probe, folder, err)
               : save_posts(&run.probe, folder, err) == 0 ? EXIT_DONE
                                                          : -1;
    }
    if (code == EXIT_DONE || code == EXIT_FAILED) {
        tell_count(&run.probe, code != EXIT_DONE ? "" : accept ? ", kept" : ", as they were kept");
    }
    for (size_t i = 0; code >= 0 && call->output != OUTPUT_TABLE && i < run.probe.count; i++) {
        (void)puts(run.probe.posts[i].json);
    }
    end(&run);
    return code;
}

int source_test(const struct command_call *call, struct settings *settings, const char *name,
                struct ear_error *err)
{
    const struct source_values *values = call->options;
    struct command_call with = *call;

    if ((values->record == NULL) == (values->replay == NULL) ||
        (values->accept && values->replay == NULL)) {
        return command_misused(call, "source test NAME takes --record DIR, or --replay DIR, with "
                                     "--accept where its posts are to be kept");
    }
    with.settings = settings;
    command_stop_on_signals();
    return values->record != NULL ? record(&with, name, values->record, err)
                                  : replay(&with, name, values->replay, values->accept, err);
}
