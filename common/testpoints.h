/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every test point of the project, once: TESTPOINT_ROW(name, about). A room adds its rows here and
 * passes them with TESTPOINT("name"); a name that is not here stops the process, and a test finds
 * rows that no code passes. No include guard: whoever includes this defines TESTPOINT_ROW first.
 * Order: as a post travels.
 */

/* --- common/testpoint: for its own test, left out by --kill-points --- */
TESTPOINT_ROW("testpoint.first", "in the test of the test points")
TESTPOINT_ROW("testpoint.second", "in the test of the test points")

/* --- common/stream --- */

/* --- collectors --- */

/* --- processors --- */

/* --- sinks --- */

/* --- the command --- */
