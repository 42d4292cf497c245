#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several sinks on one PostgreSQL and one Kafka: each post once, copies and roll-ups as one sink would make them, the audit balanced, though sinks are
killed; another one is the holder within ten seconds."""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import harness  # noqa: E402
import kafka  # noqa: E402
import keep  # noqa: E402
import postgres  # noqa: E402
from harness import expect  # noqa: E402

CONFIGURATION = """earshot: 1
brands: {{Acme: [acme], Globex: [globex]}}
sources:
  - {{name: notes, use: file, path: notes.ndjson, every: 1s}}
  - {{name: other, use: file, path: other.ndjson, every: 1s}}
stream:
  url: "kafka://{bootstrap}/many"
  topics: {{partitions: 4, replication: 1}}
  librdkafka: {{session.timeout.ms: 6000, heartbeat.interval.ms: 500}}
sinks:
  - store: {{url: "{url}"}}
  - trends: {{windows: [1h, 1d], publish: true}}
"""
SOON = {"EARSHOT_AUDIT_GRACE": "0"}
SINKS = 3


def write(place, name, count, edited=()):
    lines = []
    for i in range(count):
        same = i % 9 == 0  # said by several: copies
        text = "I wish acme had a dark mode and a much longer cable." if same else f"{name} {i}: globex was late, and acme too, number {i} of many."
        lines.append(json.dumps({"id": f"{name}{i}", "text": text + (" Edited." if i in edited else ""), "author": f"jo{i % 7}",
                                 "created_at": f"2026-11-{1 + i % 20:02}T{i % 24:02}:{i % 60:02}:00Z"}))
    half = place.folder / f".{name}"
    half.write_text("\n".join(lines) + "\n", encoding="utf-8")
    half.rename(place.folder / f"{name}.ndjson")


def role(place, name, *arguments, codes=(0,)):
    done = subprocess.run([str(harness.BUILD / "bin" / f"earshot-{name}"), *arguments], cwd=place.folder, text=True, capture_output=True,
                          env={**place.environment, **SOON}, timeout=300, check=False)
    expect(done.returncode in codes, f"earshot-{name} {arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


class Sinks:
    """Sinks that run side by side, each with a log of its own."""

    def __init__(self, place):
        self.place, self.running, self.logs = place, [], 0

    def start(self):
        log = self.place.folder / f"sink-{self.logs}.log"
        self.logs += 1
        with open(log, "wb") as out:
            process = subprocess.Popen([str(harness.BUILD / "bin" / "earshot-sink"), "run", "--log", "json"], cwd=self.place.folder,
                                       env={**self.place.environment, **SOON}, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.running.append((process, log))

    def said(self, what):
        """How many logs, by number, say it."""
        return [number for number in range(self.logs) if what in (self.place.folder / f"sink-{number}.log").read_text(encoding="utf-8", errors="replace")]

    def kill(self, number):
        process, _ = self.running.pop(number)
        process.kill()
        process.wait()

    def stop(self):
        for process, _ in self.running:
            process.terminate()
        for process, log in self.running:
            expect(process.wait(30) == 0, f"a sink ended with {process.returncode}: {log.read_text()[-2000:]}")
        self.running = []


@contextlib.contextmanager
def servers():
    with kafka.Kafka() as cluster, postgres.Postgres() as base, harness.place() as place:
        url = base.create("earshot")
        place.configure(CONFIGURATION.format(bootstrap=cluster.bootstrap, url=url))
        yield place, base


def wait(held, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if held():
            return seconds - (until - time.monotonic())
        time.sleep(0.2)
    raise harness.Failure(f"waited {seconds} s for: {what}")


def stored(place):
    answer = role(place, "sink", "status", "-o", "json")
    return json.loads(answer)


def settled(place, posts):
    now = stored(place)
    return now.get("posts") == posts and now["dirty_days"] == 0 and now["outbox"] == 0


def as_one_sink_would(place):
    """The same log into another schema, by one: the same facts."""
    role(place, "sink", "rebuild", "again")
    one, other = role(place, "sink", "facts"), role(place, "sink", "facts", "again")
    left, right = sorted(one.splitlines()), sorted(other.splitlines())
    expect(left == right, f"{len(left)} facts, {len(right)} in the rebuild; first difference: {next((pair for pair in zip(left, right) if pair[0] != pair[1]), None)}")


def killed_sinks_leave_the_store_as_one_would():
    chance = random.Random(7)
    with servers() as (place, _):
        write(place, "notes", 400)
        write(place, "other", 300)
        role(place, "collect", "once")
        sinks = Sinks(place)
        for _ in range(SINKS):
            sinks.start()
        try:
            for turn in range(4):
                write(place, "notes", 400 + 100 * turn, edited=range(0, 50 * turn, 3))
                write(place, "other", 300, edited=range(0, 40 * turn, 2))
                role(place, "collect", "once", codes=(0, 75))
                role(place, "process", "run", "--until-end")
                sinks.kill(0 if turn % 2 == 0 else chance.randrange(len(sinks.running)))  # the first is the holder, mostly
                sinks.start()
            took = wait(lambda: settled(place, 1000), f"everything is stored: {stored(place)}", 90)
            wait(lambda: stored(place)["audit"] == [], "the audit balances", 40)
            print(f"  settled after {took:.1f} s; holders {sinks.said('this sink now does')}, logs {sinks.logs}", flush=True)
        finally:
            sinks.stop()
        for number in range(sinks.logs):
            text = (place.folder / f"sink-{number}.log").read_text(encoding="utf-8", errors="replace")
            expect("deadlock" not in text, text[-2000:])
        as_one_sink_would(place)
        found = stored(place)
        expect(found["audit"] == [], f"{found['audit']}")


def another_sink_is_the_holder_within_ten_seconds():
    with servers() as (place, _):
        write(place, "notes", 20)
        role(place, "collect", "once", codes=(0, 75))
        role(place, "process", "run", "--until-end")
        sinks = Sinks(place)
        sinks.start()
        sinks.start()
        try:
            wait(lambda: len(sinks.said("this sink now does")) == 1, "one is the holder", 40)
            holder = sinks.said("this sink now does")[0]
            sinks.kill(holder)
            took = wait(lambda: len(sinks.said("this sink now does")) == 2, "the other is the holder", 20)
            expect(took < 10, f"it took {took:.1f} s")
            print(f"  taken over after {took:.1f} s", flush=True)
        finally:
            sinks.stop()


def the_missing_readers_role_is_said_when_the_tables_are_made():
    """Who may not make roles reads the SQL for one who may, once, not at every start."""
    with postgres.Postgres() as base, harness.place() as place:
        url = base.create("earshot").replace(f"//{base.user}", "//small")
        base.sql('CREATE ROLE small LOGIN; GRANT CREATE ON DATABASE earshot TO small')
        place.configure(f'earshot: 1\nsinks: [{{store: {{url: "{url}"}}}}]\n')
        said = [place.run("run", "--once").stderr.count("CREATE ROLE earshot_reader") for _ in range(2)]
        expect(said == [1, 0], f"{said}")


def of_two_sinks_that_each_have_a_sqlite_store_one_gives_up():
    """The stream's URL was changed, the store's was not: two machines would have half of the posts each."""
    with kafka.Kafka() as cluster, harness.place() as one, harness.place() as other:
        for place in (one, other):
            place.configure(CONFIGURATION.format(bootstrap=cluster.bootstrap, url="sqlite:store.db"))
        write(one, "notes", 40)
        role(one, "collect", "once", codes=(0, 75))
        role(one, "process", "run", "--until-end")
        both = [Sinks(one), Sinks(other)]
        try:
            for sinks in both:
                sinks.start()
            ended = lambda: [sinks for sinks in both if sinks.running[0][0].poll() is not None]  # noqa: E731
            wait(ended, "one has given up", 60)
            (loser,) = ended()
            process, log = loser.running.pop()
            expect(process.returncode == 78 and "postgresql://" in log.read_text(), f"it ended with {process.returncode}: {log.read_text()[-1000:]}")
            (winner,) = [sinks for sinks in both if sinks is not loser]
            wait(lambda: stored(winner.place).get("posts") == 40, "the other has all posts", 30)
        finally:
            for sinks in both:
                sinks.stop()


if __name__ == "__main__":
    try:
        sys.exit(harness.main(of_two_sinks_that_each_have_a_sqlite_store_one_gives_up, the_missing_readers_role_is_said_when_the_tables_are_made, another_sink_is_the_holder_within_ten_seconds, killed_sinks_leave_the_store_as_one_would))
    except keep.Missing as absent:
        harness.skip(absent)
