/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model file, little-endian, mapped read-only:
 *
 *   0   8  "EARCLSFY"
 *   8   4  format version (1)
 *  12   4  heads (5, in the order of enum classify_label)
 *  16   4  buckets (65,536)
 *  20   4  bytes of a row (8): one int8 weight a head, the rest 0
 *  24   4  bytes of the description
 *  28  36  generation, NUL-padded
 *  64  24  for each head: float scale, bias, a, b, threshold, 0
 *      …   description: JSON (digest of the data, metrics), then zeros to a multiple of 64 bytes
 *      …   the rows: buckets × 8 bytes
 *
 * The score of a sentence with n features f is z = bias + scale / sqrt(n) × sum of row[f]; its
 * probability is sigmoid(a z + b).
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processors/classify/classify.h"
#include "processors/classify/features.h"

enum {
    HEADER_SIZE = 64,
    HEAD_SIZE = 24,
    ROW_SIZE = 8,
    ALIGNMENT = 64,
    FORMAT_VERSION = 1,
    SHORT_SENTENCE = 4
};

struct head {
    float scale, bias, a, b, threshold;
};

struct classify_model {
    unsigned char *file;
    size_t size;
    const int8_t *rows; /* [FEATURES_BUCKETS][ROW_SIZE] */
    struct head heads[CLASSIFY_LABELS];
    char generation[37];
    char *about;
};

static const char *const label_names[CLASSIFY_LABELS] = {"wish", "complaint", "praise", "positive",
                                                         "negative"};

const char *classify_label_name(enum classify_label label)
{
    return label_names[label];
}

const char *classify_generation(const struct classify_model *model)
{
    return model->generation;
}

const char *classify_about(const struct classify_model *model)
{
    return model->about;
}

