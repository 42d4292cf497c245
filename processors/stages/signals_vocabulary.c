/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/stages/signals_vocabulary.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"

/* A file's top level and its section `negation`. */
struct file {
    int64_t earshot;
    struct negation {
        int64_t before_words, after_words;
        const struct config_node *before, *after, *breaks;
    } negation;
    const struct config_node *ignore, *kinds;
};

struct kind {
    const char *negated;
    const struct config_node *values;
};

static const struct ear_option negation_options[] = {
    {"before_words", EAR_INTEGER, offsetof(struct negation, before_words), "3 [0..20]",
     "how many words may lie between a negating word and what it negates", NULL},
    {"after_words", EAR_INTEGER, offsetof(struct negation, after_words), "2 [0..20]",
     "the same where the negating word comes after", NULL},
    {"before", EAR_TREE, offsetof(struct negation, before), NULL,
     "words that negate what follows, by language", NULL},
    {"after", EAR_TREE, offsetof(struct negation, after), NULL,
     "words that negate what went before, by language", NULL},
    {"breaks", EAR_TREE, offsetof(struct negation, breaks), NULL,
     "what ends the reach of a negating word, by language", NULL},
    {0},
};

static const struct ear_option file_options[] = {
    {"earshot", EAR_INTEGER, offsetof(struct file, earshot), "1 [1..1]", "version of the format",
     NULL},
    {"negation", EAR_SECTION, offsetof(struct file, negation), NULL,
     "words that turn a phrase into its opposite", negation_options},
    {"ignore", EAR_TREE, offsetof(struct file, ignore), NULL,
     "phrases that mean nothing, nor does any smaller one in them, by language", NULL},
    {"kinds", EAR_TREE, offsetof(struct file, kinds), NULL, "the signals, by kind", NULL},
    {0},
};

static const struct ear_option kind_options[] = {
    {"negated", EAR_CHOICE, offsetof(struct kind, negated), "drop|keep",
     "whether a negated phrase still counts", NULL},
    {"values", EAR_TREE, offsetof(struct kind, values), "!",
     "the values of the kind, each with its phrases by language", NULL},
    {0},
};

static int add_phrase(struct vocabulary *vocabulary, const struct config_node *node, uint32_t tag,
                      struct ear_error *err)
{
    const char *phrase = config_scalar(node);

    if (phrase == NULL) {
        config_report(vocabulary->config, CONFIG_ERROR, node,
                      "a phrase is text; write a list such as [delivery, \"deliver*\"]");
        return 0;
    }
    if (match_add(vocabulary->match, phrase, strlen(phrase), tag, err) == 0) {
        return 0;
    }
    if (err->kind != EAR_CONFIG) {
        return -1;
    }
    config_report(vocabulary->config, CONFIG_ERROR, node, "%s", err->message);
    ear_error_clear(err);
    return 0;
}

/* One list of phrases (or one phrase) that means `entry`. */
static int add_phrases(struct vocabulary *vocabulary, const struct config_node *phrases,
                       struct vocabulary_entry entry, struct ear_error *err)
{
    uint32_t tag = (uint32_t)vocabulary->entry_count;

