/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/command/command.h"
#include "common/log.h"
#include "common/settings/settings.h"

/* --- a program with a few commands --- */

struct say_options {
    int64_t limit;
    int64_t every_us;
    bool once;
    const char *form;
    const char *name;
    struct ear_strings map;
};

static const struct ear_option say_table[] = {
    {"limit,n", EAR_INTEGER, offsetof(struct say_options, limit), "20 [1..100]", "how many", NULL},
    {"every", EAR_DURATION, offsetof(struct say_options, every_us), "10m", "how often", NULL},
    {"once", EAR_BOOLEAN, offsetof(struct say_options, once), "false", "only once", NULL},
    {"form", EAR_CHOICE, offsetof(struct say_options, form), "long|short", "in what form", NULL},
    {"name", EAR_STRING, offsetof(struct say_options, name), NULL, "under what name", NULL},
    {"map", EAR_STRINGS, offsetof(struct say_options, map), NULL, "field=column", NULL},
    {"online", EAR_UNBUILT, 0, NULL, "signing in", NULL},
    {0},
};

static int say(const struct command_call *call, struct ear_error *err)
{
    const struct say_options *options = call->options;

    (void)err;
    printf("limit=%lld every=%lld once=%d form=%s name=%s", (long long)options->limit,
           (long long)options->every_us, options->once, options->form,
           options->name == NULL ? "-" : options->name);
    for (size_t i = 0; i < options->map.count; i++) {
        printf(" map=%s", options->map.items[i]);
    }
    for (size_t i = 0; i < call->argument_count; i++) {
        printf(" <%s>", call->arguments[i]);
    }
    printf(" output=%d given=%d\n", (int)call->output, call->output_given);
    return EXIT_DONE;
}

static int run_fail(const struct command_call *call, struct ear_error *err)
{
    static const struct {
        const char *word;
        enum ear_error_kind kind;
    } kinds[] = {
        {"config", EAR_CONFIG}, {"retry", EAR_RETRY}, {"fatal", EAR_FATAL}, {"reject", EAR_REJECT}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(call->arguments[0], kinds[i].word) == 0) {
            log_secret("KEY", "hunter2");
            return ear_fail(err, kinds[i].kind, "it was %s\x1b, said hunter2", kinds[i].word);
        }
    }
    return command_misused(call, "'%s' is no kind", call->arguments[0]);
}

struct need_options {
    const char *who;
};

static const struct ear_option need_table[] = {
    {"who", EAR_STRING, offsetof(struct need_options, who), "!", "whose it is", NULL},
    {0},
};

static int places(const struct command_call *call, struct ear_error *err)
{
    char path[512];

    (void)err;
    printf("program=%s name=%s bin=%s share=%s", call->program, call->name, call->bin_dir,
           call->share_dir);
    printf(" path=%s", command_share_path(call, "model.bin", path, sizeof path));
    printf(" shift=%d\n", call->clock.shift_us != 0);
    return EXIT_FAILED;
}

static int write_on(const struct command_call *call, struct ear_error *err)
{
    (void)call;
    (void)err;
    puts("some output");
    return EXIT_DONE;
}

static int tell_settings(const struct command_call *call, struct ear_error *err)
{
    (void)err;
    printf("path=%s data=%s\n", call->config_path == NULL ? "-" : call->config_path,
           call->settings->data_dir);
    return EXIT_DONE;
}

static const struct command commands[] = {
    {.name = "say",
     .arguments = "[WORD…]",
     .help = "says what it was given",
     .example = "earshot say hello",
     .options = say_table,
     .options_size = sizeof(struct say_options),
     .run = say},
    {.name = "fail", .arguments = "KIND", .help = "fails", .run = run_fail},
    {.name = "fail-inside", .arguments = "KIND", .help = "fails", .run = run_fail, .hidden = true},
    {.name = "need",
     .arguments = "ID label=yes|no… ",
     .help = "needs much",
     .options = need_table,
     .options_size = sizeof(struct need_options),
     .run = write_on},
    {.name = "choose", .arguments = "[retry|drop|show ID]", .help = "chooses", .run = write_on},
    {.name = "places", .help = "says where things lie", .run = places},
    {.name = "settings",
     .help = "needs the configuration",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = tell_settings},
    {.name = "write", .help = "writes", .run = write_on},
    {.name = "peer", .help = "is another program's", .program = "test_command"},
    {.name = "lost", .help = "is nobody's", .program = "earshot-nowhere"},
    {0},
};

