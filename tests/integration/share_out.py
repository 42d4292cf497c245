#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sources shared out among collectors on Kafka that come, go, die and sleep: 200 feeds with known posts that grow; afterwards each post must be in the log
exactly once per version, versions in order, cursors never back, and no source without a collector for longer than promised.

    tests/share-out [--minutes N] [--seed N] [--sources N]     prints what it did and a verdict

Timeouts are scaled down: sessions last 2 s, transactions 5 s. A source may be without a collector for the session timeout plus 5 s; where a collector was
killed or paused, its transaction may be pending, and it is the transaction timeout plus 10 s. Both are stretched where the machine is busy with other
things (at most threefold; the verdict says how busy it was)."""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent / "servers")]
import harness  # noqa: E402
from harness import expect  # noqa: E402

COLLECT = harness.BUILD / "bin" / "earshot-collect"
SESSION_S, TRANSACTION_S, EVERY_S = 2, 5, 2
POLL_S = 1.5  # what lies between two polls of one source: half of EVERY_S while it brings something, and a tenth, and the transaction
CLIENT = {"session.timeout.ms": SESSION_S * 1000, "heartbeat.interval.ms": 400, "transaction.timeout.ms": TRANSACTION_S * 1000,
          "message.timeout.ms": 4000, "socket.timeout.ms": 4000, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500}
CONFIG = """
earshot: 1
stream:
  url: "kafka://{bootstrap}/{prefix}"
  topics: {{partitions: 12, replication: 1}}
  librdkafka: {client}
network: {{allow: [127.0.0.1]}}
sources:
"""
# Where a collector may fall asleep (longer than a session) or die; of each transaction, and of a hand-over.
POINTS = ("kafka.begun", "kafka.produced", "kafka.flushed", "kafka.offsets-sent", "kafka.before-commit", "kafka.committed", "kafka.share-assigned",
          "kafka.share-restored", "kafka.share-revoked", "collect.before-commit", "collect.after-commit")


# Prints, four times a second, how much longer than on a quiet machine a piece of work takes here now.
SAMPLER = """
import time
while True:
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < 0.005:
        pass
    print(time.time(), (time.perf_counter() - wall) / 0.005, flush=True)
    time.sleep(0.25)
"""


class Machine:
    """How busy this machine is with other things: what it delays is not the collectors' fault, up to a point."""

    MOST = 3

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", SAMPLER], stdout=subprocess.PIPE, text=True)
        self.samples = []
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self):
        for line in self.process.stdout:
            self.samples.append(tuple(map(float, line.split())))

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def slowness(self, since, until):
        """1: it was quiet."""
        seen = [slow for at, slow in self.samples if since <= at <= until] or [1]
        return min(max(1, sum(seen) / len(seen)), self.MOST)


class Feeds:
    """A server of feeds: each has one post more every second, and every fifth is edited when it is 6 s old. It shows the latest 60."""

    SHOWN, EDITED_AFTER, EDITED_EVERY = 60, 6, 5

    def __init__(self, count):
        self.count, self.began, self.stopped_at, self.pages, self.asked = count, time.time(), None, {}, collections.Counter()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()
        ready.wait()

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    def age(self):
        return int((self.stopped_at or time.time()) - self.began)

    def text(self, number, age):
        edited = number % self.EDITED_EVERY == 0 and age - number >= self.EDITED_AFTER
        return f"post {number}" + (" mended" if edited else "")

    def page(self, feed):
        age = self.age()
        if age not in self.pages:
            items = "".join(f"<item><guid isPermaLink=\"false\">@-{n}</guid><description>{self.text(n, age)}</description></item>"
                            for n in range(age, max(age - self.SHOWN, -1), -1))
            self.pages = {age: f"<rss version=\"2.0\"><channel><title>t</title>{items}</channel></rss>"}
        return self.pages[age].replace("@", feed).encode()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                feed = head.split(b" ", 2)[1].decode().strip("/")
                self.asked[feed] += 1
                body = self.page(feed)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def stop_growing(self):
        self.stopped_at = time.time()

    def all_asked(self):
        return len(self.asked) >= self.count


