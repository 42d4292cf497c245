/* SPDX-License-Identifier: Apache-2.0 */
/* A URL, a zero, and what `network.allow` says: taken, or refused as a mistake of the
 * configuration. Nothing is sent: the loop is never turned. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/fetch/fetch.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 2);
    const char *allow = NULL;
    struct fetch_config config = {.body_limit_bytes = 1000,
                                  .total_timeout_us = 1000000,
                                  .slow_timeout_us = 1000000,
                                  .concurrent = 1,
                                  .host_concurrent = 1,
                                  .host_rate_per_s = 1,
                                  .user_agent = "fuzz"};
    struct ear_error err = {0};
    struct fetch *fetch = NULL;

    assert(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    copy[size + 1] = '\0';
    allow = copy + strlen(copy) + 1;
    config.allow = (struct ear_strings){&allow, allow > copy + size ? 0 : 1};
    if (fetch_open(&fetch, &config, &err) != 0) {
        assert(err.kind == EAR_CONFIG);
        config.allow.count = 0;
        ear_error_clear(&err);
        assert(fetch_open(&fetch, &config, &err) == 0);
    }
    if (fetch_start(fetch, &(struct fetch_request){.url = copy}, NULL, &err) != 0) {
        assert(err.kind == EAR_CONFIG && err.message[0] != '\0');
    } else {
        assert(fetch_pending(fetch) == 1);
    }
    fetch_close(fetch);
    free(copy);
    return 0;
}
