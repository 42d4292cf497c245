/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A post's row and facts. What wins: the later (version, model generation), an equal one included;
 * a deletion takes out what is not later than it and keeps older versions out for good; a drop does
 * the same for (version, model). `source` stays the first that brought the post, the others are
 * noted in `also`.
 */
#include "sinks/apply/apply_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/testfault.h"

enum { ALSO_MAX = 16, ALSO_LIMIT = 8192, LABELS_LIMIT = 8192, ROW_BLOCK = 1024 };

static int copy_text(char **out, const struct store_rows *rows, int column, struct ear_error *err)
{
    const char *text = store_get_text(rows, column, NULL);

    *out = strdup(text == NULL ? "" : text);
    if (*out == NULL) {
        ear_fail_memory(err, "what is stored of a post");
        return -1;
    }
    return 0;
}

int known_fill_against(struct known *known, const struct store_rows *rows, int column,
                       struct ear_error *err)
{
    known->gone = !store_is_null(rows, column);
    known->gone_version = store_get_integer(rows, column);
    known->gone_deleted = store_get_integer(rows, column + 2) != 0;
    known->forgotten = store_get_integer(rows, column + 3) != 0;
    known->decided = store_get_integer(rows, column + 4) != 0;
    return copy_text(&known->gone_model, rows, column + 1, err);
}

int known_fill_stored(struct known *known, const struct store_rows *rows, int column,
                      struct ear_error *err)
{
    known->stored = true;
    known->row = store_get_integer(rows, column);
    known->version = store_get_integer(rows, column + 1);
    known->day = store_get_integer(rows, column + 5);
    known->created_us = store_get_integer(rows, column + 6);
    known->fold = store_get_integer(rows, column + 7);
    known->copy = store_get_integer(rows, column + 9) != 0;
    if (copy_text(&known->model, rows, column + 2, err) != 0 ||
        copy_text(&known->source, rows, column + 3, err) != 0 ||
        copy_text(&known->also, rows, column + 4, err) != 0) {
        return -1;
    }
    return copy_text(&known->author, rows, column + 8, err);
}

