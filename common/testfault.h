/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TESTFAULT_H
#define EARSHOT_COMMON_TESTFAULT_H

/*
 * Seeded faults: known mistakes that a test build makes on purpose when EARSHOT_FAULT=NAME says so,
 * to show that the tests have teeth. Only builds with EARSHOT_TEST_POINTS have them; elsewhere
 * TESTFAULT is false. An unknown name ends the process with 78. All stand in common/testfaults.h;
 * asking for one that does not is a broken promise of our own code (abort).
 */

#include <stdbool.h>

/* Whether this process is to make this mistake. Threads: any. */
bool testfault_on(const char *name);

#ifdef EARSHOT_TEST_POINTS
#define TESTFAULT(name) testfault_on(name)
#else
#define TESTFAULT(name) false
#endif

#endif
