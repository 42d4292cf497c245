/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a post speaks of, by phrases: touch points, kinds of expectation, urgency, advocacy,
 * leaving, segments. The vocabulary is YAML (signals.yaml has the format); this file is the rule by
 * which phrases count:
 *
 *   1. A phrase counts in texts of its own language, in texts of no known language, and everywhere
 *      if it is English or of `any`.
 *   2. A phrase within a longer one of the same kind, or within one that is to be ignored, does
 * not.
 *   3. A phrase is negated if a negating word stands before it (or after, where a language does
 *      that), at most so many words away, with no end of a clause between. What it then says is the
 *      vocabulary's business: nothing, something else, or the same, marked `negated`.
 *
 * Places are code points of `text`. What only the title says is told without a place.
 */
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "processors/insight.h"
#include "processors/stage.h"
#include "processors/stages/signals_vocabulary.h"

enum { HITS_MAX = 2048, SIGNALS_MAX = 64, WORDS_MAX = 200, INSIGHT_MAX = 128 * 1024 };

struct signals {
    struct ear_strings vocabulary;
};

static const struct ear_option options[] = {
    {.name = "vocabulary",
     .type = EAR_STRINGS,
     .offset = offsetof(struct signals, vocabulary),
     .fallback = "builtin",
     .help = "the words to look for: builtin, and files of your own"},
    {0},
};

struct signal {
    const struct vocabulary_entry *entry;
    const char *value;
    struct match_hit hit;
    bool negated;
};

struct state {
    struct vocabulary vocabulary;
    struct match_text *text;
    struct json_writer *writer;
    struct match_hit hits[HITS_MAX];
    struct signal signals[SIGNALS_MAX];
    size_t signal_count;
    size_t told; /* how many of the signals are written */
};

static void close_state(void *opened)
{
    struct state *state = opened;

    if (state == NULL) {
        return;
    }
    vocabulary_clear(&state->vocabulary);
    match_text_free(state->text);
    json_writer_free(state->writer);
    free(state);
}

static int open_state(void **out, const void *config, const struct ear_stage_context *context,
                      struct ear_error *err)
{
    const struct signals *signals = config;
    int result = -1;
    struct state *state = calloc(1, sizeof *state);

    if (state == NULL) {
        ear_fail_memory(err, "the stage signals");
        goto done;
    }
    if (vocabulary_init(&state->vocabulary, &signals->vocabulary, context->share_dir,
                        context->base_dir, err) != 0 ||
        match_text_new(&state->text, err) != 0 ||
        json_writer_new(&state->writer, INSIGHT_MAX, err) != 0) {
        goto done;
    }
    *out = state;
    state = NULL;
    result = 0;

done:
    close_state(state);
    return result;
}

static const struct vocabulary_entry *entry_of(const struct state *state,
                                               const struct match_hit *hit)
{
    return &state->vocabulary.entries[hit->tag];
}

/* Leaves the phrases of other languages out. */
static size_t keep_language(struct state *state, size_t count, const char *lang)
{
    size_t kept = 0;

    if (lang == NULL || strcmp(lang, "und") == 0) {
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        const char *own = entry_of(state, &state->hits[i])->lang;

        if (own == NULL || strcmp(own, lang) == 0) {
            state->hits[kept++] = state->hits[i];
        }
    }
    return kept;
}

/* True if a longer phrase hides this one. Hits come by start, the longest first, so what may hide
 * number i lies before it. */
static bool is_hidden(const struct state *state, size_t i)
{
    const struct match_hit *hit = &state->hits[i];
    const struct vocabulary_entry *entry = entry_of(state, hit);

    for (size_t j = i; j-- > 0;) {
        const struct match_hit *other = &state->hits[j];
        const struct vocabulary_entry *hider = entry_of(state, other);

        if (other->end < hit->end || (other->start == hit->start && other->end == hit->end)) {
            continue;
        }
        if (hider->meaning == VOCABULARY_IGNORE ||
            (hider->meaning == VOCABULARY_SIGNAL && entry->meaning == VOCABULARY_SIGNAL &&
             strcmp(hider->kind, entry->kind) == 0)) {
            return true;
        }
    }
    return false;
}

/* True if the clause ends between two places. */
static bool is_broken(const struct state *state, size_t count, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < count; i++) {
        const struct match_hit *hit = &state->hits[i];

        if (hit->start >= from && hit->end <= to &&
            entry_of(state, hit)->meaning == VOCABULARY_BREAKS) {
            return true;
        }
    }
    return false;
}

static bool is_negated(const struct state *state, size_t count, const struct match_hit *hit)
{
    for (size_t i = 0; i < count; i++) {
        const struct match_hit *negator = &state->hits[i];
        enum vocabulary_meaning meaning = entry_of(state, negator)->meaning;

        if (meaning == VOCABULARY_NEGATES && negator->end <= hit->start &&
            hit->first_word - negator->end_word <= state->vocabulary.before_words &&
            !is_hidden(state, i) && !is_broken(state, count, negator->end, hit->start)) {
            return true;
        }
        if (meaning == VOCABULARY_NEGATES_BEFORE && negator->start >= hit->end &&
            negator->first_word - hit->end_word <= state->vocabulary.after_words &&
            !is_hidden(state, i) && !is_broken(state, count, hit->end, negator->start)) {
            return true;
        }
    }
    return false;
}

