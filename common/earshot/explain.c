/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot explain`: the sink says what is stored, the processor why. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"

enum { STORED_MAX = 4 * 1024 * 1024 };

/* A file in memory that holds the text, to be read from its start. */
static int text_as_file(const char *text, size_t length, struct ear_error *err)
{
    int file = memfd_create("stored", MFD_CLOEXEC);

    if (file < 0 || write(file, text, length) != (ssize_t)length || lseek(file, 0, SEEK_SET) != 0) {
        if (file >= 0) {
            close(file);
        }
        return ear_fail_memory(err, "the stored post");
    }
    return file;
}

int command_explain(const struct command_call *call, struct ear_error *err)
{
    static const char *const forms[] = {"table", "json", "csv"};
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, -1};
    char *stored = NULL;
    size_t length = 0;
    int code = -1;

    command_stop_on_signals();
    launch_init(&launch, call, roles[ROLE_SINK].program, "stored");
    launch_add(&launch, "--");
    launch_add(&launch, call->arguments[0]);
    if (child_capture(&stored, &length, &code, &config, STORED_MAX, command_stop_asked, err) != 0) {
        return -1;
    }
    if (code != EXIT_DONE || length == 0) {
        free(stored);
        return code == EXIT_DONE ? EXIT_FAILED : code;
    }
    config.in = text_as_file(stored, length, err);
    free(stored);
    if (config.in < 0) {
        return -1;
    }
    launch_init(&launch, call, roles[ROLE_PROCESS].program, "explain");
    launch_add(&launch, "-o");
    launch_add(&launch, forms[call->output]);
    code = child_run(&config, command_stop_asked, err);
    close(config.in);
    return code;
}
