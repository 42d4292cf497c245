#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A walk into a source's past on a real Kafka with several collectors: the one that has the source walks, after a kill -9 another, or the next that
starts; each post once. Asked for on another machine it is theirs to do; where nobody runs the command does it, and leaves no other source alone."""

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import share_out  # noqa: E402
from forum import Forum  # noqa: E402
from harness import expect  # noqa: E402
from share_out import wait_until  # noqa: E402

BOOTSTRAP = os.environ.get("EARSHOT_TEST_KAFKA")
FORUMS, DAYS, PAGE = 3, 80, 50


class Walkers(share_out.Fleet):
    """Collectors of forums with a hundred days of posts, of which the first poll takes one day."""

    def __init__(self, place, prefix, every):
        now = datetime.datetime.now(datetime.timezone.utc)
        self.forums = [Forum(2400, now) for _ in range(FORUMS)]
        self.place, self.bootstrap, self.prefix, self.running, self.deeds, self.number = place, BOOTSTRAP, f"{prefix}{os.getpid()}", [], [], 0
        self.every = every
        self.configure(place)

    def configure(self, place):
        sources = "".join(f"  - {{name: forum-{n}, use: discourse, base: \"http://127.0.0.1:{forum.server_port}\", every: {self.every}, history: 1d}}\n"
                          for n, forum in enumerate(self.forums))
        place.configure(share_out.CONFIG.format(bootstrap=BOOTSTRAP, prefix=self.prefix, client=json.dumps(share_out.CLIENT)) + sources)

    def standing(self, source):
        """Empty while there is no topic yet."""
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.latest().get(source, {})
        return {}

    def latest(self):
        return {key: value for _, key, value in self.read("cursors")}

    def all_are_polled(self):
        return all("last_success_at" in self.standing(f"forum-{n}") for n in range(FORUMS))

    def walkers_of(self, source):
        return [number for number in range(1, self.number + 1) if any("walks into the past" in line and f'"{source}"' in line for line in self.log(number).splitlines())]

    def numbers(self, number):
        port = self.forums[number].server_port
        return [int(key.rsplit(":", 1)[1]) for _, key, _ in self.read("posts") if f":{port}:" in key]


@contextlib.contextmanager
def walkers(prefix, every="1h"):
    with harness.place() as place:
        fleet = Walkers(place, prefix, every)
        try:
            yield fleet
        finally:
            fleet.end()
            for forum in fleet.forums:
                forum.shutdown()
                forum.server_close()


def judge(fleet, number, days, without=frozenset()):
    numbers = fleet.numbers(number)
    expect(len(numbers) == len(set(numbers)), f"{len(numbers)} messages of {len(set(numbers))} posts")
    expect(days * 24 - 2 <= len(numbers) <= days * 24 + PAGE + 1, f"{len(numbers)} posts of {days} days")
    expect(set(numbers) == set(range(2401 - len(numbers) - len(without), 2401)) - without, "not one piece")


def who_has_the_source_walks_and_another_goes_on_after_a_kill():
    with walkers("walk") as fleet:
        forum = fleet.forums[1]
        fleet.start()
        fleet.start()
        wait_until(fleet.all_are_polled, "all forums to be polled", 30)
        first, forum.delay_s = len(forum.pages), 0.3
        fleet.place.run("backfill", "forum-1", "--since", f"{DAYS}d", "--no-wait")
        wait_until(lambda: len(forum.pages) >= first + 5, "the walk to begin", 30)
        walker = fleet.walkers_of("forum-1")
        expect(len(walker) == 1, f"{walker} walk")
        fleet.kill(next(process for process in fleet.running if process.number == walker[0]))
        seen = len(forum.pages)
        wait_until(lambda: len(forum.pages) >= seen + 5, "the other to go on", 30)
        fleet.kill(fleet.running[0])  # and now nobody walks
        expect("done_at" not in fleet.standing("forum-1")["backfill"], "it was done before the second kill")
        forum.delay_s = 0.02
        fleet.start()
        wait_until(lambda: "done_at" in fleet.standing("forum-1").get("backfill", {}), "the walk to be done", 40)
        judge(fleet, 1, DAYS)
        least, spent = DAYS * 24 // PAGE, len(forum.pages) - first
        expect(spent <= least + 2 * 6, f"{spent} requests where {least} are the least, with two kills")
        expect(all(len(fleet.numbers(n)) < 100 for n in (0, 2)), "another forum's past was walked")
        print(f"   {len(fleet.numbers(1))} posts, {spent} requests where {least} are the least, two kills")


def asked_for_on_another_machine_it_is_left_to_those_that_run():
    with walkers("far") as fleet, harness.place() as far:
        fleet.configure(far)
        fleet.start()
        fleet.start()
        wait_until(fleet.all_are_polled, "all forums to be polled", 30)
        # Forgotten before anybody has seen it: nor does the walk bring it.
        far.run("forget", f"discourse:127.0.0.1:{fleet.forums[2].server_port}:2300")
        line = json.loads(far.run("backfill", "forum-2", "--since", "20d", "-o", "json").stdout)
        expect(line["done"] is True and line["error"] is None, f"{line}")
        expect(len(fleet.walkers_of("forum-2")) == 1 and not list((far.folder / "earshot.data" / "run").glob("collect*")), "the command collected by itself")
        judge(fleet, 2, 20, {2300})


def where_nobody_runs_the_command_collects_and_starves_no_other_source():
    with walkers("alone", "5s") as fleet:
        fleet.start()
        wait_until(fleet.all_are_polled, "all forums to be polled", 30)
        fleet.kill(fleet.running[0])
        before = [len(forum.pages) for forum in fleet.forums]
        fleet.forums[0].delay_s = 0.4
        line = json.loads(fleet.place.run("backfill", "forum-0", "--since", "60d", "-o", "json").stdout)
        expect(line["done"] is True and line["error"] is None, f"{line}")
        asked = [len(forum.pages) - was for forum, was in zip(fleet.forums, before)]
        expect(asked[1] > 0 and asked[2] > 0, f"other sources were left alone: {asked}")
        judge(fleet, 0, 60)


if __name__ == "__main__":
    if not BOOTSTRAP:
        harness.skip("no Kafka; run me by: tests/servers/with --kafka -- tests/integration/test_backfill_kafka.py")
    sys.exit(harness.main(who_has_the_source_walks_and_another_goes_on_after_a_kill, asked_for_on_another_machine_it_is_left_to_those_that_run,
                          where_nobody_runs_the_command_collects_and_starves_no_other_source))
