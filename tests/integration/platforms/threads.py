#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Threads, after Meta's documentation of its API ("Retrieve Threads Media Objects", "Replies and Conversations", "Keyword and Topic Tag
Search", "Fields"; no recorded answer was to be had): one's own threads with all that was answered to them, whatever the depth, and a search
over public posts, whose pages only `since` and `until` bound. That a post was edited, in its first minutes, is told nowhere."""

import base64
import datetime
import sys

import graph
import world

USER, BRAND = "9087654321", "acme"
ROOTS = {"id", "text", "permalink", "timestamp", "username", "shortcode", "media_product_type", "media_type", "has_replies", "is_quote_post", "is_reply",
         "topic_tag", "quoted_post", "reposted_post", "link_attachment_url", "root_post", "replied_to"}
REPLIES = ROOTS | {"is_reply_owned_by_me", "hide_status", "reply_audience"}


class Threads(graph.Graph):
    """One's own threads, a repost among them, and their conversations."""

    name = "threads"
    cells = {cell: "tested" for cell in world.CELLS}
    wrong = {"token": "not-a-token"}
    versions = ("v1.0",)
    pause = 12 * world.HOUR
    reposts = tuple(world.START - day * world.DAY for day in (1, 5))

    def __init__(self, community):
        super().__init__(community)
        self.token = "THAA" + "x" * 40

    def configuration(self, base):
        return [{"name": "acme-threads", "use": "threads", "own": "yes", "token": self.token, "api": f"{base}/v1.0"}]

    # --- its words ---

    def key(self, post):
        return str(18050000000000000 + post.id)

    def permalink(self, post):
        return f"https://www.threads.com/@{self.author(post)}/post/D{post.id:09d}a"

    def author(self, post):
        return BRAND if post.is_root else post.author

    def media(self, post, names):
        node = {"id": self.key(post), "media_product_type": "THREADS", "media_type": "TEXT_POST", "text": post.text, "permalink": self.permalink(post),
                "timestamp": graph.stamp(post.created), "username": self.author(post), "shortcode": f"D{post.id:09d}a", "is_quote_post": False,
                "has_replies": any(each.deleted is None for each in self.world.children(post)), "is_reply": not post.is_root}
        if not post.is_root:
            node.update(root_post={"id": self.key(post.thread)}, replied_to={"id": self.key(post.parent)}, hide_status="NOT_HUSHED",
                        is_reply_owned_by_me=False)
        return {**{name: None for name in names}, **node}

    def repost(self, at):
        return {**{name: None for name in ROOTS}, "id": str(at), "media_product_type": "THREADS", "media_type": "REPOST_FACADE",
                "permalink": f"https://www.threads.com/@{BRAND}/post/R{at}", "timestamp": graph.stamp(at), "username": BRAND, "text": "",
                "has_replies": False, "is_quote_post": False, "is_reply": False, "reposted_post": {"id": "18059999999999999"}}

    # --- its server ---

    def serve(self, request, parts, fields):
        try:
            return self.route(request, parts, fields)
        except KeyError as fault:
            return self.error(100, f"Tried accessing nonexisting field {fault} on node type (ThreadsMedia)")

    def error(self, code, message, kind="THApiException", status=400, **more):
        return super().error(code, message, "OAuthException" if code == 190 else kind, status, **more)

    def stamp_of(self, text):
        """since and until: epoch seconds, or anything that strtotime reads."""
        return int(text) if text.isdigit() else int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())

    def within(self, request, rows):
        since, until = (self.stamp_of(request.query[name]) if name in request.query else bound for name, bound in (("since", 0), ("until", 1 << 60)))
        return [row for row in rows if since <= row[0] <= until]

    def route(self, request, parts, fields):
        if parts in (["me", "threads"], [USER, "threads"]):
            rows = [(post.created, self.key(post), self.media(post, ROOTS)) for post in self.world.alive() if post.is_root]
            rows += [(at, str(at), self.repost(at)) for at in self.reposts]
            rows = sorted(self.within(request, rows), key=lambda row: row[:2], reverse=True)
            return 200, {}, self.edge([row[1:] for row in rows], request.query, fields, request)
        if parts == ["keyword_search"]:
            return self.search(request, fields)
        post = next((post for post in self.world.alive() if parts and self.key(post) == parts[0]), None)
        if post is None:
            return self.missing(parts[0] if parts else "")
        if parts[1:] == ["conversation"] and post.is_root:
            below = [each for each in self.world.replies(post) if each.deleted is None]
            if request.query.get("reverse", "true") == "true":
                below.reverse()
            return 200, {}, self.edge([(self.key(each), self.media(each, REPLIES)) for each in below], request.query, fields, request)
        if len(parts) > 1:
            return self.error(100, f"Tried accessing nonexisting field ({parts[1]})")
        return 200, {}, self.select(self.media(post, REPLIES), fields)

    def search(self, request, fields):
        return self.error(10, "Application does not have permission for this action")

    # --- what earshot should know ---

    def least(self, since):
        """A page, and the conversation of each thread that anything happened in, a hundred an answer; which these are is told nowhere."""
        happened = [post for post in self.world.roots() if any(each.changed > since for each in self.world.replies(post))]
        gone = [post for post in self.world.posts if post.deleted and post.created <= since < post.deleted]
        return 1 + sum(-(-len(self.world.replies(post)) // 100) for post in happened) + len(gone)

    def expected(self):
        return {f"threads:threads.com:{self.key(post)}": self.told(
            post, title="", author=self.author(post), thread=self.key(post.thread), url=self.permalink(post)) for post in self.world.alive()}


class ThreadsSearch(Threads):
    """What anybody wrote that holds a word, the newest first, a hundred an answer; answers to others are found like all else."""

    cells = {**Threads.cells, "comments": "those that hold the word, tested; the conversations of others cannot be read",
             "deletions": "strangers' posts cannot be asked for: an absence proves nothing"}

    def configuration(self, base):
        return [{"name": "about-acme", "use": "threads", "search": "note", "token": self.token, "api": f"{base}/v1.0"}]

    def author(self, post):
        return post.author

    def search(self, request, fields):
        if request.query.get("search_type") != "RECENT" or request.query.get("q") != "note":
            return 200, {}, {"data": []}
        if int(request.query.get("limit", 25)) > 100:
            return self.error(100, "Param limit must be at most 100")
        rows = self.within(request, [(post.created, post.id, post) for post in self.world.alive()])
        rows = sorted(rows, key=lambda row: row[:2], reverse=True)[:int(request.query.get("limit", 25))]
        return 200, {}, {"data": [self.select({**self.media(post, ROOTS), "root_post": None, "replied_to": None}, fields) for _, _, post in rows]}

    def route(self, request, parts, fields):
        if parts != ["keyword_search"]:
            return self.missing(parts[0] if parts else "")
        return super().route(request, parts, fields)

    def least(self, since):
        new = [post for post in self.world.posts if post.created > since]
        return max(1, -(-len(new) // 100)) + (1 if any(post.created <= since < (post.edited or 0) for post in self.world.posts) else 0)

    def expected(self):
        return {f"threads:threads.com:{self.key(post)}": self.told(post, title="", url=self.permalink(post)) for post in self.world.posts}


if __name__ == "__main__":
    sys.exit(world.main(Threads) or world.main(ThreadsSearch))
