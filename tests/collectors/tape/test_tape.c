/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/tape/tape.h"

#define AT_US INT64_C(1795305600000000)

struct folder {
    char path[64];
};

static int enter(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    assert_non_null(folder);
    snprintf(folder->path, sizeof folder->path, "/tmp/earshot-tape-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    *state = folder;
    return 0;
}

static const char *const files[] = {"001.request", "001.head",    "001.body", "002.request",
                                    "002.head",    "002.body",    "003.body", "003.head",
                                    "003.request", "record.json", NULL};

static int leave(void **state)
{
    struct folder *folder = *state;
    char path[128];

    for (size_t i = 0; files[i] != NULL; i++) {
        snprintf(path, sizeof path, "%s/%s", folder->path, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(folder->path), 0);
    free(folder);
    return 0;
}

static void read_whole(char out[4096], const struct folder *folder, const char *name)
{
    char path[128];
    FILE *file = NULL;
    size_t length = 0;

    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    file = fopen(path, "re");
    assert_non_null(file);
    length = fread(out, 1, 4095, file);
    out[length] = '\0';
    fclose(file);
}

static void put(const struct folder *folder, const char *name, const char *text)
{
    char path[128];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void keep(struct tape *tape, const char *url, const char *body, size_t length)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct fetch_request request = {.url = url};
    const struct fetch_answer answer = {
        .status = 200, .url = url, .body = body, .body_length = length};

    assert_int_equal(tape_keep(tape, &request, &answer, &err), 0);
}

static void save(struct tape *tape, const struct folder *folder)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct tape_about about = {.source = "s", .use = "u", .at_us = AT_US};

    assert_int_equal(tape_save(tape, folder->path, &about, &err), 0);
}

/* --- secrets --- */

static void a_secret_is_found_in_any_writing(void **state)
{
    static const struct {
        const char *secret, *text, *shown;
    } cases[] = {
        {"hunter2-long", "is hunter2-long.", "is SECRET."},
        {"a/b c&d=e+f", "a/b c&d=e+f", "SECRET"},
        {"a/b c&d=e+f", "x=a%2Fb%20c%26d%3De%2Bf;", "x=SECRET;"},
        {"a/b c&d=e+f", "x=a%2fb+c%26d%3de%2Bf;", "x=SECRET;"},
        {"a/b c&d=e+f", "\"a\\/b c\\u0026d=e+f\"", "\"SECRET\""},
        {"a/b c&d=e+f", "a\\u002Fb\\u0020c%26d=e+f", "SECRET"},
        {"say\"it\\now", "\"say\\\"it\\\\now\"", "\"SECRET\""},
        {"hunter2-long", "hunter2-lon hunter2-longer", "hunter2-lon SECRETer"},
        {"hunter2-long", "hunter2-longhunter2-long", "SECRETSECRET"},
        {"t", "don't tell t=t&u=tt", "don'SECRET tell SECRET=SECRET&u=tt"},
        {"", "nothing", "nothing"},
    };
    const struct folder *folder = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ear_error err = {EAR_NONE, ""};
        struct tape *tape = NULL;
        char body[4096];

        assert_int_equal(tape_new(&tape, &err), 0);
        assert_int_equal(tape_hide(tape, cases[i].secret, &err), 0);
        keep(tape, "http://x.example/", cases[i].text, strlen(cases[i].text));
        save(tape, folder);
        read_whole(body, folder, "001.body");
        assert_string_equal(body, cases[i].shown);
        tape_free(tape);
    }
}

static void what_an_address_holds_is_hidden(void **state)
{
    static const char url[] = "https://jo:pass%2Fword@x.example/"
                              "f?q=words&api_key=a-key%2B1&page_token=2&Sig=signature-1#x";
    static const char text[] = "pass/word a-key+1 signature-1 words 2 jo";
    const struct folder *folder = *state;
    struct ear_error err = {EAR_NONE, ""};
    struct tape *tape = NULL;
    char shown[4096];

    assert_int_equal(tape_new(&tape, &err), 0);
    assert_int_equal(tape_hide_address(tape, url, &err), 0);
    assert_int_equal(tape_hide_address(tape, "no address: ?token=", &err), 0);
    keep(tape, url, text, strlen(text));
    save(tape, folder);
    read_whole(shown, folder, "001.body");
    assert_string_equal(shown, "SECRET SECRET SECRET words 2 jo");
    read_whole(shown, folder, "001.request");
    assert_string_equal(
        shown, "GET https://x.example/f?q=words&api_key=SECRET&page_token=2&Sig=SECRET#x\n\n");
    tape_free(tape);
}

