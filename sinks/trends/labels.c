/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sinks/trends/view_internal.h"

static const struct {
    const char *label, *title;
} known[] = {{"complaint", "Complaints"}, {"wish", "Wishes"}, {"praise", "Praise"}};

enum { KNOWN = sizeof known / sizeof known[0] };

size_t label_rank(const char *label)
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (strcmp(known[i].label, label) == 0) {
            return i;
        }
    }
    return KNOWN;
}

const char *label_title(const char *label)
{
    size_t rank = label_rank(label);

    return rank < KNOWN ? known[rank].title : label;
}
