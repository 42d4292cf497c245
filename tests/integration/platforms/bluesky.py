#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bluesky, after its lexicons (app.bsky.feed.searchPosts, getAuthorFeed, getPostThread, getPosts, com.atproto.server.*Session) and answers
recorded on a network of its own: opaque cursors, pages that may be empty before the end, a token whose end is told with 400, no edits."""

import base64
import hashlib
import json
import sys

import world

HANDLE, PASSWORD = "listener.test", "abcd-efgh-ijkl-mnop"
SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"


def digest(text, length, alphabet="abcdefghijklmnopqrstuvwxyz234567"):
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return "".join(alphabet[number >> 5 * place & 31] for place in range(length))


def jwt(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return f"{part({'typ': 'at+jwt', 'alg': 'ES256K'})}.{part(claims)}.{digest(json.dumps(claims), 43)}"


class Bluesky(world.Platform):
    """A search, which is for who has an account."""

    name = "bluesky"
    page_sizes = (100,)
    cells = {**{cell: "tested" for cell in world.CELLS}, "edits": "Bluesky has none: a post's words stay as they are"}
    access = refresh = None
    given = 0
    wrong = {"password": "not-the-password"}

    def __init__(self, community):
        super().__init__(community)
        self.first_words = {}
        self.left, self.window = 3000, None
        self.hidden = [self.world.now - 5 * world.DAY + number for number in range(250)]  # taken down: rows of the index that no answer shows

    def configuration(self, base):
        return [{"name": "acme-bluesky", "use": "bluesky", "api": base, "search": "note", "user": HANDLE, "password": PASSWORD}]

    def expire(self):
        self.access = None

    def throttle(self, server):
        server.next(1, 429, {"RateLimit-Limit": "3000", "RateLimit-Remaining": "0", "RateLimit-Reset": str(self.world.now + 2),
                             "RateLimit-Policy": "3000;w=300"}, {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, after=2)

    # --- its words ---

    def words(self, post):
        return self.first_words.setdefault(post.id, post.text)

    def author(self, post):
        return post.author

    def did(self, post):
        return "did:plc:" + digest(self.author(post), 24)

    def handle(self, post):
        return self.author(post).replace("_", "-") + ".test"

    def rkey(self, post):
        number = post.created * 1000000 << 10 | post.id
        return "".join(SORTABLE[number >> 5 * place & 31] for place in reversed(range(13)))

    def uri(self, post):
        return f"at://{self.did(post)}/app.bsky.feed.post/{self.rkey(post)}"

    def cid(self, post):
        return "bafyrei" + digest(self.uri(post), 52)

    def claimed(self, post):
        """Some people's clocks are ten minutes slow."""
        return post.created - 600 if post.author_id % 7 == 0 else post.created

    def ref(self, post):
        return {"cid": self.cid(post), "uri": self.uri(post)}

    def view(self, post):
        record = {"text": self.words(post), "$type": "app.bsky.feed.post", "langs": ["en"], "createdAt": world.iso(self.claimed(post), fraction=".000")}
        if not post.is_root:
            record["reply"] = {"root": self.ref(post.thread), "parent": self.ref(post.parent)}
        return {"uri": self.uri(post), "cid": self.cid(post), "record": record, "bookmarkCount": 0, "repostCount": 0, "likeCount": post.score,
                "author": {"did": self.did(post), "handle": self.handle(post), "displayName": self.author(post).title(), "labels": []},
                "replyCount": len([child for child in self.world.children(post) if child.deleted is None]), "quoteCount": 0,
                "indexedAt": world.iso(post.created, fraction=".000"), "labels": []}

    # --- its server ---

    def answer(self, request):
        for post in self.world.posts:
            self.words(post)
        method = request.path.removeprefix("/xrpc/")
        if method == "com.atproto.server.createSession":
            given = request.json if request.method == "POST" else {}
            if given.get("identifier") != HANDLE or given.get("password") != PASSWORD:
                return 401, {}, {"error": "AuthenticationRequired", "message": "Invalid identifier or password"}
            return 200, {}, self.session()
        if method == "com.atproto.server.refreshSession":
            if request.method != "POST" or request.body or request.headers.get("Authorization") != f"Bearer {self.refresh}":
                return 400, {}, {"error": "ExpiredToken", "message": "Token has been revoked"}
            return 200, {}, self.session()
        refused = self.refused(request)
        if refused:
            return refused
        if int(request.query.get("limit", 50)) > 100:
            return self.invalid(f"Invalid {method} params: integer too big (maximum 100, got {request.query['limit']})")
        ask = {"app.bsky.feed.searchPosts": self.search, "app.bsky.feed.getAuthorFeed": self.feed, "app.bsky.feed.getPostThread": self.thread,
               "app.bsky.feed.getPosts": self.posts}.get(method)
        if ask is None:
            return 501, {}, {"error": "MethodNotImplemented", "message": "Method Not Implemented"}
        status, body = ask(request)
        return status, self.limits(), body

    def limits(self):
        if self.window is None or self.world.now >= self.window + 300:
            self.window, self.left = self.world.now, 3000
        self.left -= 1
        return {"RateLimit-Limit": "3000", "RateLimit-Remaining": str(self.left), "RateLimit-Reset": str(self.window + 300), "RateLimit-Policy": "3000;w=300"}

    def session(self):
        self.given += 1
        claims = {"sub": "did:plc:42quqgd2ikxt4tfqve6q7exp", "iat": self.world.now, "jti": self.given}
        self.access = jwt({"scope": "com.atproto.appPass", "exp": self.world.now + 86400, **claims})
        self.refresh = jwt({"scope": "com.atproto.refresh", "exp": self.world.now + 90 * 86400, **claims})
        return {"accessJwt": self.access, "refreshJwt": self.refresh, "did": claims["sub"], "handle": HANDLE, "active": True,
                "didDoc": {"id": claims["sub"], "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": ""}]}}

    def refused(self, request):
        given = request.headers.get("Authorization")
        if given is None:
            return 401, {}, {"error": "AuthMissing", "message": "Authentication Required"}
        if self.access is None or given != f"Bearer {self.access}":
            return 400, {}, {"error": "ExpiredToken", "message": "Token has expired"}
        return None

    def invalid(self, message):
        return 400, {}, {"error": "InvalidRequest", "message": message}

    def search(self, request):
        """By the earlier of what is claimed and what was seen. A row that was taken down counts, but is not shown."""
        query = request.query
        if "q" not in query:
            return 400, {"error": "InvalidRequest", "message": "Error: Params must have the property \"q\""}
        rows = [(min(self.claimed(post), post.created), self.cid(post), post) for post in self.world.alive()
                if all(word.lower() in self.words(post).lower() for word in query["q"].split())]
        rows += [(at, "bafyrei" + digest(str(at), 52), None) for at in self.hidden]
        rows.sort(key=lambda row: row[:2], reverse=True)
        if "cursor" in query:
            at, _, cid = query["cursor"].partition("__")
            rows = [row for row in rows if row[:2] < (int(at) // 1000, cid)]
        page = rows[:int(query.get("limit", 25))]
        more = {"cursor": f"{page[-1][0] * 1000}__{page[-1][1]}"} if len(rows) > len(page) else {}
        return 200, {"posts": [self.view(row[2]) for row in page if row[2]], "hitsTotal": len(rows), **more}

    def posts(self, request):
        uris = request.query_all.get("uris", [])
        if not 1 <= len(uris) <= 25:
            return 400, {"error": "InvalidRequest", "message": "Error: uris must not have more than 25 elements"}
        return 200, {"posts": [self.view(post) for post in self.world.alive() if self.uri(post) in uris]}

    def feed(self, request):
        """What an account wrote and what it showed again, by the time at which it did."""
        query = request.query
        mine = [post for post in self.world.alive() if query.get("actor") in (self.handle(post), self.did(post))]
        if not mine:
            return 400, {"error": "InvalidRequest", "message": "Profile not found"}
        rows = [(post.created, self.cid(post), {"post": self.view(post)}) for post in mine
                if post.is_root or query.get("filter") not in ("posts_no_replies", "posts_and_author_threads")]
        by = {"did": self.did(mine[0]), "handle": self.handle(mine[0]), "labels": []}
        for post in [post for post in self.world.alive() if not post.is_root][::5]:
            at = post.created + 3600
            rows.append((at, self.cid(post), {"post": self.view(post), "reason": {
                "by": by, "uri": f"at://{by['did']}/app.bsky.feed.repost/{self.rkey(post)}", "indexedAt": world.iso(at, fraction=".000"),
                "$type": "app.bsky.feed.defs#reasonRepost"}}))
        rows = sorted([row for row in rows if row[0] <= self.world.now], key=lambda row: row[:2], reverse=True)
        if "cursor" in query:
            rows = [row for row in rows if world.iso(row[0], fraction=".000") < query["cursor"]]
        page = rows[:int(query.get("limit", 50))]
        return 200, {"feed": [row[2] for row in page], **({"cursor": world.iso(page[-1][0], fraction=".000")} if page else {})}

    def thread(self, request):
        post = next((post for post in self.world.alive() if self.uri(post) == request.query.get("uri")), None)
        if post is None:
            return 400, {"error": "NotFound", "message": f"Post not found: {request.query.get('uri')}"}
        return 200, {"thread": self.node(post, int(request.query.get("depth", 6)))}

    def node(self, post, depth):
        if post.deleted is not None:
            return {"$type": "app.bsky.feed.defs#notFoundPost", "uri": self.uri(post), "notFound": True}
        node = {"$type": "app.bsky.feed.defs#threadViewPost", "post": self.view(post), "threadContext": {}}
        if depth > 0:
            node["replies"] = [self.node(child, depth - 1) for child in self.world.children(post) if child.deleted is None or self.world.children(child)]
            if post.is_root and post.id % 4 == 0:
                node["replies"].insert(0, {"$type": "app.bsky.feed.defs#blockedPost", "uri": f"at://did:plc:{'x' * 24}/app.bsky.feed.post/3aaaaaaaaaaaa",
                                           "blocked": True, "author": {"did": f"did:plc:{'x' * 24}"}})
        return node

    # --- what earshot should know ---

    def expected(self):
        return {f"bluesky:bsky.app:{self.uri(post)}": self.told(
            post, text=self.words(post), title="", author=self.handle(post), created_at=self.claimed(post), versions=1, edited_at=None,
            thread=self.uri(post.thread), url=f"https://bsky.app/profile/{self.handle(post)}/post/{self.rkey(post)}") for post in self.world.alive()}


class BlueskyAuthor(Bluesky):
    """What an account says and what is answered to it; no account is needed."""

    cells = {**Bluesky.cells, "auth": "tested with the search: authors and threads are public"}
    pause = 12 * world.HOUR
    wrong = None

    page_sizes, thread_sizes = None, (100, 0, 10000)

    def configuration(self, base):
        return [{"name": "acme-says", "use": "bluesky", "api": base, "author": "acme.test"}]

    def author(self, post):
        return "acme" if post.is_root else post.author

    def refused(self, request):
        return None if request.headers.get("Authorization") is None else (400, {}, {"error": "InvalidToken", "message": "Bad token scope"})


if __name__ == "__main__":
    sys.exit(world.main(Bluesky) or world.main(BlueskyAuthor))
