/* SPDX-License-Identifier: Apache-2.0 */
#include "common/testfault.h"

#ifndef EARSHOT_TEST_POINTS

bool testfault_on(const char *name)
{
    (void)name;
    return false;
}

#else

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/testfaults.h"

enum { EXIT_MISARMED = 78 };

#define FAULT_NAME(name, about) name,
static const char *const faults[] = {TESTFAULTS(FAULT_NAME)};

/* As in testpoint.c: what is switched on is the process's, read once. */
static const char *chosen;
static pthread_once_t choose_once = PTHREAD_ONCE_INIT;

static const char *listed(const char *name)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (strcmp(faults[i], name) == 0) {
            return faults[i];
        }
    }
    return NULL;
}

static void choose(void)
{
    const char *setting = getenv("EARSHOT_FAULT"); /* NOLINT(concurrency-mt-unsafe) */

    if (setting == NULL || *setting == '\0') {
        return;
    }
    chosen = listed(setting);
    if (chosen == NULL) {
        fprintf(stderr, "EARSHOT_FAULT is '%s'; write a name of common/testfaults.h\n", setting);
        _exit(EXIT_MISARMED);
    }
}

bool testfault_on(const char *name)
{
    const char *known = listed(name);

    if (known == NULL) {
        fprintf(stderr, "the fault '%s' is not in common/testfaults.h\n", name);
        abort();
    }
    pthread_once(&choose_once, choose);
    return chosen == known;
}

#endif
