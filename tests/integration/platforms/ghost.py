#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ghost, after recorded answers of the Content API (5.130), its NQL, and the routes of its own source for members' comments, which its pages
read without signing in: comments of the whole site, newest first, three replies inlined, a reply to a reply lying beside it; who deletes his
comment leaves a hole if it was answered."""

import re
import sys

import world

LIMIT_MAX = 100
KEY = "22444f78447824223cefc48062"


class Ghost(world.Platform):
    name = "ghost"
    page_sizes = (100, 100)
    cells = {**{cell: "tested" for cell in world.CELLS}, "auth": "tested",
             "budget": "Ghost names no limits; its 429 is waited for"}

    wrong = {"key": "0" * 26}

    def configuration(self, base):
        return [{"name": "acme-ghost", "use": "ghost", "base": base, "key": KEY}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1"}, {"errors": [{"message": "Too many requests.", "type": "TooManyRequestsError"}]},
                    after=3 if self.world.now == world.START else 0)     # what is asked of one post alone, if throttled, waits for the next poll

    # --- its words ---

    def id(self, post):
        """24 hex digits."""
        return f"{'6b02' if post.is_root else '6c07'}{post.created:08x}{post.id:012x}"

    def find(self, text, root):
        return next((post for post in self.world.posts if self.id(post) == text and post.is_root == root), None)

    def link(self, post):
        return f"http://{self.host}/question-{post.id}/"

    def time(self, seconds, suffix="+00:00"):
        return None if seconds is None else world.iso(seconds, suffix=suffix, fraction=".000")

    def post(self, post, query):
        shown = {"id": self.id(post), "uuid": f"11ea548d-4e37-4861-a55a-{post.id:012x}", "title": post.title, "slug": f"question-{post.id}",
                 "html": world.as_html(post.text), "comment_id": self.id(post), "feature_image": None, "featured": False, "visibility": "public",
                 "created_at": self.time(post.created - 3600), "updated_at": self.time(post.edited or post.created + 1),
                 "published_at": self.time(post.created), "custom_excerpt": None, "canonical_url": None, "url": self.link(post), "excerpt": post.text,
                 "reading_time": 0, "access": True, "comments": True}
        if "authors" in query.get("include", ""):
            author = {"id": str(post.author_id), "name": post.author, "slug": post.author, "url": f"http://{self.host}/author/{post.author}/"}
            shown.update({"authors": [author], "primary_author": author})
        formats = query.get("formats", "html").split(",")
        if "html" not in formats:
            del shown["html"]
        if "plaintext" in formats:
            shown["plaintext"] = post.text
        return shown

    def above(self, post):
        """The comment of the first level that it lies below; None: it is one."""
        if post.parent.is_root:
            return None
        while not post.parent.is_root:
            post = post.parent
        return post

    def below(self, comment):
        return [post for post in self.world.posts if not post.is_root and self.above(post) is comment]

    def comment(self, post, include):
        above = self.above(post)
        direct = None if above is None or post.parent is above else post.parent
        shown = {"id": self.id(post), "parent_id": None if above is None else self.id(above),
                 "in_reply_to_id": None if direct is None else self.id(direct), "in_reply_to_snippet": None if direct is None else direct.text[:20],
                 "status": "published" if post.deleted is None else "deleted", "html": world.as_html(post.text) if post.deleted is None else None,
                 "created_at": self.time(post.created, "Z"), "edited_at": self.time(post.edited, "Z")}
        if "member" in include:
            shown["member"] = {"id": f"5d{post.author_id:022x}", "uuid": f"aaaa-{post.author_id}", "name": post.author, "expertise": None,
                               "avatar_image": None}
        if "post" in include:
            shown["post"] = {"id": self.id(post.thread), "uuid": "x", "title": post.thread.title, "url": self.link(post.thread), "feature_image": None}
        if "replies" in include and above is None:
            shown["replies"] = [self.comment(reply, {"member"} if "replies.member" in include else set()) for reply in self.below(post)[:3]]
        count = {}
        if "count.replies" in include and above is None:
            count["replies"] = len(self.below(post))
        if "count.likes" in include:
            count["likes"] = post.score
        return {**shown, **({"count": count} if count else {})}

    # --- its server ---

    def refuse(self, status, message, kind, code=None):
        return status, {"Cache-Control": "no-cache, private"}, {"errors": [
            {"message": message, "context": None, "type": kind, "details": None, "property": None, "help": None, "code": code, "id": "ef64",
             "ghostErrorCode": None}]}

    def answer(self, request):
        if re.fullmatch(r"/ghost/api/content/posts(/[0-9a-f]{24})?/?", request.path):
            if "key" not in request.query:
                return self.refuse(403, "Authorization failed", "NoPermissionError")
            if request.query["key"] != KEY:
                return self.refuse(401, "Unknown Content API Key", "UnauthorizedError", "UNKNOWN_CONTENT_API_KEY")
            number = request.path.removeprefix("/ghost/api/content/posts").strip("/")
            return self.one_post(number, request.query) if number else self.posts(request.query)
        found = re.fullmatch(r"/members/api/comments/(post/)?([0-9a-f]{24})?(/replies)?/?", request.path)
        if not found:
            return self.refuse(404, "Resource not found", "NotFoundError")
        return self.members(found, request.query)

    def one_post(self, number, query):
        post = self.find(number, True)
        if post is None or post.deleted is not None:
            return self.refuse(404, "Resource not found error, cannot read post.", "NotFoundError")
        return 200, {"Cache-Control": "public, max-age=0"}, {"posts": [self.post(post, query)]}

    def filtered(self, items, text, values):
        """The part of NQL that compares one member with an instant, parts joined by +."""
        for part in filter(None, (text or "").split("+")):
            found = re.fullmatch(r"(\w+):(>=?|<=?|)'?([^']*)'?", part)
            if not found or found[1] not in values:
                return None
            of, operator = values[found[1]], found[2]
            wanted = found[3].replace("+00:00", "Z")
            wanted = wanted if "." in wanted or "T" not in wanted else wanted.replace("Z", ".000Z")
            items = [item for item in items if {
                ">": of(item) > wanted, ">=": of(item) >= wanted, "<": of(item) < wanted, "<=": of(item) <= wanted, "": of(item) == wanted}[operator]]
        return items

    def paged(self, name, items, query, show):
        limit, number = min(LIMIT_MAX, int(query.get("limit", 15))), int(query.get("page", 1))
        pages = max(1, -(-len(items) // limit))
        return 200, {"Cache-Control": "public, max-age=0"}, {
            name: [show(item) for item in items[(number - 1) * limit:number * limit]],
            "meta": {"pagination": {"page": number, "limit": limit, "pages": pages, "total": len(items), "next": number + 1 if number < pages else None,
                                    "prev": number - 1 if number > 1 else None}}}

    def posts(self, query):
        stamps = {"updated_at": lambda post: self.time(post.edited or post.created + 1, "Z"), "published_at": lambda post: self.time(post.created, "Z"),
                  "id": self.id}
        items = self.filtered([post for post in self.world.alive() if post.is_root], query.get("filter"), stamps)
        by, _, way = query.get("order", "published_at desc").partition(" ")
        if items is None or by not in stamps:
            return self.refuse(400, "Error parsing filter", "BadRequestError")
        items.sort(key=lambda post: (stamps[by](post), post.id), reverse=way.lower() == "desc")
        return self.paged("posts", items, query, lambda post: self.post(post, query))

    def members(self, found, query):
        of_post, number, replies = found.groups()
        include = set(filter(None, query.get("include", "").split(","))) or {"member", "replies", "replies.member", "count.replies", "count.likes"}
        if number and not of_post and not replies:
            post = self.find(number, False)
            if post is None or post.deleted is not None:
                return self.refuse(404, "Comment could not be found", "NotFoundError")
            return 200, {}, {"comments": [self.comment(post, include)]}
        if replies:
            items = [post for post in self.below(self.find(number, False)) if post.deleted is None]
        else:
            items = [post for post in self.world.posts if not post.is_root and self.above(post) is None
                     and (post.deleted is None or any(below.deleted is None for below in self.below(post)))]
            items = [post for post in items if not of_post or self.id(post.thread) == number]
        stamps = {"created_at": lambda post: self.time(post.created, "Z"), "edited_at": lambda post: self.time(post.edited, "Z") or "", "id": self.id}
        items = self.filtered(items, query.get("filter"), stamps)
        if items is None:
            return self.refuse(400, "Error parsing filter", "BadRequestError")
        by, _, way = query.get("order", "created_at asc" if replies else "created_at desc").partition(" ")
        items.sort(key=lambda post: (stamps.get(by, stamps["created_at"])(post), post.id), reverse=way.lower() == "desc")
        return self.paged("comments", items, query, lambda post: self.comment(post, include))

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.alive():
            first_level = not post.is_root and self.above(post) is None
            url = self.link(post.thread) + (f"#ghost-comments-{self.id(post)}" if first_level else "")
            of_root = {"title": post.title} if post.is_root else {"title": None, "edited_at": post.edited}
            told[f"ghost:{self.host}:{self.id(post)}"] = self.told(post, url=url, thread=self.id(post.thread), **of_root)
        return told


if __name__ == "__main__":
    sys.exit(world.main(Ghost))