class Fleet:
    """Collectors of one data folder, told apart by their locks' numbers; everything done to them, with its time."""

    def __init__(self, place, feeds, bootstrap, prefix):
        self.place, self.feeds, self.bootstrap, self.prefix = place, feeds, bootstrap, prefix
        self.running, self.deeds, self.number = [], [], 0
        sources = "".join(f"  - {{name: feed-{n}, use: feed, every: {EVERY_S}s, url: \"http://127.0.0.1:{feeds.port}/f{n}\"}}\n" for n in range(feeds.count))
        place.configure(CONFIG.format(bootstrap=bootstrap, prefix=prefix, client=json.dumps(CLIENT)) + sources)

    def note(self, deed):
        self.deeds.append((time.time(), deed))

    def start(self, point=None):
        self.number += 1
        more = {"EARSHOT_KILL_POINT": point} if point else {}
        with open(self.place.folder / f"log-{self.number}", "wb") as log:
            process = subprocess.Popen([COLLECT, "run", "--log", "json"], cwd=self.place.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**self.place.environment, **more})
        self.note(f"start {self.number}" + (f" with {point}" if point else ""))
        process.number, process.asleep = self.number, False
        self.running.append(process)
        return process

    def kill(self, process, how=signal.SIGKILL):
        self.note(f"{signal.Signals(how).name} {process.number}")
        if process.asleep:
            process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        began = time.time()
        code = process.wait(20)
        self.running.remove(process)
        if how == signal.SIGTERM:
            expect(code in (0, -9) and time.time() - began < 10, f"collector {process.number} ended with {code} after {time.time() - began:.1f} s")

    def sleep(self, process, seconds):
        self.note(f"pause {process.number} for {seconds:.1f} s")
        process.send_signal(signal.SIGSTOP)
        process.asleep = True
        timer = threading.Timer(seconds, self.wake, (process,))
        timer.daemon = True
        timer.start()

    def wake(self, process):
        if process.asleep and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.asleep = False
            self.note(f"wake {process.number}")

    def bury(self):
        """Those that died by themselves: at a point, or because a service did not answer them at their start (75). Any other end is a failure."""
        for process in [p for p in self.running if p.poll() is not None]:
            self.running.remove(process)
            self.note(f"end {process.number} with {process.returncode}")
            expect(process.returncode in (-9, 75), f"collector {process.number} ended with {process.returncode}: {self.log(process.number)[-2000:]}")

    def log(self, number):
        return (self.place.folder / f"log-{number}").read_text(errors="replace")

    def end(self):
        for process in list(self.running):
            process.asleep = process.poll() is None and process.asleep
            try:
                process.kill()
                process.wait(10)
            except ProcessLookupError:
                pass
        self.running.clear()

    # --- what the log holds ---

    def read(self, topic):
        """Every committed message, in order: (time in s, key, value)."""
        done = subprocess.run(["kcat", "-q", "-C", "-b", self.bootstrap, "-t", f"{self.prefix}.{topic}", "-o", "beginning", "-e", "-f", "%T %k %s\n",
                               "-X", "isolation.level=read_committed"], capture_output=True, text=True, timeout=120, check=True)
        rows = (line.split(" ", 2) for line in done.stdout.splitlines())
        return [(int(at) / 1000, key, json.loads(value)) for at, key, value in rows if value]


def judge_posts(feeds, posts):
    """Each version of each post once, in order, none missing, none unknown."""
    told = collections.defaultdict(list)
    for _, key, value in posts:
        told[key].append((value["version"], value["text"]))
    lost, doubled, disordered = [], [], []
    age = feeds.age()
    for n in range(feeds.count):
        for number in range(age + 1):
            key = f"feed:127.0.0.1:{feeds.port}:f{n}-{number}"
            versions = told.pop(key, [])
            texts = [text for _, text in versions]
            final = feeds.text(number, age)
            lost += [key] if not texts or texts[-1] != final else []
            doubled += [key] if len(set(texts)) != len(texts) else []
            disordered += [key] if versions != sorted(versions) else []
    expect(not lost, f"{len(lost)} posts lost, such as {lost[:3]}")
    expect(not doubled, f"{len(doubled)} posts doubled, such as {doubled[:3]}")
    expect(not disordered, f"{len(disordered)} posts out of order, such as {disordered[:3]}")
    expect(not told, f"{len(told)} posts that nobody wrote, such as {list(told)[:3]}")
    return len(posts)


def judge_cursors(cursors):
    """A source's cursor only goes forward: where it stands in time, and the newest post that it remembers."""
    last = {}
    for _, key, value in cursors:
        newest = max((int(item["guid"].rsplit("-", 1)[1]) for item in (value.get("cursor") or {}).get("items", []) if "guid" in item), default=-1)
        now = (value["at"], newest)
        if key in last:
            expect(now[0] >= last[key][0] and now[1] >= last[key][1], f"the cursor of {key} went back from {last[key]} to {now}")
        last[key] = now


