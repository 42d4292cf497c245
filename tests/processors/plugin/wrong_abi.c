/* SPDX-License-Identifier: Apache-2.0 */

/* A stage of another time: what the ABI check is for. */
#include "processors/stage.h"

static const struct ear_stage wrong_stage = {.size = sizeof(struct ear_stage), .abi = 99};

__attribute__((visibility("default"))) const struct ear_stage *ear_stage_v1(void);

const struct ear_stage *ear_stage_v1(void)
{
    return &wrong_stage;
}
