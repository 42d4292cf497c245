/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_OPTION_H
#define EARSHOT_COMMON_OPTION_H

/*
 * A configuration key, described once: from tables of these come parsing, range checks, "did you
 * mean …?", `earshot check` and the reference page. A table ends with {0}. A room that can be set
 * up declares its config struct and its table side by side; common/config fills the one from the
 * other. Installed: plugins describe their options with it too.
 */

#include <stddef.h>

enum ear_option_type {
    EAR_STRING = 1, /* const char *, never NULL once filled unless fallback is NULL */
    EAR_INTEGER,    /* int64_t; fallback may carry a range: "3 [0..1000]" */
    EAR_NUMBER,     /* double; range likewise */
    EAR_BOOLEAN,    /* bool; true or false and nothing else */
    EAR_DURATION,   /* int64_t, microseconds; 30s, 5m, 2h, 90d */
    EAR_SIZE,       /* int64_t, bytes; 512KiB, 8GiB, plain bytes */
    EAR_STRINGS,    /* struct ear_strings; a sequence of scalars, or one scalar */
    EAR_CHOICE,     /* const char *; fallback lists what is allowed, the default first: "text|json";
                       "|text|json" has none (NULL), "!|text|json" is required */
    EAR_SECTION,    /* a mapping with keys of its own: `section` is their table, its fields lie in a
                       struct at `offset` */
    EAR_TREE,    /* const struct config_node *, as written: for what a room reads itself (NULL where
                    absent) */
    EAR_UNBUILT, /* known, but the feature that `help` names is not built yet: an error of check and
                    of every start. With a `section` the names of the keys below are checked too */
};

struct ear_strings {
    const char *const *items; /* [count], borrowed from the configuration, NUL-ended UTF-8 */
    size_t count;
};

struct ear_option {
    const char *name;
    enum ear_option_type type;
    size_t offset;        /* of the field in the config struct */
    const char *fallback; /* what holds where the key is absent, as one would write it; NULL: none;
                             "!" means required */
    const char *help;     /* one line for the reference page */
    const struct ear_option *section; /* EAR_SECTION, EAR_UNBUILT */
};

#endif
