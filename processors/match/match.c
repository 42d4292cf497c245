/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The automaton. Phrases are first a trie (children as linked lists); match_build turns it, breadth
 * first, into one dense table: a row a state, a column for each class of bytes (bytes that no
 * phrase has share class 0). A cell is the next state with the failure links already followed, so
 * that the search takes one look-up a byte; its top bit says that some phrase ends there.
 *
 *     cell = table[state * classes + class[byte]]
 *
 * The phrases that end in a state are a list: those of the state itself, then those of the longest
 * suffix that is a phrase (`suffix`), and so on.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "processors/match/match_internal.h"

#define NONE UINT32_MAX
#define ENDS_HERE 0x80000000U

struct phrase {
    uint32_t tag;
    uint32_t next;   /* another one that ends in the same state, or NONE */
    uint32_t length; /* folded bytes */
    bool open;       /* ended in *: goes on to the end of the word */
};

/* A state while the trie grows. */
struct node {
    uint32_t child, sibling; /* or NONE */
    uint32_t phrase;         /* the first that ends here, or NONE */
    unsigned char byte;
};

struct match {
    struct match_text *scratch; /* for folding phrases; NULL once built */
    struct node *nodes;
    size_t node_count, node_capacity;
    struct phrase *phrases;
    size_t phrase_count, phrase_capacity;
    uint32_t *table;  /* [node_count][classes]; NULL until built */
    uint32_t *suffix; /* [node_count]: the longest proper suffix in which a phrase ends, or NONE */
    uint32_t classes;
    uint8_t class_of[256];
};

static int grow(void **array, size_t *capacity, size_t count, size_t size, struct ear_error *err)
{
    size_t wanted = *capacity * 2 + 256;
    void *grown = NULL;

    if (count < *capacity) {
        return 0;
    }
    grown = realloc(*array, wanted * size);
    if (grown == NULL) {
        return ear_fail_memory(err, "phrases to match");
    }
    *array = grown;
    *capacity = wanted;
    return 0;
}

static int add_node(struct match *match, unsigned char byte, uint32_t *out, struct ear_error *err)
{
    void *nodes = match->nodes;

    if (grow(&nodes, &match->node_capacity, match->node_count, sizeof *match->nodes, err) != 0) {
        return -1;
    }
    match->nodes = nodes;
    *out = (uint32_t)match->node_count++;
    match->nodes[*out] =
        (struct node){.child = NONE, .sibling = NONE, .phrase = NONE, .byte = byte};
    return 0;
}

int match_new(struct match **out, struct ear_error *err)
{
    int result = -1;
    uint32_t root = 0;
    struct match *match = calloc(1, sizeof *match);

    if (match == NULL) {
        ear_fail_memory(err, "phrases to match");
        goto done;
    }
    if (match_text_new(&match->scratch, err) != 0 || add_node(match, 0, &root, err) != 0) {
        goto done;
    }
    *out = match;
    match = NULL;
    result = 0;

done:
    match_free(match);
    return result;
}

void match_free(struct match *match)
{
    if (match == NULL) {
        return;
    }
    match_text_free(match->scratch);
    free(match->nodes);
    free(match->phrases);
    free(match->table);
    free(match->suffix);
    free(match);
}

/* The child of a state by a byte; made where it is missing. */
static int step(struct match *match, uint32_t *state, unsigned char byte, struct ear_error *err)
{
    uint32_t child = match->nodes[*state].child;
    uint32_t made = 0;

    while (child != NONE && match->nodes[child].byte != byte) {
        child = match->nodes[child].sibling;
    }
    if (child == NONE) {
        if (add_node(match, byte, &made, err) != 0) {
            return -1;
        }
        match->nodes[made].sibling = match->nodes[*state].child;
        match->nodes[*state].child = made;
        child = made;
    }
    *state = child;
    return 0;
}

int match_add(struct match *match, const char *phrase, size_t length, uint32_t tag,
              struct ear_error *err)
{
    bool open = length > 1 && phrase[length - 1] == '*';
    struct match_text *text = match->scratch;
    void *phrases = match->phrases;
    uint32_t state = 0;

    assert(match->table == NULL);
    if (match_text_set(text, phrase, open ? length - 1 : length, err) != 0) {
        return -1;
    }
    if (open && text->length > 0 && text->folded[text->length - 1] == MATCH_MARKER) {
        text->length--;
    }
    if (text->length == 0) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.*s' has nothing to look for; write a word, a phrase or an emoji",
                        (int)(length < 100 ? length : 100), phrase);
    }
    if (text->length > MATCH_PHRASE_MAX || match->phrase_count >= MATCH_PHRASES_MAX) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.*s…' is longer than %d bytes, or the phrase beyond number %d; write "
                        "shorter or fewer phrases",
                        (int)(length < 40 ? length : 40), phrase, MATCH_PHRASE_MAX,
                        MATCH_PHRASES_MAX);
    }
    if (grow(&phrases, &match->phrase_capacity, match->phrase_count, sizeof *match->phrases, err) !=
        0) {
        return -1;
    }
    match->phrases = phrases;
    for (size_t i = 0; i < text->length; i++) {
        if (step(match, &state, (unsigned char)text->folded[i], err) != 0) {
            return -1;
        }
    }
    match->phrases[match->phrase_count] = (struct phrase){.tag = tag,
                                                          .next = match->nodes[state].phrase,
                                                          .length = (uint32_t)text->length,
                                                          .open = open};
    match->nodes[state].phrase = (uint32_t)match->phrase_count++;
    return 0;
}

