#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dev.to and other Forems, after the documentation of their API (v1) and their own source: articles of an author or an organization, newest
first, the whole text only in an answer of its own; comments of an article as a tree whose nodes have no instant of an edit; who deletes his
comment leaves "[deleted]" where it was answered; another Accept than v1's is the old version."""

import sys

import world

PAGE = 30


class DevTo(world.Platform):
    name = "devto"
    thread_sizes = (30, 0, 50)
    cells = {**{cell: "tested" for cell in world.CELLS}, "auth": "what is published is public",
             "deletions": "an article just leaves its list, a comment without answers its tree: Forem tells nobody",
             "edits": "tested"}     # of articles; a comment's shows when its article gets another one

    def configuration(self, base):
        return [{"name": "acme-devto", "use": "devto", "base": base, "user": "acme"}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1"}, {"error": "Rate limit reached, try again in 1 seconds", "status": 429},
                    after=3 if self.world.now == world.START else 0)

    # --- its words ---

    def code(self, post):
        """Comments go by their number in base 26."""
        digits, number = "", 3000000 + post.id
        while number:
            digits, number = "0123456789abcdefghijklmnop"[number % 26] + digits, number // 26
        return digits

    def user(self, post):
        return {"name": post.author.replace("_", " ").title(), "username": post.author, "twitter_username": None, "github_username": None,
                "user_id": post.author_id, "website_url": None, "profile_image": "", "profile_image_90": ""}

    def link(self, post):
        return f"http://{self.host}/acme/question-{post.id}-4f2a"

    def seen(self, post):
        """Comments that stand in the tree: what was deleted stays where it was answered."""
        return post.deleted is None or bool(self.world.children(post))

    def article(self, post, whole=False):
        shown = {"type_of": "article", "id": 100000 + post.id, "title": post.title, "description": post.text[:30], "readable_publish_date": "Nov 20",
                 "slug": f"question-{post.id}-4f2a", "path": f"/acme/question-{post.id}-4f2a", "url": self.link(post),
                 "comments_count": sum(1 for reply in self.world.replies(post) if self.seen(reply)), "public_reactions_count": post.score,
                 "positive_reactions_count": post.score, "collection_id": None, "published_timestamp": world.iso(post.created), "language": "en",
                 "created_at": world.iso(post.created - 600), "edited_at": None if post.edited is None else world.iso(post.edited),
                 "crossposted_at": None, "published_at": world.iso(post.created), "last_comment_at": "2017-01-01T05:00:00Z",
                 "reading_time_minutes": 1, "tag_list": ["acme"], "user": self.user(post)}
        return {**shown, "body_html": world.as_html(post.text) + "\n", "body_markdown": post.text} if whole else shown

    def comment(self, post):
        gone = post.deleted is not None
        return {"type_of": "comment", "id_code": self.code(post), "created_at": world.iso(post.created),
                "body_html": "<p>[deleted]</p>" if gone else world.as_html(post.text) + "\n\n", "user": {} if gone else self.user(post),
                "children": [self.comment(reply) for reply in self.world.children(post) if self.seen(reply)]}

    # --- its server ---

    def answer(self, request):
        if "vnd.forem.api-v1+json" not in (request.headers.get("Accept") or ""):
            return 406, {}, {"error": "this imitation speaks version 1 only"}
        query, parts = request.query, request.path.strip("/").split("/")
        articles = [post for post in reversed(self.world.alive()) if post.is_root]
        number, size = int(query.get("page", 1)), int(query.get("per_page", PAGE))
        if parts == ["api", "articles"]:
            if query.get("username") != "acme":
                return 200, {}, []
            return 200, {}, [self.article(post) for post in articles[(number - 1) * size:number * size]]
        if parts == ["api", "comments"]:
            found = [post for post in articles if str(100000 + post.id) == query.get("a_id")]
            size = int(query.get("per_page", 50))
            trees = [self.comment(post) for post in self.world.children(found[0]) if self.seen(post)] if found else []
            return (200, {}, trees[(number - 1) * size:number * size]) if found else (404, {}, {"error": "not found", "status": 404})
        found = [post for post in articles if parts[:2] == ["api", "articles"] and str(100000 + post.id) == parts[-1]]
        return (200, {}, self.article(found[0], whole=True)) if found else (404, {}, {"error": "not found", "status": 404})

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.posts:
            shared = {"author": post.author, "created_at": post.created, "thread": str(100000 + post.thread.id), "versions": post.versions}
            if post.is_root:
                told[f"devto:{self.host}:{100000 + post.id}"] = {**shared, "text": post.text, "title": post.title, "edited_at": post.edited,
                                                                   "url": self.link(post)}
            elif not post.is_root and post.thread.deleted is None:     # nothing tells that a comment without answers was deleted
                known = {} if post.edited or post.deleted else {"text": post.text}
                told[f"devto:{self.host}:c{self.code(post)}"] = {**shared, **known, "title": None, "url": f"http://{self.host}/{post.author}/comment/"
                                                                                                           f"{self.code(post)}"}
        return told


if __name__ == "__main__":
    sys.exit(world.main(DevTo))
