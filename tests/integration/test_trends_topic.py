#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The topic `trends`: each cell of the trend cube as it now stands, by its key; what is gone is a tombstone."""

import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "common" / "schema")]
import check  # noqa: E402
import harness  # noqa: E402
from harness import expect  # noqa: E402

CONFIGURATION = """earshot: 1
brands:
  Acme: [acme]
  Globex/EU: [globex]
sources:
  - {name: notes, use: file, path: notes.ndjson, every: 1s}
sinks:
  - store: {}
  - trends: {windows: %s, publish: true}
"""
TEXTS = ["I wish acme had a dark mode, it would be so nice to have.", "acme arrived late again and nobody answered my call.",
         "I love my globex, it is wonderful and quick.", "globex is broken, and acme too: terrible service."]


def note(number, text, hour):
    return json.dumps({"id": f"n{number}", "text": f"{text} {number}", "author": f"jo{number % 3}", "created_at": f"2026-11-{20 + number % 2}T{hour:02}:10:00Z"}) + "\n"


def write_notes(place, count, edited=()):
    lines = [note(i, "Nothing of note to say." if i in edited else TEXTS[i % 4], 8 + i % 3) for i in range(count)]
    (place.folder / "notes.ndjson").write_text("".join(lines), encoding="utf-8")


def cells(place):
    """The latest message of each key; tombstones are gone."""
    held = {}
    schema = check.load("trend")
    for message in place.lines("tap", "trends", "--from", "0", "--until-end", "--meta", "--json"):
        held.pop(message["key"], None)
        if message["value"] is not None:
            faults = check.faults(message["value"], schema, schema)
            expect(not faults, f"{message['value']}: {faults}")
            expect(message["value"]["key"] == message["key"], f"the key is not the cell: {message}")
            held[message["key"]] = message["value"]
    return held


def counted(place, windows):
    """What the cells should be, by the store's facts."""
    facts = [json.loads(line) for line in place.sink("facts").splitlines()]
    found = collections.defaultdict(lambda: (set(), set(), set()))
    for fact in facts:
        if fact["touchpoint"] or fact["audience"]:
            continue
        for window in windows:
            start = fact["day"] if window == "1d" else f"{fact['day']}T{fact['hour']:02}:00"
            brand, label = (fact[name].replace("%", "%25").replace("/", "%2F") for name in ("brand", "label"))
            posts, people, threads = found[f"{window}/{start}/{brand}/{label}"]
            posts.add(fact["post"])
            people.add(fact["author"])
            threads.add(fact["thread"])
    return {key: (len(posts), len(people - {0}), len(threads)) for key, (posts, people, threads) in found.items()}


def same(place, windows, what):
    held = {key: (cell["posts"], cell["people"], cell["conversations"]) for key, cell in cells(place).items()}
    wanted = counted(place, windows)
    expect(wanted and held == wanted, f"{what}: {set(held.items()) ^ set(wanted.items())}")
    return held


class Folder(harness.Place):
    def sink(self, *words):
        import subprocess
        return subprocess.run([str(harness.BUILD / "bin" / "earshot-sink"), *words], cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True).stdout


def cells_stand_as_the_facts_do():
    with harness.place() as plain:
        place = Folder(plain.folder)
        place.configure(CONFIGURATION % "[1h, 1d]")
        write_notes(place, 40)
        place.once()
        first = same(place, ["1h", "1d"], "at first")
        expect(any("Globex%2FEU" in key for key in first), f"a brand with a slash has a key of its own: {sorted(first)[:9]}")
        write_notes(place, 44, edited=(0, 1, 2, 3))
        place.once()
        second = same(place, ["1h", "1d"], "after edits")
        expect(first != second, "the edits changed cells")
        for victim in (place.posts()[0]["id"], place.posts()[1]["id"]):
            place.run("forget", victim)
        same(place, ["1h", "1d"], "after what was forgotten")


def windows_that_are_added_are_published_whole():
    with harness.place() as plain:
        place = Folder(plain.folder)
        place.configure(CONFIGURATION % "[1d]")
        write_notes(place, 20)
        place.once()
        same(place, ["1d"], "days alone")
        place.configure(CONFIGURATION % "[1h, 1d]")
        place.once()
        same(place, ["1h", "1d"], "hours were added")
        place.configure(CONFIGURATION % "[1w]")
        done = place.run("check", codes=(78,))
        expect("1w" in done.stdout + done.stderr, f"the window is named: {done.stdout}{done.stderr}")


def a_relay_that_is_killed_publishes_again_what_then_stands():
    with harness.place() as plain:
        place = Folder(plain.folder)
        place.configure(CONFIGURATION % "[1h, 1d]")
        write_notes(place, 20)
        place.run("run", "--once", codes=(0, 1, 75), environment={"EARSHOT_KILL_POINT": "sink.outbox-sent"})
        write_notes(place, 24, edited=(0, 5))
        place.once()
        same(place, ["1h", "1d"], "after a kill")


if __name__ == "__main__":
    sys.exit(harness.main(cells_stand_as_the_facts_do, windows_that_are_added_are_published_whole, a_relay_that_is_killed_publishes_again_what_then_stands))
