/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses a language, the rest is a post's text: the stage signals says something
 * that is JSON, and each place is where its words stand. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/text/text.h"
#include "processors/host.h"
#include "tests/fuzz/fuzz.h"

extern const struct ear_stage signals_stage;

static const char *const builtin = "builtin";

struct stand {
    void *state;
    struct message_arena *arena;
    struct ear_strings config; /* as the stage's config begins */
};

static void open_stand(struct stand *stand)
{
    struct ear_error err = {0};
    const struct ear_stage_context context = {
        .size = sizeof context, .share_dir = SIGNALS_DIR, .base_dir = SIGNALS_DIR};

    stand->config = (struct ear_strings){&builtin, 1};
    if (signals_stage.open(&stand->state, &stand->config, &context, &err) != 0 ||
        message_arena_new(&stand->arena, (size_t)32 << 20, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

static const char *skip_points(const char *text, int64_t points)
{
    for (; points > 0; points--) {
        for (text++; ((unsigned char)*text & 0xC0) == 0x80; text++) {
        }
    }
    return text;
}

static void check_signals(const struct ear_message *message, const char *text, size_t length)
{
    const struct json_node *signals = json_get(message_node(message, "insight"), "signals");
    int64_t points = (int64_t)text_code_points(text, length);

    assert(signals != NULL && json_count(signals) <= 64);
    for (const struct json_node *each = json_first(signals); each != NULL; each = json_next(each)) {
        int64_t start = 0, end = 0;
        size_t words_length = 0;
        const char *words = json_string(json_get(each, "words"), &words_length);

        assert(words != NULL && words_length > 0);
        assert(json_integer(json_get(each, "start"), &start));
        assert(json_integer(json_get(each, "end"), &end));
        assert(start >= 0 && start < end && end <= points);
        assert(memcmp(words, skip_points(text, start), words_length) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const langs[] = {"en", "de", "es", "fr", "und", "ja"};
    static struct stand stand;
    struct ear_error err = {0};
    struct host_output output;
    struct ear_message *message = NULL;
    char *text = NULL;
    size_t length = 0;
    bool repaired = false;

    if (size == 0 || size > 100000) {
        return 0;
    }
    if (stand.state == NULL) {
        open_stand(&stand);
    }
    message_arena_reset(stand.arena);
    text = text_repair((const char *)data + 1, size - 1, &length, &repaired);
    message = message_read(stand.arena, "{}", 2, &err);
    if (text == NULL || message == NULL) {
        abort();
    }
    host_attach(message);
    if (message_set_string(message, "text", text, length, &err) != 0 ||
        message_set_string(message, "lang", langs[data[0] % 6], strlen(langs[data[0] % 6]), &err) !=
            0 ||
        host_output_init(&output, stand.arena, &message, 1, &err) != 0 ||
        signals_stage.process(stand.state, &stand.config, &message, 1, &output.output, &err) != 0) {
        abort();
    }
    assert(output.judged[0].verdict == HOST_PASSED);
    check_signals(message, text, length);
    free(text);
    return 0;
}
