# SPDX-License-Identifier: Apache-2.0
"""One imagined community, told by an imitation of each platform, read by earshot, compared post by post.

A platform's test is a module NAME.py beside this one: a class derived from Platform, written after the platform's own documentation and
the recorded answers, never after our definition; `python3 NAME.py` runs it, `table.py` runs all. What each poll meets:

    1  the community as it stands: some 350 posts of twelve days, several in one second, one thread of 130 replies; a 429 in mid-walk
    2  two hours later: new threads, new replies; a 503 and a connection that breaks off; the token expires
    3  two hours later: two edits, two deletions, a reply to a thread of eleven days ago; another 429
    4  two hours later: nothing happened: what does idleness cost?

After each every post is in the store with its text, time, author, thread and address, and was published once for each state it had.
"""

import collections
import dataclasses
import datetime
import html
import http.server
import json
import pathlib
import random
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import Failure, expect, place  # noqa: E402  pylint: disable=wrong-import-position

CELLS = ("posts", "comments", "edits", "deletions", "late replies", "paging", "budget", "auth")
HOUR, DAY = 3600, 86400
START = int(datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.timezone.utc).timestamp())
AUTHORS = [f"{first}_{second}" for first in ("kim", "lou", "sam", "noa", "eli", "uma") for second in ("berg", "stein", "feld", "wald", "moor")]
TEXTS = (
    "Wouldn't it be nice if sync worked offline & on the train?",
    "Since the update the app forgets my login < 5 minutes after I closed it :(",
    "Love the new calendar, it just works – thank you!",
    "Where can I find the \"export\" setting? Zürich café test ☕",
    "Delivery took three weeks, nobody answered my mails.",
    "I moved here from Globex because of the price.\n\nStill I miss their search.",
)


def iso(seconds, suffix="Z", fraction=""):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + fraction + suffix


def as_html(text):
    """The text as most platforms render it."""
    return "".join(f"<p>{html.escape(part, quote=False)}</p>" for part in text.split("\n\n"))


@dataclasses.dataclass(eq=False)
class Post:
    """What somebody wrote. `parent` and `thread` are Posts: a root has no parent and is its own thread."""

    id: int
    author: str
    title: str
    text: str
    created: int
    parent: "Post" = None
    thread: "Post" = None
    edited: int = None
    deleted: int = None
    score: int = 0
    versions: int = 1

    @property
    def is_root(self):
        return self.parent is None

    @property
    def author_id(self):
        return 1000 + AUTHORS.index(self.author)

    @property
    def changed(self):
        """When it last became another."""
        return max(self.created, self.edited or 0, self.deleted or 0)


