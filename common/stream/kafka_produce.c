/* SPDX-License-Identifier: Apache-2.0 */

/* The transactional producer, and the order in which its errors are asked. */

#include "common/stream/kafka_internal.h"

void kafka_producer_close(struct kafka *kafka)
{
    if (kafka->producer.client != NULL) {
        rd_kafka_destroy(kafka->producer.client);
        kafka->producer.client = NULL;
    }
}
