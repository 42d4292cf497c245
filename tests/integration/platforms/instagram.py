#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instagram, after the documentation of its API with Facebook login ("IG Media", "IG Comment", "IG Hashtag Recent Media") and a recorded
answer: one's own media with their comments and the answers to these, and what carried a hashtag within a day, without its author."""

import sys

import graph
import world

USER, HASHTAG, BRAND = "17841406338772941", "17843826142012701", "acme"


class Instagram(graph.Graph):
    """One's own media. Captions may be edited, comments not."""

    name = "instagram"
    cells = {cell: "tested" for cell in world.CELLS}
    pause = 12 * world.HOUR
    thread_sizes = (20, 25, 50)

    def __init__(self, community):
        super().__init__(community)
        self.first_words = {}

    def configuration(self, base):
        return [{"name": "acme-instagram", "use": "instagram", "user": USER, "own": "yes", "token": self.token, "api": base}]

    # --- its words ---

    def words(self, post):
        first = self.first_words.setdefault(post.id, post.text)
        return post.text if post.is_root else first

    def key(self, post):
        return str((18000000000000000 if post.is_root else 17900000000000000) + post.id)

    def permalink(self, post):
        return f"https://www.instagram.com/p/C{post.thread.id:09d}a/"

    def top(self, post):
        """The comment it stands below: there are two levels."""
        return post if post.parent.is_root else self.top(post.parent)

    def shown(self, root):
        return [each for each in self.world.replies(root) if each.deleted is None]

    def media(self, post):
        return {"id": self.key(post), "caption": self.words(post), "media_type": "IMAGE", "media_product_type": "FEED", "permalink": self.permalink(post),
                "timestamp": graph.stamp(post.created), "username": BRAND, "comments_count": len(self.shown(post)), "like_count": post.score,
                "comments": lambda arguments, fields: self.comments(post, arguments, fields)}

    def comment(self, post):
        top = self.top(post)
        return {"id": self.key(post), "text": self.words(post), "timestamp": graph.stamp(post.created), "username": post.author, "hidden": False,
                "like_count": post.score, "from": {"id": str(6000000 + post.author_id), "username": post.author},
                "parent_id": None if top is post else self.key(top),
                "media": {"id": self.key(post.thread), "permalink": self.permalink(post), "media_product_type": "FEED"},
                "replies": (lambda arguments, fields: self.replies(post, arguments, fields)) if top is post else None}

    def comments(self, post, arguments, fields, request=None):
        """Those of the first level, the newest first, fifty at most."""
        rows = sorted((each for each in self.shown(post) if self.top(each) is each), key=lambda each: (each.created, each.id), reverse=True)
        return self.edge([(self.key(each), self.comment(each)) for each in rows], arguments, fields, request, most=50)

    def replies(self, post, arguments, fields, request=None):
        rows = [each for each in self.shown(post.thread) if each is not post and self.top(each) is post]
        return self.edge([(self.key(each), self.comment(each)) for each in rows], arguments, fields, request, most=50) if rows else None

    # --- its server ---

    def serve(self, request, parts, fields):
        for post in self.world.posts:
            self.words(post)
        try:
            return self.route(request, parts, fields)
        except KeyError as fault:
            return self.error(100, f"Tried accessing nonexisting field {fault} on node type")

    def route(self, request, parts, fields):
        if parts == [USER, "media"]:
            rows = [(self.key(post), self.media(post)) for post in reversed(self.world.alive()) if post.is_root]
            return 200, {}, self.edge(rows, request.query, fields, request)
        post = next((post for post in self.world.alive() if parts and self.key(post) == parts[0]), None)
        if post is None:
            return self.missing(parts[0] if parts else "")
        if parts[1:] == ["comments"] and post.is_root:
            return 200, {}, self.comments(post, request.query, fields, request)
        if parts[1:] == ["replies"] and not post.is_root and self.top(post) is post:
            return 200, {}, self.replies(post, request.query, fields, request) or {"data": []}
        if len(parts) > 1:
            return self.error(100, f"Tried accessing nonexisting field ({parts[1]})")
        return 200, {}, self.select(self.media(post) if post.is_root else self.comment(post), fields)

    # --- what earshot should know ---

    def expected(self):
        return {f"instagram:instagram.com:{self.key(post)}": self.told(
            post, text=self.words(post), title="", author=BRAND if post.is_root else post.author, thread=self.key(post.thread),
            versions=post.versions if post.is_root else 1, url=self.permalink(post) if post.is_root else f"{self.permalink(post)}c/{self.key(post)}/")
                for post in self.world.alive()}


class InstagramTag(Instagram):
    """A hashtag: media of the last 24 hours, not always in order, few a page; `after` is the same for every page."""

    cells = {**Instagram.cells, "comments": "Instagram shows only the owner of a medium its comments",
             "edits": "what is older than a day is not shown again", "deletions": "strangers' media cannot be asked for: an absence proves nothing",
             "late replies": "Instagram shows only the owner of a medium its comments"}
    pause = 2 * world.HOUR
    served = 0
    thread_sizes = None
    page_sizes = (9,)

    def least(self, since):
        """What an hour brings is on pages of the server's choice; the tag's number is asked for once."""
        shown = [post for post in self.world.posts if post.created > max(since, self.world.now - world.DAY)]
        return max(1, -(-len(shown) // 9)) + (0 if since else 1)

    def configuration(self, base):
        return [{"name": "acme-tag", "use": "instagram", "user": USER, "tag": BRAND, "token": self.token, "api": base}]

    def words(self, post):
        """As it was within its first day."""
        first = self.first_words.setdefault(post.id, post.text)
        return first if post.edited is None or post.edited > post.created + world.DAY else post.text

    def key(self, post):
        return str(18000000000000000 + post.id)

    def permalink(self, post):
        return f"https://www.instagram.com/p/C{post.id:09d}a/"

    def media(self, post):
        node = super().media(post)
        del node["username"], node["comments"]
        return {**node, "comments_count": 0}

    def route(self, request, parts, fields):
        query = request.query
        if parts == ["ig_hashtag_search"]:
            if query.get("user_id") != USER or query.get("q") != BRAND:
                return self.error(24, "The requested resource does not exist", error_subcode=2207024)
            return 200, {}, {"data": [{"id": HASHTAG}]}
        if parts != [HASHTAG, "recent_media"] or query.get("user_id") != USER:
            return self.missing(parts[0] if parts else "")
        posts = sorted((post for post in self.world.alive() if post.created > self.world.now - world.DAY), key=lambda post: -post.created)
        posts[1::2], posts[::2][:len(posts[1::2])] = posts[1::2], posts[::2][:len(posts[1::2])]
        for number in range(0, len(posts) - 1, 3):
            posts[number], posts[number + 1] = posts[number + 1], posts[number]
        start = self.served if "after" in query else 0
        self.served = start + 9
        page = posts[start:self.served]
        told = {"data": [self.select(self.media(post), fields) for post in page]}
        if self.served < len(posts):
            told["paging"] = {"cursors": {"after": "QVFIUmx1"}, "next": f"{request.base}{request.path}?access_token={self.token}&after=QVFIUmx1"}
        return 200, {}, told

    def expected(self):
        return {f"instagram:instagram.com:{self.key(post)}": {
            "created_at": post.created, "author": None, "text": self.words(post), "versions": 2 if self.words(post) == post.text and post.edited else 1,
            "title": "", "url": self.permalink(post)} for post in self.world.posts if post.created > world.START - world.DAY}


if __name__ == "__main__":
    sys.exit(world.main(Instagram) or world.main(InstagramTag))
