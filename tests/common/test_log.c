/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"

/* What a child process writes to stderr while `speak` runs in it: the logger is the process's, so
 * each case gets a fresh one. Valid until the next call. */
static const char *heard(void (*speak)(void))
{
    static char text[65536];
    int ends[2];
    size_t length = 0;
    ssize_t got;
    int status = 0;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        speak();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, text);
    }
}

static size_t lines_of(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

static void open_json(void)
{
    struct clock clock = {0};
    struct ear_error err = {0};

    if (clock_init(&clock, "2026-11-20T08:00:00Z", &err) != 0) {
        _exit(1);
    }
    log_open("earshot-collect", LOG_FORM_AUTO, LOG_LEVEL_INFO, &clock);
}

static void say_plainly(void)
{
    const struct log_field fields[] = {
        {"source", "our-forum"}, {"code", NULL}, {"item", "a \"b\""}, {NULL, NULL}};

    open_json();
    log_event(LOG_LEVEL_DEBUG, NULL, "not heard");
    log_event(LOG_LEVEL_WARN, fields, "%d posts", 3);
    log_info("done");
}

static void without_a_terminal_lines_are_json(void **state)
{
    const char *text = heard(say_plainly);

    (void)state;
    assert_int_equal(lines_of(text), 2);
    assert_has(text, "{\"at\":\"2026-11-20T08:00:00");
    assert_has(text, "\"level\":\"warn\",\"program\":\"earshot-collect\",\"message\":\"3 posts\","
                     "\"source\":\"our-forum\",\"item\":\"a \\\"b\\\"\"}\n");
    assert_has(text, "\"level\":\"info\",\"program\":\"earshot-collect\",\"message\":\"done\"}\n");
}

static void say_as_text(void)
{
    const struct log_field fields[] = {{"source", "our-forum"}, {NULL, NULL}};
    struct ear_error err = {0};

    log_open("earshot-sink", LOG_FORM_TEXT, LOG_LEVEL_DEBUG, NULL);
    log_event(LOG_LEVEL_DEBUG, fields, "a \"quote\" and a \\");
    ear_fail(&err, EAR_RETRY, "the server does not answer");
    log_error("poll our-forum", &err);
    ear_fail(&err, EAR_FATAL, "the disk is full");
    log_error("commit", &err);
}

static void text_has_level_program_message_and_fields(void **state)
{
    const char *text = heard(say_as_text);

    (void)state;
    assert_int_equal(lines_of(text), 3);
    assert_has(text, "Z debug earshot-sink: a \"quote\" and a \\  source=our-forum\n");
    assert_has(text, "Z warn earshot-sink: poll our-forum: the server does not answer  "
                     "kind=retry\n");
    assert_has(text, "Z error earshot-sink: commit: the disk is full  kind=fatal\n");
}

static void say_what_strangers_write(void)
{
    open_json();
    log_info("%s", "one\ntwo\r\x1b[2Jthree\x7f\xc2\x9b"
                   "four\xe2\x80\xaetxt\xe2\x80\xa8"
                   "five");
    log_info("%s", "bad \xff\xc0\xaf\xed\xa0\x80 end \xe2\x82");
    log_info("%s", "gr\xc3\xbc\xc3\x9f"
                   "e \xf0\x9f\x98\x80");
    log_open("earshot", LOG_FORM_TEXT, LOG_LEVEL_INFO, NULL);
    log_info("%s", "one\ntwo\x1b[2J");
}

static void what_strangers_write_stays_in_its_line(void **state)
{
    const char *text = heard(say_what_strangers_write);

    (void)state;
    assert_int_equal(lines_of(text), 4);
    assert_has(text, "\"one\\ntwo\\u000d\\u001b[2Jthree\\u007f\\u009bfour\\u202etxt\\u2028five\"");
    assert_has(text, "bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                     "end \xef\xbf\xbd\xef\xbf\xbd\"");
    assert_has(text, "gr\xc3\xbc\xc3\x9f"
                     "e \xf0\x9f\x98\x80\"");
    assert_has(text, "earshot: one\\ntwo\\u001b[2J\n");
}

static void say_secrets(void)
{
    const struct log_field fields[] = {{"url", "http://x/?key=hun%2Fter2&n=1"}, {NULL, NULL}};
    char long_text[6000];

    open_json();
    log_secret("SLACK", "hun/ter2");
    log_secret("LONGER", "hun/ter2-and-more");
    log_secret("SHORT", "abc");
    log_event(LOG_LEVEL_INFO, fields, "sent hun/ter2, hun/ter2-and-more and abc");
    memset(long_text, 'x', sizeof long_text);
    snprintf(long_text + 3985, sizeof long_text - 3985, "hun/ter2 end");
    log_info("%s", long_text);
}

static void secrets_are_replaced_by_their_name(void **state)
{
    const char *text = heard(say_secrets);

    (void)state;
    assert_has(text, "sent [SLACK], [LONGER] and abc");
    assert_has(text, "\"url\":\"http://x/?key=[SLACK]&n=1\"");
    assert_null(strstr(text, "hun"));
}

static void say_too_many_secrets(void)
{
    char value[32];

    open_json();
    for (int i = 0; i < 1100; i++) {
        snprintf(value, sizeof value, "secret-%d-", i);
        log_secret("S", value);
    }
    log_info("the last is secret-1099-");
}

static void a_logger_that_cannot_hide_a_secret_withholds(void **state)
{
    const char *text = heard(say_too_many_secrets);

    (void)state;
    assert_has(text, "withheld");
    assert_null(strstr(text, "secret-1099"));
}

static void say_much(void)
{
    static char much[20000];
    const struct log_field fields[] = {{"one", much},  {"two", much},  {"three", much},
                                       {"four", much}, {"five", much}, {NULL, NULL}};

    open_json();
    memset(much, '\n', sizeof much - 1);
    log_event(LOG_LEVEL_INFO, NULL, "%s", much);
    log_event(LOG_LEVEL_INFO, fields, "short");
}

static void long_lines_are_cut_and_stay_whole_json(void **state)
{
    const char *text = heard(say_much);
    const char *second = strchr(text, '\n') + 1;

    (void)state;
    assert_int_equal(lines_of(text), 2);
    assert_in_range(second - text, 4000, 4096);
    assert_in_range(strlen(second), 3000, 4096);
    assert_memory_equal(second - 6, "\xe2\x80\xa6\"}\n", 6);
    assert_memory_equal(second + strlen(second) - 3, "\"}\n", 3);
    assert_has(second, "\\n\xe2\x80\xa6\",\"two\":\"\\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_terminal_lines_are_json),
        cmocka_unit_test(text_has_level_program_message_and_fields),
        cmocka_unit_test(what_strangers_write_stays_in_its_line),
        cmocka_unit_test(secrets_are_replaced_by_their_name),
        cmocka_unit_test(a_logger_that_cannot_hide_a_secret_withholds),
        cmocka_unit_test(long_lines_are_cut_and_stay_whole_json),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