float classify_threshold(const struct classify_model *model, enum classify_label label)
{
    return model->heads[label].threshold;
}

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static float read_float(const unsigned char *at)
{
    uint32_t bits = read_u32(at);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static int map_file(struct classify_model *model, const char *path, struct ear_error *err)
{
    int result = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (file < 0 || fstat(file, &status) < 0) {
        ear_fail(err, EAR_CONFIG,
                 "%s: cannot read the model: %s; set EARSHOT_SHARE to the folder that holds it",
                 path, strerrordesc_np(errno));
        goto done;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < HEADER_SIZE) {
        ear_fail(err, EAR_CONFIG, "%s: this is no model file: it is too short", path);
        goto done;
    }
    model->size = (size_t)status.st_size;
    model->file = mmap(NULL, model->size, PROT_READ, MAP_SHARED, file, 0);
    if (model->file == MAP_FAILED) {
        model->file = NULL;
        ear_fail(err, EAR_FATAL, "%s: cannot map the model: %s", path, strerrordesc_np(errno));
        goto done;
    }
    result = 0;

done:
    if (file >= 0) {
        close(file);
    }
    return result;
}

static int read_header(struct classify_model *model, const char *path, struct ear_error *err)
{
    const unsigned char *file = model->file;
    size_t about_size = read_u32(file + 24);
    size_t about_at = HEADER_SIZE + (size_t)CLASSIFY_LABELS * HEAD_SIZE;
    size_t rows_at = 0;

    if (memcmp(file, "EARCLSFY", 8) != 0) {
        return ear_fail(err, EAR_CONFIG, "%s: this is no model file", path);
    }
    if (read_u32(file + 8) != FORMAT_VERSION || read_u32(file + 12) != CLASSIFY_LABELS ||
        read_u32(file + 16) != FEATURES_BUCKETS || read_u32(file + 20) != ROW_SIZE) {
        return ear_fail(
            err, EAR_CONFIG,
            "%s: a model of format %u with %u heads; this program reads format %d with %d: "
            "use the model it was shipped with",
            path, read_u32(file + 8), read_u32(file + 12), FORMAT_VERSION, CLASSIFY_LABELS);
    }
    rows_at = (about_at + about_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (about_size > model->size || rows_at + (size_t)FEATURES_BUCKETS * ROW_SIZE != model->size) {
        return ear_fail(err, EAR_CONFIG, "%s: the model file is cut or damaged", path);
    }
    for (size_t i = 0; i < CLASSIFY_LABELS; i++) {
        const unsigned char *at = file + HEADER_SIZE + i * HEAD_SIZE;

        model->heads[i] = (struct head){read_float(at), read_float(at + 4), read_float(at + 8),
                                        read_float(at + 12), read_float(at + 16)};
    }
    memcpy(model->generation, file + 28, 36);
    model->rows = (const int8_t *)(file + rows_at);
    model->about = strndup((const char *)file + about_at, about_size);
    return model->about == NULL ? ear_fail_memory(err, "the model's description") : 0;
}

int classify_open(struct classify_model **out, const char *path, struct ear_error *err)
{
    int result = -1;
    struct classify_model *model = calloc(1, sizeof *model);

    if (model == NULL) {
        ear_fail_memory(err, "the model");
        goto done;
    }
    if (map_file(model, path, err) < 0 || read_header(model, path, err) < 0) {
        goto done;
    }
    *out = model;
    model = NULL;
    result = 0;

done:
    classify_close(model);
    return result;
}

void classify_close(struct classify_model *model)
{
    if (model == NULL) {
        return;
    }
    if (model->file != NULL) {
        munmap(model->file, model->size);
    }
    free(model->about);
    free(model);
}

/* The sums of a sentence's rows, one a head; returns the number of features. */
static size_t sum_rows(const struct classify_model *model, const struct feature_sentence *sentence,
                       int32_t sums[])
{
    size_t count = 0;

    memset(sums, 0, ROW_SIZE * sizeof sums[0]);
    for (size_t i = 0; i < sentence->count; i++) {
        for (size_t size = 1; size <= FEATURES_GROUP_MAX && i + size <= sentence->count; size++) {
            const int8_t *row =
                model->rows + (size_t)features_group(&sentence->tokens[i], size) * ROW_SIZE;

            for (size_t head = 0; head < ROW_SIZE; head++) {
                sums[head] += row[head];
            }
            count++;
        }
    }
    return count;
}

static float probability(const struct head *head, int32_t sum, size_t count)
{
    float z = head->bias + head->scale * (float)sum / sqrtf((float)count);

    return 1.0F / (1.0F + expf(-(head->a * z + head->b)));
}

static void judge_nothing(float scores[], struct classify_span spans[])
{
    for (size_t label = 0; label < CLASSIFY_LABELS; label++) {
        scores[label] = 0;
        spans[label] = (struct classify_span){0, 0};
    }
}

/* One sentence's say: the highest counts for what is said, the sum (of a mean) for the tone. */
static void judge_sentence(const struct classify_model *model,
                           const struct feature_sentence *sentence, float scores[],
                           struct classify_span spans[])
{
    int32_t sums[ROW_SIZE];
    size_t count = sum_rows(model, sentence, sums);

    for (size_t label = 0; label < CLASSIFY_LABELS; label++) {
        float p = probability(&model->heads[label], sums[label], count);

        if (label >= CLASSIFY_POSITIVE) {
            scores[label] += p;
        } else if (p > scores[label]) {
            scores[label] = p;
            spans[label] = (struct classify_span){sentence->start, sentence->end};
        }
    }
}

int classify_text(const struct classify_model *model, const char *text, size_t length,
                  float scores[], struct classify_span spans[], struct ear_error *err)
{
    struct feature_sentence sentence = {.count = 0};
    struct feature_sentence next;
    size_t at = 0;
    size_t sentences = 0;
    int found = 0;

    length = length < CLASSIFY_TEXT_MAX ? length : CLASSIFY_TEXT_MAX;
    judge_nothing(scores, spans);
    while ((found = features_next_sentence(text, length, &at, &next, err)) == 1) {
        /* "Done." and "Again!" say nothing by themselves: they join their neighbour. */
        if (sentence.count > 0 &&
            (sentence.count < SHORT_SENTENCE || next.count < SHORT_SENTENCE)) {
            features_join(&sentence, &next);
            continue;
        }
        if (sentence.count > 0) {
            judge_sentence(model, &sentence, scores, spans);
            sentences++;
        }
        sentence = next;
    }
    if (found < 0) {
        return -1;
    }
    if (sentence.count > 0) {
        judge_sentence(model, &sentence, scores, spans);
        sentences++;
    }
    for (size_t label = CLASSIFY_POSITIVE; label < CLASSIFY_LABELS && sentences > 0; label++) {
        scores[label] /= (float)sentences;
        spans[label] = (struct classify_span){0, (uint32_t)length};
    }
    return 0;
}

int classify_texts(const struct classify_model *model, const char *const texts[], size_t count,
                   float out[], struct ear_error *err)
{
    struct classify_span spans[CLASSIFY_LABELS];

    for (size_t i = 0; i < count; i++) {
        if (classify_text(model, texts[i], strlen(texts[i]), out + i * CLASSIFY_LABELS, spans,
                          err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Keeps the heaviest reasons, by size of weight, sorted; no two overlap. Returns the new count. */
static size_t keep_reason(struct classify_reason reasons[], size_t count,
                          struct classify_reason reason)
{
    size_t kept = 0;
    size_t place = 0;

    while (kept < count) {
        bool overlaps = reason.start < reasons[kept].end && reasons[kept].start < reason.end;

        if (overlaps && fabsf(reasons[kept].weight) >= fabsf(reason.weight)) {
            return count;
        }
        if (overlaps) {
            count--;
            memmove(reasons + kept, reasons + kept + 1, (count - kept) * sizeof reasons[0]);
        } else {
            kept++;
        }
    }
    while (place < count && fabsf(reasons[place].weight) >= fabsf(reason.weight)) {
        place++;
    }
    if (place == CLASSIFY_REASONS) {
        return count;
    }
    if (count < CLASSIFY_REASONS) {
        count++;
    }
    memmove(reasons + place + 1, reasons + place, (count - place - 1) * sizeof reasons[0]);
    reasons[place] = reason;
    return count;
}

/*
 * What a group of tokens adds: its own row and those of the groups inside it, so that "would be
 * nice" carries "would", "be nice" and so on. The share of a group is divided by its number of
 * features, so that a long group of idle words does not win by size.
 */
static float weigh_group(const struct classify_model *model, const struct head *head,
                         enum classify_label label, const struct feature_token *tokens, size_t size,
                         size_t features)
{
    int32_t sum = 0;

    for (size_t i = 0; i < size; i++) {
        for (size_t inner = 1; i + inner <= size; inner++) {
            sum += model->rows[(size_t)features_group(tokens + i, inner) * ROW_SIZE + label];
        }
    }
    return head->a * head->scale * (float)sum / sqrtf((float)features);
}

int classify_reasons(const struct classify_model *model, const char *text,
                     struct classify_span sentence, enum classify_label label,
                     struct classify_reason reasons[], struct ear_error *err)
{
    struct feature_sentence words = {.count = 0};
    struct feature_sentence next;
    int32_t sums[ROW_SIZE];
    size_t at = sentence.start;
    size_t count = 0;
    size_t features = 0;
    int found = 0;

    while ((found = features_next_sentence(text, sentence.end, &at, &next, err)) == 1) {
        features_join(&words, &next);
    }
    if (found < 0 || words.count == 0) {
        return found;
    }
    features = sum_rows(model, &words, sums);
    for (size_t size = FEATURES_GROUP_MAX; size >= 1; size--) {
        for (size_t i = 0; i + size <= words.count; i++) {
            float weight =
                weigh_group(model, &model->heads[label], label, &words.tokens[i], size, features);

            if (fabsf(weight) >= 0.05F) {
                count =
                    keep_reason(reasons, count,
                                (struct classify_reason){words.tokens[i].start,
                                                         words.tokens[i + size - 1].end, weight});
            }
        }
    }
    return (int)count;
}
