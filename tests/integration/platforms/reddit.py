#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reddit, after its wiki page "API", its API reference and recorded cassettes: OAuth alone, a User-Agent of one's own, listings of at most
1,000 things, comment trees with `more`, what is deleted known only when it is asked for by name."""

import base64
import html
import sys

import world

ID, SECRET, AGENT = "app-id", "app-secret", "someone_at_acme"
TOP_COMMENTS, DEPTH, MORE_DEPTH = 20, 3, 10


def base36(number):
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def listing(children, after=None):
    return {"kind": "Listing", "data": {"modhash": "", "children": children, "after": after, "before": None}}


class Reddit(world.Platform):
    name = "reddit"
    page_sizes = (100, 100)
    cells = {cell: "tested" for cell in world.CELLS}
    token = None
    tokens = 0
    left = 996.0
    listing_max = 1000
    wrong = {"secret": "not-the-secret"}

    def configuration(self, base):
        return [{"name": "acme-reddit", "use": "reddit", "subreddit": "acme", "id": ID, "secret": SECRET, "contact": AGENT,
                 "api": base, "login": f"{base}/api/v1/access_token"}]

    def expire(self):
        self.token = None

    def throttle(self, server):
        server.next(1, 429, {"X-Ratelimit-Used": "996", "X-Ratelimit-Remaining": "0.0", "X-Ratelimit-Reset": "2"},
                    {"message": "Too Many Requests", "error": 429}, after=2)

    # --- its words ---

    def short(self, post):
        return base36(60466176 + post.id * 7)

    def fullname(self, post):
        return ("t3_" if post.is_root else "t1_") + self.short(post)

    def permalink(self, post):
        path = f"/r/acme/comments/{self.short(post.thread)}/question_{post.thread.id}_sync_offline/"
        return path if post.is_root else path + self.short(post) + "/"

    def thing(self, post, raw, replies=""):
        gone = post.deleted is not None
        author = "[deleted]" if gone else post.author
        text = "[deleted]" if gone else post.text
        text = text if raw else html.escape(text, quote=False)
        title = post.thread.title if raw else html.escape(post.thread.title, quote=False)
        both = {
            "id": self.short(post), "name": self.fullname(post), "author": author, "subreddit": "acme", "subreddit_id": "t5_2wd1h",
            "subreddit_name_prefixed": "r/acme", "created": float(post.created), "created_utc": float(post.created),
            "edited": float(post.edited) if post.edited else False, "permalink": self.permalink(post), "score": post.score, "ups": post.score,
            "downs": 0, "gilded": 0, "stickied": False, "distinguished": None, "over_18": False,
            "num_comments": len([reply for reply in self.world.replies(post.thread) if reply.deleted is None])}
        if not gone:
            both["author_fullname"] = f"t2_{base36(post.author_id)}"
        if post.is_root:
            return {"kind": "t3", "data": {**both, "title": title, "selftext": text, "is_self": True, "domain": "self.acme", "upvote_ratio": 1.0,
                                           "url": f"https://www.reddit.com{self.permalink(post)}",
                                           "removed_by_category": "deleted" if gone else None}}
        return {"kind": "t1", "data": {**both, "body": text, "body_html": f"<div class=\"md\"><p>{html.escape(text)}</p></div>",
                                       "link_id": self.fullname(post.thread), "parent_id": self.fullname(post.parent), "link_title": title,
                                       "link_permalink": f"https://www.reddit.com{self.permalink(post.thread)}", "replies": replies,
                                       "controversiality": 0}}

    def more(self, parent, hidden):
        """What a tree leaves out at one place: the direct children's ids; `count` counts all below. Too deep: count 0, to be followed."""
        below = sum(1 + len(self.below(post)) for post in hidden)
        return {"kind": "more", "data": {"count": below, "id": self.short(hidden[0]), "name": f"t1_{self.short(hidden[0])}",
                                         "parent_id": self.fullname(parent), "depth": 0, "children": [self.short(post) for post in hidden]}}

    def shown(self, post):
        """Direct answers that a tree shows: a deleted one only while it has answers."""
        return [child for child in self.world.children(post) if child.deleted is None or self.shown(child)]

    def below(self, post):
        return [each for child in self.shown(post) for each in [child, *self.below(child)]]

    def tree(self, post, depth, room, raw):
        if depth > DEPTH and self.shown(post):
            return [{"kind": "more", "data": {"count": 0, "id": "_", "name": "t1__", "parent_id": self.fullname(post), "depth": depth, "children": []}}]
        children, things = self.shown(post), []
        for child in children[:room]:
            inner = self.tree(child, depth + 1, room, raw)
            things.append(self.thing(child, raw, listing(inner) if inner else ""))
        return things + ([self.more(post, children[room:])] if children[room:] else [])

    def by_fullname(self, name):
        return next((post for post in self.world.posts if self.fullname(post) == name), None)

    # --- its server ---

    def answer(self, request):
        if request.path == "/api/v1/access_token":
            return self.give_token(request)
        if request.headers.get("Authorization", "").lower() != f"bearer {self.token}".lower() or self.token is None:
            return 401, {"WWW-Authenticate": 'Bearer realm="reddit", error="invalid_token"'}, {"message": "Unauthorized", "error": 401}
        if f"/u/{AGENT}" not in request.headers.get("User-Agent", ""):
            return 429, {}, {"message": "Too Many Requests", "error": 429}
        self.left -= 1
        headers = {"X-Ratelimit-Used": str(int(996 - self.left)), "X-Ratelimit-Remaining": str(self.left), "X-Ratelimit-Reset": "431"}
        raw = request.query.get("raw_json") == "1"
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["r", "acme"] and parts[2:] in (["new"], ["comments"]):
            return 200, headers, self.listing(request, parts[2] == "new", raw)
        if parts[:2] == ["r", "acme"] and parts[2:] in (["api", "info"],) or parts == ["api", "info"]:
            found = [self.by_fullname(name) for name in request.query.get("id", "").split(",")[:100]]
            return 200, headers, listing([self.thing(post, raw) for post in found if post])
        if parts[0] == "comments" or parts[:3] == ["r", "acme", "comments"]:
            return self.comments(parts[parts.index("comments") + 1:], headers, raw)
        if parts == ["api", "morechildren"]:
            given = request.form if request.method == "POST" else request.query
            if given.get("api_type") != "json" or "link_id" not in given:
                return 400, headers, {"message": "Bad Request", "error": 400}
            return 200, headers, self.more_children(given, given.get("raw_json", request.query.get("raw_json")) == "1")
        return 404, headers, {"message": "Not Found", "error": 404}

    def give_token(self, request):
        basic = "Basic " + base64.b64encode(f"{ID}:{SECRET}".encode()).decode()
        if request.method != "POST" or request.headers.get("Authorization") != basic:
            return 401, {"WWW-Authenticate": 'Basic realm="reddit"'}, {"message": "Unauthorized", "error": 401}
        if request.form.get("grant_type") != "client_credentials":
            return 400, {}, {"error": "unsupported_grant_type"}
        self.tokens += 1
        self.token = f"TOKEN-{self.tokens}"
        return 200, {}, {"access_token": self.token, "token_type": "bearer", "expires_in": 86400, "scope": "*"}

    def listing(self, request, roots, raw):
        things = [post for post in self.world.alive() if post.is_root == roots]
        things.sort(key=lambda post: (post.created, post.id), reverse=True)
        things = things[:self.listing_max]
        size, start = min(int(request.query.get("limit", 25)), 100), 0
        if "after" in request.query:
            names = [self.fullname(post) for post in things]
            if request.query["after"] not in names:
                return listing([])
            start = names.index(request.query["after"]) + 1
        page = things[start:start + size]
        more = start + size < len(things)
        return listing([self.thing(post, raw) for post in page], self.fullname(page[-1]) if more else None)

    def comments(self, rest, headers, raw):
        root = self.by_fullname(f"t3_{rest[0]}") if rest else None
        if root is None:
            return 404, headers, {"message": "Not Found", "error": 404}
        if len(rest) > 2:
            focus = self.by_fullname(f"t1_{rest[2]}")
            inner = self.tree(focus, 1, TOP_COMMENTS, raw)
            below = [self.thing(focus, raw, listing(inner) if inner else "")]
        else:
            below = self.tree(root, 0, TOP_COMMENTS, raw)
        return 200, headers, [listing([self.thing(root, raw)]), listing(below)]

    def more_children(self, given, raw):
        """Flat: what was asked for and what is below it, not deeper than a tree goes."""
        things = []

        def add(post, depth):
            things.append(self.thing(post, raw))
            if depth < MORE_DEPTH:
                for child in self.shown(post):
                    add(child, depth + 1)
            elif self.shown(post):
                things.append({"kind": "more", "data": {"count": 0, "id": "_", "name": "t1__", "parent_id": self.fullname(post), "children": []}})

        for short in given.get("children", "").split(",")[:100]:
            post = self.by_fullname(f"t1_{short}")
            if post is not None:
                add(post, 0)
        return {"json": {"errors": [], "data": {"things": things}}}

    # --- what earshot should know ---

    def expected(self):
        return {f"reddit:reddit.com:{self.fullname(post)}": self.told(
            post, title=post.thread.title, thread=self.fullname(post.thread), url=f"https://www.reddit.com{self.permalink(post)}",
            edited_at=post.edited) for post in self.world.alive()}


class RedditLoud(Reddit):
    """A subreddit where more was said than its list of comments goes back: the rest stands in the trees alone, behind `more`."""

    cells = {**Reddit.cells, "comments": "tested, but for what stands more than ten levels below a comment that `more` hides: it names its place in no way that "
                                         "leads there; it is found while it is among the newest 1,000"}
    listing_max = 120
    page_sizes = (100, 100)


if __name__ == "__main__":
    sys.exit(world.main(Reddit) or world.main(RedditLoud))
