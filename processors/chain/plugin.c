/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <string.h>

#include "processors/chain/chain_internal.h"

/* What a stage must have at least: everything up to and with `process`. */
enum { STAGE_SIZE_MIN = offsetof(struct ear_stage, close) };

/* The only way from an object to a function that ISO C leaves open. */
static const struct ear_stage *call_entry(void *symbol)
{
    const struct ear_stage *(*entry)(void) = NULL;

    memcpy(&entry, &symbol, sizeof entry);
    return entry();
}

static int copy_stage(struct ear_stage *out, const struct ear_stage *stage, const char *path,
                      struct ear_error *err)
{
    if (stage == NULL) {
        return ear_fail(err, EAR_CONFIG,
                        "%s: ear_stage_v1 returned nothing; it must return its "
                        "struct ear_stage",
                        path);
    }
    if (stage->size < STAGE_SIZE_MIN || stage->abi != EAR_STAGE_ABI) {
        return ear_fail(err, EAR_CONFIG,
                        "%s was built for stage interface %d, this program has %d; build it again "
                        "with the headers of this version",
                        path, stage->size < STAGE_SIZE_MIN ? 0 : stage->abi, EAR_STAGE_ABI);
    }
    memset(out, 0, sizeof *out);
    memcpy(out, stage, stage->size < sizeof *out ? stage->size : sizeof *out);
    if (out->process == NULL || (out->options != NULL && out->config_size == 0)) {
        return ear_fail(err, EAR_CONFIG,
                        "%s: the stage has no `process`, or options without a config_size; fill "
                        "its struct ear_stage in",
                        path);
    }
    return 0;
}

int plugin_load(void **library, struct ear_stage *out, const char *path, struct ear_error *err)
{
    int result = -1;
    void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = NULL;

    if (opened == NULL) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): chains are opened by one thread */
        ear_fail(err, EAR_CONFIG, "the plugin cannot be loaded: %s", dlerror());
        goto done;
    }
    symbol = dlsym(opened, "ear_stage_v1");
    if (symbol == NULL) {
        ear_fail(err, EAR_CONFIG,
                 "%s exports no ear_stage_v1; a stage is `const struct ear_stage "
                 "*ear_stage_v1(void)` with default visibility",
                 path);
        goto done;
    }
    if (copy_stage(out, call_entry(symbol), path, err) != 0) {
        goto done;
    }
    *library = opened;
    opened = NULL;
    result = 0;

done:
    plugin_unload(opened);
    return result;
}

void plugin_unload(void *library)
{
    if (library != NULL) {
        dlclose(library);
    }
}
