#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Discourse, after its API docs, its open source (the newest posts of the whole site: fifty a page, `before` names an id that is itself
still shown by some versions) and recorded answers. Its author may delete a post: it stays a day and says so; a moderator's deletion is gone."""

import html
import sys

import world

PAGE = 50


class Discourse(world.Platform):
    name = "discourse"
    wrong = {"key": "x" * 32}
    page_sizes = (50,)
    cells = {**{cell: "tested" for cell in world.CELLS}}
    key = "k" * 32
    inclusive = True

    def configuration(self, base):
        return [{"name": "acme-forum", "use": "discourse", "base": base, "key": self.key, "user": "earshot"}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1"}, {"errors": ["You’ve performed this action too many times, please try again later."],
                                                   "error_type": "rate_limit", "extras": {"wait_seconds": 1}}, after=1)

    # --- its words ---

    def number(self, post):
        """Of a post in its topic, from 1; a number is never given again."""
        return 1 + [post.thread, *self.world.replies(post.thread)].index(post)

    def topic(self, post):
        return 5000 + post.thread.id

    def is_shown(self, post):
        if post.thread.deleted is not None:
            return False
        return post.deleted is None or not post.is_root

    def post(self, post):
        text, cooked = post.text, world.as_html(post.text)
        if post.deleted is not None:
            text, cooked = "(post deleted by author)", "<p>(post deleted by author)</p>"
        return {
            "id": post.id, "name": post.author.replace("_", " ").title(), "username": post.author, "avatar_template": "",
            "created_at": world.iso(post.created, fraction=".971"), "updated_at": world.iso(post.changed, fraction=".971"), "cooked": cooked, "raw": text,
            "post_number": self.number(post), "post_type": 1, "reply_count": len(self.world.children(post)),
            "reply_to_post_number": None if post.is_root or post.parent.is_root else self.number(post.parent), "quote_count": 0,
            "incoming_link_count": 0, "reads": 1, "readers_count": 0, "score": 0.2, "yours": False, "topic_id": self.topic(post),
            "topic_slug": f"question-{post.thread.id}-sync-offline-again", "topic_title": post.thread.title,
            "topic_html_title": html.escape(post.thread.title), "category_id": 1, "version": post.versions, "actions_summary": [],
            "moderator": False, "admin": False, "staff": False, "user_id": post.author_id, "hidden": False, "trust_level": 1,
            "deleted_at": None, "user_deleted": post.deleted is not None, "edit_reason": None, "wiki": False}

    # --- its server ---

    def answer(self, request):
        if request.headers.get("Api-Key") != self.key or request.headers.get("Api-Username") != "earshot":
            return 403, {}, {"errors": ["You are not permitted to view the requested resource."], "error_type": "invalid_access"}
        if request.path == "/posts.json":
            before = int(request.query.get("before", 0) or 0)
            shown = [post for post in reversed(self.world.posts) if self.is_shown(post)
                     and (before <= 0 or post.id < before + (1 if self.inclusive else 0))]
            return 200, {}, {"latest_posts": [self.post(post) for post in shown[:PAGE]]}
        parts = request.path.strip("/").removesuffix(".json").split("/")
        if parts[0] == "posts" and len(parts) == 2 and parts[1].isdigit():
            post = self.world.get(parts[1])
            if post is not None and self.is_shown(post):
                return 200, {}, self.post(post)
        if parts[0] == "t" and parts[-1].isdigit():
            posts = [post for post in self.world.posts if self.topic(post) == int(parts[-1]) and self.is_shown(post)]
            if posts:
                return 200, {}, {"id": int(parts[-1]), "title": posts[0].thread.title, "post_stream": {
                    "posts": [self.post(post) for post in posts[:20]], "stream": [post.id for post in posts]}}
        return 404, {}, {"errors": ["The requested URL or resource could not be found."], "error_type": "not_found"}

    # --- what earshot should know ---

    def expected(self):
        return {f"discourse:{self.host}:{post.id}": self.told(
            post, title=post.thread.title, thread=str(self.topic(post)), created_at=post.created + 0.971,
            url=f"http://{self.host}/t/question-{post.thread.id}-sync-offline-again/{self.topic(post)}/{self.number(post)}")
                for post in self.world.alive() if post.thread.deleted is None}


class DiscourseNew(Discourse):
    """A newer version: `before` leaves out the id that it names; the forum is public."""

    inclusive = False
    wrong = None
    cells = {**Discourse.cells, "auth": "the forum is public: the other run signs in"}

    def configuration(self, base):
        return [{"name": "acme-forum", "use": "discourse", "base": base}]

    def answer(self, request):
        del request.headers["Api-Key"], request.headers["Api-Username"]
        request.headers["Api-Key"], request.headers["Api-Username"] = self.key, "earshot"
        return super().answer(request)


if __name__ == "__main__":
    sys.exit(world.main(Discourse) or world.main(DiscourseNew))
