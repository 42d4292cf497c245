/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which language a post is in: `lang`, the first subtag of BCP 47 in lower case ("en", "pt"), or
 * "und". Who knows best is asked first: the platform (the post's own lang), then the configuration
 * (the source's lang; this stage's hint, if it names one language), then CLD2. Under four words
 * nobody can tell from the text: "und".
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/settings.h"
#include "processors/stage.h"
#include "processors/stages/language_cld2.h"

enum { WORDS_MIN = 4, SAMPLE_MAX = 4096, TAG_SIZE = 4, HINT_SIZE = 256 };

struct language {
    struct ear_strings hint;
};

struct source_lang {
    const char *source;
    char tag[TAG_SIZE];
};

struct state {
    struct source_lang *sources; /* [source_count] that have a lang, by name */
    size_t source_count;
    char hint[HINT_SIZE];    /* "en,de" as CLD2 wants it; "": none */
    char only[TAG_SIZE];     /* the one language of the hint; "": none or several */
    char sample[SAMPLE_MAX]; /* the words of a post that CLD2 is shown */
};

static const struct ear_option options[] = {
    {.name = "hint",
     .type = EAR_STRINGS,
     .offset = offsetof(struct language, hint),
     .help = "languages to expect, such as [en, de]; one alone is taken for granted where the post "
             "and its source say nothing"},
    {0},
};

/* The first subtag of a tag in lower case; "" for what is no language ("und", "x-none", "1"). */
static void read_tag(char out[TAG_SIZE], const char *tag)
{
    static const char *const renamed[][2] = {{"iw", "he"}, {"in", "id"}, {"jw", "jv"},
                                             {"ji", "yi"}, {"un", ""},   {"und", ""},
                                             {"xxx", ""},  {"mul", ""},  {"zxx", ""}};
    size_t length = 0;

    memset(out, 0, TAG_SIZE);
    while (tag != NULL && isalpha((unsigned char)tag[length]) && length < TAG_SIZE) {
        length++;
    }
    if (length < 2 || length >= TAG_SIZE ||
        (tag[length] != '\0' && tag[length] != '-' && tag[length] != '_')) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        out[i] = (char)tolower((unsigned char)tag[i]);
    }
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        if (strcmp(out, renamed[i][0]) == 0) {
            memset(out, 0, TAG_SIZE);
            memcpy(out, renamed[i][1], strlen(renamed[i][1]));
            return;
        }
    }
}

static int by_name(const void *one, const void *other)
{
    const struct source_lang *a = one, *b = other;

    return strcmp(a->source, b->source);
}

static int read_sources(struct state *state, const struct settings *settings, struct ear_error *err)
{
    if (settings == NULL || settings->source_count == 0) {
        return 0;
    }
    state->sources = calloc(settings->source_count, sizeof *state->sources);
    if (state->sources == NULL) {
        return ear_fail_memory(err, "the languages of sources");
    }
    for (size_t i = 0; i < settings->source_count; i++) {
        struct source_lang *source = &state->sources[state->source_count];

        read_tag(source->tag, settings->sources[i].lang);
        if (source->tag[0] != '\0') {
            source->source = settings->sources[i].name;
            state->source_count++;
        }
    }
    qsort(state->sources, state->source_count, sizeof *state->sources, by_name);
    return 0;
}

static int read_hint(struct state *state, const struct ear_strings *hint, struct ear_error *err)
{
    size_t used = 0;

    for (size_t i = 0; i < hint->count; i++) {
        char tag[TAG_SIZE];

        read_tag(tag, hint->items[i]);
        if (tag[0] == '\0' || used + TAG_SIZE + 2 > sizeof state->hint) {
            return ear_fail(err, EAR_CONFIG,
                            "'hint' has '%s', which is no language; write codes such as [en, de]",
                            hint->items[i]);
        }
        if (used > 0) {
            state->hint[used++] = ',';
        }
        memcpy(state->hint + used, tag, sizeof tag);
        used += strlen(tag);
        if (hint->count == 1) {
            memcpy(state->only, tag, sizeof tag);
        }
    }
    return 0;
}

static void close_state(void *opened)
{
    struct state *state = opened;

    if (state != NULL) {
        free(state->sources);
    }
    free(state);
}

