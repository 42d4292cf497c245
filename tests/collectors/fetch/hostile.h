/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COLLECTORS_FETCH_HOSTILE_H
#define EARSHOT_TESTS_COLLECTORS_FETCH_HOSTILE_H

/* server.py as a child of the test: it answers on 127.0.0.1 and ends with the test. */

#include <sys/types.h>

struct hostile {
    pid_t pid;
    int input;                /* its standard input: it ends when this is closed */
    int plain_port, tls_port; /* 0: no openssl here */
    char certificate[256];
};

struct hostile *hostile_start(void);
void hostile_stop(struct hostile *server);

#endif
