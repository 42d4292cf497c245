/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdbool.h>

#include "common/command/command.h"

/* The signal flags of the process: all that a handler may touch. */
static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reload_asked;

static void note(int number)
{
    if (number == SIGHUP) {
        reload_asked = 1;
    } else {
        stop_asked = 1;
    }
}

void command_stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool command_stop_asked(void)
{
    return stop_asked != 0;
}

bool command_reload_asked(void)
{
    bool asked = reload_asked != 0;

    reload_asked = 0;
    return asked;
}
