/* SPDX-License-Identifier: Apache-2.0 */
/* `probe SOURCE`: fetches now and prints what would be published. */

#include <stdio.h>

#include "collectors/commands.h"
#include "collectors/probe.h"
#include "collectors/session.h"
#include "collectors/source_hide.h"
#include "collectors/tape/tape.h"

const struct ear_option collect_probe_options[] = {
    {"count,n", EAR_INTEGER, offsetof(struct probe_values, count), "20 [1..10000]",
     "how many posts to print", NULL},
    {"raw", EAR_BOOLEAN, offsetof(struct probe_values, raw), "false",
     "print status, headers and body of the answers instead", NULL},
    {0},
};

struct asking {
    struct session session;
    struct tape *tape; /* of what is printed raw; NULL: nothing is */
};

static int ask(void *user, const struct fetch_request *request, const struct fetch_answer **answer,
               struct ear_error *err)
{
    struct asking *asking = user;
    const int code = probe_fetch(&asking->session, request, answer, err);

    if (code == 0 && asking->tape != NULL && (*answer)->status != 0 &&
        tape_keep(asking->tape, request, *answer, err) != 0) {
        return -1;
    }
    return code;
}

/* What came, once it is known what of it is a token. */
static int print_raw(const struct asking *asking, const struct source_entry *entry,
                     struct ear_error *err)
{
    return source_hide(asking->tape, &asking->session, entry, err) != 0
               ? -1
               : tape_print(asking->tape, stdout, err);
}

int collect_probe(const struct command_call *call, struct ear_error *err)
{
    const struct probe_values *options = call->options;
    struct asking asking = {.tape = NULL};
    struct probe probe = {.session = &asking.session,
                          .pages = PROBE_PAGES,
                          .forgets = options->raw,
                          .ask = ask,
                          .user = &asking};
    const char *name = call->arguments[0];
    int result = session_check(&asking.session, call, err);

    command_stop_on_signals();
    if (result != EXIT_DONE) {
        goto done;
    }
    result = -1;
    if (probe_find(&probe.entry, &asking.session, name, err) != 0 ||
        session_open_probe(&asking.session, err) != 0 ||
        (options->raw && tape_new(&asking.tape, err) != 0)) {
        goto done;
    }
    probe.now_us = clock_now_us(&asking.session.clock);
    result = probe_run(&probe, err);
    if (result == -1) {
        result = probe_code(name, err);
    } else if (result == EXIT_DONE && !options->raw) {
        probe_print(&probe, (size_t)options->count, call->output != OUTPUT_TABLE);
    }
    if (result != -1 && options->raw) {
        ear_error_clear(err);
        result = print_raw(&asking, probe.entry, err) == 0 ? result : -1;
    }

done:
    probe_clear(&probe);
    tape_free(asking.tape);
    session_close(&asking.session);
    return result;
}
