/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config/config.h"

struct inner {
    int64_t size;
};

struct keys {
    const char *name, *kind, *place;
    int64_t count, every;
    double share;
    bool loud;
    struct ear_strings words, usual;
    struct inner inner;
    const struct config_node *tree;
};

static const struct ear_option inner_options[] = {
    {"size", EAR_SIZE, offsetof(struct inner, size), "1KiB [1..1GiB]", "a size", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static const struct ear_option later_options[] = {
    {"listen", EAR_UNBUILT, 0, NULL, "the dashboard", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static const struct ear_option options[] = {
    {"name", EAR_STRING, offsetof(struct keys, name), "!", "what it is called", NULL},
    {"kind", EAR_CHOICE, offsetof(struct keys, kind), "text|json", "how it looks", NULL},
    {"place", EAR_CHOICE, offsetof(struct keys, place), "|here|there", "where", NULL},
    {"count", EAR_INTEGER, offsetof(struct keys, count), "3 [0..10]", "how many", NULL},
    {"every", EAR_DURATION, offsetof(struct keys, every), "10m [1s..1d]", "how often", NULL},
    {"share", EAR_NUMBER, offsetof(struct keys, share), "-1 [0..1]", "what part", NULL},
    {"loud", EAR_BOOLEAN, offsetof(struct keys, loud), "false", "whether", NULL},
    {"words", EAR_STRINGS, offsetof(struct keys, words), NULL, "which words", NULL},
    {"usual", EAR_STRINGS, offsetof(struct keys, usual), "a,b", "which usual ones", NULL},
    {"inner", EAR_SECTION, offsetof(struct keys, inner), NULL, "inside", inner_options},
    {"tree", EAR_TREE, offsetof(struct keys, tree), NULL, "as it is", NULL},
    {"dashboard", EAR_UNBUILT, 0, NULL, "the dashboard", later_options},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static int fresh(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    struct config *config = NULL;

    assert_int_equal(config_new(&config, &err), 0);
    *state = config;
    return 0;
}

static int gone(void **state)
{
    config_free(*state);
    return 0;
}

static const struct config_node *read_yaml(struct config *config, const char *text)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct config_node *root = config_read_text(config, "t.yaml", text, &err);

    assert_int_equal(err.kind, EAR_NONE);
    return root;
}

/* The finding at an index as one line, as check prints it. */
static const char *line_of(char out[1200], const struct config *config, size_t index)
{
    const struct config_finding *finding = config_finding_at(config, index);

    if (finding == NULL) {
        return "";
    }
    snprintf(out, 1200, "%s:%d:%d %s: %s", finding->file, finding->line, finding->column,
             finding->key, finding->text);
    return out;
}

static void an_absent_mapping_fills_the_defaults(void **state)
{
    struct keys keys;

    memset(&keys, 0x5a, sizeof keys);
    assert_int_equal(config_fill(*state, NULL, options, NULL, "it", &keys), 0);
    assert_null(keys.name);
    assert_string_equal(keys.kind, "text");
    assert_null(keys.place);
    assert_int_equal(keys.count, 3);
    assert_int_equal(keys.every, 600 * INT64_C(1000000));
    assert_true(keys.share == -1);
    assert_false(keys.loud);
    assert_int_equal(keys.words.count, 0);
    assert_int_equal(keys.usual.count, 2);
    assert_string_equal(keys.usual.items[1], "b");
    assert_int_equal(keys.inner.size, 1024);
    assert_null(keys.tree);
}

static void every_type_is_read(void **state)
{
    struct keys keys;
    const struct config_node *root = read_yaml(
        *state, "name: no\nkind: json\nplace: there\ncount: 10\nevery: 1h30m\nshare: 0.5\n"
                "loud: true\nwords: [one, 'two']\nusual: x\ninner: {size: 2MiB}\n"
                "tree: {a: [1, {b: c}]}\n");

    assert_int_equal(config_fill(*state, root, options, NULL, "it", &keys), 0);
    assert_string_equal(keys.name, "no");
    assert_string_equal(keys.kind, "json");
    assert_string_equal(keys.place, "there");
    assert_int_equal(keys.count, 10);
    assert_int_equal(keys.every, 5400 * INT64_C(1000000));
    assert_true(keys.share == 0.5);
    assert_true(keys.loud);
    assert_int_equal(keys.words.count, 2);
    assert_string_equal(keys.words.items[1], "two");
    assert_int_equal(keys.usual.count, 1);
    assert_string_equal(keys.usual.items[0], "x");
    assert_int_equal(keys.inner.size, 2 * 1024 * 1024);
    assert_string_equal(config_path(config_get(config_at(config_get(keys.tree, "a"), 1), "b")),
                        "tree.a[1].b");
}

static void a_finding_names_place_key_and_cure(void **state)
{
    static const struct {
        const char *yaml, *line;
    } cases[] = {
        {"name: x\nevry: 5m\n", "t.yaml:2:1 evry: unknown key in it; did you mean 'every'?"},
        {"name: x\nevery: banana\n", "t.yaml:2:8 every: 'banana' is no duration; write"},
        {"name: x\nevery: 2d\n",
         "t.yaml:2:8 every: '2d' is out of range; write something from 1s to 1d"},
        {"name: x\ncount: 11\n", "t.yaml:2:8 count: '11' is out of range; write something"},
        {"name: x\ncount: 1.5\n", "t.yaml:2:8 count: '1.5' is no whole number; write digits"},
        {"name: x\nshare: half\n", "t.yaml:2:8 share: 'half' is no number; write one such as 0.6"},
        {"name: x\nloud: yes\n", "t.yaml:2:7 loud: 'yes' is neither true nor false; write one"},
        {"name: x\nkind: jsn\n",
         "t.yaml:2:7 kind: 'jsn' is none of: text, json; did you mean 'json'?"},
        {"name: x\ninner: {size: 5 bananas}\n",
         "t.yaml:2:15 inner.size: '5 bananas' is no size; write a number and KiB"},
        {"name: x\ninner: 5\n", "t.yaml:2:8 inner: inner takes keys and values, such as {size: …}"},
        {"name: x\nname: y\n", "t.yaml:2:1 name: stands twice in this mapping, first in line 1"},
        {"count: 1\n", "t.yaml:1:1 : it lacks 'name'; add it: what it is called"},
        {"name: [x]\n", "t.yaml:1:7 name: takes a single value, not a list: what it is called"},
        {"name: x\nwords: [a, {b: c}]\n",
         "t.yaml:2:12 words[1]: takes a single value, not a mapping: which words"},
        {"name: x\ndashboard: {listen: 1}\n",
         "t.yaml:2:1 dashboard: not built yet: the dashboard; leave 'dashboard' out"},
        {"name: !x y\n", "t.yaml:1:10 name: a tag (!…) means nothing here"},
        {"- name\n", "t.yaml:1:1 : it takes keys and values, such as {name: …}, not a list"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = NULL;
        struct ear_error err = {EAR_NONE, ""};
        struct keys keys;
        char line[1200];
        const struct config_node *root = NULL;

        assert_int_equal(config_new(&config, &err), 0);
        root = read_yaml(config, cases[i].yaml);
        config_fill(config, root, options, NULL, "it", &keys);
        assert_true(config_errors(config) >= 1);
        if (strncmp(line_of(line, config, 0), cases[i].line, strlen(cases[i].line)) != 0) {
            fail_msg("%s\n gave     %s\n expected %s", cases[i].yaml, line, cases[i].line);
        }
        config_free(config);
    }
    (void)state;
}

static void unknown_keys_below_an_unbuilt_feature_are_found_too(void **state)
{
    struct keys keys;
    char line[1200];

    config_fill(*state, read_yaml(*state, "name: x\ndashboard: {lsten: 1}\n"), options, NULL, "it",
                &keys);
    assert_int_equal(config_errors(*state), 2);
    assert_string_equal(line_of(line, *state, 1),
                        "t.yaml:2:13 dashboard.lsten: unknown key in dashboard; did you mean "
                        "'listen'?");
}

static void broken_yaml_is_one_finding_with_its_place(void **state)
{
    static const struct {
        const char *yaml, *line;
    } cases[] = {
        {"a: [1,\n", "t.yaml:2:1 : is no YAML"},
        {"a: \"x\n", "t.yaml:1:5 : is no YAML"},
        {"\ta: 1\n", "t.yaml:1:1 : is no YAML: invalid tab"},
        {"a: 1\n b: 2\n", "t.yaml:1:4 : is no YAML"},
        {"a: *b\n", "t.yaml:1:5 a: no anchor of this name"},
        {"", "t.yaml:1:1 : is empty"},
        {"# only a comment\n", "t.yaml:1:1 : is empty"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1 : a second document"},
        {"a: \xff\n", "t.yaml:1:4 : the byte 0xff is no text"},
        {"a: 1\nb: \x1b\n", "t.yaml:2:4 : the byte 0x1b is no text"},
        {"? [a]\n: b\n", "t.yaml:1:3 : a key must be plain text"},
        {"%x\n", "t.yaml:1:"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = NULL;
        struct ear_error err = {EAR_NONE, ""};
        char line[1200];

        assert_int_equal(config_new(&config, &err), 0);
        assert_null(read_yaml(config, cases[i].yaml));
        assert_int_equal(config_finding_count(config), 1);
        if (strncmp(line_of(line, config, 0), cases[i].line, strlen(cases[i].line)) != 0) {
            fail_msg("%s\n gave     %s\n expected %s", cases[i].yaml, line, cases[i].line);
        }
        config_free(config);
    }
    (void)state;
}

static void variables_are_put_in_after_parsing(void **state)
{
    const struct config_node *root = NULL;

    setenv("EARSHOT_TEST_A", "x: [1, 2] # {", 1);
    unsetenv("EARSHOT_TEST_B");
    root = read_yaml(*state, "a: ${EARSHOT_TEST_A}\nb: \"<${EARSHOT_TEST_B:-b c}>\"\nc: $${X}\n"
                             "d: ${EARSHOT_TEST_B:-}\n");
    assert_string_equal(config_scalar(config_get(root, "a")), "x: [1, 2] # {");
    assert_string_equal(config_written(config_get(root, "a")), "${EARSHOT_TEST_A}");
    assert_string_equal(config_scalar(config_get(root, "b")), "<b c>");
    assert_string_equal(config_scalar(config_get(root, "c")), "${X}");
    assert_string_equal(config_scalar(config_get(root, "d")), "");
    assert_int_equal(config_errors(*state), 0);
}

static void what_is_not_set_is_one_finding(void **state)
{
    struct keys keys;
    char line[1200];

    unsetenv("EARSHOT_TEST_B");
    config_fill(*state, read_yaml(*state, "name: x\nevery: ${EARSHOT_TEST_B}\n"), options, NULL,
                "it", &keys);
    assert_int_equal(config_finding_count(*state), 1);
    assert_string_equal(line_of(line, *state, 0),
                        "t.yaml:2:8 every: ${EARSHOT_TEST_B} is not set in the environment; export "
                        "EARSHOT_TEST_B=…, or write ${EARSHOT_TEST_B:-default}");
    assert_int_equal(keys.every, 600 * INT64_C(1000000));
}

static void a_finding_never_shows_what_a_variable_held(void **state)
{
    struct keys keys;
    char line[1200];

    setenv("EARSHOT_TEST_A", "hunter2", 1);
    config_fill(*state, read_yaml(*state, "name: x\nevery: ${EARSHOT_TEST_A}\n"), options, NULL,
                "it", &keys);
    assert_int_equal(config_finding_count(*state), 1);
    assert_null(strstr(line_of(line, *state, 0), "hunter2"));
    assert_non_null(strstr(line, "what ${EARSHOT_TEST_A} stands for does not fit"));
}

static void secret_files_are_for_their_owner_alone(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    char dir[] = "/tmp/earshot-config-XXXXXX";
    char path[64];
    char secret[64];
    char line[1200];
    FILE *file = NULL;
    const struct config_node *root = NULL;
    struct config *other = NULL;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/e.yaml", dir);
    snprintf(secret, sizeof secret, "%s/pass", dir);
    file = fopen(secret, "we");
    assert_non_null(file);
    fputs("hunter2\n", file);
    fclose(file);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs("name: ${file:pass}\n", file);
    fclose(file);

    assert_int_equal(chmod(secret, 0600), 0);
    root = config_read_file(*state, path, &err);
    assert_string_equal(config_scalar(config_get(root, "name")), "hunter2");

    assert_int_equal(chmod(secret, 0644), 0);
    assert_int_equal(config_new(&other, &err), 0);
    root = config_read_file(other, path, &err);
    assert_int_equal(config_errors(other), 1);
    assert_non_null(strstr(line_of(line, other, 0), "can be read by everybody"));
    assert_true(config_is_unset(config_get(root, "name")));
    config_free(other);
    unlink(secret);
    unlink(path);
    rmdir(dir);
}

static void aliases_and_merges_are_copies_with_paths_of_their_own(void **state)
{
    const struct config_node *root =
        read_yaml(*state, "x: &d {a: 1, b: [2]}\ny: *d\nz:\n  <<: *d\n  a: 3\n");

    assert_string_equal(config_path(config_at(config_get(config_get(root, "y"), "b"), 0)),
                        "y.b[0]");
    assert_string_equal(config_scalar(config_get(config_get(root, "z"), "a")), "3");
    assert_string_equal(config_path(config_get(config_get(root, "z"), "b")), "z.b");
    assert_int_equal(config_count(config_get(root, "z")), 2);
}

static void nested_aliases_end_at_a_bound(void **state)
{
    char yaml[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    struct ear_error err = {EAR_NONE, ""};

    for (int i = 1; i < 9; i++) {
        size_t length = strlen(yaml);

        snprintf(yaml + length, sizeof yaml - length,
                 "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    assert_null(config_read_text(*state, "bomb.yaml", yaml, &err));
    assert_true(config_errors(*state) > 0);
}

static void single_values_come_from_the_command_line_too(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    struct keys keys;

    assert_int_equal(config_fill(*state, NULL, options, NULL, "it", &keys), 0);
    assert_int_equal(config_value(*state, &options[4], "5m", &keys, &err), 0);
    assert_int_equal(keys.every, 300 * INT64_C(1000000));
    assert_int_equal(config_value(*state, &options[7], "a", &keys, &err), 0);
    assert_int_equal(config_value(*state, &options[7], "b", &keys, &err), 0);
    assert_int_equal(keys.words.count, 2);
    assert_int_equal(config_value(*state, &options[3], "70", &keys, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
    const struct CMUnitTest tests[] = {
        TEST(an_absent_mapping_fills_the_defaults),
        TEST(every_type_is_read),
        TEST(a_finding_names_place_key_and_cure),
        TEST(unknown_keys_below_an_unbuilt_feature_are_found_too),
        TEST(broken_yaml_is_one_finding_with_its_place),
        TEST(variables_are_put_in_after_parsing),
        TEST(what_is_not_set_is_one_finding),
        TEST(a_finding_never_shows_what_a_variable_held),
        TEST(secret_files_are_for_their_owner_alone),
        TEST(aliases_and_merges_are_copies_with_paths_of_their_own),
        TEST(nested_aliases_end_at_a_bound),
        TEST(single_values_come_from_the_command_line_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