static void the_longer_of_two_secrets_goes_whole(void **state)
{
    const struct folder *folder = *state;
    struct ear_error err = {EAR_NONE, ""};
    struct tape *tape = NULL;
    char body[4096];

    assert_int_equal(tape_new(&tape, &err), 0);
    assert_int_equal(tape_hide(tape, "first-part", &err), 0);
    assert_int_equal(tape_hide(tape, "first-part-and-second", &err), 0);
    keep(tape, "http://x.example/", "first-part-and-second", 21);
    save(tape, folder);
    read_whole(body, folder, "001.body");
    assert_string_equal(body, "SECRET");
    tape_free(tape);
}

static void what_stands_beside_a_secret_is_one_by_its_name(void **state)
{
    static const char text[] =
        "{\"a\": {\"access_token\": \"known-token\", \"refreshToken\": \"another\", "
        "\"token_type\": "
        "\"bearer\", \"name\": \"Jo\"}, \"nextPageToken\": \"stays\", \"again\": \"another\"}";
    const struct folder *folder = *state;
    struct ear_error err = {EAR_NONE, ""};
    struct tape *tape = NULL;
    char body[4096];

    assert_int_equal(tape_new(&tape, &err), 0);
    assert_int_equal(tape_hide(tape, "known-token", &err), 0);
    keep(tape, "http://x.example/", text, strlen(text));
    keep(tape, "http://x.example/2", "no JSON: another", 16);
    save(tape, folder);
    read_whole(body, folder, "001.body");
    assert_string_equal(
        body,
        "{\"a\": {\"access_token\": \"SECRET\", \"refreshToken\": \"SECRET\", \"token_type\": "
        "\"bearer\", \"name\": \"Jo\"}, \"nextPageToken\": \"stays\", \"again\": \"SECRET\"}");
    read_whole(body, folder, "002.body");
    assert_string_equal(body, "no JSON: SECRET");
    tape_free(tape);
}

static void headers_that_sign_show_their_name_alone(void **state)
{
    static const struct fetch_header asked[] = {{"Accept", "application/json"},
                                                {"Authorization", "Bearer unknown"},
                                                {"X-Api-Key", "unknown"},
                                                {"X-Say", "it is known-token"}};
    static const struct fetch_header came[] = {{"content-type", "text/plain"},
                                               {"set-cookie", "unknown"},
                                               {"server", "nginx"},
                                               {"link", "<?t=known-token>; rel=next"}};
    const struct folder *folder = *state;
    struct ear_error err = {EAR_NONE, ""};
    const struct fetch_request request = {.method = "POST",
                                          .url = "https://jo:unknown@x.example/a?t=known%2Dtoken",
                                          .headers = asked,
                                          .header_count = 4,
                                          .body = "t=known-token",
                                          .body_length = 13};
    const struct fetch_answer answer = {
        .status = 404, .url = "https://y.example/", .headers = came, .header_count = 4, .body = ""};
    struct tape *tape = NULL;
    char text[4096];

    assert_int_equal(tape_new(&tape, &err), 0);
    assert_int_equal(tape_hide(tape, "known-token", &err), 0);
    assert_int_equal(tape_keep(tape, &request, &answer, &err), 0);
    save(tape, folder);
    read_whole(text, folder, "001.request");
    assert_string_equal(text, "POST https://x.example/a?t=SECRET\naccept: application/json\n"
                              "authorization: SECRET\nx-api-key: SECRET\nx-say: it is SECRET\n\n"
                              "t=SECRET");
    read_whole(text, folder, "001.head");
    assert_string_equal(text, "status 404\nurl https://y.example/\ncontent-type: text/plain\n"
                              "link: <?t=SECRET>; rel=next\n");
    tape_free(tape);
}

/* --- playing --- */

static void assert_says(struct tape *tape, const char *url, const char *body, size_t length)
{
    const struct fetch_request request = {.url = url};
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {EAR_NONE, ""};

    assert_int_equal(tape_answer(tape, &request, &answer, &err), 0);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->body_length, length);
    assert_memory_equal(answer->body, body, length + 1);
}