class World:
    """Deterministic from its seed. `now` (epoch seconds) is the clock that earshot is given too."""

    def __init__(self, seed=5, now=START, threads=48, days=12, great=130):
        self.random = random.Random(seed)
        self.now = now
        self.posts = []
        self.touched = {}  # scenario -> the Posts that it made or changed, of the last advance
        plan = []
        for number in range(threads):
            at = now - days * DAY + (number * (days * DAY - HOUR)) // threads
            size = great if number == threads // 2 else (0, 1, 3, 7, 2, 12)[number % 6]
            plan.append((at, number, None))
            plan += [(min(now - 60, at + 240 * (1 + reply) - reply % 2 * 240), number, reply) for reply in range(size)]
        roots = {}
        for at, number, reply in sorted(plan, key=lambda item: (item[0], item[1], -1 if item[2] is None else item[2])):
            if reply is None:
                roots[number] = self.write(at)
            else:
                self.write(at, self.random.choice([roots[number]] * 3 + self.replies(roots[number])[-3:]))

    # --- what there is ---

    def alive(self):
        return [post for post in self.posts if post.deleted is None]

    def roots(self):
        return [post for post in self.posts if post.is_root]

    def replies(self, root):
        """All below it, oldest first, deleted ones too."""
        return [post for post in self.posts if post.thread is root and post is not root]

    def children(self, of):
        """Direct answers to it."""
        return [post for post in self.posts if post.parent is of]

    def get(self, number):
        return self.posts[int(number) - 1] if 0 < int(number) <= len(self.posts) else None

    # --- what happens ---

    def write(self, at, parent=None):
        number = len(self.posts) + 1
        post = Post(id=number, author=self.random.choice(AUTHORS), created=at, parent=parent, score=self.random.randrange(40),
                    title=f"Question {number}: sync & \"offline\" <again>" if parent is None else "",
                    text=f"{self.random.choice(TEXTS)} (note {number})")
        post.thread = post if parent is None else parent.thread
        self.posts.append(post)
        return post

    def pass_time(self, seconds):
        self.now += seconds

    def advance(self, *scenarios):
        """Each of: "new" (threads and replies), "late" (a reply to an old thread), "edit", "delete" (a root without replies and a reply
        without answers, both of the last two days). Call pass_time first: what happens does so in the last hour."""
        self.touched = {scenario: getattr(self, f"_{scenario}")() for scenario in scenarios}
        return self.touched

    def _new(self):
        made = [self.write(self.now - 3000 + 60 * number) for number in range(4)]
        recent = [post for post in self.roots() if post.deleted is None and post.created > self.now - 2 * DAY][:-2]
        for number in range(12):
            made.append(self.write(self.now - 1800 + 60 * (number // 2), self.random.choice(recent)))
        return made

    def _late(self):
        return [self.write(self.now - 900, self.roots()[2])]

    def _recent(self, is_root, childless):
        """Not edited, not deleted, between two hours and two days old."""
        return [post for post in self.posts if post.is_root == is_root and self.now - 2 * DAY < post.created < self.now - 2 * HOUR
                and post.deleted is None and post.edited is None and not (childless and self.children(post))]

    def _edit(self):
        changed = [self._recent(True, False)[1], self._recent(False, False)[3]]  # more than a day old: behind the overlap of most cursors
        for post in changed:
            post.text = f"Never mind, found it & it works. (was note {post.id})"
            post.edited = self.now - 600
            post.versions += 1
        return changed

    def _delete(self):
        changed = [self._recent(True, True)[0], self._recent(False, True)[1]]
        for post in changed:
            post.deleted = self.now - 300
        return changed


# --- a server that speaks like the platform ---


class Request:
    """What was asked. `query` and `form` hold the last value of a name, `query_all` all of them; `headers` are case-blind."""

    def __init__(self, handler, body):
        split = urllib.parse.urlsplit(handler.path)
        self.method, self.path, self.target = handler.command, urllib.parse.unquote(split.path), handler.path
        self.query_all = urllib.parse.parse_qs(split.query, keep_blank_values=True)
        self.query = {name: values[-1] for name, values in self.query_all.items()}
        self.headers, self.body = handler.headers, body
        self.base = f"http://{handler.headers['Host']}"

    @property
    def form(self):
        return {name: values[-1] for name, values in urllib.parse.parse_qs(self.body.decode(), keep_blank_values=True).items()}

    @property
    def json(self):
        return json.loads(self.body)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            answer = self.server.answer(Request(self, body))
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        if status != 304 and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (304, 204):
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = handle_one

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Imitation(http.server.ThreadingHTTPServer):
    """The platform's server on 127.0.0.1, with faults in front of it and a log of what was asked."""

    daemon_threads = True

    def __init__(self, platform):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.platform, self.lock = platform, threading.Lock()
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        platform.host = self.base.partition("//")[2]
        self.log = []      # "GET /path?query -> 200"
        self.counts = collections.Counter()  # by path
        self.faults = []   # [after, status, headers, body, only]
        self.faulty = 0    # how many were met
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def next(self, count, status, headers=None, body=b"", after=0, only=""):
        """The next `count` requests, after `after` good ones, whose path contains `only`, get this instead. Status 0: the connection
        breaks off without an answer."""
        for _ in range(count):
            self.faults.append([after, status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), only])

    def answer(self, request):
        self.counts[request.path] += 1
        found = self.fault(request)
        if found is None:
            try:
                status, headers, body = self.platform.answer(request)
            except Exception as fault:  # pylint: disable=broad-except
                self.log.append(f"{request.method} {request.target} -> the imitation failed: {type(fault).__name__}: {fault}")
                return 500, {"Content-Type": "text/plain"}, b"the imitation failed"
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers = {"Content-Type": "application/json; charset=utf-8", **headers}
            found = status, headers, body
        self.log.append(f"{request.method} {request.target} -> {found[0]}")
        return None if found[0] == 0 else found

    def fault(self, request):
        for fault in self.faults:
            if fault[4] in request.path:
                if fault[0] > 0:
                    fault[0] -= 1
                    return None
                self.faults.remove(fault)
                self.faulty += 1
                return fault[1], fault[2], fault[3]
        return None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()


class Platform:
    """What a platform's module fills in. `self.world` is the community; a platform tells it in its own words."""

    name = None    # of the definition
    cells = {}     # CELLS -> "tested", or why it is not
    settings = {}  # more keys of the configuration
    wrong = None   # of a source: what makes its credentials no good, {"token": "x"}; None: there are none
    page_sizes = None  # (of all posts,) or (of roots, of replies): for `least`; or, where replies are asked for thread by thread:
    thread_sizes = None  # (roots a page, replies that stand beside each, replies a request)
    rises = False      # whether a thread comes first again when something happens in it
    pause = 2 * HOUR  # between two polls

    host = None    # of the imitation, "127.0.0.1:PORT"; set before anything is asked

    def __init__(self, world):
        self.world = world

    def answer(self, request):
        """(status, headers, body): bytes, or what becomes JSON. Refuses what the real server would refuse."""
        raise NotImplementedError

    def configuration(self, base):
        """The sources: a list of dicts, as they would stand in earshot.yaml (name, use, …)."""
        raise NotImplementedError

    def expected(self):
        """What the store should hold now: {post id: {url, title, text, author, thread, created_at, edited_at, versions}}; what is left out is
        not compared. `text` and `title` by their words."""
        raise NotImplementedError

    def expire(self):
        """Its tokens are good for nothing any more."""

    def throttle(self, server):
        """How it says "not so fast", in front of the second request from now."""
        server.next(1, 429, {"Retry-After": "1"}, after=1)

    def least(self, since):
        """The fewest requests that could bring what happened after `since`: pages for what is new (one where nothing is), and one for each
        other thing that was edited or deleted. Tokens are not counted."""
        if self.thread_sizes is not None:
            return self.least_of_threads(since)
        new = [post for post in self.world.posts if post.created > since]
        kinds = [new] if len(self.page_sizes) == 1 else [[post for post in new if post.is_root == root] for root in (True, False)]
        pages = sum(max(1, -(-len(kind) // size)) for kind, size in zip(kinds, self.page_sizes))
        return pages + sum(1 for post in self.world.posts if post.created <= since < post.changed)

    def wanted(self, post):
        """Whether what is configured brings it."""
        return True

    def least_of_threads(self, since):
        """Pages down to the last root that anything is new at, of it or of what stands beside it; the replies of each thread that has too many
        to stand there; one for each that was deleted."""
        size, beside, below = self.thread_sizes
        posts = [post for post in self.world.posts if self.wanted(post)]
        news = [post for post in posts if post.changed > since and post.deleted is None]
        replies = collections.Counter(post.thread for post in posts if not post.is_root and post.deleted is None)
        shown = {post.thread for post in news if post.is_root or replies[post.thread] <= beside}
        roots = [post for post in reversed(posts) if post.is_root and post.deleted is None]
        deepest = len(shown) if self.rises else max((roots.index(root) + 1 for root in shown if root in roots), default=1)
        asked = collections.Counter(post.thread for post in news if not post.is_root and replies[post.thread] > beside)
        return (max(1, -(-deepest // size)) + sum(-(-count // below) for count in asked.values())
                + sum(1 for post in posts if post.deleted and post.created <= since < post.deleted))

    # --- for `expected` ---

    def told(self, post, **fields):
        return {"created_at": post.created, "author": post.author, "text": post.text, "versions": post.versions, **fields}


# --- earshot reads it ---


def _seconds(text):
    return None if text is None else datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _differences(wanted, found):
    """In words, at most a dozen."""
    said = []
    missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing:
        said.append(f"{len(missing)} posts missing, such as {missing[:4]}")
    if more:
        said.append(f"{len(more)} posts too many, such as {more[:4]}")
    for key in sorted(set(wanted) & set(found)):
        want, have = wanted[key], found[key]
        for field, value in want.items():
            got = have["author"]["name"] if field == "author" else have.get(field)
            if field == "versions":
                continue
            if field in ("created_at", "edited_at"):
                got = _seconds(got)
                same = (got is None) == (value is None) and (value is None or abs(got - value) < 1)
            elif field in ("text", "title"):
                got, value = " ".join((got or "").split()), " ".join((value or "").split())
                same = got == value
            else:
                same = got == value
            if not same:
                said.append(f"{key}: {field} is {got!r}, should be {value!r}")
    return said[:12]


class Reading:
    """One run of earshot over one platform."""

    def __init__(self, platform, server, where):
        self.platform, self.server, self.where = platform, server, where
        self.sources = platform.configuration(server.base)
        self.configure(self.sources)

    def configure(self, sources):
        self.where.configure(json.dumps({
            "earshot": 1, "brands": {"Acme": ["acme"]}, "sources": sources, "authors": {"names": True},
            "network": {"allow": ["127.0.0.1"]}, **self.platform.settings}, indent=1))

    def earshot(self, *arguments, **more):
        return self.where.run(*arguments, environment={"EARSHOT_NOW": iso(self.platform.world.now)}, **more)

    def poll(self, attempts=8):
        """Until every source says that it is well; the clock goes on by a minute and more before each further attempt."""
        before, faulty, started = len(self.server.log), self.server.faulty, time.monotonic()
        for attempt in range(attempts):
            done = self.earshot("run", "--once", codes=(0, 1, 75))
            said = [json.loads(line) for line in done.stdout.splitlines()]
            errors = [f"{line['source']}: {line['error']}" for line in said if line.get("error")]
            if done.returncode == 0 and not errors:
                return {"requests": len(self.server.log) - before, "faults": self.server.faulty - faulty, "runs": attempt + 1,
                        "seconds": round(time.monotonic() - started, 1), "rejected": sum(line["rejected"] for line in said)}
            if done.returncode == 1:
                break
            self.platform.world.pass_time(61 + 60 * attempt)
        raise Failure(f"not well after {attempt + 1} runs: {errors}\n{self.tail()}\n{done.stderr[-3000:]}")

    def refused(self):
        """With credentials that are no good: each source says so, and none of them names the credential."""
        self.configure([{**source, **self.platform.wrong} for source in self.sources])
        for source in self.sources:
            done = self.earshot("probe", source["name"], codes=(1,))
            expect(not any(word in done.stderr for word in self.platform.wrong.values()), f"a credential stands in {done.stderr!r}")
            expect(any(word in done.stderr for word in ("auth:", "refused:", "wants a login (401)", "not accept this token")), f"wrong credentials are not called such: {done.stderr[-600:]}")

    def tail(self, count=30):
        return "\n".join(self.server.log[-count:])

    def compare(self, step):
        wanted = self.platform.expected()
        posts = [json.loads(line) for line in self.earshot("export", "posts", "-o", "json").stdout.splitlines()]
        said = _differences(wanted, {post["id"]: post for post in posts})
        expect(not said, f"after step {step}:\n  " + "\n  ".join(said) + f"\n{self.tail()}")
        published = collections.Counter(json.loads(line)["id"] for line in self.earshot(
            "tap", "posts", "--from", "0", "--until-end", "--json").stdout.splitlines() if not json.loads(line).get("deleted"))
        twice = [f"{key}: published {count} times" for key, count in sorted(published.items())
                 if key in wanted and count > wanted[key].get("versions", count)]
        expect(not twice, f"after step {step}: {len(twice)} posts were published more often than they changed:\n  " + "\n  ".join(twice[:8]))
        return wanted


def _honest(platform, touched, wanted, polls):
    """What a cell calls tested was there to be tested."""
    cells = platform.cells
    unsaid = [cell for cell in CELLS if cell not in cells]
    expect(not unsaid, f"cells without a word: {unsaid}")
    texts = " | ".join(fields.get("text") or "" for fields in wanted.values())
    edited = [post.text in texts for post in touched["edit"]]
    deleted = [f"note {post.id})" in texts for post in touched["delete"]]
    late = [f"note {post.id})" in texts for post in touched["late"]]
    expect(cells["edits"] != "tested" or any(edited), "edits are called tested, but none was expected")
    expect("tested" not in cells["deletions"] or not all(deleted), "deletions are called tested, but none was expected")
    expect(cells["late replies"] != "tested" or all(late), "late replies are called tested, but none was expected")
    expect(cells["budget"] != "tested" or (polls[0]["faults"] and polls[1]["faults"]), "budget is called tested, but nothing was refused")
    expect(cells["paging"] != "tested" or polls[0]["requests"] - polls[0]["faults"] > len(platform.configuration("")),
           "paging is called tested, but the first poll was one page")


def run(platform_class, seed=5, **world):
    """The four polls. Returns what each spent; raises Failure with the differences and the last requests."""
    platform = platform_class(World(seed, **world))
    with place() as where, Imitation(platform) as server:
        reading = Reading(platform, server, where)
        polls, since = [], [0]

        def poll(step, **more):
            least = platform.least(since[0])
            since[0] = platform.world.now
            seen = len(server.log)
            polls.append({**reading.poll(**more), "least": least, "log": server.log[seen:]})
            server.faults.clear()
            expect(polls[-1]["rejected"] == 0, f"step {step} rejected {polls[-1]['rejected']}\n{reading.tail()}")
            return reading.compare(step)

        platform.throttle(server)
        poll(1)
        platform.world.pass_time(platform.pause)
        platform.world.advance("new")
        platform.expire()
        server.next(1, 0)
        server.next(1, 503, after=1)
        poll(2)
        platform.world.pass_time(platform.pause)
        touched = platform.world.advance("edit", "delete", "late")
        platform.throttle(server)
        wanted = poll(3)
        platform.world.pass_time(platform.pause)
        platform.world.advance()
        poll(4)
        _honest(platform, touched, wanted, polls)
        if platform.wrong:
            reading.refused()
        return polls


def main(platform_class):
    """The foot of a platform's module: runs it alone, says what it spent; with -v also each request."""
    try:
        polls = run(platform_class)
    except Failure as fault:
        print(f"not ok {platform_class.name}: {fault}")
        return 1
    for number, poll in enumerate(polls, 1):
        least = "" if poll["least"] is None else f" (least {poll['least']})"
        if "-v" in sys.argv:
            print("\n".join(poll["log"]))
        print(f"{platform_class.name} poll {number}: {poll['requests']} requests{least}, {poll['faults']} of them faults, {poll['runs']} runs, "
              f"{poll['seconds']} s")
    print(f"ok {platform_class.name}")
    return 0
