#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lemmy, after recorded answers of 0.17.4 (0.18 answers alike) and the types of its own client for 0.19: pages by number, an unknown
community that gives the whole server, a throttle that comes as 400, deleted comments that stay and say so, deleted posts that are gone."""

import sys

import world

PAGE_MAX = 50


class Lemmy(world.Platform):
    """0.18: times without a zone, 400 for what is too fast, `auth` in the query."""

    name = "lemmy"
    wrong = {"token": "not-a-token"}
    page_sizes = (50, 50)
    version = "0.18.5"
    cells = {cell: "tested" for cell in world.CELLS}
    jwt = "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOjJ9.c2ln"

    def configuration(self, base):
        return [{"name": "acme-lemmy", "use": "lemmy", "base": base, "community": "acme", "token": self.jwt}]

    def throttle(self, server):
        server.next(1, 400, {"Content-Type": "application/json"}, {"error": "rate_limit_error"}, after=2)

    # --- its words ---

    def time(self, seconds):
        return None if seconds is None else world.iso(seconds, suffix="", fraction=".371494")

    def person(self, post):
        return {"id": post.author_id, "name": post.author, "display_name": None, "avatar": None, "banned": False, "published": self.time(world.START),
                "updated": None, "actor_id": f"http://{self.host}/u/{post.author}", "bio": None, "local": True, "deleted": False, "bot_account": False,
                "instance_id": 1}

    def community(self, name="acme"):
        return {"id": 2 if name == "acme" else 3, "name": name, "title": f"{name} & more", "description": None, "removed": False,
                "published": self.time(world.START), "updated": None, "deleted": False, "nsfw": False, "local": True, "hidden": False,
                "actor_id": f"http://{self.host}/c/{name}", "posting_restricted_to_mods": False, "instance_id": 1}

    def post(self, post):
        return {"id": post.id, "name": post.thread.title, "url": None, "body": post.text, "creator_id": post.author_id, "community_id": 2,
                "removed": False, "locked": False, "published": self.time(post.created), "updated": self.time(post.edited),
                "deleted": post.deleted is not None, "nsfw": False, "thumbnail_url": None, "ap_id": f"http://{self.host}/post/{post.id}", "local": True,
                "language_id": 0, "featured_community": False, "featured_local": False}

    def path(self, post):
        """The ancestors' ids: those of comments, below 0."""
        return "0" if post.is_root else f"{self.path(post.parent)}.{post.id}"

    def post_view(self, post):
        return {"post": self.post(post), "creator": self.person(post), "community": self.community(), "creator_banned_from_community": False,
                "counts": {"id": post.id, "post_id": post.id, "comments": len(self.world.replies(post)), "score": post.score, "upvotes": post.score,
                           "downvotes": 0, "published": self.time(post.created), "newest_comment_time": self.time(post.created)},
                "subscribed": "NotSubscribed", "saved": False, "read": False, "creator_blocked": False, "my_vote": None, "unread_comments": 0}

    def comment_view(self, post):
        gone = post.deleted is not None
        return {"comment": {"id": post.id, "creator_id": post.author_id, "post_id": post.thread.id, "content": "" if gone else post.text,
                            "removed": False, "published": self.time(post.created), "updated": self.time(post.deleted or post.edited), "deleted": gone,
                            "ap_id": f"http://{self.host}/comment/{post.id}", "local": True, "path": self.path(post), "distinguished": False,
                            "language_id": 0},
                "creator": self.person(post), "post": self.post(post.thread), "community": self.community(),
                "counts": {"id": post.id, "comment_id": post.id, "score": post.score, "upvotes": post.score, "downvotes": 0,
                           "published": self.time(post.created), "child_count": len(self.world.children(post))},
                "creator_banned_from_community": False, "subscribed": "NotSubscribed", "saved": False, "creator_blocked": False, "my_vote": None}

    def elsewhere(self):
        """What somebody said in another community of this server."""
        stranger = world.Post(id=900001, author=world.AUTHORS[0], title="Bread", text="I baked bread.", created=self.world.now - 120)
        stranger.thread = stranger
        return {**self.post_view(stranger), "community": self.community("baking")}

    # --- its server ---

    def may(self, request):
        return request.query.get("auth") == self.jwt

    def answer(self, request):
        query = request.query
        if not self.may(request):
            return 400, {}, {"error": "instance_is_private"}
        if request.path == "/api/v3/site":
            return 200, {}, {"site_view": {"site": {"id": 1, "name": "Held", "actor_id": f"http://{self.host}/"}}, "version": self.version}
        if request.path == "/api/v3/community":
            if query.get("name") == "acme" or query.get("id") == "2":
                return 200, {}, {"community_view": {"community": self.community(), "counts": {"posts": 48}}, "moderators": [], "discussion_languages": []}
            return self.not_found("couldnt_find_community")
        if int(query.get("limit", 10)) > PAGE_MAX:
            return 400, {}, {"error": "couldnt_get_posts"}
        known = query.get("community_name", "acme") == "acme" and query.get("community_id", "2") == "2"
        named = known and ("community_name" in query or "community_id" in query)
        if request.path == "/api/v3/post/list":
            posts = [self.post_view(post) for post in reversed(self.world.alive()) if post.is_root]
            posts = posts if named else [self.elsewhere(), *posts]
            return 200, {}, self.paged("posts", posts, query)
        if request.path == "/api/v3/comment/list":
            comments = [self.comment_view(post) for post in reversed(self.world.posts) if not post.is_root]
            return 200, {}, self.paged("comments", comments, query)
        if request.path in ("/api/v3/post", "/api/v3/comment") and query.get("id", "").isdigit():
            post = self.world.get(query["id"])
            root = request.path == "/api/v3/post"
            if post is None or post.is_root != root or (root and post.deleted is not None):
                return self.not_found("couldnt_find_post" if root else "couldnt_find_comment")
            return 200, {}, {"post_view": self.post_view(post)} if root else {"comment_view": self.comment_view(post)}
        return 404, {}, {"error": "not_found"}

    def not_found(self, why):
        return 404, {}, {"error": why}

    def paged(self, name, views, query):
        if query.get("sort") != "New":
            views = views[::-1]
        size, number = int(query.get("limit", 10)), int(query.get("page", 1))
        return {name: views[(number - 1) * size:number * size]}

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.alive():
            kind = "post" if post.is_root else "comment"
            told[f"lemmy:{self.host}:http://{self.host}/{kind}/{post.id}"] = self.told(
                post, title=post.thread.title, thread=f"http://{self.host}/post/{post.thread.id}", url=f"http://{self.host}/{kind}/{post.id}",
                created_at=post.created + 0.371494, edited_at=None if post.edited is None else post.edited + 0.371494)
        return told


class Lemmy19(Lemmy):
    """0.19: times in UTC that say so, 429 for what is too fast, a token in the header, cursors beside numbers."""

    version = "0.19.5"

    def time(self, seconds):
        return None if seconds is None else world.iso(seconds, fraction=".371494")

    def may(self, request):
        return request.headers.get("Authorization") == f"Bearer {self.jwt}"

    def throttle(self, server):
        server.next(1, 429, {"Content-Type": "application/json"}, {"error": "rate_limit_error"}, after=2)

    def paged(self, name, views, query):
        if name == "posts" and "page_cursor" in query:
            start = next(number for number, view in enumerate(views) if f"P{view['post']['id']:x}" == query["page_cursor"]) + 1
            page = views[start:start + int(query.get("limit", 10))]
        else:
            page = super().paged(name, views, query)[name]
        if name != "posts":
            return {name: page}
        return {name: page, **({"next_page": f"P{page[-1]['post']['id']:x}"} if page else {})}


if __name__ == "__main__":
    sys.exit(world.main(Lemmy) or world.main(Lemmy19))
