/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stage of one's own, whole: keeps posts that are long enough. It is built into a .so against
 * processors/stage.h alone; a configuration names it by
 *
 *     - plugin: {name: minlength, path: minlength.so, config: {characters: 10}}
 */
#include "processors/stage.h"

struct minlength {
    int64_t characters; /* code points, not bytes: fair to every script */
};

static const struct ear_option options[] = {
    {.name = "characters",
     .type = EAR_INTEGER,
     .offset = offsetof(struct minlength, characters),
     .fallback = "3 [0..10000]",
     .help = "shortest text that is kept, in code points; 0 keeps everything"},
    {0},
};

static int64_t code_points(const char *text)
{
    int64_t count = 0;

    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return count;
}

static int judge(const struct minlength *config, struct ear_message *post, struct ear_output *out,
                 struct ear_error *err)
{
    const char *text = ear_message_string(post, "text");

    if (text == NULL) {
        return ear_reject(out, post, "schema", "no 'text'; run the stage 'normalise' first", err);
    }
    if (code_points(text) < config->characters) {
        return 0; /* dropped: neither published nor rejected */
    }
    return ear_publish(out, post, err);
}

static int process(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (judge(config, messages[i], out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const struct ear_stage minlength_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "minlength",
    .about = "keeps posts that are long enough",
    .options = options,
    .config_size = sizeof(struct minlength),
    .process = process,
};

__attribute__((visibility("default"))) const struct ear_stage *ear_stage_v1(void);

const struct ear_stage *ear_stage_v1(void)
{
    return &minlength_stage;
}
