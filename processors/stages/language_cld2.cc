/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/stages/language_cld2.h"

#include <cstdio> /* which the next one counts on */

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

const char *language_cld2(const char *text, size_t length, const char *hint)
{
    CLD2::CLDHints hints = {hint, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
    CLD2::Language languages[3];
    int percents[3];
    double scores[3];
    int text_bytes = 0;
    bool reliable = false;
    CLD2::Language best = CLD2::ExtDetectLanguageSummary(
        text, static_cast<int>(length), true, &hints, CLD2::kCLDFlagBestEffort, languages,
        percents, scores, nullptr, &text_bytes, &reliable);

    return CLD2::LanguageCode(best);
}
