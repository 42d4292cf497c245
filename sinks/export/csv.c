/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/export/csv.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static bool begins_formula(const char *text)
{
    /* Full-width = + - @ are U+FF1D, U+FF0B, U+FF0D, U+FF20. */
    static const char *const wide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
                                       "\xEF\xBC\xA0"};

    if (text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (strncmp(text, wide[i], 3) == 0) {
            return true;
        }
    }
    return false;
}

void csv_first(FILE *out, const char *text)
{
    bool guard = false;

    if (text == NULL) {
        return;
    }
    guard = begins_formula(text);
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fprintf(out, "%s%s", guard ? "'" : "", text);
        return;
    }
    fputs(guard ? "\"'" : "\"", out);
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            fputc('"', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

void csv_text(FILE *out, const char *text)
{
    fputc(',', out);
    csv_first(out, text);
}

void csv_integer(FILE *out, int64_t value)
{
    fprintf(out, ",%" PRId64, value);
}

void csv_number(FILE *out, const char *digits)
{
    fprintf(out, ",%s", digits);
}

void csv_end(FILE *out)
{
    fputs("\r\n", out);
}

void csv_head(FILE *out, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0) {
            csv_first(out, names[i]);
        } else {
            csv_text(out, names[i]);
        }
    }
    csv_end(out);
}
