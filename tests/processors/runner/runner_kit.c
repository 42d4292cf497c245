/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/processors/runner/runner_kit.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void runner_kit_make(struct runner_kit *kit, int batch)
{
    char path[128];
    FILE *file = NULL;

    *kit = (struct runner_kit){.folder = "/tmp/earshot-runner-XXXXXX"};
    assert_non_null(mkdtemp(kit->folder));
    snprintf(kit->away, sizeof kit->away, "%s/away", kit->folder);
    snprintf(path, sizeof path, "%s/earshot.yaml", kit->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "earshot: 1\n"
            "brands: {Acme: [acme]}\n"
            "stream: {size: 64MiB}\n"
            "processors:\n"
            "  - name: main\n"
            "    batch: {messages: %d, wait: 1ms}\n"
            "    stages:\n"
            "      - normalise\n"
            "      - plugin: {name: contrary, path: %s/tests/plugin/contrary.so,\n"
            "                 config: {away: %s, more: decisions}}\n"
            "      - brands\n",
            batch, BUILD_DIR, kit->away);
    fclose(file);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void runner_kit_remove(struct runner_kit *kit)
{
    assert_int_equal(nftw(kit->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void check(const struct runner_kit *kit, int result)
{
    if (result != 0) {
        fail_msg("%s", kit->err.message);
    }
}

void runner_kit_open(struct runner_kit *kit)
{
    char path[128];
    struct runner_config config = {.wait_ms = 0};

    snprintf(path, sizeof path, "%s/earshot.yaml", kit->folder);
    check(kit, clock_init(&kit->clock, "2026-11-22T10:00:00Z", &kit->err));
    check(kit,
          settings_load(&kit->settings, path, NULL, TESTS_DIR "/../processors/stages", &kit->err));
    if (config_errors(kit->settings->config) > 0) {
        fail_msg("%s", config_finding_at(kit->settings->config, 0)->text);
    }
    check(kit, settings_open_stream(&kit->stream, kit->settings, false, &kit->err));
    if (chain_open(&kit->chain, kit->settings, kit->settings->processors, NULL, &kit->err) != 0) {
        fail_msg("%s", config_finding_at(kit->settings->config, 0)->text);
    }
    config.stream = kit->stream;
    config.processor = kit->settings->processors;
    config.chain = kit->chain;
    config.clock = &kit->clock;
    check(kit, runner_open(&kit->runner, &config, &kit->err));
}

void runner_kit_close(struct runner_kit *kit)
{
    runner_close(kit->runner);
    chain_close(kit->chain);
    stream_close(kit->stream);
    settings_free(kit->settings);
    kit->runner = NULL;
    kit->chain = NULL;
    kit->stream = NULL;
    kit->settings = NULL;
}

void runner_kit_put(struct runner_kit *kit, const char *key, const char *value)
{
    struct stream_transaction *transaction = NULL;

    check(kit, stream_begin(&transaction, kit->stream, &kit->err));
    check(kit,
          stream_publish(transaction, "posts", key, strlen(key), value,
                         value == NULL ? 0 : strlen(value), clock_now_us(&kit->clock), &kit->err));
    check(kit, stream_commit(transaction, &kit->err));
}

void runner_kit_post(struct runner_kit *kit, int number, int64_t version, const char *text)
{
    char key[32], value[512];

    snprintf(key, sizeof key, "test:a:%d", number);
    snprintf(value, sizeof value,
             "{\"id\":\"%s\",\"source\":\"s%d\",\"platform\":\"test\",\"channel\":\"forum\","
             "\"version\":%lld,\"collected_at\":\"2026-11-22T10:00:00Z\",\"created_at\":"
             "\"2026-11-22T09:00:00Z\",\"text\":\"%s\"}",
             key, number % 2, (long long)version, text);
    runner_kit_put(kit, key, value);
}

int runner_kit_drain(struct runner_kit *kit)
{
    bool idle = false;
    int failures = 0;

    while (!idle) {
        if (runner_turn(kit->runner, &idle, &kit->err) == 0) {
            continue;
        }
        idle = false;
        if (kit->err.kind != EAR_RETRY || ++failures > 40) {
            fail_msg("%s: %s", ear_error_kind_name(kit->err.kind), kit->err.message);
        }
        ear_error_clear(&kit->err);
    }
    return failures;
}

size_t runner_kit_each(struct runner_kit *kit, const char *topic,
                       void (*visit)(void *user, const struct stream_message *message), void *user)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    size_t count = 0;

    check(kit, stream_follow(&reader, kit->stream, topic, INT64_MIN, &kit->err));
    do {
        check(kit, stream_read(reader, &batch, 1000, 1 << 20, 0, &kit->err));
        for (size_t i = 0; i < batch.count && visit != NULL; i++) {
            visit(user, &batch.messages[i]);
        }
        count += batch.count;
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return count;
}

struct search {
    const char *needle;
    size_t n;
    char *found;
};

static void look(void *user, const struct stream_message *message)
{
    struct search *search = user;

    if (search->found == NULL && message->value != NULL &&
        strstr(message->value, search->needle) != NULL && search->n-- == 0) {
        search->found = strdup(message->value);
    }
}

char *runner_kit_find(struct runner_kit *kit, const char *topic, const char *needle, size_t n)
{
    struct search search = {.needle = needle, .n = n};

    runner_kit_each(kit, topic, look, &search);
    return search.found;
}
