/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TESTFAULTS_H
#define EARSHOT_COMMON_TESTFAULTS_H

/*
 * Every seeded fault of the project, once: FAULT(name, about). Each is a mistake that somebody
 * could make without noticing; tests/faults switches each on and shows which ordinary test catches
 * it.
 */

#define TESTFAULTS(FAULT)                                                                          \
    FAULT("no-generation", "offsets are sent with a group's metadata made from its name")          \
    FAULT("no-rewind", "after an abort a reader goes on where it was")                             \
    FAULT("produce-ignored", "a refused produce call does not fail its transaction")               \
    FAULT("offset-without-one", "the position sent is that of the last message, not one past it")  \
    FAULT("abort-without-flush", "a transaction is aborted while records are in flight")           \
    FAULT("cursor-outside", "a source's cursor is committed before its posts")                     \
    FAULT("sink-offset-outside", "a sink's position is committed before its rows")                 \
    FAULT("second-checkpointer", "a second connection checkpoints the SQLite store")               \
    FAULT("dedupe-off", "what was seen or stored before is taken as new")                          \
    FAULT("offset-reset-latest", "a group without a position starts at the end")                   \
    FAULT("reject-outside", "a reject is not in the transaction of the progress past it")          \
    FAULT("commit-after-lost", "a transaction is committed after the assignment was lost")         \
    FAULT("restore-to-lso", "cursors are restored up to the last stable offset only")

#endif
