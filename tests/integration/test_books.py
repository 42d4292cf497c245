#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completeness beside every number, on the whole pipeline: three days without a collector, a walk into the past beside a
running collector, deletions and forgotten posts that nothing brings back."""

import contextlib
import datetime
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import harness
from forum import NOW, Forum
from harness import expect
from test_run import free_ports


def instant(hours=0.0):
    return (NOW + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Blog(http.server.ThreadingHTTPServer):
    """A feed of what `entries` holds: key -> (text, hours from NOW). Newest first, at most `window` of them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.entries, self.requests, self.window = {}, 0, 20
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def say(self, key, text, hours):
        self.entries[key] = (text, hours)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.server.requests += 1
        newest = sorted(self.server.entries.items(), key=lambda each: -each[1][1])[:self.server.window]
        items = "".join(f"<item><guid isPermaLink=\"false\">{key}</guid><description>{text}</description>"
                        f"<pubDate>{(NOW + datetime.timedelta(hours=hours)).strftime('%a, %d %b %Y %H:%M:%S GMT')}</pubDate></item>" for key, (text, hours) in newest)
        body = f"<rss version=\"2.0\"><channel><title>t</title>{items}</channel></rss>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def bench(every="5m"):
    blog = Blog()
    try:
        with harness.place() as place:
            place.configure(f"earshot: 1\nsources:\n  - {{name: blog, use: feed, url: \"http://127.0.0.1:{blog.server_port}/f\", every: {every}}}\n"
                            "network: {allow: [127.0.0.1]}\n")
            yield place, blog
    finally:
        blog.shutdown()
        blog.server_close()


def source_of(place, at):
    return json.loads(place.run("status", "-o", "json", "--now", at).stdout)["sources"][0]


def complete(place, at, *more):
    return json.loads(place.run("trends", "-o", "json", "--now", at, *more).stdout)["complete"]


def ids(place):
    return {post["id"].rsplit(":", 1)[1]: post["text"] for post in place.posts()}


def three_days_dead_are_noticed_shown_and_made_up_for():
    with bench() as (place, blog):
        blog.say("1", "We wish it were blue.", -1)
        place.once(environment={"EARSHOT_NOW": instant()})
        for i in range(72):
            blog.say(f"later-{i}", f"I wish for a thing number {i}, please.", 1 + i)
        blog.window = 100
        # dead: status and views say so before anybody is back
        source = source_of(place, instant(72))
        expect(source["polls"]["missed"] > 800, f"{source['polls']}")
        shown = place.run("status", "-o", "table", "--now", instant(72)).stdout
        expect("not asked for 2d 23h" in shown and "polls missed" in shown, shown)
        polls = complete(place, instant(72), "--since", "3d")["polls"]
        expect(polls["made"] == 1 and polls["planned"] > 800 and polls["share"] < 0.01, f"{polls}")
        expect("of 8" in place.run("trends", "-o", "table", "--now", instant(72), "--since", "3d").stdout, "the table has no word of it")
        # back: nothing is missing that the feed still has, and the stretch stays in the books
        place.once(environment={"EARSHOT_NOW": instant(72.5)})
        expect(len(ids(place)) == 73, f"{len(ids(place))} of 73 posts")
        source = source_of(place, instant(72.6))
        expect(source["polls"]["missed"] == 0, f"{source['polls']}")
        gap = source["gaps"][0]
        expect(gap["kind"] == "away" and gap["to"].startswith(instant(72.5)[:16]) and 860 < gap["polls"] < 880, f"{gap}")
        found = complete(place, instant(72.6), "--since", "4d")
        expect(found["gap_count"] == 1 and found["gaps"][0]["source"] == "blog", f"{found}")
        expect(found["polls"]["made"] == 2 and 860 < found["polls"]["planned"] < 880, f"{found}")
        # posts came up to three days late: that is how fresh it was
        expect(found["freshness"]["p50_s"] > 36 * 3600 * 0.7, f"{found['freshness']}")
        half = complete(place, instant(72.6), "--since", instant(36.25), "--until", instant(72.5))
        expect(425 < half["polls"]["planned"] < 445, f"half of the stretch: {half['polls']}")