static const struct command peer_commands[] = {
    {.name = "peer", .arguments = "[WORD…]", .help = "is here", .run = places}, {0}};

/* --- running it --- */

struct answer {
    int code;
    char out[16384];
    char err[16384];
};

static void read_all(int file, char *out, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while ((got = read(file, out + length, size - 1 - length)) > 0) {
        length += (size_t)got;
    }
    out[length] = '\0';
    close(file);
}

/* Runs the program with a command line, words parted by blanks. Valid until the next call. */
static const struct answer *run(const char *line)
{
    static struct answer answer;
    char words[1024];
    char *argv[64] = {NULL};
    int argc = 0;
    char *rest = NULL;
    int out[2];
    int err[2];
    int status = 0;
    pid_t child;

    snprintf(words, sizeof words, "earshot %s", line);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        close(err[0]);
        close(err[1]);
        status = command_main("earshot", "says things", commands, argc, argv);
        fflush(stdout);
        _exit(status);
    }
    close(out[1]);
    close(err[1]);
    read_all(out[0], answer.out, sizeof answer.out);
    read_all(err[0], answer.err, sizeof answer.err);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    answer.code = WEXITSTATUS(status);
    return &answer;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, text);
    }
}

static void options_and_arguments_are_taken_apart(void **state)
{
    static const struct {
        const char *line;
        const char *said;
    } cases[] = {
        {"say", "limit=20 every=600000000 once=0 form=long name=- output=1 given=0"},
        {"say --limit 5 hello", "limit=5 every=600000000 once=0 form=long name=- <hello>"},
        {"say -n 5 hello", "limit=5 "},
        {"say -n5 hello", "limit=5 "},
        {"say --limit=5 --every=1h30m", "limit=5 every=5400000000 "},
        {"say one --once two", "once=1 form=long name=- <one> <two>"},
        {"say --once=false", "once=0"},
        {"say --form short --name --once", "form=short name=--once"},
        {"say --name=", "name= "},
        {"say --map text=Comment --map id=No", "map=text=Comment map=id=No"},
        {"say - -- --limit -n", "<-> <--limit> <-n>"},
        {"say say", "<say>"},
        {"-o csv say", "output=2 given=1"},
        {"say -o json", "output=1 given=1"},
        {"--output=table --config x.yaml say say", "<say> output=0 given=1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *answer = run(cases[i].line);

        assert_string_equal(answer->err, "");
        assert_int_equal(answer->code, EXIT_DONE);
        assert_has(answer->out, cases[i].said);
    }
}

static void what_makes_no_sense_is_a_usage_error_with_its_cure(void **state)
{
    static const struct {
        const char *line;
        const char *told;
    } cases[] = {
        {"sya", "earshot: 'sya' is no command"},
        {"say --limt 5", "did you mean '--limit'?"},
        {"say --zzzzzz", "earshot say: there is no option --zzzzzz; --help lists them"},
        {"say -x", "there is no option -x"},
        {"say --limit", "--limit needs a value: how many"},
        {"say --limit banana", "earshot say: --limit: 'banana'"},
        {"say --limit 500", "from 1 to 100"},
        {"say --every banana", "--every: 'banana' is"},
        {"say --form middling", "--form: 'middling'"},
        {"say --once=maybe", "--once: 'maybe'"},
        {"say -o xml", "--output: 'xml'"},
        {"say --online", "--online is not built yet: signing in"},
        {"say --now tomorrow", "2026-11-20T08:00:00Z"},
        {"need 1 a=yes", "--who must be given: whose it is"},
        {"need --who me 1", "something is missing; write: need ID label=yes|no…"},
        {"fail", "something is missing; write: fail KIND"},
        {"fail config retry", "'retry' is too much; write: fail KIND"},
        {"write it", "'it' is too much; write: write"},
        {"choose show 1 2", "'2' is too much"},
        {"fail nonsense", "earshot fail: 'nonsense' is no kind; earshot fail --help explains"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *answer = run(cases[i].line);

        assert_has(answer->err, cases[i].told);
        assert_int_equal(answer->code, EXIT_USAGE);
        assert_string_equal(answer->out, "");
    }
}

static void arguments_are_counted_by_the_usage_line(void **state)
{
    static const char *const right[] = {"need --who me 1 a=yes", "need --who me 1 a=yes b=no c=no",
                                        "choose", "choose retry", "choose show 1"};

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(run(right[i])->code, EXIT_DONE);
    }
}

static void an_error_becomes_one_line_and_the_code_of_its_kind(void **state)
{
    static const struct {
        const char *kind;
        int code;
    } cases[] = {{"config", EXIT_CONFIG},
                 {"retry", EXIT_LATER},
                 {"fatal", EXIT_FAILED},
                 {"reject", EXIT_FAILED}};
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *answer;
        char told[64];

        snprintf(line, sizeof line, "fail %s", cases[i].kind);
        answer = run(line);
        snprintf(told, sizeof told, "earshot fail: it was %s , said [KEY]\n", cases[i].kind);
        assert_string_equal(answer->err, told);
        assert_int_equal(answer->code, cases[i].code);
    }
    assert_has(run("fail-inside retry")->err, "\"level\":\"warn\"");
    assert_has(run("--log json fail retry")->err, "\"message\":\"it was retry");
    assert_has(run("--log text fail-inside retry")->err, "warn earshot: fail-inside: it was retry");
}