static int open_state(void **out, const void *config, const struct ear_stage_context *context,
                      struct ear_error *err)
{
    const struct language *language = config;
    int result = -1;
    struct state *state = calloc(1, sizeof *state);

    if (state == NULL) {
        ear_fail_memory(err, "the stage language");
        goto done;
    }
    if (read_sources(state, context->settings, err) != 0 ||
        read_hint(state, &language->hint, err) != 0) {
        goto done;
    }
    *out = state;
    state = NULL;
    result = 0;

done:
    close_state(state);
    return result;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* A link or a handle: says nothing of the language around it. */
static bool is_address(const char *token, size_t length)
{
    return token[0] == '@' || (length > 4 && memcmp(token, "www.", 4) == 0) ||
           (length > 7 && (memcmp(token, "http://", 7) == 0 || memcmp(token, "https:/", 7) == 0));
}

/* How many words a token counts as: one if it has a letter; each ideograph, kana or Hangul syllable
 * (which begin with bytes 0xE3 to 0xEF) is one by itself. */
static size_t words_of(const char *token, size_t length)
{
    size_t wide = 0;
    bool letter = false;

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)token[i];

        wide += byte >= 0xE3 && byte < 0xF0;
        letter |= (unsigned char)((byte | 0x20) - 'a') < 26 || (byte >= 0xC3 && byte < 0xE2);
    }
    return wide > 0 ? wide : letter;
}

/* Appends the words of a text to the sample, without addresses; returns how many words they are. */
static size_t add_words(struct state *state, size_t *used, const char *text, size_t length)
{
    size_t words = 0;

    for (size_t i = 0; i < length;) {
        size_t start = 0;

        while (i < length && is_blank(text[i])) {
            i++;
        }
        start = i;
        while (i < length && !is_blank(text[i])) {
            i++;
        }
        if (i == start || is_address(text + start, i - start)) {
            continue;
        }
        if (*used + (i - start) + 1 > SAMPLE_MAX) {
            break;
        }
        words += words_of(text + start, i - start);
        memcpy(state->sample + *used, text + start, i - start);
        *used += i - start;
        state->sample[(*used)++] = ' ';
    }
    return words;
}

static void detect(char out[TAG_SIZE], struct state *state, const struct ear_message *post)
{
    static const char *const fields[] = {"title", "text"};
    size_t used = 0, words = 0;

    for (size_t i = 0; i < 2; i++) {
        size_t length = 0;
        const char *text = ear_message_bytes(post, fields[i], &length);

        if (text != NULL) {
            words += add_words(state, &used, text, length);
        }
    }
    out[0] = '\0';
    if (words >= WORDS_MIN) {
        read_tag(out,
                 language_cld2(state->sample, used, state->hint[0] == '\0' ? NULL : state->hint));
    }
}

static const char *lang_of_source(const struct state *state, const char *source)
{
    struct source_lang wanted = {.source = source};
    const struct source_lang *found = NULL;

    if (source != NULL && state->source_count > 0) {
        found =
            bsearch(&wanted, state->sources, state->source_count, sizeof *state->sources, by_name);
    }
    return found == NULL ? NULL : found->tag;
}

static int judge(struct state *state, struct ear_message *post, struct ear_output *out,
                 struct ear_error *err)
{
    const char *own = ear_message_string(post, "lang");
    const char *lang = NULL;
    char tag[TAG_SIZE];

    read_tag(tag, own);
    if (tag[0] != '\0') {
        lang = tag;
    } else {
        lang = lang_of_source(state, ear_message_string(post, "source"));
    }
    if (lang == NULL && state->only[0] != '\0') {
        lang = state->only;
    }
    if (lang == NULL) {
        detect(tag, state, post);
        lang = tag[0] == '\0' ? "und" : tag;
    }
    if ((own == NULL || strcmp(own, lang) != 0) &&
        ear_message_set_string(post, "lang", lang, strlen(lang), err) != 0) {
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

const struct ear_stage language_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "language",
    .about = "says which language a post is in",
    .options = options,
    .config_size = sizeof(struct language),
    .open = open_state,
    .process = process,
    .close = close_state,
};