static bool is_told(const struct state *state, const struct signal *signal, bool anywhere)
{
    for (size_t i = 0; i < state->signal_count; i++) {
        const struct signal *other = &state->signals[i];

        if (strcmp(other->entry->kind, signal->entry->kind) == 0 &&
            strcmp(other->value, signal->value) == 0 &&
            (anywhere ||
             (other->hit.start == signal->hit.start && other->hit.end == signal->hit.end))) {
            return true;
        }
    }
    return false;
}

/* Adds the signals of a text to the state's. title: only what the text has not said already. */
static int find_signals(struct state *state, const char *text, size_t length, const char *lang,
                        bool title, struct ear_error *err)
{
    size_t count = 0;

    if (match_text_set(state->text, text, length, err) != 0) {
        return -1;
    }
    count = match_find(state->vocabulary.match, state->text, state->hits, HITS_MAX);
    count = keep_language(state, count, lang);
    for (size_t i = 0; i < count && state->signal_count < SIGNALS_MAX; i++) {
        struct signal signal = {.entry = entry_of(state, &state->hits[i]), .hit = state->hits[i]};

        if (signal.entry->meaning != VOCABULARY_SIGNAL || is_hidden(state, i)) {
            continue;
        }
        signal.value = signal.entry->value;
        signal.negated = is_negated(state, count, &signal.hit);
        if (signal.negated && signal.entry->negated == VOCABULARY_DROP) {
            continue;
        }
        if (signal.negated && signal.entry->negated == VOCABULARY_OTHER) {
            signal.value = signal.entry->other;
            signal.negated = false;
        }
        if (!is_told(state, &signal, title)) {
            state->signals[state->signal_count++] = signal;
        }
    }
    return 0;
}

/* Moves byte *at of a text on to code point `point` (it stands at *now). */
static void walk(const char *text, size_t length, size_t *at, uint32_t *now, uint32_t point)
{
    while (*at < length && *now < point) {
        for ((*at)++; *at < length && ((unsigned char)text[*at] & 0xC0) == 0x80;) {
            (*at)++;
        }
        (*now)++;
    }
}

/* Writes the signals not written yet, which come by start, with their words out of the text. */
static void write_signals(struct state *state, const char *text, size_t length, bool place)
{
    size_t at = 0;
    uint32_t now = 0;

    for (; state->told < state->signal_count; state->told++) {
        const struct signal *signal = &state->signals[state->told];
        size_t end = 0;
        uint32_t end_now = 0;

        walk(text, length, &at, &now, signal->hit.start);
        end = at;
        end_now = now;
        walk(text, length, &end, &end_now,
             signal->hit.end < now + WORDS_MAX ? signal->hit.end : now + WORDS_MAX);
        json_write_object(state->writer);
        json_member_string(state->writer, "kind", signal->entry->kind);
        json_member_string(state->writer, "value", signal->value);
        json_write_key(state->writer, "words");
        json_write_bytes(state->writer, text + at, end - at);
        if (place) {
            json_member_integer(state->writer, "start", signal->hit.start);
            json_member_integer(state->writer, "end", signal->hit.end);
        }
        if (signal->negated) {
            json_write_key(state->writer, "negated");
            json_write_boolean(state->writer, true);
        }
        json_write_object_end(state->writer);
    }
}

static int judge(struct state *state, struct ear_message *post, struct ear_output *out,
                 struct ear_error *err)
{
    const char *lang = ear_message_string(post, "lang");
    const char *members = NULL;
    size_t length = 0;
    const char *text = ear_message_bytes(post, "text", &length);

    state->signal_count = 0;
    state->told = 0;
    json_writer_reset(state->writer);
    json_write_object(state->writer);
    json_write_key(state->writer, "signals");
    json_write_array(state->writer);
    if (text != NULL) {
        if (find_signals(state, text, length, lang, false, err) != 0) {
            return -1;
        }
        write_signals(state, text, length, true);
    }
    text = ear_message_bytes(post, "title", &length);
    if (text != NULL) {
        if (find_signals(state, text, length, lang, true, err) != 0) {
            return -1;
        }
        write_signals(state, text, length, false);
    }
    json_write_array_end(state->writer);
    json_write_object_end(state->writer);
    members = json_writer_text(state->writer, &length, err);
    if (members == NULL || insight_add(post, members, length, err) != 0) {
        return -1;
    }
    return ear_publish(out, post, err);
}

static int process(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    (void)config;
    for (size_t i = 0; i < count; i++) {
        if (judge(state, messages[i], out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct ear_stage signals_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "signals",
    .about = "says what a post speaks of: touch points, expectations, urgency, advocacy, leaving",
    .options = options,
    .config_size = sizeof(struct signals),
    .open = open_state,
    .process = process,
    .close = close_state,
};
