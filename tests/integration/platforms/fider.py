#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fider, after its own source (the API of posts and comments, what a search gives, what is deleted): all posts of a board in one answer, each
with the number of its comments; a post has no instant of its edit, a comment has; deleted ones are 404."""

import sys

import world

KEY = "fider-key-of-an-administrator"


class Fider(world.Platform):
    """A private board: what is asked without a key is refused."""

    name = "fider"
    thread_sizes = (1000000, 0, 1000000)     # all at once
    cells = {**{cell: "tested" for cell in world.CELLS}, "paging": "all posts of a board come in one answer", "auth": "tested"}
    wrong = {"key": "not-the-key"}

    def configuration(self, base):
        return [{"name": "acme-ideas", "use": "fider", "base": base, "key": KEY}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1"}, b"Too many requests", after=3 if self.world.now == world.START else 0)

    def number(self, post):
        return [other for other in self.world.posts if other.is_root].index(post) + 1

    def user(self, post):
        return {"id": post.author_id, "name": post.author, "role": "visitor", "status": "active", "avatarURL": ""}

    def comments(self, post):
        return [reply for reply in self.world.replies(post) if reply.deleted is None]

    def post(self, post):
        return {"id": 7000 + post.id, "number": self.number(post), "title": post.title, "slug": f"question-{post.id}", "description": post.text,
                "createdAt": world.iso(post.created, fraction=".123456"), "user": self.user(post), "hasVoted": False, "votesCount": post.score,
                "commentsCount": len(self.comments(post)), "status": "open", "tags": []}

    def comment(self, post):
        edited = {} if post.edited is None else {"editedAt": world.iso(post.edited, fraction=".5"), "editedBy": self.user(post)}
        return {"id": post.id, "content": post.text, "createdAt": world.iso(post.created, fraction=".123456"), "user": self.user(post), **edited}

    def answer(self, request):
        parts = request.path.strip("/").split("/")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return 403, {}, {}
        posts = [post for post in self.world.alive() if post.is_root]
        if parts == ["api", "v1", "posts"]:
            limit = request.query.get("limit", "30")
            if request.query.get("view") != "all":     # the default leaves out what is closed
                posts = posts[::-1][1::2]
            return 200, {}, [self.post(post) for post in (posts if limit == "all" else posts[:int(limit)])]
        found = [post for post in posts if len(parts) > 3 and str(self.number(post)) == parts[3]]
        if parts[:3] != ["api", "v1", "posts"] or not found:
            return 404, {}, {}
        if len(parts) == 4:
            return 200, {}, self.post(found[0])
        comments = self.comments(found[0])
        if len(parts) == 5 and parts[4] == "comments":
            return 200, {}, [self.comment(comment) for comment in comments]
        return 404, {}, {}

    def expected(self):
        told = {}
        for post in self.world.posts:
            url = f"http://{self.host}/posts/{self.number(post.thread)}/question-{post.thread.id}"
            if post.is_root and post.deleted is None:
                told[f"fider:{self.host}:{7000 + post.id}"] = self.told(post, title=post.title, url=url, thread=str(7000 + post.id))
            elif not post.is_root and post.thread.deleted is None:     # nothing tells that a comment was edited or deleted
                known = {} if post.edited or post.deleted else {"text": post.text}
                told[f"fider:{self.host}:c{post.id}"] = {"url": f"{url}#comment-{post.id}", "thread": str(7000 + post.thread.id), "title": None,
                                                          "author": post.author, "created_at": post.created, "versions": post.versions, **known}
        return told


if __name__ == "__main__":
    sys.exit(world.main(Fider))
