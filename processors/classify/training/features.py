# SPDX-License-Identifier: Apache-2.0
"""From text to hashed words: what features.c does, to the bit. A test compares the two on golden texts."""

import unicodedata

BUCKETS = 1 << 16
SENTENCE_MAX = 200
FNV_OFFSET = 14695981039346656037
FNV_PRIME = 1099511628211
GROUP_PRIME = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

BLANK, LINE_END, WORD, STOP, QUESTION, EXCLAMATION, EMOJI, APOSTROPHE, OTHER = range(9)
ABBREVIATIONS = {"mr", "mrs", "ms", "dr", "st", "vs", "etc", "approx", "no"}


def character(c):
    """The class of a character; the table of features.c."""
    n = ord(c)
    if n < 0x80:
        if c.isalnum():
            return WORD
        return {"\n": LINE_END, "\r": LINE_END, " ": BLANK, "\t": BLANK, ".": STOP, "?": QUESTION,
                "!": EXCLAMATION, "'": APOSTROPHE}.get(c, OTHER)
    if n in (0x2018, 0x2019):
        return APOSTROPHE
    if n == 0x2026:
        return STOP
    if n in (0xA0, 0x3000) or 0x2000 <= n <= 0x200B:
        return BLANK
    if n in (0x2028, 0x2029):
        return LINE_END
    if 0x2600 <= n <= 0x27BF or 0x1F000 <= n <= 0x1FAFF:
        return EMOJI
    if (0x80 <= n <= 0xBF or n in (0xD7, 0xF7, 0xFFFD) or 0x2000 <= n <= 0x2BFF or 0x3000 <= n <= 0x303F
            or 0xFE00 <= n <= 0xFE0F or n >= 0xE0000):
        return OTHER
    return WORD


def hash_bytes(data):
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & MASK
    return value


def fold(text):
    return unicodedata.normalize("NFC", text.casefold())


def word_hash(raw):
    if all("0" <= c <= "9" for c in raw):
        return hash_bytes(b"<num>")
    if all(ord(c) < 0x80 or character(c) == APOSTROPHE for c in raw):
        return hash_bytes(raw.lower().replace("\u2018", "'").replace("\u2019", "'").encode())
    return hash_bytes(fold(raw).encode())


class Words:
    """Remembers the hash of a word: texts repeat them."""

    def __init__(self):
        self.known = {}

    def hash(self, raw):
        value = self.known.get(raw)
        if value is None:
            value = self.known[raw] = word_hash(raw)
        return value


WORDS = Words()


def read_token(text, kinds, at):
    """(end, raw or mask or None) of what begins at a character."""
    kind, length = kinds[at], len(text)
    if kind == WORD:
        for start in ("http://", "https://", "www."):
            if text.startswith(start, at) and length - at > len(start):
                while at < length and kinds[at] not in (BLANK, LINE_END):
                    at += 1
                return at, "<url>"
        end = at
        while end < length:
            if kinds[end] == APOSTROPHE and end > at and end + 1 < length and kinds[end + 1] == WORD:
                end += 1
            elif kinds[end] == WORD:
                end += 1
            else:
                break
        return end, text[at:end]
    if kind in (QUESTION, EXCLAMATION):
        end = at
        while end < length and kinds[end] == kind:
            end += 1
        return end, "?" if kind == QUESTION else "!"
    if kind == EMOJI:
        return at + 1, text[at]
    if text[at] == "@" and at + 1 < length and kinds[at + 1] == WORD:
        at += 1
        while at < length and (kinds[at] == WORD or text[at] in "_-"):
            at += 1
        return at, "<user>"
    return at + 1, None


def ends_sentence(text, kinds, at, kind, tokens):
    if kind == LINE_END:
        return True
    blank = at >= len(text) or kinds[at] in (BLANK, LINE_END)
    if kind in (QUESTION, EXCLAMATION):
        return blank
    if kind != STOP or not blank:
        return False
    if tokens and tokens[-1][2] + 1 == at and text[at - 1] == ".":
        raw = text[tokens[-1][1]:tokens[-1][2]]
        return not (len(raw.encode()) == 1 or raw.lower() in ABBREVIATIONS)
    return True


MASKS = {"<url>": hash_bytes(b"<url>"), "<user>": hash_bytes(b"<user>")}


def sentences(text):
    """Lists of token hashes, a list a sentence."""
    kinds = [character(c) for c in text]
    at, tokens, out = 0, [], []
    while at < len(text):
        kind, start = kinds[at], at
        at, raw = read_token(text, kinds, at)
        if raw is not None:
            masked = raw in MASKS and text[start] != "<"
            if masked:
                value = MASKS[raw]
            elif kind in (QUESTION, EXCLAMATION, EMOJI):
                value = hash_bytes(raw.encode())
            else:
                value = WORDS.hash(raw)
            tokens.append((value, start, at))
        if tokens and (len(tokens) == SENTENCE_MAX or ends_sentence(text, kinds, at, kind, tokens)):
            out.append([t[0] for t in tokens])
            tokens = []
    if tokens:
        out.append([t[0] for t in tokens])
    return out


def group(hashes):
    value = hashes[0]
    for other in hashes[1:]:
        value = ((value ^ ((other + GROUP_PRIME + (value << 6) + (value >> 2)) & MASK)) * FNV_PRIME) & MASK
    value ^= value >> 29
    value = (value * GROUP_PRIME) & MASK
    return value >> 48


def features(hashes):
    """The features of one sentence (or several run together): one for each group of one to three tokens."""
    return [group(hashes[i:i + size]) for i in range(len(hashes)) for size in (1, 2, 3) if i + size <= len(hashes)]
