/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot example`: annotated configurations, kept as files of their own. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/earshot/earshot_internal.h"

enum { EXAMPLES_MAX = 64, NAME_SIZE = 64 };

struct examples {
    char names[EXAMPLES_MAX][NAME_SIZE];
    size_t count;
};

static int by_name(const void *one, const void *other)
{
    return strcmp(one, other);
}

static int list_examples(struct examples *examples, const char *dir, struct ear_error *err)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry = NULL;

    if (folder == NULL) {
        return ear_fail(err, EAR_FATAL,
                        "%s: %s; the examples are installed together with this program", dir,
                        strerrordesc_np(errno));
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a folder of our own, on one thread */
    while ((entry = readdir(folder)) != NULL && examples->count < EXAMPLES_MAX) {
        size_t length = strlen(entry->d_name);

        if (length > 5 && length < NAME_SIZE && strcmp(entry->d_name + length - 5, ".yaml") == 0) {
            snprintf(examples->names[examples->count++], NAME_SIZE, "%.*s", (int)length - 5,
                     entry->d_name);
        }
    }
    closedir(folder);
    qsort(examples->names, examples->count, NAME_SIZE, by_name);
    return 0;
}

/* The first comment line of an example says what it is for. */
static void print_title(const char *dir, const char *name)
{
    char path[PATH_MAX + NAME_SIZE + 8];
    char line[256] = "";
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/%s.yaml", dir, name);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           strncmp(line, "# SPDX", 6) == 0) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    printf("%-16s %s\n", name, strncmp(line, "# ", 2) == 0 ? line + 2 : "");
    if (file != NULL) {
        fclose(file);
    }
}

static int print_example(const char *dir, const char *name, struct ear_error *err)
{
    char path[PATH_MAX + NAME_SIZE + 8];
    char bytes[8192];
    size_t length = 0;
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/%s.yaml", dir, name);
    file = fopen(path, "re");
    if (file == NULL) {
        return ear_fail(err, EAR_FATAL, "%s: %s", path, strerrordesc_np(errno));
    }
    while ((length = fread(bytes, 1, sizeof bytes, file)) > 0) {
        fwrite(bytes, 1, length, stdout);
    }
    fclose(file);
    return EXIT_DONE;
}

int command_example(const struct command_call *call, struct ear_error *err)
{
    char dir[PATH_MAX];
    char nearest[128];
    struct examples examples = {.count = 0};
    const char *names[EXAMPLES_MAX + 1] = {NULL};

    command_share_path(call, "examples", dir, sizeof dir);
    if (list_examples(&examples, dir, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < examples.count; i++) {
        names[i] = examples.names[i];
        if (call->argument_count == 0) {
            print_title(dir, names[i]);
        } else if (strcmp(names[i], call->arguments[0]) == 0) {
            return print_example(dir, names[i], err);
        }
    }
    if (call->argument_count == 0) {
        return EXIT_DONE;
    }
    config_suggest(nearest, sizeof nearest, call->arguments[0], names);
    return command_misused(call, "there is no example '%s'; %s", call->arguments[0],
                           nearest[0] != '\0' ? nearest : "without a name all are listed");
}
