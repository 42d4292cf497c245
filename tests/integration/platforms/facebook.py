#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Facebook page, after the Graph API's documentation ("Page Feed", "Object Comments") and recorded answers: two levels of comments, an
updated_time that a comment moves too, nothing that tells an edited comment, pages that privacy empties."""

import sys

import graph
import world

PAGE = "19292868552"


class Facebook(graph.Graph):
    name = "facebook"
    cells = {cell: "tested" for cell in world.CELLS}
    pause = 12 * world.HOUR
    thread_sizes = (20, 50, 100)

    def __init__(self, community):
        super().__init__(community)
        self.hidden = [self.world.now - 6 * world.DAY + 60 * number for number in range(120)]

    def configuration(self, base):
        return [{"name": "acme-facebook", "use": "facebook", "page": PAGE, "token": self.token, "api": base}]

    # --- its words ---

    def short(self, post):
        return str(10158000000000000 + post.id)

    def key(self, post):
        return f"{PAGE if post.is_root else self.short(post.thread)}_{self.short(post)}"

    def above(self, post):
        """The comment that it answers to: there are two levels, who answers deeper answers to the first."""
        if post.is_root or post.parent.is_root:
            return None
        return self.above(post.parent) or post.parent

    def permalink(self, post):
        link = f"https://www.facebook.com/{PAGE}/posts/{self.short(post.thread)}/"
        if post.is_root:
            return link
        above = self.above(post)
        return f"{link}?comment_id={self.short(above)}&reply_comment_id={self.short(post)}" if above else f"{link}?comment_id={self.short(post)}"

    def author(self, post):
        return {"id": str(7000000000 + post.author_id), "name": post.author}

    def node(self, post):
        replies = [each for each in self.world.replies(post.thread) if each.deleted is None]
        shared = {"id": self.key(post), "message": post.text, "created_time": graph.stamp(post.created), "from": self.author(post),
                  "permalink_url": self.permalink(post)}
        if post.is_root:
            return {**shared, "updated_time": graph.stamp(max([post.changed, *(each.created for each in replies)])), "status_type": "mobile_status_update",
                    "shares": {"count": post.score} if post.score else None, "is_hidden": False, "is_published": True,
                    "comments": lambda arguments, fields: self.comments(post, arguments, fields),
                    "reactions": lambda arguments, fields: {"data": [], "summary": {"total_count": post.score}}}
        below = [each for each in replies if self.above(each) is post]
        above = self.above(post)
        return {**shared, "like_count": post.score, "comment_count": len(below), "can_reply_privately": False,
                "parent": self.node(above) if above else None}

    def comments(self, post, arguments, fields, request=None):
        """filter: stream has both levels; toplevel, unsaid, one."""
        shown = [each for each in self.world.replies(post) if each.deleted is None]
        rows = [each for each in shown if arguments.get("filter") == "stream" or self.above(each) is None]
        rows.sort(key=lambda each: (each.created, each.id), reverse=arguments.get("order") == "reverse_chronological")
        told = self.edge([(self.key(each), self.node(each)) for each in rows], arguments, fields, request)
        if arguments.get("summary") in ("true", "1", "total_count"):
            told["summary"] = {"order": arguments.get("order", "chronological"), "total_count": len(rows), "can_comment": True}
        return told

    # --- its server ---

    def serve(self, request, parts, fields):
        post = next((post for post in self.world.alive() if parts and self.key(post) == parts[0]), None)
        try:
            if parts in ([PAGE, "feed"], [PAGE, "published_posts"], [PAGE, "posts"]):
                return 200, {}, self.feed(request, fields)
            if post is None:
                return self.missing(parts[0] if parts else "")
            if parts[1:] == ["comments"]:
                if not post.is_root:
                    return self.error(100, "Tried accessing nonexisting field (comments) on node type (Comment)")
                return 200, {}, self.comments(post, request.query, fields, request)
            return 200, {}, self.select(self.node(post), fields)
        except KeyError as fault:
            return self.error(100, f"Tried accessing nonexisting field {fault} on node type")

    def feed(self, request, fields):
        rows = [(post.created, self.key(post), self.node(post)) for post in self.world.alive() if post.is_root]
        rows += [(at, f"hidden_{at}", None) for at in self.hidden]
        rows = [row for row in rows if row[0] >= int(request.query.get("since", 0))]
        rows.sort(key=lambda row: row[:2], reverse=True)
        return self.edge([row[1:] for row in rows], request.query, fields, request)

    # --- what earshot should know ---

    def expected(self):
        return {f"facebook:facebook.com:{self.key(post)}": self.told(
            post, title="", url=self.permalink(post), thread=f"https://www.facebook.com/{PAGE}/posts/{self.short(post.thread)}/")
                for post in self.world.alive()}


if __name__ == "__main__":
    sys.exit(world.main(Facebook))
