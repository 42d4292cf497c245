#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three sources that share a credential, at a server that counts strictly: no request beyond its quota in any span of time, over two runs; one
token for all of them, another one when that is taken back; and no secret anywhere but in the file that is for it."""

import base64
import collections
import datetime
import http.server
import json
import sys
import threading
import time
import urllib.parse

import harness
from harness import expect

QUOTA, WINDOW_S = 8, 34
BOARDS, POSTS, PAGE = ("a", "b", "c"), 18, 5
ID, SECRET = "app-id", "app-s3cret"

DEFINITION = f"""
earshot: 1
platform: board
channel: forum
params:
  base: {{required: true}}
  board: {{required: true}}
  id: {{required: true}}
  secret: {{required: true, secret: true}}
auth: {{kind: oauth2, grant: client_credentials, token_url: "{{base}}/token", id: "{{id}}", secret: "{{secret}}", via: basic}}
request: {{url: "{{base}}/posts", query: {{board: "{{board}}"}}}}
records: /posts/*
page: {{kind: token, from: /next, into: after}}
cursor: {{by: /at, as: time, order: newest, overlap: 1s}}
map: {{id: /id, url: "{{base}}/p/{{/id}}", text: /text, created_at: /at, author: {{id: /who}}}}
limit: {{requests: {QUOTA}, per: {WINDOW_S}s}}
"""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.went = collections.deque()
        self.token, self.tokens, self.refused, self.unauthorised, self.requests = None, 0, 0, 0, 0
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.now = datetime.datetime.now(datetime.timezone.utc)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def spend(self):
        """False: it was one too many. Nothing is said of what is left: whoever asks has to count."""
        now = time.monotonic()
        while self.went and now - self.went[0] >= WINDOW_S:
            self.went.popleft()
        if len(self.went) >= QUOTA:
            self.refused += 1
            return False
        self.went.append(now)
        self.requests += 1
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with self.server.lock:
            if self.headers.get("Authorization") != "Basic " + base64.b64encode(f"{ID}:{SECRET}".encode()).decode():
                return self.say(401, {"error": "invalid_client"})
            self.server.tokens += 1
            self.server.token = f"TOKEN-{self.server.tokens}-x"
            return self.say(200, {"access_token": self.server.token, "expires_in": 3600})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.server.lock:
            if self.server.token is None or self.headers.get("Authorization") != f"Bearer {self.server.token}":
                self.server.unauthorised += 1
                return self.say(401, {"error": "invalid_token"})
            good = self.server.spend()
        if not good:
            return self.say(429, {})
        start = int(query.get("after", "0"))
        numbers = range(start, min(start + PAGE, POSTS))
        posts = [{"id": f"{query['board']}{n}", "text": f"Post {n} wishes for more", "who": f"p{n % 7}",
                  "at": (self.server.now - datetime.timedelta(minutes=n + 1)).isoformat()} for n in numbers]
        after = {"next": str(start + PAGE)} if start + PAGE < POSTS else {}
        return self.say(200, {"posts": posts, **after})


def holds_secret(data):
    return SECRET.encode() in data or b"TOKEN-" in data or base64.b64encode(f"{ID}:{SECRET}".encode()) in data


def check_secrets(place, *texts):
    for text in texts:
        expect(not holds_secret(text.encode()), f"a secret was told: {text[-2000:]}")
    for path in (place.folder / "earshot.data").rglob("*"):
        if path.is_file() and path.name != "tokens.json":
            expect(not holds_secret(path.read_bytes()), f"a secret lies in {path}")
    for name in ("tokens.json", "budgets.json"):
        mode = (place.folder / "earshot.data/run" / name).stat().st_mode & 0o777
        expect(mode == 0o600, f"{name} has mode {mode:o}")


def a_quota_is_kept_over_runs_and_a_token_shared():
    with harness.place() as place:
        server = Server()
        (place.folder / "board.yaml").write_text(DEFINITION, encoding="utf-8")
        sources = [{"name": f"board-{board}", "use": "board", "base": server.base, "board": board, "id": ID, "secret": SECRET} for board in BOARDS]
        place.configure(json.dumps({"earshot": 1, "include": ["board.yaml"], "brands": {"Acme": ["acme"]}, "sources": sources,
                                    "network": {"allow": ["127.0.0.1"]}}))
        first = place.run("run", "--once")
        lines = [json.loads(line) for line in first.stdout.splitlines()]
        expect([line["new"] for line in lines] == [POSTS] * 3, f"{lines}")
        expect(server.tokens == 1, f"{server.tokens} tokens were asked for")
        expect(server.refused == 0, f"{server.refused} requests beyond the quota")
        # twelve pages; a walk that was interrupted looks at the head once more
        expect(12 <= server.requests <= 14, f"{server.requests} requests")

        server.token = None  # taken back
        second = place.run("run", "--once")
        expect(server.tokens == 2, f"{server.tokens} tokens were asked for")
        expect(1 <= server.unauthorised <= 3, f"{server.unauthorised} requests with a token that was taken back")
        expect(server.refused == 0, f"{server.refused} requests beyond the quota after a restart")
        posts = place.lines("export", "posts", "-o", "json")
        expect(len({post["id"] for post in posts}) == len(posts) == 3 * POSTS, f"{len(posts)} posts")
        status = place.run("status")
        left = [source["quota_left"] for source in json.loads(status.stdout)["sources"]]
        expect(all(number is not None and 0 <= number <= QUOTA for number in left), f"{left}")
        expect("requests left" in place.run("-o", "table", "status").stdout, "the quota is not shown")
        check_secrets(place, first.stdout, first.stderr, second.stdout, second.stderr, status.stdout)


if __name__ == "__main__":
    sys.exit(harness.main(a_quota_is_kept_over_runs_and_a_token_shared))
