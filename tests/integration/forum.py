# SPDX-License-Identifier: Apache-2.0
"""A Discourse forum of any length, for walks into the past."""

import datetime
import http.server
import json
import threading
import time
import urllib.parse

NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.timezone.utc)


class Forum(http.server.ThreadingHTTPServer):
    """The newest posts of a Discourse forum, fifty a page before an id; a post an hour, the newest an hour ago."""

    def __init__(self, posts, now=NOW):
        super().__init__(("127.0.0.1", 0), ForumHandler)
        self.posts, self.now, self.pages, self.delay_s = posts, now, [], 0.05
        self.oldest, self.deleted = 1, set()  # what came before is gone from the API; what its author took back
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):  # a collector that is killed hangs up
        pass


class ForumHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        before = int(query.get("before", ["1000000"])[0])
        first = min(before, self.server.posts + 1)
        self.server.pages.append(first)
        time.sleep(self.server.delay_s)
        page = []
        for number in range(first - 1, max(first - 51, self.server.oldest - 1), -1):
            at = (self.server.now - datetime.timedelta(hours=1 + self.server.posts - number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            page.append({"id": number, "topic_id": 7, "topic_slug": "t", "topic_title": "T", "post_number": number, "post_type": 1, "user_id": 5, "username": "jo",
                         "raw": f"I wish for thing number {number}.", "cooked": f"<p>I wish for thing number {number}.</p>", "created_at": at, "updated_at": at,
                         "reply_count": 0, "version": 1, "user_deleted": number in self.server.deleted, "deleted_at": None, "hidden": False})
        body = json.dumps({"latest_posts": page}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