def judge_gaps(feeds, posts, deeds, began, machine):
    """How long sources were without a collector, told by the times of what was published of them: one post a second is. Returns the longest of each kind."""
    times = collections.defaultdict(list)
    for at, key, _ in posts:
        times[key.rsplit(":", 1)[1].split("-")[0]].append(at)
    gaps = []
    for feed, seen in times.items():
        marks = sorted([began] + [at for at in seen if began < at < feeds.stopped_at] + [feeds.stopped_at])
        gaps += [(later - earlier - POLL_S, earlier, later, feed) for earlier, later in zip(marks, marks[1:])]
    # A transaction of the killed, paused or sleeping may be pending for as long as it may last.
    rough = [(at, at + TRANSACTION_S + 10) for at, deed in deeds if deed.startswith(("SIGKILL", "pause", "end", "wake")) or " with " in deed]
    longest = {"plain": 0.0, "pending": 0.0}
    for gap, earlier, later, feed in gaps:
        pending = any(earlier < until and start < later for start, until in rough)
        kind = "pending" if pending and gap > SESSION_S + 5 else "plain"
        longest[kind] = max(longest[kind], gap)
        allowed = (TRANSACTION_S + 10 if pending else SESSION_S + 5) * machine.slowness(earlier, later)
        expect(gap <= allowed, f"{feed} was without a collector for about {gap:.1f} s, allowed are {allowed:.1f}; " +
               "; ".join(f"{at - earlier:+.1f} s {deed}" for at, deed in deeds if earlier - 10 < at < later + 1))
    return longest


def wait_until(reached, what, seconds):
    end = time.monotonic() + seconds
    while not reached():
        expect(time.monotonic() < end, f"waited {seconds} s for {what}")
        time.sleep(0.2)


def judge(fleet, began, machine, quiet=False):
    """Stops the growth, lets the collectors catch up, ends them, and looks at what is there."""
    feeds = fleet.feeds
    feeds.stop_growing()
    wanted = {f"feed:127.0.0.1:{feeds.port}:f{n}-{feeds.age()}" for n in range(feeds.count)}
    wait_until(lambda: wanted <= {key for _, key, _ in fleet.read("posts")}, "the last posts", TRANSACTION_S + 25)
    time.sleep(2 * POLL_S)
    for process in list(fleet.running):
        fleet.wake(process)
        fleet.kill(process, signal.SIGTERM)
    posts = fleet.read("posts")
    count = judge_posts(feeds, posts)
    judge_cursors(fleet.read("cursors"))
    longest = judge_gaps(feeds, posts, fleet.deeds, began, machine)
    if not quiet:
        print(f"share-out: {feeds.count} sources, {count} posts: 0 lost, 0 doubled, in order; longest without a collector {longest['plain']:.1f} s "
              f"(allowed {SESSION_S + 5}), where a transaction may have been pending {longest['pending']:.1f} s (allowed {TRANSACTION_S + 10}); the machine was {machine.slowness(began, time.time()):.1f} times slower than "
              "when it is quiet", flush=True)
    return longest


def storm(fleet, rng, seconds):
    """Strikes one collector after another; there are always two to four."""
    end = time.monotonic() + seconds
    struck = collections.Counter()
    while time.monotonic() < end:
        fleet.bury()
        awake = [p for p in fleet.running if not p.asleep]
        deed = rng.choice(("kill", "kill", "pause", "stop", "start", "point"))
        if deed in ("start", "point") or len(awake) < 2:
            if len(fleet.running) < 4:
                point = f"{rng.choice(POINTS)}:{rng.randint(1, 40)}:{rng.choice(('kill', f'pause={SESSION_S + 2}'))}" if deed == "point" else None
                fleet.start(point)
                struck["start" + (" with a point" if point else "")] += 1
        elif deed == "pause":
            fleet.sleep(rng.choice(awake), rng.uniform(0.5, SESSION_S + 3))
            struck["pause"] += 1
        else:
            fleet.kill(rng.choice(awake), signal.SIGKILL if deed == "kill" else signal.SIGTERM)
            struck[deed] += 1
        time.sleep(rng.uniform(0.5, 4))
    fleet.bury()
    while len(fleet.running) < 2:
        fleet.start()
    print("share-out: " + ", ".join(f"{count} × {deed}" for deed, count in sorted(struck.items())), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    began, verdict = time.monotonic(), 1
    with harness.place() as place, Machine() as machine:
        fleet = Fleet(place, Feeds(options.sources), os.environ["EARSHOT_TEST_KAFKA"], f"share{os.getpid()}")
        try:
            fleet.start()
            wait_until(fleet.feeds.all_asked, "all sources to be polled", 60)
            fleet.start()
            steady = time.time()
            storm(fleet, random.Random(options.seed), options.minutes * 60)
            judge(fleet, steady, machine)
            verdict = 0
        except harness.Failure as why:
            print(f"share-out: {why}", flush=True)
            for at, deed in fleet.deeds:
                print(f"  {at:.2f} {deed}")
        finally:
            fleet.end()
    print(f"share-out: seed {options.seed}, {time.monotonic() - began:.0f} s: {'passed' if verdict == 0 else 'FAILED'}")
    return verdict


if __name__ == "__main__":
    sys.exit(main())
