/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "common/command/command.h"

/* The signal flags of the process: all that a handler may touch. */
static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reload_asked;
static volatile sig_atomic_t stop_within_s; /* 0: as long as it takes */

static void note(int number)
{
    if (number == SIGHUP) {
        reload_asked = 1;
    } else {
        if (stop_asked == 0 && stop_within_s > 0) {
            (void)alarm((unsigned)stop_within_s);
        }
        stop_asked = 1;
    }
}

static void end(int number)
{
    static const char line[] = "it did not stop in time: what was under way is abandoned\n";

    (void)number;
    (void)!write(STDERR_FILENO, line, sizeof line - 1);
    _exit(EXIT_LATER);
}

void command_stop_within(int seconds)
{
    struct sigaction action = {.sa_handler = end};

    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    stop_within_s = seconds;
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