def a_walk_beside_a_running_collector_is_told_and_done():
    with bench(every="1h") as (place, blog):
        for i in range(20):
            blog.say(str(i), f"I wish for number {i}.", -i)
        running = subprocess.Popen([str(harness.BUILD / "bin" / "earshot"), "run"], cwd=place.folder, env=place.environment, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and not place.run("status", "-o", "json", codes=(0, 1, 69, 75)).stdout.count("\"last_success_at\":\"2"):
                time.sleep(0.3)
            before = blog.requests
            line = json.loads(place.run("backfill", "blog", "--since", "all", "-o", "json").stdout)
            expect(line["done"] is True and line["requests"] == 1 and line["error"] is None, f"{line}")
            expect(blog.requests == before + 1, f"{blog.requests - before} requests")
            expect(running.poll() is None, "the collector ended")
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)
        expect(len(ids(place)) == 20, f"{len(ids(place))} posts")


def what_was_forgotten_is_never_brought_back():
    with bench() as (place, blog):
        blog.say("keep", "We wish it were blue.", -1)
        blog.say("forget", "We wish it were red.", -2)
        place.once(environment={"EARSHOT_NOW": instant()})
        expect(set(ids(place)) == {"keep", "forget"}, f"{ids(place)}")
        forgotten = next(post["id"] for post in place.posts() if post["id"].endswith(":forget"))
        place.run("forget", forgotten)
        expect(set(ids(place)) == {"keep"}, f"{ids(place)}")
        place.once(environment={"EARSHOT_NOW": instant(1)})  # the feed still shows it
        blog.say("forget", "We wish it were red, edited.", -2)  # and edits it
        place.once(environment={"EARSHOT_NOW": instant(2)})
        place.run("backfill", "blog", "--since", "all", "--now", instant(3))
        expect(set(ids(place)) == {"keep"}, f"{ids(place)}")
        # and not by an ask for a rejected item either, which reads the source anew
        place.run("rejects", "retry", "all")
        place.once(environment={"EARSHOT_NOW": instant(4)})
        expect(set(ids(place)) == {"keep"}, f"{ids(place)}")


