#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Collectors on a real Kafka: sources move when one comes, goes, dies or sleeps, and nothing is lost or doubled (share_out.py has the long form); `once`
beside another collector; import; retry of a reject."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import share_out  # noqa: E402
from harness import expect  # noqa: E402
from share_out import Feeds, Fleet, Machine, judge, wait_until  # noqa: E402

SOURCES = 200
BOOTSTRAP = os.environ.get("EARSHOT_TEST_KAFKA")


def prefix(name):
    return f"{name}{os.getpid()}"


def sources_move_and_nothing_is_lost_or_doubled():
    with harness.place() as place, Machine() as machine:
        fleet = Fleet(place, Feeds(SOURCES), BOOTSTRAP, prefix("move"))
        try:
            first = fleet.start()
            wait_until(fleet.feeds.all_asked, "all sources to be polled", 30)
            began = time.time()
            second = fleet.start()
            time.sleep(2)
            # It falls asleep with its records written and its offsets not sent, for longer than a session: a zombie whose transaction hides others' cursors.
            zombie = fleet.start(f"kafka.flushed:4:pause={share_out.SESSION_S + 2}")
            time.sleep(3)
            fleet.kill(first)
            time.sleep(3)
            fleet.start()
            fleet.sleep(second, share_out.SESSION_S + 1)
            time.sleep(6)
            fleet.kill(zombie, signal.SIGTERM)
            time.sleep(3)
            fleet.bury()
            judge(fleet, began, machine)
        finally:
            fleet.end()


def owned(fleet, number):
    """How many sources a collector said last that it has."""
    said = [json.loads(line) for line in fleet.log(number).splitlines() if "sources are this collector's now" in line]
    return int(said[-1]["message"].split()[0]) if said else 0


def once_leaves_to_others_what_they_have():
    with harness.place() as place, Machine() as machine:
        fleet = Fleet(place, Feeds(24), BOOTSTRAP, prefix("once"))
        try:
            fleet.start()
            wait_until(lambda: owned(fleet, 1) == 24, "a collector to have all sources", 30)
            done = subprocess.run([share_out.COLLECT, "once"], cwd=place.folder, capture_output=True, text=True, timeout=60, check=False)
            lines = {line["source"]: line for line in map(json.loads, done.stdout.splitlines())}
            elsewhere = [line for line in lines.values() if line["error"] == "another collector has this source"]
            expect(done.returncode == 75 and len(lines) == 24 and 0 < len(elsewhere) < 24, f"{done.returncode} {done.stdout} {done.stderr}")
            expect(all(line["error"] is None for line in lines.values() if line not in elsewhere), f"{lines}")
            wait_until(lambda: owned(fleet, 1) == 24, "the other to have all sources again", 15)
            judge(fleet, time.time(), machine, quiet=True)
        finally:
            fleet.end()


def an_import_is_taken_once_and_a_reject_retried():
    with harness.place() as place:
        (place.folder / "lines.ndjson").write_text(json.dumps({"id": "1", "text": "one", "created_at": "2026-01-10T11:20:07Z"}) + "\n{broken\n")
        place.configure(share_out.CONFIG.format(bootstrap=BOOTSTRAP, prefix=prefix("import"), client=json.dumps(share_out.CLIENT)) +
                        "  - {name: lines, use: file, path: lines.ndjson, every: 1h}\n")
        collect = [str(share_out.COLLECT)]
        process = subprocess.Popen(collect + ["run", "--log", "json"], cwd=place.folder, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: len(place.lines("rejects", codes=(0, 75))) == 1, "a reject", 30)
            before = place.lines("rejects")[0]
            place.run("rejects", "retry", before["id"], "--no-wait")

            def retried():
                after = place.lines("rejects")
                return len(after) == 1 and "again" not in after[0] and after[0]["at"] > before["at"]

            wait_until(retried, "the reject to be told again", 20)
            (place.folder / "more.ndjson").write_text('{"id": "7", "text": "seven"}\n{"id": "8", "text": "eight"}\n')
            for fresh, unchanged in ((2, 0), (0, 2)):
                done = subprocess.run(collect + ["import", "more.ndjson"], cwd=place.folder, capture_output=True, text=True, timeout=60, check=False)
                line = json.loads(done.stdout or "{}")
                expect((line.get("new"), line.get("unchanged")) == (fresh, unchanged), f"{done.returncode} {done.stdout} {done.stderr}")
            done = subprocess.run(collect + ["import", "lines.ndjson"], cwd=place.folder, capture_output=True, text=True, timeout=60, check=False)
            expect(done.returncode == 2 and "a name of its own" in done.stderr, f"{done.returncode} {done.stderr}")
        finally:
            process.terminate()
            _, said = process.communicate(timeout=12)
        expect(process.returncode == 0, said)


def two_with_one_instance_do_not_go_on_side_by_side():
    with harness.place() as place, harness.place() as other:
        fleet = Fleet(place, Feeds(24), BOOTSTRAP, prefix("twice"))
        text = (place.folder / "earshot.yaml").read_text().replace("stream:\n", "stream:\n  instance: the-same\n")
        for each in (place, other):
            each.configure(text)
        try:
            fleet.start()
            wait_until(lambda: owned(fleet, 1) == 24, "a collector to have all sources", 30)
            with open(other.folder / "log", "w") as log:
                second = subprocess.Popen([share_out.COLLECT, "run", "--log", "json"], cwd=other.folder, stderr=log)
            try:
                first = fleet.running[0]
                wait_until(lambda: first.poll() is not None or second.poll() is not None, "one of them to end", 30)
                said = fleet.log(1) if first.poll() is not None else (other.folder / "log").read_text()
                expect("the-same" in said and "instance is used twice" in said, said[-2000:])
                expect((first.poll() if first.poll() is not None else second.poll()) == 1, f"{first.poll()} {second.poll()}")
            finally:
                second.kill()
                second.wait()
        finally:
            fleet.end()


if __name__ == "__main__":
    if not BOOTSTRAP:
        harness.skip("no Kafka; run me by: tests/servers/with --kafka -- tests/integration/test_collectors_kafka.py")
    sys.exit(harness.main(sources_move_and_nothing_is_lost_or_doubled, once_leaves_to_others_what_they_have, an_import_is_taken_once_and_a_reject_retried,
                          two_with_one_instance_do_not_go_on_side_by_side))
