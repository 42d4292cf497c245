/* SPDX-License-Identifier: Apache-2.0 */
/* `probe SOURCE`: fetches now and prints what would be published. */

#include <stdio.h>
#include <string.h>

#include "collectors/commands.h"
#include "collectors/probe.h"
#include "collectors/session.h"

const struct ear_option collect_probe_options[] = {
    {"count,n", EAR_INTEGER, offsetof(struct probe_values, count), "20 [1..10000]",
     "how many posts to print", NULL},
    {"raw", EAR_BOOLEAN, offsetof(struct probe_values, raw), "false",
     "print status, headers and body of the answers instead", NULL},
    {0},
};

struct asking {
    const struct session *session;
    bool raw;
};

static void print_raw(const struct fetch_answer *answer)
{
    const int shown = (int)strcspn(answer->url, "?"); /* behind it there may be a token */

    (void)printf("%d %.*s\n", answer->status, shown, answer->url);
    for (size_t i = 0; i < answer->header_count; i++) {
        (void)printf("%s: %s\n", answer->headers[i].name, answer->headers[i].value);
    }
    (void)printf("\n");
    (void)fwrite(answer->body, 1, answer->body_length, stdout);
    (void)printf("\n");
}

static int ask(void *user, const struct fetch_request *request, const struct fetch_answer **answer,
               struct ear_error *err)
{
    const struct asking *asking = user;
    const int code = probe_fetch(asking->session, request, answer, err);

    if (code == 0 && asking->raw && (*answer)->status != 0) {
        print_raw(*answer);
    }
    return code;
}

int collect_probe(const struct command_call *call, struct ear_error *err)
{
    const struct probe_values *options = call->options;
    struct session session;
    struct asking asking = {&session, options->raw};
    struct probe probe = {
        .session = &session, .forgets = options->raw, .ask = ask, .user = &asking};
    const char *name = call->arguments[0];
    int result = session_check(&session, call, err);

    command_stop_on_signals();
    if (result != EXIT_DONE || probe_find(&probe.entry, &session, name, err) != 0 ||
        session_open_probe(&session, err) != 0) {
        result = result == EXIT_DONE ? -1 : result;
        goto done;
    }
    probe.now_us = clock_now_us(&session.clock);
    result = probe_run(&probe, err);
    if (result == EXIT_DONE && !options->raw) {
        probe_print(&probe, (size_t)options->count, call->output != OUTPUT_TABLE);
    }
    if (result == -1) {
        result = probe_code(name, err);
    }

done:
    probe_clear(&probe);
    session_close(&session);
    return result;
}
