#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The self-audit on a whole pipeline: edits, rejects, retries and kills balance; what is lost on the way is named, with source and hour."""

import json
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

CONFIGURATION = """earshot: 1
brands:
  Acme: [acme]
sources:
  - {name: notes, use: file, path: notes.ndjson, every: 1s, about: Acme}
  - {name: other, use: file, path: other.ndjson, every: 1s, about: Acme}
"""
SOON = {"EARSHOT_AUDIT_GRACE": "0"}


def write(place, name, count, edited=(), broken=()):
    lines = []
    for i in range(count):
        text = f"Edited: acme {i} is fine after all" if i in edited else f"I wish acme number {i} had a dark mode and a longer cable"
        note = {"id": f"{name}{i}", "text": text, "author": f"jo{i % 5}", "created_at": "2026-11-20T08:00:00Z"}
        lines.append(json.dumps(note) if i not in broken else json.dumps({**note, "id": 7.5, "text": None}))
    (place.folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")


def status(place, codes=(0,)):
    return json.loads(place.run("status", "-o", "json", codes=codes, environment=SOON).stdout)


def balances(place, what):
    found = status(place)
    expect(found["audit_differences"] == 0 and found["store"]["audit"] == [], f"{what}: {found['store']['audit']}")
    text = place.run("status", "-o", "table", environment=SOON).stdout
    expect("audit:  balances" in text, text)


def edits_rejects_and_retries_balance():
    with harness.place() as place:
        place.configure(CONFIGURATION)
        write(place, "notes", 60, broken=(7, 8))
        write(place, "other", 30)
        place.once(environment=SOON, codes=(0, 1))
        balances(place, "a first run")
        write(place, "notes", 70, edited=range(0, 20))
        write(place, "other", 30, edited=(3, 4))
        place.once(environment=SOON, codes=(0, 1))
        balances(place, "edits")
        place.run("rejects", "retry", "all", environment=SOON)
        place.run("forget", place.posts()[0]["id"], environment=SOON)
        balances(place, "retries and what is forgotten")


def kills_balance():
    points = ["collect.before-commit", "collect.after-commit", "process.before-commit", "process.after-commit", "sink.before-commit", "sink.after-commit",
              "sink.commit"]
    with harness.place() as place:
        place.configure(CONFIGURATION)
        for i, point in enumerate(points):
            write(place, "notes", 10 * (i + 1), edited=range(0, i))
            write(place, "other", 5 * (i + 1))
            place.run("run", "--once", codes=range(256), environment={**SOON, "EARSHOT_KILL_POINT": point})
        place.once(environment=SOON)
        balances(place, "kills")
        expect(len(place.posts()) == 15 * len(points), f"{len(place.posts())} posts")


def role(place, name, *arguments, environment=None):
    return subprocess.run([str(harness.BUILD / "bin" / f"earshot-{name}"), *arguments], cwd=place.folder, text=True, capture_output=True,
                          env={**place.environment, **SOON, **(environment or {})}, timeout=240, check=False)


def what_a_sink_loses_is_named_within_a_minute():
    with harness.place() as place:
        place.configure(CONFIGURATION)
        write(place, "notes", 10)
        write(place, "other", 10)
        place.once(environment=SOON)
        balances(place, "before")
        write(place, "notes", 25)
        role(place, "collect", "once")
        role(place, "sink", "run", "--until-end")
        role(place, "process", "run", "--until-end")
        killed = {"EARSHOT_FAULT": "sink-offset-outside", "EARSHOT_KILL_POINT": "sink.before-commit"}
        expect(role(place, "sink", "run", "--until-end", environment=killed).returncode == -9, "the sink is killed with its position moved")
        began = time.monotonic()
        done = role(place, "sink", "run", "--until-end", "--log", "json")
        expect(len(place.posts()) == 20, "the posts are lost")
        alerts = [line for line in done.stderr.splitlines() if "the audit does not balance" in line]
        expect(alerts and "notes" in alerts[0], f"the log says: {done.stderr[-2000:]}")
        found = status(place, codes=(1,))
        expect(time.monotonic() - began < 60, "within a minute")
        expect(found["audit_differences"] > 0, f"{found['store']}")
        for difference in found["store"]["audit"]:
            expect(difference["source"] == "notes" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00Z", difference["hour"]), f"{difference}")
            expect(difference["kind"] == "lost" and difference["stands"], f"{difference}")
        text = place.run("status", "-o", "table", codes=(1,), environment=SOON).stdout
        expect(re.search(r"audit:  does not balance\n  ✗ notes, hour of \S+: \d+ of \w+ never arrived at ", text), text)
        place.run("status", "--quiet", codes=(1,), environment=SOON)


if __name__ == "__main__":
    sys.exit(harness.main(edits_rejects_and_retries_balance, kills_balance, what_a_sink_loses_is_named_within_a_minute))
