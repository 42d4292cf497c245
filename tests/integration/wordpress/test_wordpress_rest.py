#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real WordPress by its REST API (`use: wordpress`): after new posts and comments, edits, deletions, ten kills and restarts, what the store
holds is what its database holds, each once."""

import datetime
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import server  # noqa: E402
from harness import expect  # noqa: E402

CONFIG = """
earshot: 1
brands:
  Tandelo: [tandelo]
sources:
  - {{name: blog, use: wordpress, base: "{url}", every: 1s}}
authors: {{names: true}}
network: {{allow: [127.0.0.1]}}
"""

TEXTS = (
    "Wouldn't it be nice if the Tandelo came with studded tyres? <em>Please</em> add them, say {0}.",
    "First line of {0}.\n\nSecond \"quoted\" line -- fish & chips, 5 < 6.",
    "Schöne Grüße aus Köln 🚲 – die Tandelo läuft super! ({0})",
)
KILLS = ("collect.before-fetch:2", "collect.after-fetch:2", "collect.after-step:2", "collect.before-commit", "collect.after-commit",
         "collect.after-commit:2", "process.before-commit", "process.after-commit", "sink.before-commit", "sink.after-commit")
HOUR = 3600


def gmt(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


class Blog:
    """What happens on the blog. Posts and comments of twenty days, then more at each step."""

    def __init__(self, wordpress):
        self.wordpress, self.count, self.began = wordpress, 0, time.time()
        wordpress.drive(["option", "timezone_string", "America/New_York"])
        self.posts = wordpress.drive(*[self.post(self.began - 20 * 86400 + n * 12000) for n in range(130)])
        self.comments = wordpress.drive(*[self.comment(self.posts[n % 130], self.began - 19 * 86400 + n * 6000) for n in range(230)])

    def text(self):
        self.count += 1
        return TEXTS[self.count % 3].format(self.count)

    def post(self, at):
        text = self.text()
        return ["post", f"Note {self.count} & <b>more</b>", text, gmt(at)]

    def comment(self, post, at):
        return ["comment", post, f"Reader {self.count % 7}", self.text(), gmt(at)]

    def goes_on(self):
        """A post, three comments (one on an old post), an edited post."""
        now = time.time()
        self.posts += self.wordpress.drive(self.post(now))
        self.comments += self.wordpress.drive(*[self.comment(post, now) for post in (self.posts[-1], self.posts[-2], self.posts[3])])
        self.wordpress.drive(["edit_post", self.posts[self.count % 100], f"Edited: {self.text()}"])


def differences(place, blog):
    """The store against the server's database."""
    stored = {post["id"]: post for post in place.posts()}
    prefix = f"wordpress:127.0.0.1:{blog.port}:"
    wanted = {f"{prefix}{'c' if item['kind'] == 'comment' else ''}{item['id']}": item for item in blog.drive(["dump"])[0]}
    said = [f"missing {key}" for key in sorted(set(wanted) - set(stored))] + [f"not asked for {key}" for key in sorted(set(stored) - set(wanted))]
    for key in set(wanted) & set(stored):
        item, post = wanted[key], stored[key]
        if harness.words(post["text"]) != harness.words(item["html"]):
            said.append(f"{key}: {post['text']!r} is not {item['html']!r}")
        if post["created_at"][:19] != item["created"][:19]:
            said.append(f"{key}: created {post['created_at']}, not {item['created']}")
        if item["kind"] == "post" and harness.words(post["title"]) != harness.words(item["title"]):
            said.append(f"{key}: title {post['title']!r}")
        if item["kind"] == "comment" and post["author"]["name"] != item["author"]:
            said.append(f"{key}: author {post['author']}")
    return said


def compare(place, blog, step):
    said = differences(place, blog)
    expect(not said, f"{step}: {len(said)} differences: {said[:5]}")


def published_once(place, edited):
    """The log: each post once, and once more for each time that it was edited."""
    counts = {}
    for line in place.run("tap", "posts", "--from", "0", "--until-end", "--json").stdout.splitlines():
        message = json.loads(line)
        counts[message["id"]] = counts.get(message["id"], 0) + (0 if message.get("deleted") else 1)
    twice = {key: count for key, count in counts.items() if count > 1 + edited.get(key.rpartition(":")[2], 0)}
    expect(not twice, f"published more often than they changed: {twice}")


def kill(place, point, number):
    """One run that ends in the middle, at that point."""
    mark = place.folder / f"mark-{number}"
    place.run("run", "--once", codes=range(-64, 256), environment={"EARSHOT_KILL_POINT": point, "EARSHOT_KILL_POINT_MARK": str(mark)})
    expect(mark.exists(), f"{point} was not reached")


def listen(place, blog, what):
    """`earshot run` until the store holds what the database holds, then a clean stop."""
    with open(place.folder / "run.log", "ab") as log:
        process = subprocess.Popen([str(harness.BUILD / "bin" / "earshot"), "run", "collect", "process", "sink"], cwd=place.folder,
                                   env=place.environment, stdout=log, stderr=log)
    try:
        said = ["nothing was compared"]
        for _ in range(60):
            time.sleep(1)
            said = differences(place, blog)
            if not said or process.poll() is not None:
                break
        expect(not said, f"{what}: {said[:5]}\n{(place.folder / 'run.log').read_text()[-3000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def the_store_is_the_database_after_edits_deletions_kills_and_restarts():
    with harness.place() as place, tempfile.TemporaryDirectory(prefix="earshot-wordpress-") as folder, server.WordPress(folder) as wordpress:
        place.configure(CONFIG.format(url=wordpress.url))
        blog, edited = Blog(wordpress), {}
        kill(place, "collect.after-commit", 0)     # in the middle of the very first walk
        first = place.once()
        expect(first["blog"]["error"] is None, f"first poll: {first}")
        compare(place, wordpress, "after the first poll")

        for number, point in enumerate(KILLS, 1):
            blog.goes_on()
            kill(place, point, number)
        place.once()
        compare(place, wordpress, "after ten kills")

        blog.goes_on()
        listen(place, wordpress, "while it runs")
        blog.goes_on()
        listen(place, wordpress, "after a restart")
        for number in blog.posts[:100]:
            edited[str(number)] = 12
        published_once(place, edited)

        wordpress.drive(["edit_comment", blog.comments[-5], "Edited: never mind"], ["delete_post", blog.posts[-3]], ["trash_post", blog.posts[-4]],
                        ["delete_comment", blog.comments[-8]], ["trash_comment", blog.comments[-10]])
        for attempt in range(1, 4):     # a few of what is missing are asked for by each poll
            later = gmt(time.time() + 2 * HOUR * attempt).replace(" ", "T") + "Z"
            last = place.once(environment={"EARSHOT_NOW": later})
            if not differences(place, wordpress):
                break
        compare(place, wordpress, f"after edits and deletions, {last}")
        print(f"{len(place.posts())} posts and comments, {len(KILLS) + 1} kills", flush=True)


if __name__ == "__main__":
    if server.missing():
        harness.skip(f"no WordPress here: {', '.join(server.missing())}; install the packages of docker/packages")
    sys.exit(harness.main(the_store_is_the_database_after_edits_deletions_kills_and_restarts))