static int load_against(struct known *known, struct apply *apply, const struct hash128 *hash,
                        const struct hash128 *author, struct ear_error *err)
{
    struct store_value values[] = {
        store_blob(hash->bytes, sizeof hash->bytes),
        author == NULL ? store_null() : store_blob(author->bytes, sizeof author->bytes)};
    struct store_rows *rows = NULL;
    int there = -1;

    if (store_select(&rows, apply->store, QUERY_POST_KNOWN, values, 2, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        there = known_fill_against(known, rows, 0, err);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static int load_stored(struct known *known, struct apply *apply, const struct hash128 *hash,
                       struct ear_error *err)
{
    struct store_value values[] = {store_blob(hash->bytes, sizeof hash->bytes)};
    struct store_rows *rows = NULL;
    int there = -1;

    if (store_select(&rows, apply->store, QUERY_INSIGHT_HOLD, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        there = known_fill_stored(known, rows, 0, err);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

int known_load(struct known *known, struct apply *apply, const struct hash128 *hash,
               const struct hash128 *author, struct ear_error *err)
{
    if (ahead_take(known, apply, hash, author)) {
        return 0;
    }
    if (load_against(known, apply, hash, author, err) != 0) {
        return -1;
    }
    return load_stored(known, apply, hash, err);
}

void known_clear(struct known *known)
{
    free(known->model);
    free(known->source);
    free(known->also);
    free(known->author);
    free(known->gone_model);
    *known = (struct known){0};
}

static int remove_row(struct apply *apply, int64_t row, int64_t day, int64_t fold,
                      int64_t created_us, struct ear_error *err)
{
    struct store_value values[] = {store_integer(row)};

    if (facts_take(apply, day, row, err) != 0 ||
        store_run(apply->store, QUERY_INSIGHT_DELETE, values, 1, err) < 0) {
        return -1;
    }
    apply->stats.removed++;
    return copies_left(apply, fold, created_us, NULL, err);
}

/* As a drop of the version that is stored would: an older one does not take the place. */
static int keep_out(struct apply *apply, const struct store_rows *rows, struct ear_error *err)
{
    size_t size = 0;
    const void *hash = store_get_blob(rows, 6, &size);
    struct store_value values[] = {store_blob(hash, size),
                                   store_integer(store_get_integer(rows, 7)),
                                   store_text(store_get_text(rows, 8, NULL)), store_integer(0)};

    return store_run(apply->store, QUERY_GONE_PUT, values, 4, err) < 0 ? -1 : 0;
}

int rows_remove(struct apply *apply, int64_t row, bool forgotten, struct ear_error *err)
{
    struct store_value values[] = {store_integer(row)};
    struct store_rows *rows = NULL;
    int64_t day = 0;
    int64_t fold = 0;
    int64_t created_us = 0;
    int there = -1;

    if (store_select(&rows, apply->store, QUERY_INSIGHT_HOLD_BODY, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        day = store_get_integer(rows, 2);
        fold = store_get_integer(rows, 4);
        created_us = store_get_integer(rows, 5);
        if (forgotten && keep_out(apply, rows, err) != 0) {
            there = -1;
        }
    }
    store_rows_end(rows);
    return there == 1 ? remove_row(apply, row, day, fold, created_us, err) : there;
}

int rows_remove_hash(struct apply *apply, const struct hash128 *hash, struct ear_error *err)
{
    struct known known = {0};
    int result = load_stored(&known, apply, hash, err);

    if (result == 0 && known.stored) {
        result = remove_row(apply, known.row, known.day, known.fold, known.created_us, err);
    }
    known_clear(&known);
    return result;
}

static int compare_versions(int64_t one, const char *one_model, int64_t other,
                            const char *other_model)
{
    if (one != other) {
        return one < other ? -1 : 1;
    }
    return strcmp(one_model, other_model);
}

/* A deletion or a drop: what it takes out, and what it keeps out from now on. */
static int apply_gone(struct apply *apply, const struct post *post, const struct known *known,
                      struct ear_error *err)
{
    struct store_value values[] = {store_blob(post->hash.bytes, sizeof post->hash.bytes),
                                   store_integer(post->version), store_text(post->model),
                                   store_integer(post->deleted)};
    bool older = false;

    if (known->stored) {
        older = post->deleted ? post->version < known->version
                              : compare_versions(post->version, post->model, known->version,
                                                 known->model) < 0;
    }
    if (known->gone && !older) {
        older = post->version < known->gone_version ||
                (post->version == known->gone_version && !post->deleted &&
                 (known->gone_deleted || strcmp(post->model, known->gone_model) < 0));
    }
    if (older) {
        apply->stats.stale++;
        return 0;
    }
    if (known->stored &&
        remove_row(apply, known->row, known->day, known->fold, known->created_us, err) != 0) {
        return -1;
    }
    return store_run(apply->store, QUERY_GONE_PUT, values, 4, err) < 0 ? -1 : 0;
}

/* True if something newer stands against the post. */
static bool is_stale(const struct post *post, const struct known *known)
{
    if (TESTFAULT("dedupe-off")) {
        return false;
    }
    if (known->gone && known->gone_deleted && post->version <= known->gone_version) {
        return true;
    }
    if (known->gone &&
        compare_versions(post->version, post->model, known->gone_version, known->gone_model) < 0) {
        return true;
    }
    return known->stored &&
           compare_versions(post->version, post->model, known->version, known->model) < 0;
}

/* Adds a source to the sorted array of the others; the text lives until the writer is used again.
 */
static const char *also_with(struct apply *apply, const char *also, const char *source,
                             struct ear_error *err)
{
    const struct json_node *array =
        json_read(apply->json, also, strlen(also), &json_limits_default, err);
    struct post_names names = {.count = 0};

    if (array == NULL) {
        return NULL;
    }
    for (const struct json_node *item = json_first(array); item != NULL; item = json_next(item)) {
        post_names_add(&names, json_string(item, NULL), ALSO_MAX);
    }
    post_names_add(&names, source, ALSO_MAX);
    post_names_sort(&names);
    json_writer_reset(apply->writer);
    json_write_array(apply->writer);
    for (size_t i = 0; i < names.count; i++) {
        json_write_string(apply->writer, names.items[i]);
    }
    json_write_array_end(apply->writer);
    return json_writer_text(apply->writer, NULL, err);
}

/* Another source brought the post too: noted even where its version is not the latest. */
static int note_also(struct apply *apply, const struct post *post, struct known *known,
                     struct ear_error *err)
{
    struct store_value values[] = {store_integer(known->row), store_null()};
    const char *also = NULL;

    if (!known->stored || post->source[0] == '\0' || strcmp(post->source, known->source) == 0) {
        return 0;
    }
    also = also_with(apply, known->also, post->source, err);
    if (also == NULL) {
        return -1;
    }
    if (strcmp(also, known->also) == 0) {
        return 0;
    }
    values[1] = store_text(also);
    if (store_run(apply->store, QUERY_INSIGHT_ALSO, values, 2, err) < 0) {
        return -1;
    }
    free(known->also);
    known->also = strdup(also);
    return known->also == NULL ? ear_fail_memory(err, "the sources of a post") : 0;
}

static const char *labels_text(struct apply *apply, const struct post_names *labels,
                               struct ear_error *err)
{
    json_writer_reset(apply->writer);
    json_write_array(apply->writer);
    for (size_t i = 0; i < labels->count; i++) {
        json_write_string(apply->writer, labels->items[i]);
    }
    json_write_array_end(apply->writer);
    return json_writer_text(apply->writer, NULL, err);
}

static struct store_value instant_value(int64_t at_us)
{
    return at_us == INT64_MIN ? store_null() : store_integer(at_us);
}

static struct store_value score_value(double score)
{
    return isnan(score) ? store_null() : store_number(score);
}

static struct store_value json_value(const char *json, size_t length)
{
    return json == NULL ? store_null() : store_bytes(json, length);
}

enum { ROW_VALUES = 35 };

/* The parameters of insight_add and insight_replace, in their order. */
static void row_values(struct store_value out[ROW_VALUES], const struct post *post,
                       const char *source, const char *also, const char *labels, bool copy)
{
    struct store_value values[ROW_VALUES] = {
        store_blob(post->hash.bytes, sizeof post->hash.bytes),
        store_text(post->id),
        store_integer(post->version),
        store_text(post->model),
        store_text(source),
        store_text(also),
        store_text(post->platform),
        store_text(post->channel),
        store_text(post->url),
        store_text(post->author),
        store_text(post->author_name),
        store_integer(post->person),
        store_integer(post->created_us),
        instant_value(post->edited_us),
        instant_value(post->collected_us),
        store_integer(post->day),
        store_integer(post->hour),
        json_value(post->title, post->title_length),
        json_value(post->text, post->text_length),
        store_text(post->lang),
        store_text(post->thread),
        store_text(post->parent),
        store_integer(post->conversation),
        score_value(post->rating),
        json_value(post->engagement, post->engagement_length),
        json_value(post->flags, post->flags_length),
        store_integer(post->audience),
        score_value(post->wish),
        score_value(post->complaint),
        score_value(post->praise),
        score_value(post->sentiment),
        store_text(labels),
        post->fold == 0 ? store_null() : store_integer(post->fold),
        store_integer(copy),
        store_bytes(post->body, post->body_length),
    };

    memcpy(out, values, sizeof values);
}

/* A number for a new post. A block of them is taken at a time, so that rows need not be waited for;
 * what a rolled back transaction used up is used no more. */
static int next_row(int64_t *out, struct apply *apply, struct ear_error *err)
{
    if (apply->row_next == apply->row_end) {
        if (store_ask_integer(&apply->row_next, NULL, apply->store, QUERY_INSIGHT_ROWS, NULL, 0,
                              err) != 0) {
            return -1;
        }
        apply->row_end = apply->row_next + ROW_BLOCK;
    }
    *out = apply->row_next++;
    return 0;
}

static int add_post(struct apply *apply, const struct post *post, struct ear_error *err)
{
    struct store_value values[ROW_VALUES + 1];
    const char *labels = labels_text(apply, &post->labels, err);
    int64_t row = 0;

    if (labels == NULL || copies_came(NULL, apply, post, err) != 0 ||
        next_row(&row, apply, err) != 0) {
        return -1;
    }
    row_values(values, post, post->source, "[]", labels, false);
    values[ROW_VALUES] = store_integer(row);
    if (store_run(apply->store, QUERY_INSIGHT_ADD, values, ROW_VALUES + 1, err) != 0 ||
        facts_put(apply, post, row, post->source, false, err) != 0) {
        return -1;
    }
    if (apply->stats.age_count < APPLY_AGES_MAX) {
        apply->stats.ages_s[apply->stats.age_count++] =
            (double)(apply->now_us - post->created_us) / 1e6;
    }
    return 0;
}

static int replace_post(struct apply *apply, const struct post *post, const struct known *known,
                        struct ear_error *err)
{
    struct store_value values[ROW_VALUES + 1];
    const char *labels = labels_text(apply, &post->labels, err);
    bool copy = known->copy;
    bool same = post->fold == known->fold && post->created_us == known->created_us &&
                strcmp(post->author, known->author) == 0;

    if (labels == NULL || facts_take(apply, known->day, known->row, err) != 0) {
        return -1;
    }
    if (!same && (copies_left(apply, known->fold, known->created_us, &post->hash, err) != 0 ||
                  copies_came(&copy, apply, post, err) != 0)) {
        return -1;
    }
    row_values(values, post, known->source, known->also, labels, copy);
    values[ROW_VALUES] = store_integer(known->row);
    if (store_run(apply->store, QUERY_INSIGHT_REPLACE, values, ROW_VALUES + 1, err) < 0) {
        return -1;
    }
    return facts_put(apply, post, known->row, known->source, copy, err);
}

static int apply_post(struct apply *apply, struct post *post, struct known *known,
                      struct ear_error *err)
{
    struct store_value hash[] = {store_blob(post->hash.bytes, sizeof post->hash.bytes)};

    if (post->day < apply->horizon_day) {
        apply->stats.too_old++;
        /* One that now says it is older than that no longer counts where it stood. */
        return known->stored && known->day >= apply->horizon_day
                   ? apply_gone(apply, post, known, err)
                   : 0;
    }
    if (note_also(apply, post, known, err) != 0) {
        return -1;
    }
    if (is_stale(post, known)) {
        apply->stats.stale++;
        return 0;
    }
    if (known->decided && decide_labels(&post->labels, apply, &post->hash, err) != 0) {
        return -1;
    }
    if ((known->stored ? replace_post(apply, post, known, err) : add_post(apply, post, err)) != 0) {
        return -1;
    }
    apply->stats.posts++;
    return known->gone && store_run(apply->store, QUERY_GONE_CLEAR, hash, 1, err) < 0 ? -1 : 0;
}

int rows_apply(struct apply *apply, struct post *post, struct ear_error *err)
{
    struct known known = {0};
    bool named = post->author[0] != '\0';
    int result = known_load(&known, apply, &post->hash, named ? &post->author_hash : NULL, err);

    if (result != 0) {
        known_clear(&known);
        return result;
    }
    if (post->deleted || post->dropped) {
        result = apply_gone(apply, post, &known, err);
    } else if (known.forgotten) {
        apply->forgotten++;
        result = apply_gone(apply, post, &known, err);
    } else {
        result = apply_post(apply, post, &known, err);
    }
    known_clear(&known);
    return result;
}

/* A stored post's latest version, read again from its body. 1 read, 0 no such row, -1 failed. */
static int read_again(struct post *post, struct known *known, struct apply *apply, int64_t row,
                      struct ear_error *err)
{
    struct store_value values[] = {store_integer(row)};
    struct store_rows *rows = NULL;
    size_t length = 0;
    const char *body = NULL;
    int there = -1;

    if (store_select(&rows, apply->store, QUERY_INSIGHT_HOLD_BODY, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        body = store_get_text(rows, 0, &length);
        known->row = row;
        known->day = store_get_integer(rows, 2);
        known->copy = store_get_integer(rows, 3) != 0;
        if (copy_text(&known->source, rows, 1, err) != 0 ||
            post_read(post, apply, body, length, err) != 0) {
            there = -1;
        }
    }
    store_rows_end(rows);
    return there;
}

static int refresh(struct apply *apply, struct post *post, const struct known *known,
                   struct ear_error *err)
{
    struct store_value values[] = {store_integer(known->row), store_null(),
                                   store_integer(post->day), store_integer(post->hour)};
    const char *labels = NULL;

    if (decide_labels(&post->labels, apply, &post->hash, err) != 0) {
        return -1;
    }
    labels = labels_text(apply, &post->labels, err);
    if (labels == NULL) {
        return -1;
    }
    values[1] = store_text(labels);
    if (facts_take(apply, known->day, known->row, err) != 0 ||
        store_run(apply->store, QUERY_INSIGHT_REFRESH, values, 4, err) < 0) {
        return -1;
    }
    return facts_put(apply, post, known->row, known->source, known->copy, err);
}

int rows_refresh(struct apply *apply, int64_t row, struct ear_error *err)
{
    struct post post;
    struct known known = {0};
    int there = read_again(&post, &known, apply, row, err);
    int result = there == 1 ? refresh(apply, &post, &known, err) : there;

    known_clear(&known);
    return result;
}
