/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COMMON_STREAM_KAFKA_MEMBER_H
#define EARSHOT_TESTS_COMMON_STREAM_KAFKA_MEMBER_H

/*
 * A member of a share as a process of its own, so that it can be killed and stopped: what a
 * collector does, with numbers instead of posts. For each of MEMBER_KEYS keys it owns it publishes
 * in one transaction the key's next number to "log" and to the table "cursors", and the same to one
 * of three keys under it in "seen". The log then says whether any number was lost, doubled or out
 * of order.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/stream/stream.h"

enum { MEMBER_KEYS = 200, MEMBER_SEEN = 3, MEMBER_PARTITIONS = 8 };

/* cursors, seen, log. */
extern const struct stream_topic member_topics[3];

/* "source-007"; returns its length. */
size_t member_key(char out[16], int number);

/*
 * PROGRAM --member URL INSTANCE write|idle [NAME=VALUE of librdkafka]…: runs until its stdin ends.
 * Commands on stdin: 'w' write from here on, 'i' write no more. Says on
 * stdout, one a line:
 *   OWN count        how many keys it owns now
 *   C commits        after each commit
 *   FENCED, RETRY    a commit failed so
 *   TORN key, BACK key   what it restored is not what one transaction left, or older than it knew
 *   TWICE message    the instance is used twice; ends with 3
 *   ERROR message    ends with 1
 */
int member_main(int argc, char **argv);

#endif
