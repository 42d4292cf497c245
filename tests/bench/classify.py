#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast and how well `earshot classify` judges: CPU time for 100,000 lines, and precision, recall and F1 per label on the dev splits of ../shared/data.

    tests/bench/classify.py [--build build/release] [--lines 100000]"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT.parent / "shared" / "data"
SPLITS = (("by/goemotions-dev", ("wish", "complaint", "praise")), ("by-nc-sa/semeval2019t9a-dev", ("wish",)),
          ("by-nc-sa/airline-train-dev", ("complaint", "praise")))


def read(name):
    with open(DATA / f"{name}.ndjson", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["split"] == "dev"]


def classify(build, rows):
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"id": row["id"], "text": row["text"]}, ensure_ascii=False) + "\n")
        file.flush()
        out = subprocess.run([build / "bin" / "earshot", "classify", file.name], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def measure(build, name, labels):
    rows = read(name)
    judged = classify(build, rows)
    assert [j["id"] for j in judged] == [r["id"] for r in rows]
    for label in labels:
        pairs = [(label in j["labels"], label in r["labels"]) for j, r in zip(judged, rows) if label in r["known"]]
        hits, said, true = sum(a and b for a, b in pairs), sum(a for a, _ in pairs), sum(b for _, b in pairs)
        precision, recall = hits / max(said, 1), hits / max(true, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        print(f"| {name.split('/')[1]} | {label} | {len(pairs)} | {true} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")



def measure_tone(build, name, edge=0.2):
    """Tone in three classes: above the edge positive, below its opposite negative."""
    rows = read(name)
    said = {j["id"]: j.get("sentiment", 0.0) for j in classify(build, rows)}
    recalls = []
    for tone in ("positive", "neutral", "negative"):
        guess = {i: "positive" if v > edge else "negative" if v < -edge else "neutral" for i, v in said.items()}
        true = {r["id"] for r in rows if r["sentiment"] == tone}
        given = {i for i, g in guess.items() if g == tone}
        hits = len(true & given)
        precision, recall = hits / max(len(given), 1), hits / max(len(true), 1)
        recalls.append(recall)
        print(f"| {name.split('/')[1]} | tone {tone} | {len(rows)} | {len(true)} | {precision:.3f} | {recall:.3f} |"
              f" {2 * precision * recall / max(precision + recall, 1e-9):.3f} |")
    print(f"tone, macro recall: {sum(recalls) / 3:.3f}")


def speed(build, count):
    texts = [row["text"] for row in read("by/goemotions-dev")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for i in range(count):
            file.write(texts[i % len(texts)].replace("\n", " ") + "\n")
        file.flush()
        figures = []
        for _ in range(3):
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            subprocess.run([build / "bin" / "earshot", "classify", file.name], stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            figures.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began))
    cpu, wall = sorted(figures)[1]
    print(f"classify: {count} lines, {cpu:.2f} s CPU, {wall:.2f} s: {count / cpu:,.0f} posts/s per core (median of 3)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--lines", type=int, default=100000)
    options = parser.parse_args()
    if not DATA.exists():
        print(f"skipped: no {DATA}")
        return 77
    speed(options.build, options.lines)
    print("| dev split | label | texts | positive | precision | recall | F1 |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, labels in SPLITS:
        measure(options.build, name, labels)
    measure_tone(options.build, "by/tweeteval-sentiment-dev")
    return 0


if __name__ == "__main__":
    sys.exit(main())
