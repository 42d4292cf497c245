/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Random edits, deletions, relabels and replays, in random batches: the facts are those of a fresh
 * store fed the same log in any order that keeps each key's, or fed what compaction leaves of it;
 * the roll-ups are those of the facts. EARSHOT_SEED repeats a run, EARSHOT_ROUNDS makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/hash.h"
#include "tests/sinks/tape.h"

enum { IDS = 40, STEPS = 600, ROUNDS = 8, KEYS_MAX = 4096 };

struct chance {
    uint64_t state;
};

static uint64_t roll(struct chance *chance, uint64_t sides)
{
    chance->state += UINT64_C(0x9e3779b97f4a7c15);
    return hash64_of(&chance->state, sizeof chance->state, 7) % sides;
}

static const char *const authors[] = {"", "a1", "a2", "a3", "a4", "loud"};
static const char *const texts[] = {
    "Wouldn't it be nice if it worked offline on the train?",
    "wouldn't it be nice if it worked OFFLINE on the train?",
    "My parcel came a week late and the box was torn.",
    "I love how quiet the new one is, worth every penny.",
    "Thanks!",
    "ok",
};
static const char *const insights[] = {
    "",
    "\"wish\":0.9,\"labels\":[\"wish\"],\"brands\":[\"Acme\"]",
    "\"labels\":[\"complaint\",\"wish\"],\"brands\":[\"Acme\"],\"competitors\":[\"Globex\"],"
    "\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\"}]",
    "\"labels\":[\"complaint\"],\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\"},"
    "{\"kind\":\"touchpoint\",\"value\":\"price\"}]",
    "\"labels\":[\"praise\"],\"competitors\":[\"Globex\"]",
};
static const char *const decided[] = {"{\"wish\":false}", "{\"complaint\":true}",
                                      "{\"praise\":true,\"wish\":true}", "{\"complaint\":false}",
                                      "{\"wish\":null}"};

#define PICK(chance, array) (array)[roll(chance, sizeof(array) / sizeof *(array))]

struct world {
    struct chance chance;
    bool compactable; /* one source a post, nothing older after something newer; else one author */
    int64_t versions[IDS];
    int models[IDS];
    bool gone[IDS];
    int64_t ages_us[IDS];
    int decisions;
};

static void write_post(struct world *world, struct tape *tape, size_t i, int64_t version, int model)
{
    char id[32];
    char generation[8];
    char source[16];

    snprintf(id, sizeof id, "%s:h:%zu", i % 3 == 0 ? "file" : "feed", i);
    snprintf(generation, sizeof generation, "m%d", model);
    snprintf(source, sizeof source, "source-%d",
             (int)(world->compactable ? i % 4 : i % 3 + roll(&world->chance, 2)));
    if (roll(&world->chance, 12) == 0) {
        world->ages_us[i] = (int64_t)roll(&world->chance, 50) * CLOCK_DAY_US / 2;
    }
    if (roll(&world->chance, 25) == 0) {
        char at[40] = "2026-11-20T08:00:00Z";

        tape_add(tape, "insights", id,
                 "{\"id\":\"%s\",\"source\":\"%s\",\"version\":%lld,\"created_at\":\"%s\","
                 "\"author\":{\"id\":\"%s\"},\"ours\":true,\"text\":\"%s\","
                 "\"insight\":{\"model\":\"%s\"}}",
                 id, source, (long long)version, at, world->compactable ? "" : authors[i % 6],
                 PICK(&world->chance, texts), generation);
        return;
    }
    tape_post(tape, id, version, generation, source,
              world->compactable ? PICK(&world->chance, authors) : authors[i % 6],
              PICK(&world->chance, texts), world->ages_us[i], PICK(&world->chance, insights));
}

static void write_decision(struct world *world, struct tape *tape, size_t i)
{
    char id[32];
    int again = world->decisions > 0 && roll(&world->chance, 4) == 0;
    int number = again ? (int)roll(&world->chance, (uint64_t)world->decisions) : world->decisions++;

    snprintf(id, sizeof id, "%s:h:%zu", i % 3 == 0 ? "file" : "feed", i);
    if (again) {
        /* A decision that comes twice counts once: it has the key of the first. */
        for (size_t k = 0; k < tape->count; k++) {
            char mark[32];

            snprintf(mark, sizeof mark, "{\"id\":\"d%d\",", number);
            if (tape->messages[k].value != NULL &&
                strncmp(tape->messages[k].value, mark, strlen(mark)) == 0) {
                tape_add(tape, "decisions", tape->messages[k].key, "%s", tape->messages[k].value);
                return;
            }
        }
    }
    tape_add(tape, "decisions", id,
             "{\"id\":\"d%d\",\"kind\":\"label\",\"subject\":\"%s\",\"post\":\"%s\",\"set\":%s}",
             number, id, id, PICK(&world->chance, decided));
}

