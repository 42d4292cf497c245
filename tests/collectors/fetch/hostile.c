/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/collectors/fetch/hostile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct hostile *hostile_start(void)
{
    struct hostile *server = calloc(1, sizeof(*server));
    int to[2];
    int from[2];
    char line[512] = "";
    char *rest = line;

    assert_non_null(server);
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    server->pid = fork();
    if (server->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("python3", "python3", TESTS_DIR "/collectors/fetch/server.py", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    server->input = to[1];
    for (size_t length = 0; length < sizeof(line) - 1; length++) {
        if (read(from[0], line + length, 1) != 1 || line[length] == '\n') {
            line[length] = '\0';
            break;
        }
    }
    close(from[0]);
    server->plain_port = (int)strtol(rest, &rest, 10);
    server->tls_port = (int)strtol(rest, &rest, 10);
    (void)snprintf(server->certificate, sizeof(server->certificate), "%s",
                   *rest == ' ' ? rest + 1 : "");
    assert_true(server->plain_port > 0);
    return server;
}

void hostile_stop(struct hostile *server)
{
    close(server->input);
    (void)waitpid(server->pid, NULL, 0);
    free(server);
}
