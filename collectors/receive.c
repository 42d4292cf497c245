/* SPDX-License-Identifier: Apache-2.0 */
/* The role of `ingest:`, until SIGTERM. It reads no source: the collector may run beside it. */

#include <string.h>

#include "collectors/commands.h"
#include "collectors/ingest/ingest.h"
#include "collectors/session.h"
#include "common/http/http_server.h"
#include "common/log.h"
#include "common/settings/settings.h"

/* How long a turn may wait: SIGTERM is noticed at its end. */
enum { TURN_MS = 250 };

/* What /readyz answers: the loop only runs while configuration and log are good. */
static bool is_ready(void *user, char *why, size_t size)
{
    (void)user;
    (void)why;
    (void)size;
    return true;
}

/* The port is said where the configuration leaves it to the system. */
static void tell_place(const char *listen, int port)
{
    const size_t length = strlen(listen);

    if (length > 1 && strcmp(listen + length - 2, ":0") == 0) {
        log_info("taking in entries on %s, port %d", listen, port);
    } else {
        log_info("taking in entries on %s", listen);
    }
}

static int run_role(struct session *session, struct ear_error *err)
{
    const struct ingest_config config = {
        .settings = session->settings,
        .sources = &session->sources,
        .stream = session->stream,
        .rules = session->rules,
        .metrics = session->metrics,
        .clock = &session->clock,
    };
    struct ingest *ingest = NULL;
    struct health *health = NULL;
    char listen[256];
    int result = -1;

    if (ingest_new(&ingest, &config, err) != 0 ||
        health_open(&health,
                    settings_role_listen(session->settings, &session->role, listen, sizeof listen),
                    session->metrics, is_ready, NULL, err) != 0) {
        goto done;
    }
    tell_place(session->settings->ingest_listen, ingest_port(ingest));
    while (!command_stop_asked()) {
        health_beat(health);
        if (ingest_turn(ingest, TURN_MS, err) != 0) {
            goto done;
        }
    }
    result = EXIT_DONE;

done:
    health_close(health);
    ingest_free(ingest);
    return result;
}

int collect_receive(const struct command_call *call, struct ear_error *err)
{
    struct session session;
    int result = session_check(&session, call, err);

    command_stop_on_signals();
    command_stop_within(COMMAND_STOP_S);
    if (result == EXIT_DONE && session.settings->ingest_listen == NULL) {
        result = ear_fail(err, EAR_CONFIG,
                          "the configuration has no `ingest:`; add ingest: {listen: "
                          "\"127.0.0.1:8480\", token: \"${file:ingest_token}\"}");
    }
    if (result == EXIT_DONE) {
        result = session_open(&session, "ingest", err);
    }
    if (result == EXIT_DONE) {
        result = run_role(&session, err);
    }
    session_close(&session);
    return result;
}