static void help_shows_commands_options_and_an_example(void **state)
{
    const struct answer *answer = run("--help");
    size_t lines = 0;

    (void)state;
    assert_int_equal(answer->code, EXIT_DONE);
    assert_has(answer->out, "earshot: says things");
    assert_has(answer->out, "  say          says what it was given\n");
    assert_has(answer->out, "for example: earshot say hello");
    assert_null(strstr(answer->out, "fail-inside"));
    for (const char *at = answer->out; *at != '\0'; at++) {
        lines += *at == '\n' ? 1 : 0;
    }
    assert_in_range(lines, 10, 24);

    assert_has(run("say --help")->out, "usage: earshot say [OPTION…] [WORD…]");
    assert_has(run("help say")->out, "-n, --limit N");
    assert_has(run("say -h --limit 5")->out, "(default 20 [1..100])");
    assert_has(run("help say")->out, "in what form: long|short");
    assert_has(run("need --help")->out, "whose it is (required)");
    assert_has(run("help")->out, "usage: earshot [OPTION…] COMMAND");
}

static void without_a_command_help_goes_to_stderr(void **state)
{
    const struct answer *answer = run("");

    (void)state;
    assert_int_equal(answer->code, EXIT_USAGE);
    assert_string_equal(answer->out, "");
    assert_has(answer->err, "usage: earshot");
    assert_int_equal(run("--config x.yaml")->code, EXIT_USAGE);
}

static void version_and_kill_points_need_no_command(void **state)
{
    (void)state;
    assert_string_equal(run("--version")->out, "earshot " EARSHOT_VERSION "\n");
#ifdef EARSHOT_TEST_POINTS
    assert_int_equal(run("--kill-points")->code, EXIT_DONE);
#else
    assert_int_equal(run("--kill-points")->code, EXIT_FAILED);
#endif
}

static void places_are_found_beside_the_program(void **state)
{
    const struct answer *answer;

    (void)state;
    unsetenv("EARSHOT_SHARE");
    answer = run("places");
    assert_int_equal(answer->code, EXIT_FAILED); /* what the command returned */
    assert_has(answer->out, "program=earshot name=places bin=" BUILD_DIR "/tests share=" BUILD_DIR
                            "/share/earshot path=" BUILD_DIR "/share/earshot/model.bin shift=0\n");
    setenv("EARSHOT_SHARE", "/elsewhere", 1);
    assert_has(run("places")->out, "path=/elsewhere/model.bin");
    unsetenv("EARSHOT_SHARE");
}

