/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_PROCESSORS_STAGES_STAGE_KIT_H
#define EARSHOT_TESTS_PROCESSORS_STAGES_STAGE_KIT_H

/*
 * One stage by itself, for tests: opened with options as one would write them, given messages as
 * text, its answer as text. Failures of the kit fail the test.
 */

#include "processors/host.h"
#include "processors/stage.h"

struct config;
struct settings;

struct stage_kit {
    const struct ear_stage *stage;
    struct config *config;
    void *filled;
    void *state;
    struct message_arena *arena;
    struct ear_error err; /* of the last failure */
};

/* Opens; options is YAML ("hint: [en]") or NULL, settings may be NULL. Returns what the stage's
 * open does; then kit->err says why. Close in any case. */
int stage_kit_open(struct stage_kit *kit, const struct ear_stage *stage, const char *options,
                   const struct settings *settings);
void stage_kit_close(struct stage_kit *kit);

/* What the stage makes of a message: its text, "dropped", or "CODE: REASON" of a reject. Lives
 * until the next call. */
const char *stage_kit_run(struct stage_kit *kit, const char *message);

/* A member of the answer as JSON text ("insight.brands" looks into an object); "" where absent. */
const char *stage_kit_get(struct stage_kit *kit, const char *message, const char *path);

#endif