    if (vocabulary->entry_count == vocabulary->entry_capacity) {
        size_t capacity = vocabulary->entry_capacity * 2 + 64;
        struct vocabulary_entry *entries = realloc(vocabulary->entries, capacity * sizeof *entries);

        if (entries == NULL) {
            return ear_fail_memory(err, "a vocabulary");
        }
        vocabulary->entries = entries;
        vocabulary->entry_capacity = capacity;
    }
    vocabulary->entries[vocabulary->entry_count++] = entry;
    if (!config_is_sequence(phrases)) {
        return add_phrase(vocabulary, phrases, tag, err);
    }
    for (size_t i = 0; i < config_count(phrases); i++) {
        if (add_phrase(vocabulary, config_at(phrases, i), tag, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Phrases by language: {en: […], de: […]}; `any` and English stand in texts of every language.
 * `negated` may stand among them. */
static int add_languages(struct vocabulary *vocabulary, const struct config_node *languages,
                         struct vocabulary_entry entry, struct ear_error *err)
{
    if (languages != NULL && !config_is_mapping(languages)) {
        config_report(vocabulary->config, CONFIG_ERROR, languages,
                      "phrases stand below their language; write {en: [late, \"too slow\"]}");
        return 0;
    }
    for (size_t i = 0; i < config_count(languages); i++) {
        const char *lang = config_key_at(languages, i);

        if (strcmp(lang, "negated") == 0) {
            continue;
        }
        if (strcmp(lang, "any") != 0 && (strlen(lang) < 2 || strlen(lang) > 3)) {
            config_report(vocabulary->config, CONFIG_ERROR, config_at(languages, i),
                          "'%s' is no language; write its code, such as en, or any", lang);
            continue;
        }
        entry.lang = strcmp(lang, "any") == 0 || strcmp(lang, "en") == 0 ? NULL : lang;
        if (add_phrases(vocabulary, config_at(languages, i), entry, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void read_negated(struct vocabulary_entry *entry, const char *negated)
{
    entry->other = NULL;
    if (strcmp(negated, "keep") == 0) {
        entry->negated = VOCABULARY_KEEP;
    } else if (strcmp(negated, "drop") == 0) {
        entry->negated = VOCABULARY_DROP;
    } else {
        entry->negated = VOCABULARY_OTHER;
        entry->other = negated;
    }
}

static int add_kind(struct vocabulary *vocabulary, const char *name, const struct config_node *node,
                    struct ear_error *err)
{
    struct kind kind = {0};

    if (config_fill(vocabulary->config, node, kind_options, NULL, name, &kind) > 0) {
        return 0;
    }
    for (size_t i = 0; i < config_count(kind.values); i++) {
        const struct config_node *value = config_at(kind.values, i);
        const char *negated = config_scalar(config_get(value, "negated"));
        struct vocabulary_entry entry = {
            .meaning = VOCABULARY_SIGNAL, .kind = name, .value = config_key_at(kind.values, i)};

        read_negated(&entry, negated == NULL ? kind.negated : negated);
        if (add_languages(vocabulary, value, entry, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_file(struct vocabulary *vocabulary, const char *path, struct ear_error *err)
{
    struct file file = {0};
    const struct config_node *root = config_read_file(vocabulary->config, path, err);

    if (root == NULL) {
        return err->kind == EAR_NONE ? 0 : -1; /* else a finding tells */
    }
    if (config_fill(vocabulary->config, root, file_options, NULL, "vocabulary", &file) > 0) {
        return 0;
    }
    vocabulary->before_words = file.negation.before_words;
    vocabulary->after_words = file.negation.after_words;
    if (add_languages(vocabulary, file.negation.before,
                      (struct vocabulary_entry){.meaning = VOCABULARY_NEGATES}, err) != 0 ||
        add_languages(vocabulary, file.negation.after,
                      (struct vocabulary_entry){.meaning = VOCABULARY_NEGATES_BEFORE}, err) != 0 ||
        add_languages(vocabulary, file.negation.breaks,
                      (struct vocabulary_entry){.meaning = VOCABULARY_BREAKS}, err) != 0 ||
        add_languages(vocabulary, file.ignore,
                      (struct vocabulary_entry){.meaning = VOCABULARY_IGNORE}, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < config_count(file.kinds); i++) {
        if (add_kind(vocabulary, config_key_at(file.kinds, i), config_at(file.kinds, i), err) !=
            0) {
            return -1;
        }
    }
    return 0;
}

/* The first error of the files, as it would stand in `earshot check`. */
static int fail_with_finding(const struct config *config, struct ear_error *err)
{
    for (size_t i = 0; i < config_finding_count(config); i++) {
        const struct config_finding *finding = config_finding_at(config, i);

        if (finding->severity == CONFIG_ERROR) {
            return ear_fail(err, EAR_CONFIG, "%s:%d:%d %s: %s", finding->file, finding->line,
                            finding->column, finding->key, finding->text);
        }
    }
    return 0;
}

int vocabulary_init(struct vocabulary *out, const struct ear_strings *files, const char *share_dir,
                    const char *base_dir, struct ear_error *err)
{
    memset(out, 0, sizeof *out);
    if (config_new(&out->config, err) != 0 || match_new(&out->match, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) {
        char path[PATH_MAX];
        const char *name = files->items[i];
        int length = 0;

        if (strcmp(name, "builtin") == 0) {
            length = snprintf(path, sizeof path, "%s/signals.yaml", share_dir);
        } else if (name[0] == '/') {
            length = snprintf(path, sizeof path, "%s", name);
        } else {
            length = snprintf(path, sizeof path, "%s/%s", base_dir, name);
        }
        if (length < 0 || (size_t)length >= sizeof path) {
            return ear_fail(err, EAR_CONFIG, "'%s' is too long a path", name);
        }
        if (add_file(out, path, err) != 0) {
            return -1;
        }
    }
    if (config_errors(out->config) > 0) {
        return fail_with_finding(out->config, err);
    }
    return match_build(out->match, err);
}

void vocabulary_clear(struct vocabulary *vocabulary)
{
    match_free(vocabulary->match);
    config_free(vocabulary->config);
    free(vocabulary->entries);
    memset(vocabulary, 0, sizeof *vocabulary);
}
