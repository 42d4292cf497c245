/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CLASSIFY_CLASSIFY_H
#define EARSHOT_PROCESSORS_CLASSIFY_CLASSIFY_H

/*
 * The model: what a text says (wish, complaint, praise) and in what tone. A text is cut into
 * sentences; each is judged by logistic regressions over hashed words 1–3 whose weights lie
 * interleaved in one row of int8 per feature; a text gets the highest of its sentences per label,
 * and that sentence is the evidence. Tone is the mean over its sentences.
 *
 * The model is one file, mapped read-only (format: model.c), made by training/train.py. It never
 * changes after it is opened.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum classify_label {
    CLASSIFY_WISH,
    CLASSIFY_COMPLAINT,
    CLASSIFY_PRAISE,
    CLASSIFY_POSITIVE, /* tone: sentiment = positive - negative */
    CLASSIFY_NEGATIVE,
    CLASSIFY_LABELS,
};

enum {
    CLASSIFY_TEXT_MAX = 64 * 1024, /* bytes of a text that count; the rest is ignored */
    CLASSIFY_REASONS = 6,          /* words that an explanation names at most */
};

struct classify_model;

/* Maps a model file. EAR_CONFIG: not there, not a model, of another version; the message says
 * which. Caller closes. */
EAR_MUST_CHECK
int classify_open(struct classify_model **out, const char *path, struct ear_error *err);
void classify_close(struct classify_model *model);

/* "wish", "complaint", "praise", "positive", "negative"; static. */
const char *classify_label_name(enum classify_label label);

/* The generation of the model ("2026.11-1"), which insights carry; and its header's description
 * (JSON: data digest, metrics). Live with the model. */
const char *classify_generation(const struct classify_model *model);
const char *classify_about(const struct classify_model *model);

/* The threshold over which a label is given, as training chose it: best F1 on what was held out. */
float classify_threshold(const struct classify_model *model, enum classify_label label);

/*
 * How likely each label is, for a batch of texts.
 *
 * texts   [count], borrowed: UTF-8 in NFC; beyond CLASSIFY_TEXT_MAX bytes the rest is ignored
 * out     [count][CLASSIFY_LABELS], row-major, the caller's: probabilities 0..1, calibrated
 *
 * Returns 0; or -1 with EAR_FATAL when memory runs out, and then out holds nothing of use.
 * Threads: safe on one model from any number at once; a model never changes after it is opened.
 * Source: logistic regression with Platt scaling (Platt 1999, "Probabilistic outputs for support
 * vector machines").
 */
EAR_MUST_CHECK
int classify_texts(const struct classify_model *model, const char *const texts[], size_t count,
                   float out[], struct ear_error *err);

/* The sentence behind a score: bytes start..end of the text. */
struct classify_span {
    uint32_t start, end;
};

/*
 * The same for one text, with the sentence behind each label.
 *
 * scores  [CLASSIFY_LABELS], the caller's
 * spans   [CLASSIFY_LABELS], the caller's: for the tone the whole text; 0..0 for a text without
 * words
 */
EAR_MUST_CHECK
int classify_text(const struct classify_model *model, const char *text, size_t length,
                  float scores[], struct classify_span spans[], struct ear_error *err);

/* A word group that weighed: bytes start..end of the text, and what it added to the log-odds of the
 * label (below 0: spoke against). */
struct classify_reason {
    uint32_t start, end;
    float weight;
};

/*
 * Which words of the evidence sentence weighed for one label, by size of weight; overlapping groups
 * are merged into the heaviest. Returns how many reasons[CLASSIFY_REASONS] were written, or -1 with
 * EAR_FATAL.
 */
EAR_MUST_CHECK
int classify_reasons(const struct classify_model *model, const char *text,
                     struct classify_span sentence, enum classify_label label,
                     struct classify_reason reasons[], struct ear_error *err);

#endif
