/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_COMMAND_COMMAND_H
#define EARSHOT_COMMON_COMMAND_COMMAND_H

/*
 * The table of sub-commands that each program has, and what all of them share: --config, --help,
 * --version, --now, --log, -o, exit codes, where programs and data files lie. A program's main is
 * its table and one call. `earshot` itself is such a program: commands that belong to a role are
 * rows that name the program beside it, which is executed in its place, so that includes keep
 * pointing one way.
 *
 * A clock that --now or EARSHOT_NOW set is handed to every program started from here by
 * EARSHOT_NOW_SHIFT, which command_main puts into the environment.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/option.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* failed, or findings */
    EXIT_USAGE = 2,
    EXIT_UNAVAILABLE = 69, /* a service does not answer */
    EXIT_LATER = 75,       /* try again later */
    EXIT_CONFIG = 78,
};

enum command_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

struct settings;

/* What a command is called with. All borrowed for the call. */
struct command_call {
    const char *program;          /* as people typed it: "earshot", "earshot-sink" */
    const char *name;             /* "trends" */
    const char *const *arguments; /* [argument_count]: what is neither option nor value */
    size_t argument_count;
    const void *options;     /* filled by the command's own table */
    const char *config_path; /* --config or what was found; NULL: none, defaults hold */
    const char *bin_dir;     /* where this program lies: the others lie there too */
    const char *share_dir;   /* $EARSHOT_SHARE, else ../share/earshot of bin_dir */
    struct clock clock;
    enum command_output output; /* -o, else table on a terminal and JSON otherwise */
    bool output_given;
    const char *log;           /* --log, to be handed on; NULL: not given */
    bool colour;               /* stdout is a terminal and NO_COLOR is unset */
    struct settings *settings; /* loaded and valid; NULL if the command asked for none */
};

enum command_needs {
    COMMAND_NEEDS_NOTHING,  /* settings stay NULL */
    COMMAND_NEEDS_SETTINGS, /* configuration read and valid, else exit 78 with its findings; absent:
                               defaults */
};

struct command {
    const char *name; /* "trends" */
    /* "ID label=yes|no…" for the usage line; NULL: none allowed. Words outside [ ] must be given,
     * no more than there are words unless one ends in …: counted before run is called. */
    const char *arguments;
    const char *help;    /* one line */
    const char *example; /* one line for --help; may be NULL */
    /* Options of this command; name is "long" or "long,s". NULL: none. Values as in configuration
     * files (--name VALUE, --name=VALUE, -sVALUE, -s VALUE); a boolean takes none (or =false); a
     * sequence takes one value each time it is given. */
    const struct ear_option *options;
    size_t options_size; /* of the struct they fill */
    /* Returns an exit code; or -1 with err, which becomes one line on stderr and the code of its
     * kind (config 78, retry 75, else 1). Standard output is flushed, and a full disk noticed,
     * after it. */
    int (*run)(const struct command_call *call, struct ear_error *err);
    const char *program; /* instead of run: the program beside this one that has the command, with
                            the same name */
    enum command_needs needs;
    bool hidden; /* between programs; not in --help */
};

/*
 * Runs a program: reads the common options, finds the command, fills its options, loads settings,
 * sets the logger up, calls. commands[] ends with {0}. With no command prints help and returns
 * EXIT_USAGE. Returns what main returns.
 */
int command_main(const char *program, const char *about, const struct command commands[], int argc,
                 char **argv);

/* For a command whose arguments make no sense: one line on stderr that ends with where to read on.
 * Returns EXIT_USAGE. */
int command_misused(const struct command_call *call, const char *format, ...) EAR_PRINTF(2, 3);

/* The flag that SIGTERM and SIGINT set; SIGHUP sets the other. Installed by
 * command_stop_on_signals, which also makes a closed socket an error instead of a death (SIGPIPE);
 * reading them is safe anywhere. */
void command_stop_on_signals(void);
bool command_stop_asked(void);
bool command_reload_asked(void); /* reads and clears */

/* How long a role may take: a commit on its way to a broker that does not answer takes longer than
 * anybody waits for it. */
enum { COMMAND_STOP_S = 9 };

/*
 * From now on a process that is asked to stop ends after so many seconds wherever it is: its exit
 * code is EXIT_LATER, what it had under way is left to whoever comes next. For roles, which may
 * hang in a service that does not answer.
 */
void command_stop_within(int seconds);

/* Path of a program beside this one, or of a file of share_dir; written to out. Returns out. */
const char *command_program_path(const struct command_call *call, const char *program, char *out,
                                 size_t size);
const char *command_share_path(const struct command_call *call, const char *file, char *out,
                               size_t size);

#endif
