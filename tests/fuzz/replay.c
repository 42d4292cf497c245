/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over its corpus, as an ordinary test: replay FOLDER… A folder may be missing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 4 * 1024 * 1024 };

/* The input lies in a block of its exact size, so that the sanitizer sees a read past its end. */
static int run_file(const char *path)
{
    int result = -1;
    struct stat status;
    uint8_t *bytes = NULL;
    FILE *file = fopen(path, "rb");

    if (file == NULL || fstat(fileno(file), &status) != 0 || status.st_size > INPUT_MAX) {
        goto done;
    }
    bytes = malloc((size_t)status.st_size + (status.st_size == 0));
    if (bytes == NULL || fread(bytes, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        goto done;
    }
    (void)LLVMFuzzerTestOneInput(bytes, (size_t)status.st_size);
    result = 0;

done:
    if (result != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(bytes);
    if (file != NULL) {
        fclose(file);
    }
    return result;
}

static int run_folder(const char *folder, int *count)
{
    int result = 0;
    char path[4096];
    DIR *directory = opendir(folder);

    if (directory == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(directory); /* NOLINT(concurrency-mt-unsafe) */
         entry != NULL; entry = readdir(directory)) {     /* NOLINT(concurrency-mt-unsafe) */
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            result |= run_file(path);
            (*count)++;
        }
    }
    closedir(directory);
    return result;
}

int main(int count, char **arguments)
{
    int result = 0;
    int inputs = 1;

    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < count; i++) {
        result |= run_folder(arguments[i], &inputs);
    }
    printf("%d inputs\n", inputs);
    return result == 0 ? 0 : 1;
}
