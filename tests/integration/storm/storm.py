#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kill storm on the local log. Kills any process of `earshot run` at random and at every named kill point, under load, while feeds and a file keep
adding, editing and deleting; then compares the store with the list of what was served.

    tests/storm [--kills 2000] [--minutes 10] [--seed N] [--build build/storm]

Appends a line a round to the ledger (build/storm/ledger.ndjson: commit, seed, kills, result) and resumes: kills of one commit add up. Ends when the ledger
holds the kills that were asked for, or after the minutes; exit 0 if no round of this commit found a fault. What a faulty round left lies in fault-SEED beside the ledger."""

import argparse
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
import judge  # noqa: E402
import ledger  # noqa: E402
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


def tapped(place, topic):
    for line in place.run("tap", topic, "--from", "0", "--until-end", "--json", "--meta").stdout.splitlines():
        value = json.loads(line)["value"]
        yield value if isinstance(value, dict) else json.loads(value)


def check(place, world):
    """How many posts there should be, and what is wrong; empty: nothing."""
    wanted, rows = world.wanted(), place.posts()
    base = sqlite3.connect(f"file:{place.folder}/earshot.data/store.sqlite?mode=ro", uri=True)
    faults = judge.store(rows, wanted) + judge.facts(lambda text: base.execute(text).fetchall(), rows)
    base.close()
    faults += judge.published("posts", tapped(place, "posts"), world.histories())
    faults += judge.versions("insights", tapped(place, "insights"))
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
    book = ledger.Ledger(build / "ledger.ndjson")
    points = kill_points(build)
    print(f"storm: commit {book.commit}, {book.sum('kills')} kills in the ledger, {len(points)} kill points", flush=True)
    ends = time.monotonic() + options.minutes * 60
    began, number = time.monotonic(), len(book.rounds)
    while book.sum("kills") < options.kills and time.monotonic() < ends:
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
        book.add({"seed": seed, "kills": total, "posts": posts, "modes": modes, "faults": faults, "at": time.strftime("%FT%TZ", time.gmtime())})
        print(f"  seed {seed}: {total} kills ({', '.join(modes)}), {posts} posts: {'; '.join(faults) or 'nothing lost, nothing doubled'}", flush=True)
    bad = book.bad()
    print(f"storm: {book.sum('kills')} kills, {len(bad)} rounds with faults, {time.monotonic() - began:.0f} s: {'FAILED' if bad else 'passed'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
