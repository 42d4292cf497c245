#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the model that Earshot ships: data and sentences in, one file out, byte for byte the same each time.

    train.py --data ../shared/data/by --sentences sentences --out ../model.bin [--golden golden.ndjson]

Logistic regression over hashed words 1-3 (features.py), one head a label, AdaGrad in a fixed order, labels that a source did not annotate masked. Each head is
calibrated (Platt) and its threshold chosen on our own sentences, scored out of fold in five parts: they alone are labelled by our guideline. The rates assumed
are theirs; the file's description states them. Needs Python 3.9 or newer and nothing else.
The file's format stands in model.c. Attribution of the data: NOTICE.
"""

import argparse
import hashlib
import json
import math
import pathlib
import random
import struct

import features

HEADS = ("wish", "complaint", "praise", "positive", "negative")
ROW = 8
GENERATION = "2026.11-1"
VERSION = 1
EPOCHS = 6
RATE = 0.35
DECAY = 1e-6
OWN_WEIGHT = 4.0
DATA_WEIGHTS = (0.1, 0.1, 0.25, 0.25, 0.25)  # of the data for each head: its wishes and complaints are private ones mostly
FOLDS = 5
SEED = 20261122


def targets(row):
    """A target a head: 1, 0, or None where the source does not say."""
    out = []
    for head in HEADS[:3]:
        out.append((1.0 if head in row["labels"] else 0.0) if head in row["known"] else None)
    tone = row.get("sentiment")
    for head in HEADS[3:]:
        out.append(None if tone is None else 1.0 if tone in (head, "mixed") else 0.0)
    return out


def read_rows(paths, weights):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                hashes = [h for s in features.sentences(features.unicodedata.normalize("NFC", row["text"]))
                          for h in s]
                if hashes:
                    yield (row["id"], features.features(hashes), targets(row), weights, row["text"])


def part(row, parts):
    """Which of so many parts a row belongs to, by its id."""
    return int.from_bytes(hashlib.sha256(row[0].encode()).digest()[:4], "big") % parts


def score(weights, bias, head, found):
    return bias[head] + sum(weights[head][f] for f in found) / math.sqrt(len(found))


def sigmoid(z):
    if z < -30:
        return 0.0
    return 1.0 / (1.0 + math.exp(-z)) if z < 30 else 1.0


def train(rows):
    weights = [[0.0] * features.BUCKETS for _ in HEADS]
    squares = [[1e-2] * features.BUCKETS for _ in HEADS]
    bias, bias_squares = [0.0] * len(HEADS), [1e-2] * len(HEADS)
    order = list(range(len(rows)))
    shuffle = random.Random(SEED)
    for _ in range(EPOCHS):
        shuffle.shuffle(order)
        for i in order:
            _, found, wanted, importance, _ = rows[i]
            value = 1.0 / math.sqrt(len(found))
            for head, want in enumerate(wanted):
                if want is None:
                    continue
                w, s = weights[head], squares[head]
                z = bias[head]
                total = 0.0
                for f in found:
                    total += w[f]
                error = (sigmoid(z + total * value) - want) * importance[head]
                if -1e-3 < error < 1e-3:
                    continue
                slope = error * value
                square = slope * slope
                for f in found:
                    s[f] += square
                    w[f] -= RATE * (slope + DECAY * w[f]) / math.sqrt(s[f])
                bias_squares[head] += error * error
                bias[head] -= RATE * error / math.sqrt(bias_squares[head])
    return weights, bias


def quantise(weights):
    """int8 weights and the scale of each head. Beyond the scale a weight is cut: 1 in 10,000."""
    scales, out = [], []
    for head in weights:
        sizes = sorted(abs(w) for w in head if w)
        scale = (sizes[int(len(sizes) * 0.9999)] if sizes else 1.0) / 127.0
        scales.append(struct.unpack("<f", struct.pack("<f", scale))[0])
        out.append([max(-127, min(127, round(w / scale))) for w in head])
    return out, scales


def log_loss(pairs, a, b, high, low):
    total = 0.0
    for z, want in pairs:
        t, x = (high if want else low), a * z + b
        total += max(x, 0.0) - x * t + math.log1p(math.exp(-abs(x)))
    return total


def platt(pairs):
    """a, b of sigmoid(a z + b): Newton steps on the log loss with Platt's targets, halved until the loss falls (Lin, Lin and Weng 2007)."""
    positives = sum(1 for _, want in pairs if want)
    high = (positives + 1.0) / (positives + 2.0)
    low = 1.0 / (len(pairs) - positives + 2.0)
    a, b = 0.0, math.log((positives + 1.0) / (len(pairs) - positives + 1.0))
    loss = log_loss(pairs, a, b, high, low)
    for _ in range(100):
        ga = gb = hab = 0.0
        haa = hbb = 1e-9
        for z, want in pairs:
            p = sigmoid(a * z + b)
            d, h = p - (high if want else low), p * (1.0 - p)
            ga += d * z
            gb += d
            haa += h * z * z
            hab += h * z
            hbb += h
        if abs(ga) < 1e-6 and abs(gb) < 1e-6:
            break
        det = haa * hbb - hab * hab
        da, db, step = (ga * hbb - gb * hab) / det, (gb * haa - ga * hab) / det, 1.0
        while step > 1e-10 and log_loss(pairs, a - step * da, b - step * db, high, low) > loss:
            step /= 2.0
        a, b = a - step * da, b - step * db
        loss = log_loss(pairs, a, b, high, low)
    return a, b


