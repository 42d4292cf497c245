/* SPDX-License-Identifier: Apache-2.0 */
#include "common/testpoint.h"

#ifndef EARSHOT_TEST_POINTS

bool testpoint_print(FILE *stream)
{
    (void)stream;
    return false;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/testpoints.h"

enum action { ACTION_NONE, ACTION_KILL, ACTION_PAUSE, ACTION_FAIL };

enum { EXIT_MISARMED = 78, PAUSE_S = 3, ARMED_MAX = 4, SETTING_MAX = 128 };

struct arming {
    enum action action;
    char name[64];
    long pass;    /* the N-th pass acts */
    long pause_s; /* ACTION_PAUSE */
    int failure;  /* ACTION_FAIL: the errno */
    atomic_long passes;
};

struct point {
    const char *name;
    const char *about;
};

#define POINT_ROW(name, about) {name, about},
static const struct point points[] = {TESTPOINTS(POINT_ROW)};

/* The one place of a test build where state is the process's: a point knows nothing but its name.
 */
static struct arming armed[ARMED_MAX];
static const char *mark;
static pthread_once_t arm_once = PTHREAD_ONCE_INIT;

static bool listed(const char *name)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (strcmp(points[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool testpoint_print(FILE *stream)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (strncmp(points[i].name, "testpoint.", strlen("testpoint.")) != 0) {
            fprintf(stream, "%s\t%s\n", points[i].name, points[i].about);
        }
    }
    return true;
}

static void misarmed(const char *setting)
{
    fprintf(stderr,
            "EARSHOT_KILL_POINT is '%s'; write NAME[:N[:kill|pause|pause=SECONDS|enospc|eio]] with "
            "a name that --kill-points lists, up to 4 with commas between\n",
            setting);
    _exit(EXIT_MISARMED);
}

static bool read_action(struct arming *arming, const char *text)
{
    char *end = NULL;

    if (strcmp(text, "kill") == 0) {
        arming->action = ACTION_KILL;
    } else if (strcmp(text, "pause") == 0) {
        arming->action = ACTION_PAUSE;
        arming->pause_s = PAUSE_S;
    } else if (strncmp(text, "pause=", 6) == 0) {
        arming->action = ACTION_PAUSE;
        arming->pause_s = strtol(text + 6, &end, 10);
        return text[6] != '\0' && *end == '\0' && arming->pause_s >= 0;
    } else if (strcmp(text, "enospc") == 0 || strcmp(text, "eio") == 0) {
        arming->action = ACTION_FAIL;
        arming->failure = text[1] == 'n' ? ENOSPC : EIO;
    } else {
        return false;
    }
    return true;
}

/* NAME[:N[:ACTION]] */
static bool read_setting(struct arming *arming, const char *setting)
{
    size_t length = strcspn(setting, ":");
    char *end = NULL;

    if (length >= sizeof arming->name) {
        return false;
    }
    memcpy(arming->name, setting, length);
    arming->name[length] = '\0';
    arming->pass = 1;
    if (!listed(arming->name)) {
        return false;
    }
    if (setting[length] == '\0') {
        return read_action(arming, "kill");
    }
    arming->pass = strtol(setting + length + 1, &end, 10);
    if (end == setting + length + 1 || arming->pass < 1 || (*end != '\0' && *end != ':')) {
        return false;
    }
    return read_action(arming, *end == ':' ? end + 1 : "kill");
}

/* A forked process is one of its own: it reads its own setting, and counts for itself. */
static void disarm(void)
{
    static const pthread_once_t again = PTHREAD_ONCE_INIT;

    for (size_t i = 0; i < ARMED_MAX; i++) {
        armed[i].action = ACTION_NONE;
        atomic_store(&armed[i].passes, 0);
    }
    arm_once = again;
}

/* SETTING[,SETTING…] */
static bool read_settings(const char *settings)
{
    for (size_t i = 0; i < ARMED_MAX; i++) {
        size_t length = strcspn(settings, ",");
        char setting[SETTING_MAX];

        if (length >= sizeof setting) {
            return false;
        }
        memcpy(setting, settings, length);
        setting[length] = '\0';
        if (!read_setting(&armed[i], setting)) {
            return false;
        }
        if (settings[length] == '\0') {
            return true;
        }
        settings += length + 1;
    }
    return false;
}

static void arm(void)
{
    const char *settings = getenv("EARSHOT_KILL_POINT"); /* NOLINT(concurrency-mt-unsafe) */

    mark = getenv("EARSHOT_KILL_POINT_MARK"); /* NOLINT(concurrency-mt-unsafe) */
    pthread_atfork(NULL, NULL, disarm);
    if (settings != NULL && *settings != '\0' && !read_settings(settings)) {
        misarmed(settings);
    }
}

static bool first_of_all_processes(void)
{
    int file;

    if (mark == NULL || *mark == '\0') {
        return true;
    }
    file = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) {
        return false;
    }
    close(file);
    return true;
}

/* True: the step is to fail. */
static bool act(const struct arming *arming)
{
    struct timespec pause = {.tv_sec = arming->pause_s};

    switch (arming->action) {
    case ACTION_KILL:
        raise(SIGKILL);
        break;
    case ACTION_PAUSE:
        while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {
        }
        break;
    case ACTION_FAIL:
        errno = arming->failure;
        return true;
    case ACTION_NONE:
        break;
    }
    return false;
}

bool testpoint_pass(const char *name)
{
    if (!listed(name)) {
        fprintf(stderr, "the test point '%s' is not in common/testpoints.h\n", name);
        abort();
    }
    pthread_once(&arm_once, arm);
    for (size_t i = 0; i < ARMED_MAX; i++) {
        struct arming *arming = &armed[i];

        if (arming->action != ACTION_NONE && strcmp(name, arming->name) == 0 &&
            atomic_fetch_add(&arming->passes, 1) + 1 == arming->pass && first_of_all_processes()) {
            return act(arming);
        }
    }
    return false;
}

#endif
