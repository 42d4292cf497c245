/* SPDX-License-Identifier: Apache-2.0 */
#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 10000, TURN_MS = 200, EXIT_NOT_STARTED = 127 };

/* In the child, between fork and exec: only what is safe there. */
static void become(const struct child_config *config, pid_t parent, int failed)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL); /* NOLINT(cert-err33-c): nothing to do about it here */
    signal(SIGHUP, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent ||
        (config->in >= 0 && dup2(config->in, STDIN_FILENO) < 0) ||
        (config->out >= 0 && dup2(config->out, STDOUT_FILENO) < 0)) {
        _exit(EXIT_NOT_STARTED);
    }
    /* Everything else is close-on-exec by then, also what a library opened without it. */
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        _exit(EXIT_NOT_STARTED);
    }
    execv(config->path, (char *const *)(const void *)config->argv);
    /* The parent waits for either this or the end of the pipe, which exec brings. */
    (void)!write(failed, &errno, sizeof errno);
    _exit(EXIT_NOT_STARTED);
}

int child_start(pid_t *out, const struct child_config *config, struct ear_error *err)
{
    int result = -1;
    int ends[2] = {-1, -1};
    int why = 0;
    pid_t parent = getpid();
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        ear_fail(err, EAR_FATAL, "%s cannot be started: %s", config->path, strerrordesc_np(errno));
        goto done;
    }
    pid = fork();
    if (pid == 0) {
        become(config, parent, ends[1]);
    }
    close(ends[1]);
    ends[1] = -1;
    if (pid < 0) {
        ear_fail(err, EAR_FATAL, "%s cannot be started: %s", config->path, strerrordesc_np(errno));
        goto done;
    }
    if (read(ends[0], &why, sizeof why) == (ssize_t)sizeof why) {
        waitpid(pid, NULL, 0);
        ear_fail(err, EAR_FATAL,
                 "%s cannot be started: %s; it is installed together with this program",
                 config->path, strerrordesc_np(why));
        goto done;
    }
    *out = pid;
    result = 0;

done:
    if (ends[0] >= 0) {
        close(ends[0]);
    }
    if (ends[1] >= 0) {
        close(ends[1]);
    }
    return result;
}

bool child_wait(pid_t pid, int timeout_ms, int *code)
{
    int status = 0;
    int handle = pidfd_open(pid, 0);
    struct pollfd ended = {.fd = handle, .events = POLLIN};
    pid_t got = 0;

    if (handle >= 0) {
        poll(&ended, 1, timeout_ms);
        close(handle);
    }
    got = waitpid(pid, &status, WNOHANG);
    if (got == 0) {
        return false;
    }
    *code = got < 0               ? EXIT_NOT_STARTED
            : WIFEXITED(status)   ? WEXITSTATUS(status)
            : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                  : EXIT_NOT_STARTED;
    return true;
}

/* Waits for the end; once we are to stop, the child is told so, then given GRACE_MS. */
static int wait_to_end(pid_t pid, bool (*stop)(void))
{
    int code = 0;
    int left_ms = GRACE_MS;
    bool told = false;

    while (!child_wait(pid, TURN_MS, &code)) {
        if (stop == NULL || !stop()) {
            continue;
        }
        if (!told) {
            kill(pid, SIGTERM);
            told = true;
        }
        left_ms -= TURN_MS;
        if (left_ms <= 0) {
            kill(pid, SIGKILL);
        }
    }
    return code;
}

int child_run(const struct child_config *config, bool (*stop)(void), struct ear_error *err)
{
    pid_t pid = -1;

    if (child_start(&pid, config, err) != 0) {
        return -1;
    }
    return wait_to_end(pid, stop);
}

/* Reads until the end or the limit. */
static int read_all(char **out, size_t *length, int from, size_t limit, const char *who,
                    struct ear_error *err)
{
    size_t room = 0;

    for (;;) {
        ssize_t got = 0;

        if (room - *length < 4096) {
            char *more = realloc(*out, 2 * room + 8192);

            if (more == NULL) {
                return ear_fail_memory(err, who);
            }
            *out = more;
            room = 2 * room + 8192;
        }
        got = read(from, *out + *length, room - *length - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ear_fail(err, EAR_FATAL, "%s: its output cannot be read: %s", who,
                            strerrordesc_np(errno));
        }
        *length += (size_t)got;
        (*out)[*length] = '\0';
        if (got == 0) {
            return 0;
        }
        if (*length > limit) {
            return ear_fail(err, EAR_REJECT, "%s wrote more than %zu bytes", who, limit);
        }
    }
}

int child_capture(char **out, size_t *length, int *code, const struct child_config *config,
                  size_t limit, bool (*stop)(void), struct ear_error *err)
{
    int result = -1;
    int ends[2] = {-1, -1};
    pid_t pid = -1;
    char *text = NULL;
    size_t used = 0;
    struct child_config piped = *config;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return ear_fail(err, EAR_FATAL, "%s cannot be started: %s", config->path,
                        strerrordesc_np(errno));
    }
    piped.out = ends[1];
    if (child_start(&pid, &piped, err) != 0) {
        goto done;
    }
    close(ends[1]);
    ends[1] = -1;
    result = read_all(&text, &used, ends[0], limit, config->argv[0], err);
    close(ends[0]); /* one that still writes ends by it */
    ends[0] = -1;
    *code = wait_to_end(pid, stop);
    if (result == 0) {
        *out = text;
        *length = used;
        text = NULL;
    }

done:
    if (ends[0] >= 0) {
        close(ends[0]);
    }
    if (ends[1] >= 0) {
        close(ends[1]);
    }
    free(text);
    return result;
}
