/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_STAGES_LANGUAGE_CLD2_H
#define EARSHOT_PROCESSORS_STAGES_LANGUAGE_CLD2_H

/*
 * CLD2's opinion, told in C. Only language_cld2.cc knows the library.
 * Source: github.com/CLD2Owners/cld2, public/compact_lang_det.h.
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The most likely language of plain text (valid UTF-8): CLD2's code ("en", "zh-Hant", "iw"),
 * static; "un" where it has none. `hint` is a list of codes that are likelier than others
 * ("en,de"), or NULL. CLD2's own verdict whether it is reliable is ignored: on short posts it says
 * no to right answers and yes to wrong ones. Threads: any.
 */
const char *language_cld2(const char *text, size_t length, const char *hint);

#ifdef __cplusplus
}
#endif

#endif
