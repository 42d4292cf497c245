/* SPDX-License-Identifier: Apache-2.0 */
/* The readers there are. A new one adds its line here. */

#include "collectors/source.h"

#include <string.h>

#include "collectors/feed/feed.h"
#include "collectors/file/file.h"
#include "collectors/ingest/ingest.h"

const struct source_reader *const source_readers[] = {&feed_reader, &file_reader, &ingest_reader,
                                                      NULL};

const struct source_reader *source_reader_find(const char *name)
{
    for (size_t i = 0; source_readers[i] != NULL; i++) {
        if (strcmp(source_readers[i]->name, name) == 0) {
            return source_readers[i];
        }
    }
    return NULL;
}