static void number_classes(struct match *match)
{
    match->classes = 1;
    for (size_t i = 1; i < match->node_count; i++) {
        uint8_t *class_of = &match->class_of[match->nodes[i].byte];

        if (*class_of == 0) {
            *class_of = (uint8_t)match->classes++;
        }
    }
}

/*
 * Breadth first: when a state's row is made, its failure state's row (shorter, so earlier in the
 * queue) is complete. The row begins as a copy of that row; the state's own children replace cells.
 */
static void fill_table(struct match *match, uint32_t *queue, uint32_t *failure)
{
    size_t classes = match->classes, head = 0, tail = 0;

    queue[tail++] = 0;
    failure[0] = 0;
    match->suffix[0] = NONE;
    while (head < tail) {
        uint32_t state = queue[head++];
        uint32_t *row = match->table + state * classes;

        if (state != 0) {
            const struct node *fails = &match->nodes[failure[state]];

            memcpy(row, match->table + failure[state] * classes, classes * sizeof *row);
            match->suffix[state] =
                fails->phrase != NONE ? failure[state] : match->suffix[failure[state]];
        }
        for (uint32_t child = match->nodes[state].child; child != NONE;
             child = match->nodes[child].sibling) {
            size_t column = match->class_of[match->nodes[child].byte];

            failure[child] = state == 0 ? 0 : row[column];
            row[column] = child;
            queue[tail++] = child;
        }
    }
}

static void mark_ends(struct match *match)
{
    size_t cells = match->node_count * match->classes;

    for (size_t i = 0; i < cells; i++) {
        uint32_t state = match->table[i];

        if (match->nodes[state].phrase != NONE || match->suffix[state] != NONE) {
            match->table[i] |= ENDS_HERE;
        }
    }
}

int match_build(struct match *match, struct ear_error *err)
{
    int result = -1;
    uint32_t *queue = NULL, *failure = NULL;
    size_t cells = 0;

    number_classes(match);
    cells = match->node_count * match->classes;
    if (cells > MATCH_TABLE_MAX / sizeof *match->table) {
        return ear_fail(err, EAR_CONFIG,
                        "%zu phrases need more than %d MiB of tables; leave some out",
                        match->phrase_count, MATCH_TABLE_MAX >> 20);
    }
    match->table = calloc(cells, sizeof *match->table);
    match->suffix = calloc(match->node_count, sizeof *match->suffix);
    queue = calloc(match->node_count, sizeof *queue);
    failure = calloc(match->node_count, sizeof *failure);
    if (match->table == NULL || match->suffix == NULL || queue == NULL || failure == NULL) {
        ear_fail_memory(err, "the automaton of phrases");
        goto done;
    }
    fill_table(match, queue, failure);
    mark_ends(match);
    match_text_free(match->scratch);
    match->scratch = NULL;
    result = 0;

done:
    free(queue);
    free(failure);
    return result;
}

/* How many words begin before folded byte `at`. */
static uint32_t words_before(const struct match_text *text, size_t at)
{
    size_t low = 0, high = text->word_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (text->words[middle] < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

/* The place of a phrase whose last folded byte is number `last`. */
static struct match_hit locate(const struct match_text *text, const struct phrase *phrase,
                               size_t last)
{
    size_t first = last + 1 - phrase->length;
    size_t word = first;

    if (text->folded[first] == MATCH_MARKER && phrase->length > 1) {
        first++;
    }
    if (phrase->open) {
        while (last + 1 < text->length && text->folded[last + 1] != MATCH_MARKER) {
            last++;
        }
    } else if (text->folded[last] == MATCH_MARKER && last > first) {
        last--;
    }
    return (struct match_hit){.tag = phrase->tag,
                              .start = text->point[first],
                              .end = text->point[last] + 1,
                              .first_word = words_before(text, word),
                              .end_word = words_before(text, last)};
}

/* True if one hit comes before another: by start, the longest first, then by tag. */
static bool is_before(const struct match_hit *one, const struct match_hit *other)
{
    if (one->start != other->start) {
        return one->start < other->start;
    }
    return one->end != other->end ? one->end > other->end : one->tag < other->tag;
}

/* Keeps hits in order; they come nearly so. */
static void insert(struct match_hit hits[], size_t count, struct match_hit hit)
{
    while (count > 0 && is_before(&hit, &hits[count - 1])) {
        hits[count] = hits[count - 1];
        count--;
    }
    hits[count] = hit;
}

size_t match_find(const struct match *match, const struct match_text *text, struct match_hit hits[],
                  size_t max)
{
    size_t count = 0;
    uint32_t state = 0;

    assert(match->table != NULL);
    for (size_t i = 0; i < text->length; i++) {
        uint32_t cell = match->table[(size_t)state * match->classes +
                                     match->class_of[(unsigned char)text->folded[i]]];

        state = cell & ~ENDS_HERE;
        if ((cell & ENDS_HERE) == 0) {
            continue;
        }
        for (uint32_t at = state; at != NONE; at = match->suffix[at]) {
            for (uint32_t p = match->nodes[at].phrase; p != NONE; p = match->phrases[p].next) {
                if (count == max) {
                    return count;
                }
                insert(hits, count++, locate(text, &match->phrases[p], i));
            }
        }
    }
    return count;
}
