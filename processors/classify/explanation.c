/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/classify/explanation.h"

#include <string.h>

int explanation_of(struct explanation *out, const struct classify_model *model, const char *text,
                   size_t length, struct ear_error *err)
{
    memset(out, 0, sizeof *out);
    if (classify_text(model, text, length, out->scores, out->spans, err) < 0) {
        return -1;
    }
    for (int label = 0; label < EXPLAINED_LABELS; label++) {
        if (out->spans[label].end > 0) {
            out->reason_count[label] =
                classify_reasons(model, text, out->spans[label], (enum classify_label)label,
                                 out->reasons[label], err);
            if (out->reason_count[label] < 0) {
                return -1;
            }
        }
    }
    return 0;
}

void explanation_write(const struct explanation *explanation, const char *text,
                       struct json_writer *writer)
{
    json_write_object(writer);
    for (int label = 0; label < EXPLAINED_LABELS; label++) {
        json_write_key(writer, classify_label_name((enum classify_label)label));
        json_write_array(writer);
        for (int i = 0; i < explanation->reason_count[label]; i++) {
            const struct classify_reason *reason = &explanation->reasons[label][i];

            json_write_object(writer);
            json_write_key(writer, "words");
            json_write_bytes(writer, text + reason->start, reason->end - reason->start);
            json_write_key(writer, "weight");
            json_write_number(writer, (double)reason->weight, 2);
            json_write_object_end(writer);
        }
        json_write_array_end(writer);
    }
    json_write_object_end(writer);
}