def a_walk_of_a_forum_is_killed_and_brings_every_post_once():
    forum = Forum(2400)  # a hundred days
    try:
        with harness.place() as place:
            place.configure(f"earshot: 1\nsources:\n  - {{name: forum, use: discourse, base: \"http://127.0.0.1:{forum.server_port}\", every: 1h, history: 1d}}\n"
                            "network: {allow: [127.0.0.1]}\n")
            at = {"EARSHOT_NOW": instant()}
            place.once(environment=at)
            expect(23 <= len(ids(place)) <= 100, f"{len(ids(place))} posts of a day")  # the clock goes on: one may be too old by now
            first = len(forum.pages)
            command = [str(harness.BUILD / "bin" / "earshot"), "backfill", "forum"]
            for kill in range(5):
                seen = len(forum.pages)
                walking = subprocess.Popen([*command, *(["--since", "80d"] if kill == 0 else [])], cwd=place.folder, env={**place.environment, **at},
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
                end = time.monotonic() + 30
                while time.monotonic() < end and len(forum.pages) < seen + 4 and walking.poll() is None:
                    time.sleep(0.01)
                os.killpg(walking.pid, signal.SIGKILL)
                walking.wait()
            line = json.loads(place.run(*command[1:], "-o", "json", environment=at).stdout)
            expect(line["done"] is True and line["error"] is None, f"{line}")
            texts = ids(place)
            wanted = 80 * 24
            expect(wanted - 1 <= len(texts) <= wanted + 51, f"{len(texts)} posts, {wanted} hours")
            expect(set(texts) == {str(number) for number in range(2400 - len(texts) + 1, 2401)}, "not one piece")
            published = [json.loads(each)["id"] for each in place.run("tap", "posts", "--from", "0", "--until-end").stdout.splitlines()]
            expect(len(published) == len(set(published)) == len(texts), f"{len(published)} messages of {len(texts)} posts")
            least = 80 * 24 // 50
            spent = len(forum.pages) - first
            expect(spent <= least + 5 * 6, f"{spent} requests where {least} are the least, with five kills")
            # an ordinary poll goes on where it was
            before = len(forum.pages)
            forum.posts += 1
            place.once(environment={"EARSHOT_NOW": instant(1)})
            expect(len(ids(place)) == len(texts) + 1 and len(forum.pages) - before <= 3, f"{len(forum.pages) - before} requests")
            print(f"   {len(texts)} posts, {spent} requests where {least} are the least, five kills")
    finally:
        forum.shutdown()
        forum.server_close()


def what_the_platform_deleted_nothing_brings_back():
    with forum_at("discourse", posts=60) as (place, forum):
        def expect_without(step):
            there = set(ids(place))
            expect(there and not there & {"55", "58", "20"}, f"after {step}: {sorted(there)}")

        place.once(environment={"EARSHOT_NOW": instant()})
        expect({"55", "58"} <= set(ids(place)), f"{ids(place)}")
        host = f"discourse:127.0.0.1:{forum.server_port}"
        forum.deleted.add(55)
        place.run("forget", f"{host}:58")
        place.run("forget", f"{host}:20")  # which nobody has seen yet
        for hours in (1.1, 2.2, 26):  # both windows are gone through again
            place.once(environment={"EARSHOT_NOW": instant(hours)})
            expect_without(f"{hours} h")
        place.run("backfill", "forum", "--since", "all", environment={"EARSHOT_NOW": instant(27)})
        expect_without("a walk into the past")
        expect({str(number) for number in range(1, 61)} - set(ids(place)) == {"55", "58", "20"}, "the walk brought less than it should")
        place.run("rejects", "retry", "all")
        place.once(environment={"EARSHOT_NOW": instant(28)})
        expect_without("all was asked for again")
        done = place.program("earshot-sink", "rebuild", "anew.sqlite")
        expect(done.returncode == 0, done.stderr)
        anew = sqlite3.connect(place.folder / "anew.sqlite")
        there = {row[0].rsplit(":", 1)[1] for row in anew.execute("SELECT id FROM insight")}
        anew.close()
        expect(there == set(ids(place)), f"after a rebuild: {there}")
        told = [json.loads(line) for line in place.run("tap", "posts", "--from", "0", "--until-end").stdout.splitlines()]
        last = {post["id"].rsplit(":", 1)[1]: post for post in told}
        expect("20" not in last, "a forgotten post came into the log")
        expect(last["55"].get("deleted") is True and sum(post["id"].endswith(":55") for post in told) <= 2, f"{last['55']}")


OWN = """earshot: 1
platform: ours
channel: forum
about: a Discourse forum, three pages at most
params: {base: {required: true}}
request: {url: "{base}/posts.json"}
records: /latest_posts/*
page: {kind: last, from: /id, into: before, max: 3}
cursor: {by: /id, as: int, order: newest, overlap: 5}
map: {id: /id, text: /raw, created_at: /created_at}
"""


@contextlib.contextmanager
def forum_at(use, more="", **words):
    forum = Forum(**words)
    try:
        with harness.place() as place:
            (place.folder / "ours.yaml").write_text(OWN, encoding="utf-8")
            place.configure(f"earshot: 1\ninclude: [ours.yaml]\n{more}sources:\n  - {{name: forum, use: {use}, base: \"http://127.0.0.1:{forum.server_port}\", every: 1h, history: 2d}}\n"
                            "network: {allow: [127.0.0.1]}\n")
            yield place, forum
    finally:
        forum.shutdown()
        forum.server_close()


def move_on(forum, hours):
    """So much later there is a post more for each hour."""
    forum.posts += hours
    forum.now += datetime.timedelta(hours=hours)


def a_gap_is_seen(place, at, why, newest_missing):
    """In status, beside every number, and in nobody's numbers before it was found."""
    gap = [each for each in source_of(place, at)["gaps"] if each["kind"] == "gap"]
    expect(len(gap) == 1 and why in gap[0]["why"], f"{gap}")
    expect(gap[0]["from"].startswith(instant(-1)[:16]) and instant(newest_missing)[:13] <= gap[0]["to"][:13] <= instant(newest_missing + 1)[:13], f"{gap}")
    expect(f"missing: {instant(-1)[:16]}Z to" in place.run("status", "-o", "table", "--now", at).stdout, "the table of status has no word of it")
    found = [each for each in complete(place, at, "--since", "30d")["gaps"] if each["kind"] == "gap"]
    expect(len(found) == 1 and found[0]["source"] == "forum" and why in found[0]["why"], f"{found}")
    expect("missing" in place.run("trends", "-o", "table", "--now", at, "--since", "30d").stdout, "the foot of a view has no word of it")
    before = complete(place, at, "--since", instant(-72), "--until", instant(-24))
    expect(not [each for each in before["gaps"] if each["kind"] == "gap"], f"a period before it: {before}")
    return gap[0]


def more_than_the_pages_that_are_read_is_a_gap_that_everybody_sees():
    with forum_at("ours", posts=60) as (place, forum):
        place.once(environment={"EARSHOT_NOW": instant()})
        first = ids(place)
        move_on(forum, 400)
        place.once(environment={"EARSHOT_NOW": instant(400)})
        kept = {int(key) for key in ids(place)} - {int(key) for key in first}
        expect(kept == set(range(311, 461)), f"three pages are read: {min(kept)}..{max(kept)}")
        a_gap_is_seen(place, instant(400.1), "3 pages are all", 249)
        # It is told once, and the source goes on.
        move_on(forum, 1)
        place.once(environment={"EARSHOT_NOW": instant(401)})
        expect("461" in ids(place), "the source does not go on")
        a_gap_is_seen(place, instant(401.1), "3 pages are all", 249)


def what_the_server_no_longer_has_is_a_gap_that_everybody_sees():
    with forum_at("discourse", posts=60) as (place, forum):
        place.once(environment={"EARSHOT_NOW": instant()})
        move_on(forum, 120)
        forum.oldest = 150
        for minutes in (0, 5):  # half an answer looks the same: it is asked again before it is believed
            place.once(codes=(0, 75), environment={"EARSHOT_NOW": instant(120 + minutes / 60)})
        gap = a_gap_is_seen(place, instant(120.2), "nothing older any more", 88)
        expect({str(number) for number in range(150, 181)} <= set(ids(place)), f"what it still has did not come: {gap}")


def a_gap_is_counted_for_the_metrics():
    with forum_at("ours", posts=60) as (place, forum):
        place.once(environment={"EARSHOT_NOW": instant()})
        move_on(forum, 400)
        port = free_ports(1)
        text = (place.folder / "earshot.yaml").read_text(encoding="utf-8")
        place.configure(text + f"metrics: {{listen: \"127.0.0.1:{port}\"}}\n")
        running = subprocess.Popen([str(harness.BUILD / "bin" / "earshot"), "run", "collect"], cwd=place.folder, env={**place.environment, "EARSHOT_NOW": instant(400)},
                                   stderr=subprocess.DEVNULL)
        try:
            said, end = "", time.monotonic() + 60
            while time.monotonic() < end and "earshot_collect_gaps_total" not in said:
                time.sleep(0.3)
                with contextlib.suppress(OSError):
                    said = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            expect('earshot_collect_gaps_total{source="forum"} 1\n' in said, said[-3000:])
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def an_outage_of_our_own_is_not_blamed_on_the_sources():
    blogs = [Blog() for _ in range(3)]
    ports = [blog.server_port for blog in blogs]
    for blog in blogs:
        blog.shutdown()
        blog.server_close()
    with harness.place() as place:
        place.configure("earshot: 1\nsources:\n" + "".join(f"  - {{name: s{port}, use: feed, url: \"http://127.0.0.1:{port}/f\", every: 1s}}\n" for port in ports)
                        + "network: {allow: [127.0.0.1]}\n")
        lines = []
        running = subprocess.Popen([str(harness.BUILD / "bin" / "earshot"), "run", "collect"], cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=lambda: lines.extend(running.stderr), daemon=True).start()

        def wait(what, seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(what in line for line in lines):
                time.sleep(0.2)
            expect(sum(what in line for line in lines) == 1, f"'{what}' is not said once: {''.join(lines)[-2000:]}")

        try:
            wait("our own network is away", 60)
            time.sleep(5)  # attempts in between count as ours
            for port in ports:
                back = Blog.__new__(Blog)
                http.server.ThreadingHTTPServer.__init__(back, ("127.0.0.1", port), Handler)
                back.entries, back.requests, back.window = {"1": ("We wish it were blue.", -1)}, 0, 20
                threading.Thread(target=back.serve_forever, daemon=True).start()
                blogs.append(back)
            wait("our own network is back", 90)
            end = time.monotonic() + 60
            while time.monotonic() < end and any(source["state"] != "ok" for source in json.loads(place.run("status", "-o", "json").stdout)["sources"]):
                time.sleep(0.3)
            sources = json.loads(place.run("status", "-o", "json").stdout)["sources"]
            expect(len(sources) == 3 and all(source["state"] == "ok" for source in sources), f"{sources}")
            expect(sum(hour.get("ours", 0) for source in sources for hour in source["hours"]) > 0, f"{sources}")
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)
            for blog in blogs[3:]:
                blog.shutdown()
                blog.server_close()


if __name__ == "__main__":
    sys.exit(harness.main(a_walk_of_a_forum_is_killed_and_brings_every_post_once, an_outage_of_our_own_is_not_blamed_on_the_sources, three_days_dead_are_noticed_shown_and_made_up_for, a_walk_beside_a_running_collector_is_told_and_done,
                          what_was_forgotten_is_never_brought_back,
                          what_the_platform_deleted_nothing_brings_back, more_than_the_pages_that_are_read_is_a_gap_that_everybody_sees,
                          what_the_server_no_longer_has_is_a_gap_that_everybody_sees, a_gap_is_counted_for_the_metrics))
