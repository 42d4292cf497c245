#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that does everything wrong, read to the end all the same: every post is caught, and published once for each state it had.

Seven boards of one server, each read in another way, change a little with every round; between two rounds `earshot run --once` is run
once. What each board does by nature, always: old posts are pinned on top, records come twice or out of their order, also across pages,
posts are written while a walk is under way, so that its pages shift, a few claim to be of the future, numbers stand for strings, and
what is no record at all lies among the records. What each board does by turns, once or more: the FAULTS. Two liars answer
304 whatever they have.

    test_hostile.py [--rounds N] [--seed N] [-v]

More than the 26 rounds of before: the long mode, which also drips too slowly to be waited for (half a minute each)."""

import argparse
import collections
import dataclasses
import datetime
import http.server
import json
import math
import random
import socket
import sys
import threading
import time
import urllib.parse

from harness import Failure, expect, place

START = int(datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.timezone.utc).timestamp())
MINUTE, HOUR, DAY = 60, 3600, 86400
STEP = 10 * MINUTE
CLOSING = 8  # rounds without faults and news
PAGE = 20
FAULTS = ("throttle", "throttle-later", "busy", "cut", "no-answer", "half-json", "web-page", "list-null", "list-object", "list-number", "list-text",
          "error-object", "empty", "again", "drip")
LONG_FAULTS = FAULTS + ("crawl",)

DEFINITIONS = {
    # newest first, pages by number, a cursor that is a time
    "paged": """
request: {url: "{base}/posts"}
page: {kind: number, into: page, first: 1}
cursor: {by: /created, as: time, order: newest, overlap: 2h}
revisit: [{window: 2d, every: 1h}]
""",
    # the same by an offset
    "offset": """
request: {url: "{base}/posts"}
page: {kind: offset, into: offset, size: 20}
cursor: {by: /created, as: time, order: newest, overlap: 2h}
revisit: [{window: 2d, every: 1h}]
""",
    # newest first, a cursor that is a number, pages by the last one
    "number": """
request: {url: "{base}/posts"}
page: {kind: last, from: /id, into: before}
cursor: {by: /id, as: int, order: newest, overlap: 50}
revisit: [{window: 2d, every: 1h}]
limit: {requests: 600, per: 1m}
""",
    # the opaque link
    "link": """
request: {url: "{base}/posts"}
page: {kind: link, rel: next}
cursor: {by: link, rel: prev, order: oldest}
revisit: [{window: 2d, every: 1h}]
""",
    # oldest first, from a number on
    "rising": """
request: {url: "{base}/posts"}
cursor: {by: /id, as: int, order: oldest, into: since_id}
""",
    # oldest first, by the time of the last change, pages by number
    "changes": """
