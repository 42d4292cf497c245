/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TESTPOINT_H
#define EARSHOT_COMMON_TESTPOINT_H

/*
 * Named points at which a test may kill, pause or fail a process: before and after each step of
 * each transaction. Only builds with EARSHOT_TEST_POINTS (dev, tsan, storm) have them; elsewhere
 * the macros are nothing. Every program lists its points with --kill-points.
 *
 * EARSHOT_KILL_POINT=NAME[:N[:ACTION]] acts at the N-th pass (default 1) of point NAME; ACTION is
 * kill (SIGKILL to itself, default), pause (3 s), enospc or eio (the point fails with that errno,
 * where it can fail).
 *
 * A name is ROOM.STEP: "collect.before-commit". Names are unique in the project; each stands in a
 * table of its program.
 */

#include <stdbool.h>

#ifdef EARSHOT_TEST_POINTS
/* Passes the point; true: the caller must behave as if the step had failed, errno says how. */
bool testpoint_pass(const char *name);
#define TESTPOINT(name) ((void)testpoint_pass(name))
#define TESTPOINT_FAILS(name) testpoint_pass(name)
#else
#define TESTPOINT(name) ((void)0)
#define TESTPOINT_FAILS(name) false
#endif

#endif
