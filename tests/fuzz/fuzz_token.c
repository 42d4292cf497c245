/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses what is asked for and the status of the answer, the rest is its body.
 * Whatever a server says: what is given out is fit for a header, and no message holds a secret or a
 * control character. The same bytes are read as the reset of a quota.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/fetch/fetch.h"
#include "collectors/token/token.h"
#include "common/clock.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1795334400000000)
#define SECRET "s3cr3t"

static void check_message(const struct ear_error *err)
{
    assert(err->kind == EAR_CONFIG || err->kind == EAR_RETRY);
    assert(err->message[0] != '\0' && strstr(err->message, SECRET) == NULL);
    for (const char *at = err->message; *at != '\0'; at++) {
        assert((unsigned char)*at >= ' ' && *at != 127);
    }
}

static void check_token(const char *text)
{
    assert(*text != '\0');
    for (; *text != '\0'; text++) {
        assert(*text > ' ' && *text < 127);
    }
}

static void put(const struct token_key *key, const struct fetch_answer *answer)
{
    struct ear_error err = {0};
    struct tokens *tokens = NULL;
    struct token_turn turn;
    int64_t wait_us = 0;

    assert(tokens_open(&tokens, NULL, &err) == 0);
    assert(token_get(tokens, key, tokens, NOW, &turn, &err) == 0 && turn.state == TOKEN_FETCH);
    if (token_put(tokens, key, tokens, answer, NOW, &wait_us, &err) != 0) {
        assert(wait_us >= 0);
        check_message(&err);
    } else {
        assert(token_get(tokens, key, tokens, NOW, &turn, &err) == 0);
        if (turn.state == TOKEN_READY) {
            check_token(turn.text);
        }
        /* what is lent to a renewal goes into a header too */
        assert(token_get(tokens, key, tokens, INT64_MAX / 2, &turn, &err) == 0);
        if (turn.state == TOKEN_FETCH && turn.refresh != NULL) {
            check_token(turn.refresh);
        }
    }
    tokens_close(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 400, 401};
    char *body = size == 0 ? NULL : calloc(1, size);
    struct token_key key = {.url = "https://token.example/", .id = "id", .secret = SECRET};
    struct fetch_answer answer = {.url = "", .type = "", .retry_after_us = -1};

    if (body == NULL) {
        return 0;
    }
    memcpy(body, data + 1, size - 1);
    key.kind = (enum token_kind)(data[0] & 3);
    key.refresh = key.kind == TOKEN_REFRESH_TOKEN ? SECRET "-r" : NULL;
    key.user = SECRET "-u";
    key.password = SECRET "-p";
    key.can_renew = true;
    key.token_at = "/accessJwt";
    key.refresh_at = "/refreshJwt";
    key.expires_at = (data[0] & 64) != 0 ? "/expires" : NULL;
    answer.status = statuses[data[0] >> 2 & 3];
    answer.body = body;
    answer.body_length = size - 1;
    put(&key, &answer);
    for (int as = FETCH_RESET_SECONDS; as <= FETCH_RESET_MS; as++) {
        int64_t wait_us = 0;

        assert(!fetch_reset_parse(&wait_us, body, (enum fetch_reset)as, NOW) ||
               (wait_us >= 0 && wait_us <= 366 * CLOCK_DAY_US));
    }
    free(body);
    return 0;
}
