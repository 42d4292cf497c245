/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TESTPOINTS_H
#define EARSHOT_COMMON_TESTPOINTS_H

/*
 * Every test point of the project, once: POINT(name, about). A room adds its rows to its own list
 * here and passes them with TESTPOINT("name"); a name that is not here stops the process, and a
 * test finds rows that no code passes. Order: as a post travels.
 */

/* For the test of the test points alone: --kill-points leaves "testpoint." out. */
#define TESTPOINTS_OF_TESTPOINT(POINT)                                                             \
    POINT("testpoint.first", "in the test of the test points")                                     \
    POINT("testpoint.second", "in the test of the test points")

/* common/stream */
#define TESTPOINTS_OF_STREAM(POINT)                                                                \
    POINT("stream.before-commit", "a transaction is written but not committed; fails")             \
    POINT("stream.after-commit", "a transaction is committed, its publisher does not know")        \
    POINT("stream.maintain", "a slice of keeping house is not committed yet; fails")               \
    POINT("stream.compact-copied", "the rewritten log lies beside the old one; fails")             \
    POINT("stream.compact-renamed", "the rewritten log is in place, its folder not synced")

/* common/stream on Kafka: transactions, readers */
#define TESTPOINTS_OF_KAFKA(POINT)                                                                 \
    POINT("kafka.assigned", "a reader was given partitions, and has not begun on them")            \
    POINT("kafka.lanes-asked", "a reader begins on partitions: their queues are not parted yet")   \
    POINT("kafka.lanes-parted", "a reader has begun on partitions, and not read yet")              \
    POINT("kafka.revoked", "partitions were taken from a reader, it does not say so yet")          \
    POINT("kafka.begun", "a transaction is begun, nothing is under way")                           \
    POINT("kafka.produce", "a record is about to be handed over; fails: it is refused")            \
    POINT("kafka.produced", "its records are under way; fails")                                    \
    POINT("kafka.flushed", "its records are written, no offsets are sent")                         \
    POINT("kafka.offsets-sent", "its offsets are sent, or that failed")                            \
    POINT("kafka.before-commit", "all is ready, the commit is not asked for; fails")               \
    POINT("kafka.committed", "the commit was answered, its caller does not know")                  \
    POINT("kafka.before-abort", "a transaction failed and is not aborted yet")                     \
    POINT("kafka.aborted", "it is aborted, its reader has not gone back")                          \
    POINT("kafka.in-doubt", "a commit failed, and nobody knows yet what became of it")             \
    POINT("kafka.before-move", "a group is about to be moved without a transaction")               \
    POINT("kafka.rewinding", "a reader knows where to go back to, and has not gone")

/* common/stream on Kafka: a member of a share */
#define TESTPOINTS_OF_SHARE(POINT)                                                                 \
    POINT("kafka.share-assigned", "partitions were given to this member, nothing is restored")     \
    POINT("kafka.share-hidden", "a former owner's commit lies behind the last stable offset")      \
    POINT("kafka.share-restored", "a partition is restored, and is owned from here on")            \
    POINT("kafka.share-revoked", "partitions were taken from this member, it does not say so yet")

/* collectors */
#define TESTPOINTS_OF_COLLECT(POINT)                                                               \
    POINT("collect.before-fetch", "before a request goes to the fetcher")                          \
    POINT("collect.after-fetch", "when an answer has come")                                        \
    POINT("collect.after-step", "when a step has found its records")                               \
    POINT("collect.before-commit", "before posts, seen and cursor are committed; fails")           \
    POINT("collect.after-commit", "when they are")

/* processors */
#define TESTPOINTS_OF_PROCESS(POINT)                                                               \
    POINT("process.after-stage", "the stages have judged a batch, nothing is published")           \
    POINT("process.before-commit", "all is published, nothing committed; fails")                   \
    POINT("process.before-rewind", "a batch failed, its reader is to go back to it; fails")        \
    POINT("process.after-commit", "insights and position are committed")

/* sinks */
#define TESTPOINTS_OF_SINK(POINT)                                                                  \
    POINT("sink.before-commit", "rows, outbox and positions written, not committed")               \
    POINT("sink.commit", "the store's COMMIT itself; fails")                                       \
    POINT("sink.commit-answer", "the answer to PostgreSQL's COMMIT; fails, and it arrived")        \
    POINT("sink.after-commit", "in the store, the group not moved")                                \
    POINT("sink.group-moved", "the group moved")                                                   \
    POINT("sink.copies", "a post marked as a copy, or as none any more, not committed")            \
    POINT("sink.rollup", "dirty days counted anew, not committed")                                 \
    POINT("sink.outbox-sent", "rejects published, still in the outbox")                            \
    POINT("sink.feed-written", "the trend feed written, its weeks still in the outbox")

/* common/earshot: the command */
#define TESTPOINTS_OF_EARSHOT(POINT)

#define TESTPOINTS(POINT)                                                                          \
    TESTPOINTS_OF_TESTPOINT(POINT)                                                                 \
    TESTPOINTS_OF_STREAM(POINT)                                                                    \
    TESTPOINTS_OF_KAFKA(POINT)                                                                     \
    TESTPOINTS_OF_SHARE(POINT)                                                                     \
    TESTPOINTS_OF_COLLECT(POINT)                                                                   \
    TESTPOINTS_OF_PROCESS(POINT)                                                                   \
    TESTPOINTS_OF_SINK(POINT)                                                                      \
    TESTPOINTS_OF_EARSHOT(POINT)

#endif