static void what_was_kept_is_given_in_its_turn(void **state)
{
    const struct folder *folder = *state;
    struct ear_error err = {EAR_NONE, ""};
    const struct fetch_request other = {.url = "http://x.example/c?k=real-secret"};
    const struct fetch_answer *answer = NULL;
    struct tape_about about;
    struct tape *tape = NULL;

    assert_int_equal(tape_new(&tape, &err), 0);
    keep(tape, "http://x.example/a", "one\0\r\n\n", 7);
    keep(tape, "http://x.example/a", "two", 3);
    keep(tape, "http://x.example/b", "", 0);
    save(tape, folder);
    tape_free(tape);
    assert_int_equal(tape_load(&tape, folder->path, &about, &err), 0);
    assert_string_equal(about.source, "s");
    assert_string_equal(about.use, "u");
    assert_true(about.at_us == AT_US);
    assert_int_equal(tape_count(tape), 3);
    assert_says(tape, "http://x.example/a", "one\0\r\n\n", 7);
    assert_says(tape, "http://x.example/a", "two", 3);
    assert_says(tape, "http://x.example/a", "two", 3); /* the last one stays */
    assert_int_equal(tape_unasked(tape), 1);
    assert_says(tape, "http://x.example/b", "", 0);
    assert_int_equal(tape_unasked(tape), 0);
    assert_int_equal(tape_hide(tape, "real-secret", &err), 0);
    assert_int_equal(tape_answer(tape, &other, &answer, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_string_equal(err.message,
                        "the record holds no answer to GET http://x.example/c?k=SECRET");
    tape_free(tape);
}

static void what_is_broken_is_named(void **state)
{
    static const struct {
        const char *file, *text, *said;
    } cases[] = {
        {"001.head", "nonsense\n", ": 001: a head begins with a line such as: status 200"},
        {"001.head", "status 20000\n", ": 001: a head begins"},
        {"001.head", "status 200\nno header\n", "'no header' is no header; write Name: value"},
        {"001.request", "GET", ": 001: a request begins with METHOD URL"},
        {"001.request", "", ": 001: a request begins with METHOD URL"},
        {"record.json", "{\"source\":1}", "it needs \"source\", \"use\" and \"at\""},
        {"record.json", "{", "it needs \"source\", \"use\" and \"at\""},
    };
    const struct folder *folder = *state;
    struct tape_about about;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ear_error err = {EAR_NONE, ""};
        struct tape *tape = NULL;

        assert_int_equal(tape_new(&tape, &err), 0);
        keep(tape, "http://x.example/a", "one", 3);
        save(tape, folder);
        tape_free(tape);
        put(folder, cases[i].file, cases[i].text);
        assert_int_equal(tape_load(&tape, folder->path, &about, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        if (strstr(err.message, cases[i].said) == NULL) {
            fail_msg("case %zu: %s", i, err.message);
        }
    }
}

static void a_record_has_an_end(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct fetch_request request = {.url = "http://x.example/"};
    const size_t size = (size_t)33 * 1024 * 1024;
    struct fetch_answer answer = {.status = 200, .url = request.url, .body = NULL};
    struct tape *tape = NULL;
    char *large = calloc(1, size);

    (void)state;
    assert_non_null(large);
    assert_int_equal(tape_new(&tape, &err), 0);
    answer.body = large;
    answer.body_length = size;
    assert_int_equal(tape_keep(tape, &request, &answer, &err), 0);
    assert_int_equal(tape_keep(tape, &request, &answer, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    answer.body_length = 0;
    for (size_t i = 1; i < TAPE_EXCHANGES_MAX; i++) {
        assert_int_equal(tape_keep(tape, &request, &answer, &err), 0);
    }
    assert_int_equal(tape_keep(tape, &request, &answer, &err), -1);
    assert_int_equal(tape_count(tape), TAPE_EXCHANGES_MAX);
    tape_free(tape);
    free(large);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(a_secret_is_found_in_any_writing),
        TEST(what_an_address_holds_is_hidden),
        TEST(the_longer_of_two_secrets_goes_whole),
        TEST(what_stands_beside_a_secret_is_one_by_its_name),
        TEST(headers_that_sign_show_their_name_alone),
        TEST(what_was_kept_is_given_in_its_turn),
        TEST(what_is_broken_is_named),
        TEST(a_record_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
