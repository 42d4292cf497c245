/* SPDX-License-Identifier: Apache-2.0 */

/* Tables in memory: what compacted topics hold. */

#include <stdlib.h>

#include "common/stream/kafka_internal.h"

void kafka_tables_free(struct kafka_tables *tables)
{
    free(tables);
}
