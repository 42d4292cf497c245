/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses an encoding; whatever comes, what is returned is valid UTF-8, and doing it
 * again changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

typedef char *(*change_function)(const char *, size_t, size_t *);

static void again_changes_nothing(change_function change, const char *text, size_t length)
{
    size_t once_length = 0;
    size_t twice_length = 0;
    char *once = change(text, length, &once_length);
    char *twice = NULL;

    assert(once != NULL && text_valid(once, once_length) && once[once_length] == '\0');
    twice = change(once, once_length, &twice_length);
    assert(twice != NULL && twice_length == once_length && memcmp(once, twice, once_length) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const labels[] = {NULL,           "utf-8",     "iso-8859-1",  "windows-1251",
                                         "shift_jis",    "gb18030",   "iso-2022-jp", "euc-kr",
                                         "big5",         "utf-16le",  "utf-16be",    "koi8-r",
                                         "no such name", "macintosh", "euc-jp",      "iso-8859-16"};
    bool repaired = false;
    size_t length = 0;
    char *text = NULL;
    char *plain = NULL;

    if (size == 0 || size > 100000) {
        return 0;
    }
    text = text_decode((const char *)data + 1, size - 1, labels[data[0] % 16], &length, &repaired);
    assert(text != NULL && text_valid(text, length) && text[length] == '\0');
    assert(text_code_points(text, length) <= length);
    again_changes_nothing(text_nfc, text, length);
    again_changes_nothing(text_fold, text, length);
    plain = text_from_html(text, length, &length);
    assert(plain != NULL && text_valid(plain, length));
    free(plain);
    length = strlen(text);
    length = text_tidy(text, length);
    assert(text_valid(text, length) && text[length] == '\0' && text_tidy(text, length) == length);
    free(text);
    return 0;
}
