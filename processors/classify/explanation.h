/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CLASSIFY_EXPLANATION_H
#define EARSHOT_PROCESSORS_CLASSIFY_EXPLANATION_H

/* Why a text was judged as it was: for each label its score, the sentence behind it and the words
 * that weighed. */

#include "common/error.h"
#include "common/json/json.h"
#include "processors/classify/classify.h"

enum { EXPLAINED_LABELS = CLASSIFY_PRAISE + 1 };

struct explanation {
    float scores[CLASSIFY_LABELS];
    struct classify_span spans[CLASSIFY_LABELS];
    struct classify_reason reasons[EXPLAINED_LABELS][CLASSIFY_REASONS];
    int reason_count[EXPLAINED_LABELS];
};

/* Judges the text (valid UTF-8, NFC) and gathers the reasons. -1: EAR_FATAL. */
EAR_MUST_CHECK
int explanation_of(struct explanation *out, const struct classify_model *model, const char *text,
                   size_t length, struct ear_error *err);

/* Writes {"wish":[{"words":"…","weight":2.1},…],…}. */
void explanation_write(const struct explanation *explanation, const char *text,
                       struct json_writer *writer);

#endif