def best_threshold(pairs):
    """The probability over which F0.5 is best (a wrong label costs trust, a missed one is found again), and precision, recall, F1 there."""
    ranked = sorted(pairs, reverse=True)
    positives = sum(1 for _, want in ranked if want)
    best, hits = (0.0, 0.5, 0.0, 0.0, 0.0), 0
    for n, (p, want) in enumerate(ranked, 1):
        hits += 1 if want else 0
        if n < len(ranked) and ranked[n][0] == p:
            continue
        precision, recall = hits / n, hits / max(positives, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        f_half = 1.25 * precision * recall / max(0.25 * precision + recall, 1e-9)
        if f_half > best[0]:
            best = (f_half, p, precision, recall, f1)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--sentences", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--golden", type=pathlib.Path)
    options = parser.parse_args()

    data = [options.data / "goemotions-train.ndjson"]
    own = sorted(options.sentences.glob("*.ndjson"))
    ours = list(read_rows(own, (OWN_WEIGHT,) * len(HEADS)))
    theirs = list(read_rows(data, DATA_WEIGHTS))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in data + own)).hexdigest()
    unseen = []
    for fold in range(FOLDS):
        weights, bias = train(theirs + [r for r in ours if part(r, FOLDS) != fold])
        unseen += [(r, [score(weights, bias, h, r[1]) for h in range(len(HEADS))]) for r in ours if part(r, FOLDS) == fold]
    weights, bias = train(theirs + ours)
    small, scales = quantise(weights)
    dense = [[q * scale for q in head] for head, scale in zip(small, scales)]

    heads, metrics = [], {}
    for head, name in enumerate(HEADS):
        pairs = [(z[head], r[2][head]) for r, z in unseen if r[2][head] is not None]
        a, b = platt(pairs)
        _, threshold, precision, recall, f1 = best_threshold([(sigmoid(a * z + b), w) for z, w in pairs])
        heads.append(struct.pack("<ffffff", scales[head], bias[head], a, b, threshold, 0.0))
        metrics[name] = {"rows": len(pairs), "positive": sum(1 for _, w in pairs if w), "threshold": round(threshold, 3),
                         "precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}
    about = json.dumps({"generation": GENERATION, "data_sha256": digest, "rows": len(theirs) + len(ours), "unseen": metrics},
                       sort_keys=True).encode()
    table = bytearray(features.BUCKETS * ROW)
    for head in range(len(HEADS)):
        for bucket in range(features.BUCKETS):
            table[bucket * ROW + head] = small[head][bucket] & 0xFF
    header = struct.pack("<8sIIIII36s", b"EARCLSFY", VERSION, len(HEADS), features.BUCKETS, ROW, len(about),
                         GENERATION.encode())
    head_block = b"".join(heads)
    padding = -(len(header) + len(head_block) + len(about)) % 64
    options.out.write_bytes(header + head_block + about + b"\0" * padding + bytes(table))
    print(json.dumps(metrics, indent=1))

    if options.golden:
        with open(options.golden, "w", encoding="utf-8") as out:
            for identity, found, _, _, text in [r for r in ours[::25]]:
                parts = features.sentences(features.unicodedata.normalize("NFC", text))
                if len(parts) != 1:
                    continue
                scores = {}
                for head, name in enumerate(HEADS):
                    a, b = struct.unpack("<ffff", heads[head][:16])[2:]
                    scores[name] = round(sigmoid(a * score(dense, bias, head, found) + b), 6)
                out.write(json.dumps({"id": identity, "text": text, **scores}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
