/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_TRENDS_FEED_H
#define EARSHOT_SINKS_TRENDS_FEED_H

/*
 * The trend feed: one entry for each brand, label and week (Monday to Sunday, ISO 8601), as Atom
 * (RFC 4287) and JSON Feed 1.1. An entry's id never changes; its instant changes when what it says
 * does. Latest week first, criticism first within it.
 */

#include <stdint.h>

#include "common/error.h"

struct store;
struct zone;

struct feed_config {
    struct store *store;
    const struct zone *zone; /* in which weeks begin */
    int64_t weeks;           /* that the feed goes back, this one included */
};

enum feed_form { FEED_ATOM, FEED_JSON };

/* Counts the entries anew and notes when each changed, in one transaction of the store's writer. */
EAR_MUST_CHECK
int feed_refresh(const struct feed_config *config, int64_t now_us, struct ear_error *err);

/* The feed as it was last counted, as text; caller frees. NULL with err. */
char *feed_text(const struct feed_config *config, enum feed_form form, int64_t now_us,
                struct ear_error *err);

/* Writes trends.atom and trends.json into a folder (made if missing), each at once or not at all.
 */
EAR_MUST_CHECK
int feed_write(const struct feed_config *config, const char *dir, int64_t now_us,
               struct ear_error *err);

#endif
