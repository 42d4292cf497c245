#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kill storm on Kafka and PostgreSQL: three brokers, two collectors, two processors, two sinks. Kills, pauses and stops processes at random and at every
named kill point, kills brokers, cuts connections of the store, while feeds and a file keep adding, editing and deleting; then lets all come to rest
and compares topics and store with the list of what was served.

    tests/storm --kafka [--kills 1000] [--brokers 40] [--minutes 60] [--seed N]

Appends a line a round to build/storm/ledger-kafka.ndjson and resumes: rounds of one commit add up. Ends when the ledger holds the kills (pauses count among
them) and broker kills that were asked for, or after the minutes; exit 0 if no round of this commit found a fault. What a faulty round left lies in
fault-SEED beside the ledger: each member's log, the topics as they can be read committed and uncommitted, the store's posts, what was served."""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "servers")]
import fleet  # noqa: E402
import harness  # noqa: E402
import judge  # noqa: E402
import kafka  # noqa: E402
import keep  # noqa: E402
import ledger  # noqa: E402
import postgres  # noqa: E402
import source  # noqa: E402
import storm  # noqa: E402

ROUND_S, SETTLE_S = 60, 180  # what is late on a busy machine is not lost: settled_s says how late
TOPICS = ("posts", "insights", "cursors", "seen", "trends", "rejects", "audit", "forgotten", "decisions")
PARTITIONS = 6


def read_topic(bootstrap, topic, level="read_committed"):
    """All messages of a topic, by kcat: no code of ours looks at itself."""
    said = subprocess.run(["kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", "-X", f"isolation.level={level}"],
                          capture_output=True, text=True, timeout=120, check=False)
    if said.returncode != 0:
        raise harness.Failure(f"kcat on {topic}: {said.stderr[-500:]}")
    return [json.loads(line) for line in said.stdout.splitlines()]


def values(messages):
    return [json.loads(m["payload"]) for m in messages if m["payload"] is not None]


class Round:
    """One world, one prefix, one database, one fleet."""

    def __init__(self, servers, place, options, seed, points, past):
        self.cluster, self.base = servers
        self.place, self.seed, self.dice = place, seed, random.Random(seed)
        self.prefix = f"storm-{seed}"
        self.database = f"storm_{seed}"
        self.base.create(self.database)
        self.world = source.World(place.folder, seed, options.rate, [f"feed-{n:02}" for n in range(options.feeds)])
        (place.folder / "author_key").write_bytes(os.urandom(32))
        (place.folder / "author_key").chmod(0o600)
        self.fleet = fleet.Fleet(place.folder, options.build, self.dice, points, past, self.configuration)
        place.configure(self.configuration("judge"))
        self.posts, self.settled_s, self.cut = 0, None, 0

    def configuration(self, member):
        client = ", ".join(f"{name}: {value}" for name, value in fleet.CLIENT.items())
        return (self.world.config() +
                f"stream:\n  url: \"kafka://{self.cluster.bootstrap}/{self.prefix}\"\n  instance: {member}\n"
                f"  topics: {{partitions: {PARTITIONS}, replication: 3}}\n  librdkafka: {{{client}}}\n"
                f"sinks:\n  - store: {{url: \"{self.base.address(self.database)}\", schema: earshot}}\n  - trends: {{windows: [1h, 1d], publish: true}}\n"
                f"authors: {{key: \"${{file:{self.place.folder}/author_key}}\"}}\n")

    # --- under load ---

    def go(self):
        self.fleet.go()
        self.world.go()
        self.cut = time.monotonic() + 10

    def tick(self, now):
        self.fleet.tick(now)
        if self.fleet.storming and now >= self.cut:
            self.cut_connections()
            self.cut = now + self.dice.uniform(4, 12)

    def calm(self):
        self.world.pause()
        self.fleet.calm()

    def cut_connections(self):
        """One connection of a sink is ended under it, whatever it is doing."""
        done = self.base.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                             f"'{self.database}' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
        self.fleet.counts["connection cut"] += len(done.split())

    def query(self, text):
        """Rows of the store; numbers as numbers."""
        rows = self.base.sql(f"SET search_path TO earshot;\n{text};", self.database).splitlines()
        return [tuple(int(f) if f.lstrip("-").isdigit() else f for f in row.split("\t")) for row in rows]

    def at_rest(self, wanted):
        """The store says what was served, and nothing waits to be counted or sent."""
        try:
            waiting = self.query("SELECT (SELECT count(*) FROM dirty) + (SELECT count(*) FROM outbox)")[0][0]
            stored = dict(self.query_texts())
        except (keep.Failed, ValueError):
            return False
        return waiting == 0 and stored == wanted

    def query_texts(self):
        rows = self.base.sql("SELECT json_build_array(id, text) FROM earshot.insight;", self.database).splitlines()
        return [json.loads(row) for row in rows]

    def look_at_rest(self, since):
        """Notes when it came to rest."""
        if self.settled_s is None and self.at_rest(self.world.wanted()):
            self.settled_s = time.monotonic() - since

    # --- comparing ---

    def judge(self):
        wanted, rows = self.world.wanted(), self.place.posts()
        self.posts = len(wanted)
        faults = judge.store(rows, wanted) + judge.facts(self.query, rows)
        topics = {topic: read_topic(self.cluster.bootstrap, f"{self.prefix}.{topic}") for topic in ("posts", "insights", "cursors", "trends", "rejects")}
        faults += judge.published("posts", values(topics["posts"]), self.world.histories())
        faults += judge.published("insights", values(topics["insights"]), self.world.histories())
        faults += judge.cursors(values(topics["cursors"]))
        faults += judge.trends(topics["trends"], self.query)
        faults += [f"{len(topics['rejects'])} rejects: {topics['rejects'][0]}"] if topics["rejects"] else []
        return faults + judge.audit(self.place)

    def keep_evidence(self, where):
        where.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.place.folder, where / "place", dirs_exist_ok=True)
        (where / "served.json").write_text(json.dumps(self.world.histories(), indent=0))
        for topic in TOPICS:
            for level in ("read_committed", "read_uncommitted"):
                try:
                    with open(where / f"{topic}.{level}.ndjson", "w", encoding="utf-8") as out:
                        out.writelines(json.dumps(m) + "\n" for m in read_topic(self.cluster.bootstrap, f"{self.prefix}.{topic}", level))
                except (harness.Failure, subprocess.TimeoutExpired) as why:
                    (where / f"{topic}.{level}.missing").write_text(str(why))
        dump = subprocess.run([self.base.bin / "pg_dump", "-d", self.base.address(self.database)], capture_output=True, check=False)
        (where / "store.sql").write_bytes(dump.stdout)
        for log in self.cluster.kept.folder.glob("broker-*.log"):
            shutil.copy(log, where)
        shutil.copy(self.base.kept.folder / "postgres.log", where)

    def close(self):
        self.fleet.kill_all()
        self.world.close()


    def entry(self, brokers, seconds, faults):
        counts = self.fleet.counts
        return {
            "seed": self.seed, "kills": counts["kill"] + counts["point kill"], "pauses": counts["stop"] + counts["point pause"], "brokers": brokers,
            "by": dict(counts), "points": dict(self.fleet.reached), "exits": dict(self.fleet.exits), "posts": self.posts,
            "settled_s": round(SETTLE_S if self.settled_s is None else self.settled_s, 1), "seconds": round(seconds), "faults": faults,
            "at": time.strftime("%FT%TZ", time.gmtime()),
        }


def hold(rounds, brokers):
    """All rounds at once: load and strikes, then peace until each is at rest."""
    for each in rounds:
        each.go()
    ends = time.monotonic() + ROUND_S
    brokers.go(time.monotonic() + 3)
    while (now := time.monotonic()) < ends:
        for each in rounds:
            each.tick(now)
        brokers.turn(now)
        time.sleep(0.03)
    for each in rounds:
        each.calm()
    brokers.mend()
    since = time.monotonic()
    rest = None
    while (now := time.monotonic()) < since + SETTLE_S:
        for each in rounds:
            each.tick(now)
            each.look_at_rest(since)
        if rest is None and all(each.settled_s is not None for each in rounds):
            rest = now
        if rest is not None and now > rest + 3:  # what should not come may still come
            break
        time.sleep(0.1)
    for each in rounds:
        if each.settled_s is None:
            each.fleet.faults.append(f"not at rest {SETTLE_S} s after the last strike")
        each.fleet.stop()


def together(servers, options, seed, points, past):
    """A round in each lane, on the same brokers and the same PostgreSQL. Returns their entries for the ledger."""
    began, faults = time.monotonic(), []
    with contextlib.ExitStack() as stack:
        rounds = []
        for lane in range(options.lanes):
            rounds.append(Round(servers, stack.enter_context(harness.place()), options, seed + lane, points, past))
            stack.callback(rounds[-1].close)
        brokers = fleet.Brokers(servers[0], rounds[0].dice, options.broker_gap)
        try:
            hold(rounds, brokers)
        except (keep.Failed, subprocess.SubprocessError) as failure:
            faults = [f"{type(failure).__name__}: {failure}"]
        entries = []
        for lane, each in enumerate(rounds):
            each.fleet.kill_all()
            try:
                found = faults + each.fleet.faults + each.judge()
            except (harness.Failure, keep.Failed, subprocess.SubprocessError) as failure:
                found = faults + each.fleet.faults + [f"{type(failure).__name__}: {failure}"]
            if found:
                each.keep_evidence(options.build / f"fault-{each.seed}")
            entries.append(each.entry(brokers.kills if lane == 0 else 0, time.monotonic() - began if lane == 0 else 0, found))
        return entries


def show_sum(book, points, seconds):
    by, reached, exits = collections.Counter(), collections.Counter(), collections.Counter()
    for entry in book.rounds:
        by.update(entry["by"])
        reached.update(entry["points"])
        exits.update(entry["exits"])
    bad = book.bad()
    print(f"ledger of {book.commit}: {len(book.rounds)} rounds, {book.sum('posts')} posts, {book.sum('seconds')} s")
    print(f"  {book.sum('kills')} kills, {book.sum('pauses')} pauses, {book.sum('brokers')} broker kills ({', '.join(f'{k}: {v}' for k, v in sorted(by.items()))})")
    print(f"  ended by themselves: {', '.join(f'{k}: {v}' for k, v in sorted(exits.items())) or 'none'}")
    for action in ("kill", "pause"):
        never = [p for p in points if not reached[f"{p} {action}"]]
        print(f"  points with {action}: {len(points) - len(never)} of {len(points)}" + (f", never: {' '.join(never)}" if never else ""))
    print(f"  at rest after {max((e['settled_s'] for e in book.rounds), default=0)} s at most")
    print(f"storm on Kafka: {book.sum('kills') + book.sum('pauses')} kills and pauses, {book.sum('brokers')} broker kills, {len(bad)} rounds with faults, "
          f"{seconds:.0f} s: {'FAILED' if bad else 'passed'}")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kafka", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kills", type=int, default=1000, help="kills and pauses that the ledger shall hold")
    parser.add_argument("--brokers", type=int, default=None, help="broker kills that it shall hold (40 in 1,000)")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="one round with these dice")
    parser.add_argument("--rate", type=float, default=25.0, help="changes a second, twice")
    parser.add_argument("--lanes", type=int, default=2, help="fleets at once, each on topics and a database of its own")
    parser.add_argument("--feeds", type=int, default=15)
    parser.add_argument("--broker-gap", type=float, nargs=2, default=(1.0, 6.0), help="seconds between broker kills")
    parser.add_argument("--build", type=pathlib.Path, default=harness.ROOT / "build" / "storm")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.brokers = options.kills * 40 // 1000 if options.brokers is None else options.brokers
    harness.BUILD = options.build
    book = ledger.Ledger(options.build / "ledger-kafka.ndjson")
    points = [p for p in storm.kill_points(options.build) if p.split(".")[0] in ("kafka", *fleet.ROLES)]
    print(f"storm on Kafka: commit {book.commit}, {book.sum('kills') + book.sum('pauses')} kills and pauses in the ledger, {len(points)} kill points", flush=True)
    began = time.monotonic()
    try:
        with kafka.Kafka(brokers=3) as cluster, postgres.Postgres() as base:
            while time.monotonic() - began < options.minutes * 60:
                if book.sum("kills") + book.sum("pauses") >= options.kills and book.sum("brokers") >= options.brokers and options.seed is None:
                    break
                seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
                past = sum((collections.Counter(e["points"]) for e in book.rounds), collections.Counter())
                for entry in together((cluster, base), options, seed, points, past):
                    book.add(entry)
                    print(f"  seed {entry['seed']}: {entry['kills']} kills, {entry['pauses']} pauses, {entry['brokers']} broker kills, {entry['posts']} posts, at rest after "
                          f"{entry['settled_s']} s, {entry['seconds']} s: {'; '.join(entry['faults']) or 'nothing lost, nothing doubled'}", flush=True)
                if options.seed is not None:
                    break
    except keep.Missing as why:
        harness.skip(why)
    return show_sum(book, points, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