request: {url: "{base}/posts"}
page: {kind: number, into: page, first: 1}
cursor: {by: /edited, as: time, order: oldest, into: since, overlap: 1h}
""",
}
COMMON = """
records: /posts/*
map:
  id: /id
  url: "{base}/p/{/id}"
  text: /text
  created_at: /created
  edited_at: /edited
  author: {id: /by, name: /by}
  engagement: {likes: /likes}
"""


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclasses.dataclass(eq=False)
class Post:
    id: int
    written: int   # when the server had it
    created: int   # when it says it was written
    text: str
    edited: int
    states: int = 1


class Board:
    """One list of the server."""

    def __init__(self, name, kind, world):
        self.name, self.kind, self.world, self.random = name, kind, world, random.Random(f"{world.seed} {name}")
        self.posts, self.future = [], 0
        self.first = 100000 * (len(world.boards) + 1)  # ids are those of one server
        self.fault, self.after, self.turn, self.last = None, 0, 0, None
        self.page = 60 if kind == "feed" else PAGE
        self.met = collections.Counter()
        self.requests = self.refused = self.least = 0
        many = 50 if kind == "feed" else 70
        for number in range(many):
            self.write(world.now - 8 * DAY + number * 8 * DAY // many)

    @property
    def lies(self):
        return self.name.endswith("liar")

    def write(self, at):
        number = self.first + len(self.posts) + 1
        created = at
        if self.world.round and self.future < 3 and self.random.random() < 0.06:
            self.future += 1
            created = at + self.random.choice((2 * DAY, 400 * DAY, 70 * 365 * DAY))
        self.posts.append(Post(number, at, created, f"Why does sync fail on the train? (note {number} of {self.name})", created))
        return self.posts[-1]

    def edit(self):
        seen = self.posts[-40:] if self.kind == "feed" else self.posts  # a feed shows its newest alone
        recent = [post for post in seen if self.world.now - DAY < post.written < self.world.now - HOUR and post.created == post.written]
        if recent and self.kind != "rising":  # nothing there shows an edit
            post = self.random.choice(recent)
            post.text = f"Never mind, found it. (note {post.id} of {self.name}, state {post.states + 1})"
            post.edited = self.world.now - 1
            post.states += 1

    def happen(self):
        """Between two rounds. Returns the fewest requests that bring it."""
        many = self.random.choice((0, 0, 1, 2, 5, 9, 30) if self.kind != "feed" else (0, 0, 1, 2, 6) if self.lies else (0, 0, 1, 2, 5, 9, 12))
        for number in range(many):
            self.write(self.world.now - STEP + 1 + number * (STEP - 2) // max(many, 1))
        if self.random.random() < 0.5:
            self.edit()
        return max(1, math.ceil(many / self.page))

    # --- answers ---

    def told(self, post):
        record = {"id": str(post.id) if post.id % 3 else post.id, "text": post.text, "created": iso(post.created), "edited": iso(post.edited),
                  "by": f"kim_{post.id % 7}" if post.id % 5 else post.id % 7, "likes": "many" if post.id % 11 == 0 else str(post.id % 4)}
        if post.id % 13 == 0:
            record["extra"] = {"deep": [[[{}]]]}
        return record

    def newest(self):
        """As it is sorted today: neighbours change places."""
        posts = sorted(self.posts, key=lambda post: (-post.created, -post.id) if self.kind in ("paged", "offset") else (-post.id,))
        if self.kind in ("paged", "offset", "feed"):
            swaps = random.Random(f"{self.world.seed} {self.name} {self.world.round}")
            for at in range(self.future, len(posts) - 3):
                if swaps.random() < 0.3:
                    other = at + swaps.randrange(1, 3)
                    posts[at], posts[other] = posts[other], posts[at]
        return posts

    def junk(self):
        return self.random.choice((None, 5, "x", [], {}, {"id": None, "text": "?"}, {"id": {"a": 1}, "text": "?"}, {"text": 7}, True))

    def spoil(self, posts, pins):
        records = [self.told(post) for post in posts]
        if records and self.random.random() < 0.4:
            records.insert(self.random.randrange(len(records)), dict(self.random.choice(records)))
        if pins:
            records = [self.told(post) for post in self.posts[10:13]] + records
        if self.random.random() < 0.2:
            records.insert(self.random.randrange(len(records) + 1), self.junk())
        return records

    def answer(self, query, base):
        """status, headers, records."""
        moved = any(name in query for name in ("page", "offset", "before", "max_id"))
        if moved and self.world.lively and self.random.random() < 0.25 and query.get("page") != "1":
            self.write(self.world.now)
        if self.kind == "feed":
            return {}, self.newest()[:60]
        if self.kind in ("paged", "offset"):
            at = int(query.get("offset", (int(query.get("page", 1)) - 1) * PAGE))
            return {}, self.spoil(self.newest()[at:at + PAGE], at == 0 or self.random.random() < 0.3)
        if self.kind == "number":
            before = int(query.get("before", 10**9))
            return {}, self.spoil([post for post in self.newest() if post.id < before][:PAGE], False)
        if self.kind == "rising":
            since = int(query.get("since_id", 0))
            return {}, self.spoil([post for post in self.posts if post.id > since][:PAGE], False)
        if self.kind == "changes":
            since = query.get("since", "")
            changed = sorted((post for post in self.posts if iso(post.edited) >= since), key=lambda post: (post.edited, post.id))
            at = (int(query.get("page", 1)) - 1) * PAGE
            return {}, self.spoil(changed[at:at + PAGE], False)
        if "min_id" in query:
            page = [post for post in self.posts if post.id > int(query["min_id"])][:PAGE][::-1]
        else:
            page = [post for post in self.newest() if post.id < int(query.get("max_id", 10**9))][:PAGE]
        headers = {"Link": f"<{base}/{self.name}/posts?max_id={page[-1].id}>; rel=\"next\", <{base}/{self.name}/posts?min_id={page[0].id}>; rel=\"prev\""} if page else {}
        return headers, self.spoil(page, False)

    def body(self, records):
        if self.kind != "feed":
            return json.dumps({"posts": records}).encode()
        stamp = "%a, %d %b %Y %H:%M:%S GMT"
        pinned = self.posts[10:12]
        items = "".join(
            f"<item><guid isPermaLink=\"false\">{post.id}</guid><link>http://127.0.0.1/p/{post.id}</link><description>{post.text}</description>"
            f"<pubDate>{time.strftime(stamp, time.gmtime(post.created))}</pubDate></item>" for post in [*pinned, *records, *records[3:5]])
        return f"<rss version=\"2.0\"><channel><title>{self.name}</title>{items}</channel></rss>".encode()


class World(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, seed):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seed, self.now, self.round, self.lively = seed, START, 0, False
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock, self.log = threading.Lock(), []
        self.boards = {}
        for name, kind in (("feed", "feed"), ("feed-liar", "feed"), ("paged", "paged"), ("paged-liar", "paged"), ("offset", "offset"),
                           ("number", "number"), ("link", "link"), ("rising", "rising"), ("changes", "changes")):
            self.boards[name] = Board(name, kind, self)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # what we cut off ourselves


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        split = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        world = self.server
        name = split.path.split("/")[1]
        with world.lock:
            board = world.boards.get(name)
            if board is None or split.path not in (f"/{name}/feed", f"/{name}/posts"):
                return self.reply(200 if name == "p" else 404, {}, b"")
            board.requests += 1
            fault = self.choose(board)
            headers, records = board.answer(query, world.base)
            body = board.body(records)
            if fault == "again" and board.last:  # what came before comes once more
                headers, body = board.last
            board.last = headers, body
            world.log.append(f"round {world.round}: {self.path} -> {fault or len(records)}")
        headers = dict(headers)
        headers["Content-Type"] = "application/rss+xml" if board.kind == "feed" else "application/json"
        if board.lies and not walks(query):
            headers["ETag"] = "\"always\""
            if "always" in self.headers.get("If-None-Match", ""):
                board.met["304"] += 1
                return self.reply(304, {"ETag": "\"always\""}, b"")
        return self.misbehave(fault, headers, body, board.kind == "feed")

    def choose(self, board):
        if board.fault is None:
            return None
        if board.after > 0:
            board.after -= 1
            return None
        fault, board.fault = board.fault, None
        board.met[fault] += 1
        board.refused += 1
        return fault

    def misbehave(self, fault, headers, body, feed):
        wrong = {"list-null": b'{"posts": null}', "list-object": b'{"posts": {"error": "busy"}}', "list-number": b'{"posts": 5}',
                 "list-text": b'{"posts": "none"}', "error-object": b'{"error": {"code": 1}}', "empty": b'{"posts": []}'}
        page = b"<!DOCTYPE html><html><head><title>Back soon</title><link rel='alternate' type='application/rss+xml' href='/other/feed'></head><body><h1>We are down for maintenance</h1></body></html>"
        if fault == "throttle":
            return self.reply(429, {"Retry-After": "7"}, b"")
        if fault == "throttle-later":
            return self.reply(429, {}, b'{"error": "slow down"}')
        if fault == "busy":
            return self.reply(503, {"Content-Type": "text/html"}, page)
        if fault == "web-page":
            return self.reply(200, {"Content-Type": "text/html"}, page)
        if fault in wrong:
            return self.reply(200, headers, wrong[fault] if not feed else b"<rss version=\"2.0\"><channel><title>t</title></channel></rss>")
        if fault == "half-json":
            return self.reply(200, headers, body[:len(body) // 2])
        if fault == "no-answer":
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        if fault == "cut":
            self.head(200, {**headers, "Content-Length": str(len(body))})
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        if fault in ("drip", "crawl"):
            self.head(200, {**headers, "Content-Length": str(len(body))})
            size, rest = (len(body) // 5 + 1, 0.1) if fault == "drip" else (1, 0.3)
            for at in range(0, len(body), size):
                self.wfile.write(body[at:at + size])
                self.wfile.flush()
                time.sleep(rest)
            return None
        return self.reply(200, headers, body)

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status, headers, body):
        self.head(status, headers if status == 304 else {**headers, "Content-Length": str(len(body))})
        if status != 304:
            self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def walks(query):
    return any(name in query for name in ("offset", "before", "max_id", "min_id")) or query.get("page", "1") != "1"


# --- the rounds ---


def configure(where, world):
    for name, text in DEFINITIONS.items():
        (where.folder / f"{name}.yaml").write_text(
            f"earshot: 1\nplatform: {name}\nchannel: forum\nabout: a hostile list\nparams:\n  base: {{required: true, help: where}}\n{text}{COMMON}", encoding="utf-8")
    sources = [{"name": board.name, "use": "feed", "url": f"{world.base}/{board.name}/feed"} if board.kind == "feed" else
               {"name": board.name, "use": board.kind, "base": f"{world.base}/{board.name}"} for board in world.boards.values()]
    where.configure(json.dumps({"earshot": 1, "include": [f"{name}.yaml" for name in DEFINITIONS], "sources": sources,
                                "network": {"allow": ["127.0.0.1"]}}, indent=1))


def poll(where, world, errors):
    done = where.run("run", "--once", codes=(0, 75), environment={"EARSHOT_NOW": iso(world.now)})
    for line in map(json.loads, done.stdout.splitlines()):
        if line["error"]:
            errors[line["source"], line["error"]] += 1
    return done.returncode


def compare(where, world):
    """What is in the store and the log, against the boards. Returns the ages at arrival by board."""
    said, ages = [], collections.defaultdict(list)
    now = {"EARSHOT_NOW": iso(world.now)}
    published = collections.defaultdict(list)
    for line in where.run("tap", "posts", "--from", "0", "--until-end", "--json", environment=now).stdout.splitlines():
        post = json.loads(line)
        if not post.get("deleted"):
            published[post["source"], post["id"].rsplit(":", 1)[1]].append(post)
    stored = collections.defaultdict(list)
    for line in where.run("export", "posts", "-o", "json", environment=now).stdout.splitlines():
        post = json.loads(line)
        stored[post["source"], post["id"].rsplit(":", 1)[1]].append(post)
    for board in world.boards.values():
        for post in board.posts:
            key = board.name, str(post.id)
            found, states = stored.pop(key, []), published.pop(key, [])
            where_at = f"{board.name} {post.id}"
            if len(found) != 1:
                said.append(f"{where_at}: {len(found)} times in the store")
                continue
            if found[0]["text"] != post.text:
                said.append(f"{where_at}: its text is {found[0]['text']!r}, should be {post.text!r}")
            if len(states) > post.states:
                said.append(f"{where_at}: published {len(states)} times, had {post.states} states")
            if states and post.written > START:
                first = datetime.datetime.fromisoformat(states[0]["collected_at"].replace("Z", "+00:00")).timestamp()
                ages[board.name].append(first - post.written)
    said += [f"{key}: nothing of the sort was written" for key in stored]
    return said, ages


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0


def run(rounds, seed, verbose):
    faults = LONG_FAULTS if rounds > 26 else FAULTS
    with place() as where, World(seed) as world:
        configure(where, world)
        errors, began = collections.Counter(), time.monotonic()
        turns = {board.name: random.Random(f"{seed} {board.name} faults").sample(faults, len(faults)) for board in world.boards.values()}
        for world.round in range(rounds + CLOSING):
            world.lively = world.round < rounds
            for board in world.boards.values():
                with world.lock:
                    board.least += board.happen() if 0 < world.round < rounds else -(-len(board.posts) // board.page) if world.round == 0 else 1
                    if not world.lively:
                        board.fault = None
                    elif not board.lies and board.fault is None and (world.round % 3 or world.round < 3):
                        board.fault = turns[board.name][board.turn % len(faults)]
                        board.turn += 1
                        board.after = board.random.choice((0, 0, 1))
            poll(where, world, errors)
            world.now += STEP
        took = time.monotonic() - began
        said, ages = compare(where, world)
        if verbose:
            print("\n".join(world.log))
            print("\n".join(f"{count} times {source}: {error}" for (source, error), count in sorted(errors.items())))
        table(world, ages, rounds, took)
        for board in world.boards.values():
            missed = [fault for fault in faults if fault not in board.met]
            if board.lies:
                expect(board.met["304"] > 0, f"{board.name} never lied")
            elif len(missed) > 3:
                said.append(f"{board.name} never met {missed}: nothing is shown of it")
        boards = collections.Counter(line.split()[0] for line in said)
        expect(not said, f"{len(said)} wrong: {dict(boards)}\n  " + "\n  ".join(line for board in boards for line in [
            line for line in said if line.split()[0] == board][:6]))


def table(world, ages, rounds, took):
    print(f"{rounds} rounds of {STEP // MINUTE} minutes and {CLOSING} quiet ones, {took:.0f} s")
    print("| board | posts | requests | of them refused | least | age at arrival p50 | p95 | faults met |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for board in world.boards.values():
        old = ages[board.name]
        met = ", ".join(f"{fault} {count}" for fault, count in sorted(board.met.items()))
        print(f"| {board.name} | {len(board.posts)} | {board.requests} | {board.refused} | {board.least} | {share(old, 0.5) / 60:.0f} min | "
              f"{share(old, 0.95) / 60:.0f} min | {met} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=26)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("-v", action="store_true", dest="verbose")
    given = parser.parse_args()
    try:
        run(given.rounds, given.seed, given.verbose)
    except Failure as fault:
        print(f"not ok hostile: {fault}")
        return 1
    print("ok hostile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