static void write_forgotten(struct world *world, struct tape *tape, size_t i)
{
    char id[32];
    char key[HASH128_TEXT_SIZE];
    const char *kind = roll(&world->chance, 2) == 0 ? "post" : "author";

    snprintf(id, sizeof id, "%s:h:%zu", i % 3 == 0 ? "file" : "feed", i);
    if (kind[0] == 'a') {
        snprintf(id, sizeof id, "a%d", 1 + (int)roll(&world->chance, 4));
    }
    hash128_format(key, hash128_of(id, strlen(id)));
    tape_add(tape, "forgotten", key, "{\"kind\":\"%s\",\"at\":\"2026-11-22T07:00:00Z\"}", kind);
}

static void step(struct world *world, struct tape *tape)
{
    size_t i = (size_t)roll(&world->chance, IDS);
    uint64_t what = roll(&world->chance, 100);
    char id[32];

    snprintf(id, sizeof id, "%s:h:%zu", i % 3 == 0 ? "file" : "feed", i);
    if (what < 55) { /* new, or edited */
        world->versions[i] += 1 + (int64_t)roll(&world->chance, 5);
        world->models[i] = (int)roll(&world->chance, 3);
        world->gone[i] = false;
        write_post(world, tape, i, world->versions[i], world->models[i]);
    } else if (what < 65) { /* replayed by a later model */
        if (world->versions[i] > 0 && !(world->compactable && world->gone[i])) {
            world->models[i] += world->models[i] < 9;
            write_post(world, tape, i, world->versions[i], world->models[i]);
        }
    } else if (what < 72) { /* something old comes late */
        if (!world->compactable && world->versions[i] > 2) {
            write_post(world, tape, i, world->versions[i] - 2, (int)roll(&world->chance, 9));
        }
    } else if (what < 80) {
        world->versions[i]++;
        world->gone[i] = true;
        tape_add(tape, "insights", id, "{\"id\":\"%s\",\"version\":%lld,\"deleted\":true}", id,
                 (long long)world->versions[i]);
    } else if (what < 86) {
        world->versions[i]++;
        world->models[i] = (int)roll(&world->chance, 3);
        tape_add(tape, "insights", id,
                 "{\"id\":\"%s\",\"version\":%lld,\"model\":\"m%d\",\"dropped\":true}", id,
                 (long long)world->versions[i], world->models[i]);
    } else if (what < 99) {
        write_decision(world, tape, i);
    } else if (roll(&world->chance, 3) == 0) {
        write_forgotten(world, tape, i);
    }
}

static void make_world(struct tape *tape, uint64_t seed, bool compactable)
{
    struct world world = {.chance = {.state = seed}, .compactable = compactable};

    for (size_t i = 0; i < IDS; i++) {
        world.ages_us[i] = (int64_t)roll(&world.chance, 50 * 24) * CLOCK_HOUR_US;
    }
    for (int i = 0; i < STEPS; i++) {
        step(&world, tape);
    }
}

static void copy_message(struct tape *to, const struct stream_message *message)
{
    if (message->value == NULL) {
        tape_add(to, message->topic, message->key, NULL);
    } else {
        tape_add(to, message->topic, message->key, "%s", message->value);
    }
}

/* Every message as a ticket of its key; tickets are drawn in any order, a key's messages in theirs.
 */
