#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kill storm on the local log. Kills any process of `earshot run` at random and at every named kill point, under load, while feeds and a file keep
adding, editing and deleting; then compares the store with the list of what was served.

    tests/storm [--kills 2000] [--minutes 10] [--seed N] [--build build/storm]

Appends a line a round to the ledger (build/storm/ledger.ndjson: commit, seed, kills, result) and resumes: kills of one commit add up. Ends when the ledger
holds the kills that were asked for, or after the minutes; exit 0 if no round of this commit found a fault. What a faulty round left lies in fault-SEED beside the ledger."""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import source  # noqa: E402

ROUND_S = 25
ROLES = ("earshot-collect", "earshot-process", "earshot-sink")


def children(pid):
    try:
        return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_points(build):
    out = subprocess.run([build / "bin" / "earshot", "--kill-points"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in out.splitlines() if line.strip()]


class Run:
    """`earshot run`, its log, and who is to be killed."""

    def __init__(self, place, build, environment=None):
        self.log = open(place.folder / "run.log", "ab")
        self.process = subprocess.Popen([build / "bin" / "earshot", "run", "--log", "json"], cwd=place.folder, stdout=self.log, stderr=self.log,
                                        env={**place.environment, **(environment or {})}, start_new_session=True)

    def victim(self, dice):
        """A role most of the time, now and then the supervisor itself."""
        roles = children(self.process.pid)
        if not roles or dice.random() < 0.05:
            return self.process.pid
        return dice.choice(roles)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise harness.Failure("earshot run did not end within 30 s of SIGTERM") from None
        finally:
            self.log.close()


def deaths(place):
    """How often the supervisor saw a role killed."""
    text = (place.folder / "run.log").read_text(errors="replace")
    return len(re.findall(r"ended with code 137", text))


def storm_round(place, world, build, dice, point):
    """One round: load and kills for ROUND_S. Returns the number of kills."""
    before, own = deaths(place) if (place.folder / "run.log").exists() else 0, 0
    environment = {"EARSHOT_KILL_POINT": f"{point}:{dice.randrange(1, 6)}"} if point else {}
    run = Run(place, build, environment)
    world.go()
    ends = time.monotonic() + ROUND_S
    try:
        while time.monotonic() < ends:
            time.sleep(dice.uniform(0.03, 0.3))
            if not run.alive():
                run.log.close()
                run = Run(place, build, environment)
                continue
            if point and dice.random() < 0.5:
                continue
            victim = run.victim(dice)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            if victim == run.process.pid:
                own += 1
                run.process.wait()
    finally:
        world.pause()
        if run.alive():
            run.stop()
    return deaths(place) - before + own


def settle(place):
    """Polls until nothing changes: deletions are confirmed a few a poll."""
    quiet = 0
    for _ in range(60):
        done = place.run("run", "--once", codes=(0, 75))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        busy = any(line["new"] or line["edited"] or line["deleted"] or line["error"] for line in lines)
        quiet = 0 if busy or done.returncode == 75 else quiet + 1
        if quiet == 2:
            return
        time.sleep(0.3)


def check_versions(place, topic, faults):
    last = {}
    for line in place.run("tap", topic, "--from", "0", "--until-end", "--json", "--meta").stdout.splitlines():
        message = json.loads(line)
        value = message["value"] if isinstance(message["value"], dict) else json.loads(message["value"])
        if value["version"] < last.get(value["id"], 0):
            faults.append(f"{topic}: {value['id']} goes back from version {last[value['id']]} to {value['version']}")
        last[value["id"]] = value["version"]


def check_facts(place, stored, faults):
    """Each stored post has facts of its own, under each of its labels, and nobody else has any; the roll-ups say what the facts say."""
    base = sqlite3.connect(f"file:{place.folder}/earshot.data/store.sqlite?mode=ro", uri=True)
    facts = collections.defaultdict(set)
    for post, label in base.execute("SELECT DISTINCT post, label FROM fact"):
        facts[post].add(label)
    if set(facts) != set(stored):
        faults.append(f"facts of {len(facts)} posts, {len(stored)} are stored: {sorted(set(facts) ^ set(stored))[:3]}")
    for post, labels in facts.items():
        wanted = {"", *(stored[post]["labels"] if post in stored else ())}
        if labels != wanted:
            faults.append(f"{post}: facts under {sorted(labels)}, labels are {sorted(wanted)}")
    rolled = base.execute("SELECT day, brand, label, posts, people, conversations FROM rollup_day WHERE posts > 0 ORDER BY 1, 2, 3").fetchall()
    counted = base.execute("SELECT day, brand, label, count(DISTINCT post), count(DISTINCT author), count(DISTINCT thread) FROM fact WHERE audience = 0"
                           " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3").fetchall()
    if [r[:4] for r in rolled] != [c[:4] for c in counted]:
        faults.append(f"roll-ups differ from facts: {sorted(set(r[:4] for r in rolled) ^ set(c[:4] for c in counted))[:3]}")
    base.close()


def check(place, world):
    """What is wrong with the store; empty: nothing."""
    faults = []
    wanted = world.wanted()
    rows = place.posts()
    stored = {row["id"]: row for row in rows}
    doubled = [i for i, n in collections.Counter(row["id"] for row in rows).items() if n > 1]
    lost = sorted(set(wanted) - set(stored))
    extra = sorted(set(stored) - set(wanted))
    stale = sorted(i for i in set(wanted) & set(stored) if stored[i]["text"] != wanted[i])
    for name, ids in (("doubled", doubled), ("lost", lost), ("not asked for (a deletion missed)", extra), ("stale", stale)):
        if ids:
            faults.append(f"{len(ids)} {name}: {ids[:4]}")
    check_facts(place, stored, faults)
    for topic in ("posts", "insights"):
        check_versions(place, topic, faults)
    return len(wanted), faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=float, default=12.0, help="changes a second")
    parser.add_argument("--build", type=pathlib.Path, default=harness.ROOT / "build" / "storm")
    options = parser.parse_args()
    build = options.build.resolve()
    harness.BUILD = build
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=harness.ROOT, capture_output=True, text=True, check=True).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=harness.ROOT, capture_output=True, text=True, check=True).stdout.strip()
    commit += "+changes" if dirty else ""
    ledger = build / "ledger.ndjson"
    past = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    past = [entry for entry in past if entry["commit"] == commit]
    kills, bad = sum(e["kills"] for e in past), [e for e in past if e["faults"]]
    points = kill_points(build)
    print(f"storm: commit {commit}, {kills} kills in the ledger, {len(points)} kill points", flush=True)
    ends = time.monotonic() + options.minutes * 60
    began, number = time.monotonic(), len(past)
    while kills < options.kills and time.monotonic() < ends:
        seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
        dice = random.Random(seed)
        with harness.place() as place:
            world = source.World(place.folder, seed, options.rate)
            try:
                place.configure(world.config())
                total, modes = 0, []
                for _ in range(4):
                    point = points[number % (len(points) + 3)] if number % (len(points) + 3) < len(points) else None
                    number += 1
                    modes.append(point or "random")
                    total += storm_round(place, world, build, dice, point)
                settle(place)
                posts, faults = check(place, world)
            except harness.Failure as failure:
                posts, faults = 0, [str(failure)]
            finally:
                world.close()
            if faults:
                shutil.copytree(place.folder, build / f"fault-{seed}", dirs_exist_ok=True)
        entry = {"commit": commit, "seed": seed, "kills": total, "posts": posts, "modes": modes, "faults": faults, "at": time.strftime("%FT%TZ", time.gmtime())}
        with open(ledger, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        kills += total
        bad += [entry] if faults else []
        print(f"  seed {seed}: {total} kills ({', '.join(modes)}), {posts} posts: {'; '.join(faults) or 'nothing lost, nothing doubled'}", flush=True)
    print(f"storm: {kills} kills, {len(bad)} rounds with faults, {time.monotonic() - began:.0f} s: {'FAILED' if bad else 'passed'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
