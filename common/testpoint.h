/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TESTPOINT_H
#define EARSHOT_COMMON_TESTPOINT_H

/*
 * Named points at which a test may kill, pause or fail a process: before and after each step of
 * each transaction. Only builds with EARSHOT_TEST_POINTS (dev, tsan, storm) have them; elsewhere
 * the macros are nothing. Every program lists all of them with --kill-points: NAME, a tab, a line
 * about it.
 *
 * EARSHOT_KILL_POINT=NAME[:N[:ACTION]] acts at the N-th pass (default 1, counted by each process
 * for itself) of point NAME; ACTION is kill (SIGKILL to itself, default), pause (3 s; pause=20 for
 * 20), enospc or eio (the point fails with that errno, where it can fail). Up to four of them with
 * commas between. A setting that makes no sense ends the process with 78.
 *
 * EARSHOT_KILL_POINT_MARK=FILE makes it happen once in all processes that share the setting: it
 * acts only if it can make that file anew. A killed role is so not killed again at the same point
 * when it is restarted, and the test sees by the file that the point was reached.
 *
 * A name is ROOM.STEP: "collect.before-commit". All stand in common/testpoints.h; passing one that
 * does not is a broken promise of our own code (abort).
 */

#include <stdbool.h>
#include <stdio.h>

/* Writes every point to a stream, one a line: NAME, a tab, a line about it. Without
 * EARSHOT_TEST_POINTS there are none, and false is returned. */
bool testpoint_print(FILE *stream);

#ifdef EARSHOT_TEST_POINTS
/* Passes the point; true: the caller must behave as if the step had failed, errno says how.
 * Threads: any. */
bool testpoint_pass(const char *name);
#define TESTPOINT(name) ((void)testpoint_pass(name))
#define TESTPOINT_FAILS(name) testpoint_pass(name)
#else
#define TESTPOINT(name) ((void)0)
#define TESTPOINT_FAILS(name) false
#endif

#endif