static void shuffle(struct tape *to, const struct tape *from, struct chance *chance)
{
    size_t *order = calloc(from->count, sizeof *order);
    bool *taken = calloc(from->count, sizeof *taken);

    assert_non_null(order);
    assert_non_null(taken);
    for (size_t i = 0; i < from->count; i++) {
        size_t other = (size_t)roll(chance, i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    for (size_t i = 0; i < from->count; i++) {
        const struct stream_message *ticket = &from->messages[order[i]];

        for (size_t k = 0; k < from->count; k++) {
            if (!taken[k] && from->messages[k].topic == ticket->topic &&
                strcmp(from->messages[k].key, ticket->key) == 0) {
                taken[k] = true;
                copy_message(to, &from->messages[k]);
                break;
            }
        }
    }
    free(order);
    free(taken);
}

/* What compaction leaves: the last message of each key, but for decisions, which all stay. */
static void compact(struct tape *to, const struct tape *from)
{
    for (size_t i = 0; i < from->count; i++) {
        bool last = true;

        for (size_t k = i + 1; k < from->count && last; k++) {
            last = from->messages[k].topic != from->messages[i].topic ||
                   strcmp(from->messages[k].key, from->messages[i].key) != 0;
        }
        if (last || strcmp(from->messages[i].topic, "decisions") == 0) {
            copy_message(to, &from->messages[i]);
        }
    }
}

static void assert_same(struct shelf *one, struct shelf *other, enum store_query query, int columns,
                        const char *what)
{
    char *left = shelf_rows(one, query, columns);
    char *right = shelf_rows(other, query, columns);

    if (strcmp(left, right) != 0) {
        size_t at = 0;

        while (left[at] == right[at]) {
            at++;
        }
        while (at > 0 && left[at - 1] != '\n') {
            at--;
        }
        fail_msg("%s differ:\n%.400s\n--- and in the fresh one ---\n%.400s", what, left + at,
                 right + at);
    }
    free(left);
    free(right);
}

static void assert_rebuilt(struct shelf *shelf, const struct tape *tape, size_t batch,
                           const char *what)
{
    struct shelf fresh = {.config = shelf->config};

    shelf_open(&fresh);
    shelf_apply_all(&fresh, tape, batch);
    shelf_rollups(&fresh);
    assert_same(shelf, &fresh, QUERY_FACT_EACH, 14, what);
    assert_same(shelf, &fresh, QUERY_INSIGHT_STATE, 15, what);
    assert_same(shelf, &fresh, QUERY_ROLLUP_EACH, 6, what);
    assert_int_equal(shelf_number(&fresh, QUERY_DIRTY_COUNT), 0);
    shelf_close(&fresh);
}

static void live(struct shelf *shelf, const struct tape *tape, struct chance *chance)
{
    size_t at = 0;

    while (at < tape->count) {
        size_t size = 1 + (size_t)roll(chance, 40);
        size_t end = at + size < tape->count ? at + size : tape->count;
        size_t again = at > 10 ? at - (size_t)roll(chance, 10) : at;

        shelf_apply(shelf, tape, again, end);
        at = end;
        if (roll(chance, 5) == 0) {
            shelf_rollups(shelf);
            assert_int_equal(shelf_number(shelf, QUERY_DIRTY_COUNT), 0);
        }
        if (roll(chance, 12) == 0) {
            shelf_reopen(shelf);
        }
    }
}

/* The roll-ups of a store, checked against its facts by the database. */
static void assert_rollups_equal_facts(struct shelf *shelf)
{
    struct ear_error err = {0};
    struct store_value values[] = {store_integer(INT64_MIN)};
    int64_t wrong = -1;

    assert_int_equal(
        store_ask_integer(&wrong, NULL, shelf->store, QUERY_ROLLUP_WRONG, values, 1, &err), 0);
    assert_int_equal(wrong, 0);
}

static void one_round(uint64_t seed)
{
    bool compactable = seed % 2 == 0;
    struct chance chance = {.state = seed ^ 77};
    struct tape tape = {0};
    struct tape shuffled = {0};
    struct tape compacted = {0};
    struct shelf shelf = {.config = {.horizon_us = 45 * CLOCK_DAY_US}};

    print_message("seed %llu\n", (unsigned long long)seed);
    make_world(&tape, seed, compactable);
    shelf_open(&shelf);
    live(&shelf, &tape, &chance);
    assert_rollups_equal_facts(&shelf);
    shelf_rollups(&shelf);
    assert_rollups_equal_facts(&shelf);
    assert_rebuilt(&shelf, &tape, 1000, "the same order");
    shuffle(&shuffled, &tape, &chance);
    assert_int_equal(shuffled.count, tape.count);
    assert_rebuilt(&shelf, &shuffled, 1 + (size_t)roll(&chance, 100), "another order");
    if (compactable) {
        compact(&compacted, &tape);
        assert_rebuilt(&shelf, &compacted, 50, "a compacted log");
    }
    shelf_close(&shelf);
    tape_clear(&tape);
    tape_clear(&shuffled);
    tape_clear(&compacted);
}

static void facts_equal_a_fresh_rebuild_and_roll_ups_equal_facts(void **state)
{
    const char *given = getenv("EARSHOT_SEED");
    const char *rounds = getenv("EARSHOT_ROUNDS");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    uint64_t count = rounds != NULL ? strtoull(rounds, NULL, 10) : ROUNDS;

    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        one_round(seed + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_equal_a_fresh_rebuild_and_roll_ups_equal_facts),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
