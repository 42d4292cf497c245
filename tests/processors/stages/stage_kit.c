/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/processors/stages/stage_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config/config.h"

int stage_kit_open(struct stage_kit *kit, const struct ear_stage *stage, const char *options,
                   const struct settings *settings)
{
    static const struct ear_option none[] = {{0}};
    const struct ear_stage_context context = {.size = sizeof context,
                                              .share_dir = TESTS_DIR "/../processors/stages",
                                              .base_dir = TESTS_DIR "/processors/stages",
                                              .settings = settings};
    const struct config_node *root = NULL;

    *kit = (struct stage_kit){.stage = stage};
    assert_int_equal(message_arena_new(&kit->arena, (size_t)8 << 20, &kit->err), 0);
    assert_int_equal(config_new(&kit->config, &kit->err), 0);
    if (options != NULL) {
        root = config_read_text(kit->config, "options", options, &kit->err);
        assert_non_null(root);
    }
    kit->filled = calloc(1, stage->config_size + 1);
    assert_non_null(kit->filled);
    assert_int_equal(config_fill(kit->config, root, stage->options == NULL ? none : stage->options,
                                 NULL, stage->name, kit->filled),
                     0);
    return stage->open == NULL ? 0 : stage->open(&kit->state, kit->filled, &context, &kit->err);
}

void stage_kit_close(struct stage_kit *kit)
{
    if (kit->stage->close != NULL && kit->state != NULL) {
        kit->stage->close(kit->state);
    }
    free(kit->filled);
    config_free(kit->config);
    message_arena_free(kit->arena);
}

static struct ear_message *run(struct stage_kit *kit, const char *text, struct host_judged *judged)
{
    struct host_output output;
    struct ear_message *message = NULL;

    message_arena_reset(kit->arena);
    message = message_read(kit->arena, text, strlen(text), &kit->err);
    if (message == NULL) {
        fail_msg("%s", kit->err.message);
    }
    host_attach(message);
    assert_int_equal(host_output_init(&output, kit->arena, &message, 1, &kit->err), 0);
    if (kit->stage->process(kit->state, kit->filled, &message, 1, &output.output, &kit->err) != 0) {
        fail_msg("%s", kit->err.message);
    }
    *judged = output.judged[0];
    return message;
}

const char *stage_kit_run(struct stage_kit *kit, const char *text)
{
    static char answer[1024];
    struct host_judged judged;
    const struct ear_message *message = run(kit, text, &judged);
    const char *whole = NULL;

    if (judged.verdict == HOST_DROPPED) {
        return "dropped";
    }
    if (judged.verdict == HOST_REJECTED) {
        snprintf(answer, sizeof answer, "%s: %s", judged.code, judged.reason);
        return answer;
    }
    whole = message_text(message, NULL, &kit->err);
    assert_non_null(whole);
    return whole;
}

const char *stage_kit_get(struct stage_kit *kit, const char *text, const char *path)
{
    static char value[16384];
    struct host_judged judged;
    const struct ear_message *message = run(kit, text, &judged);
    const char *dot = strchr(path, '.');
    char name[64];
    const char *raw = NULL;
    size_t length = 0;

    assert_int_equal(judged.verdict, HOST_PASSED);
    snprintf(name, sizeof name, "%.*s", (int)(dot == NULL ? strlen(path) : (size_t)(dot - path)),
             path);
    raw = dot == NULL ? message_raw(message, name, &length)
                      : json_raw(json_get(message_node(message, name), dot + 1), &length);
    snprintf(value, sizeof value, "%.*s", raw == NULL ? 0 : (int)length, raw == NULL ? "" : raw);
    return value;
}