static void another_programs_command_is_run_there_with_the_same_clock(void **state)
{
    const struct answer *answer = run("peer --now 2030-01-01T00:00:00Z word");

    (void)state;
    assert_has(answer->out, "program=earshot name=peer");
    assert_has(answer->out, "shift=1");
    assert_int_equal(answer->code, EXIT_FAILED);
    setenv("EARSHOT_NOW", "2030-01-01T00:00:00Z", 1);
    assert_has(run("places")->out, "shift=1");
    unsetenv("EARSHOT_NOW");
    answer = run("lost");
    assert_int_equal(answer->code, EXIT_FAILED);
    assert_has(answer->err, "cannot start " BUILD_DIR "/tests/earshot-nowhere");
}

static void write_config(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void settings_are_loaded_and_their_mistakes_named(void **state)
{
    char folder[] = "/tmp/earshot-command-XXXXXX";
    char path[64];
    char line[128];
    char told[128];
    const struct answer *answer;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/earshot.yaml", folder);
    snprintf(line, sizeof line, "settings --config %s", path);

    write_config(path, "earshot: 1\ndata: here\n");
    answer = run(line);
    assert_int_equal(answer->code, EXIT_DONE);
    snprintf(told, sizeof told, "path=%s data=%s/here\n", path, folder);
    assert_string_equal(answer->out, told);

    write_config(path, "earshot: 1\ndeta: here\n");
    answer = run(line);
    assert_int_equal(answer->code, EXIT_CONFIG);
    assert_string_equal(answer->out, "");
    snprintf(told, sizeof told, "%s:2:1 deta: ", path);
    assert_has(answer->err, told);
    assert_has(answer->err, "did you mean 'data'?");

    assert_int_equal(unlink(path), 0);
    answer = run(line);
    assert_int_equal(answer->code, EXIT_CONFIG);
    assert_has(answer->err, path);
    assert_int_equal(rmdir(folder), 0);
}

static void output_that_cannot_be_written_is_a_failure(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        char *argv[] = {(char[]){"earshot"}, (char[]){"write"}, NULL};

        if (freopen("/dev/full", "w", stdout) == NULL ||
            freopen("/dev/null", "w", stderr) == NULL) {
            _exit(99);
        }
        _exit(command_main("earshot", "says things", commands, 2, argv));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILED);
}

static void signals_set_flags(void **state)
{
    (void)state;
    command_stop_on_signals();
    assert_false(command_stop_asked());
    assert_false(command_reload_asked());
    raise(SIGHUP);
    raise(SIGPIPE);
    assert_true(command_reload_asked());
    assert_false(command_reload_asked());
    assert_false(command_stop_asked());
    raise(SIGTERM);
    assert_true(command_stop_asked());
    assert_true(command_stop_asked());
}

static void a_role_that_hangs_ends_in_time(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        command_stop_on_signals();
        command_stop_within(1);
        raise(SIGTERM);
        for (;;) {
            pause();
        }
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_LATER);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_are_taken_apart),
        cmocka_unit_test(what_makes_no_sense_is_a_usage_error_with_its_cure),
        cmocka_unit_test(arguments_are_counted_by_the_usage_line),
        cmocka_unit_test(an_error_becomes_one_line_and_the_code_of_its_kind),
        cmocka_unit_test(help_shows_commands_options_and_an_example),
        cmocka_unit_test(without_a_command_help_goes_to_stderr),
        cmocka_unit_test(version_and_kill_points_need_no_command),
        cmocka_unit_test(places_are_found_beside_the_program),
        cmocka_unit_test(another_programs_command_is_run_there_with_the_same_clock),
        cmocka_unit_test(settings_are_loaded_and_their_mistakes_named),
        cmocka_unit_test(output_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(a_role_that_hangs_ends_in_time),
        cmocka_unit_test(signals_set_flags),
    };

    if (argc > 1) { /* started by its own command "peer" */
        return command_main("test_command", "is another", peer_commands, argc, argv);
    }
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
