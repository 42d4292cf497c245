# SPDX-License-Identifier: Apache-2.0
"""What the storm listens to: feeds on a local server and a growing file that keep adding, editing and deleting, and the list of what was served."""

import email.utils
import html
import http.server
import json
import random
import threading
import time

TEXTS = [
    "Wouldn't it be nice if the Tandelo app worked offline? Number {n}.",
    "My Tandelo arrived three weeks late and nobody answers, order {n}.",
    "Absolutely love my Tandelo, best purchase this year, {n} miles and counting!",
    "Is the Tandelo charger meant to get warm? Asking about unit {n}.",
    "Velquora or Tandelo for {n} miles a week? Undecided.",
    "Please add a dark mode to the app, ticket {n}.",
]
FULL = 250    # items that a feed grows to: the reader remembers 300, beyond them it cannot tell what is gone
OLDEST = 3    # so many of a feed's oldest items are never deleted: while older ones are shown, what is missing is asked for


class Item:
    def __init__(self, source, number, text, now):
        self.source, self.number, self.text = source, number, text
        self.created, self.touched, self.deleted = now, now, False
        self.history = [text]  # all that it ever said; None: it was deleted


class Feed:
    """One feed, newest first. It shows all it has: how long a collector may be kept from it is the storm's choice, not the feed's."""

    def __init__(self, name, seed, full=1 << 30):
        self.name, self.random, self.full = name, random.Random(seed), full
        self.items, self.lock, self.count, self.changes = [], threading.Lock(), 0, 0

    def text(self):
        return self.random.choice(TEXTS).format(n=self.random.randrange(100000))

    def turn(self, now):
        """Adds, edits or deletes one item."""
        with self.lock:
            self.changes += 1
            fresh = [i for i in self.items if not i.deleted and now - i.touched > 0.2]
            young = [i for i in fresh if i.number > OLDEST]
            dice = self.random.random()
            if dice < 0.08 and young:
                item = self.random.choice(young)
                item.deleted = True
                item.history.append(None)
            elif fresh and (dice < 0.30 or self.count >= self.full):
                item = self.random.choice(fresh)
                item.text, item.touched = f"{self.text()} Edit {len(item.history)}.", now
                item.history.append(item.text)
            else:
                self.count += 1
                item = Item(self.name, self.count, self.text(), now)
                self.items.append(item)
            return item

    def rss(self, base):
        """The feed, and its entity tag: it grows with every change, so that a cursor that went back shows it."""
        with self.lock:
            tag = f'"{self.changes:08}"'
            shown = [i for i in self.items if not i.deleted][::-1]
            entries = "".join(
                f"<item><guid isPermaLink=\"false\">{self.name}-{i.number}</guid><link>{base}/{self.name}/{i.number}</link>"
                f"<title>Note {i.number}</title><author>rider{i.number % 37}</author>"
                f"<pubDate>{email.utils.formatdate(i.created, usegmt=True)}</pubDate>"
                f"<description>{html.escape(i.text)}</description></item>" for i in shown)
        return tag, f"<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>{self.name}</title><link>{base}</link>{entries}</channel></rss>"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        parts = self.path.strip("/").split("/")
        feed = self.server.feeds.get(parts[0])
        if feed is None:
            return self.answer(404, "nothing here")
        if len(parts) == 1:
            tag, body = feed.rss(f"http://127.0.0.1:{self.server.server_port}")
            if self.headers.get("If-None-Match") == tag:
                return self.answer(304, "", "application/rss+xml", tag)
            return self.answer(200, body, "application/rss+xml", tag)
        with feed.lock:
            item = next((i for i in feed.items if str(i.number) == parts[1]), None)
            gone = item is None or item.deleted
        return self.answer(410 if gone else 200, "gone" if gone else "here")

    def answer(self, status, body, kind="text/plain", tag=None):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that was killed in mid-answer is what the storm is about."""


class World:
    """The server, the file and the thread that changes them; stop it, and what was served stands still."""

    def __init__(self, folder, seed, rate, feeds=("alpha", "beta", "gamma")):
        self.feeds = {name: Feed(name, f"{seed}-{name}", FULL) for name in feeds}
        self.log = Feed("notes", f"{seed}-notes")
        self.path = folder / "notes.ndjson"
        self.path.write_text("")
        self.rate, self.random = rate, random.Random(f"{seed}-world")
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.feeds = self.feeds
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.running, self.ended = threading.Event(), False
        self.thread = threading.Thread(target=self.change, daemon=True)
        self.thread.start()

    def change(self):
        while not self.ended:
            self.running.wait(0.2)
            if not self.running.is_set():
                continue
            now = time.time()
            self.random.choice(list(self.feeds.values())).turn(now)
            self.write(self.log.turn(now))
            time.sleep(self.random.expovariate(self.rate))

    def write(self, item):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(item.created)) + "Z"
        line = {"id": f"n{item.number}", "created_at": stamp, "text": item.text, "author": {"id": f"rider{item.number % 37}"}}
        if item.deleted:
            line = {"id": f"n{item.number}", "deleted": True}
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def go(self):
        self.running.set()

    def pause(self):
        self.running.clear()
        time.sleep(0.5)

    def close(self):
        self.ended = True
        self.thread.join(2)
        self.server.shutdown()

    def histories(self):
        """Post id -> all that was served of it, in order; None at the end: it was deleted."""
        out = {f"feed:127.0.0.1:{self.port}:{feed.name}-{i.number}": i.history for feed in self.feeds.values() for i in feed.items}
        out.update({f"file:notes:n{i.number}": i.history for i in self.log.items})
        return out

    def wanted(self):
        """Post id -> text of all that was served and is not deleted."""
        return {post: history[-1] for post, history in self.histories().items() if history[-1] is not None}

    def config(self):
        base = f"http://127.0.0.1:{self.port}"
        feeds = "\n".join(f"  - {{name: {name}, use: feed, url: \"{base}/{name}\", every: 1s}}" for name in self.feeds)
        return (f"earshot: 1\nbrands:\n  Tandelo: [tandelo]\ncompetitors:\n  Velquora: [velquora]\nsources:\n{feeds}\n"
                f"  - {{name: notes, use: file, path: \"{self.path}\", channel: frontline, every: 1s}}\nnetwork: {{allow: [127.0.0.1]}}\n")
