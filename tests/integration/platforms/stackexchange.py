#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stack Exchange, after its documentation's pages on throttles, paging, filters and the methods used here: answers always compressed, a
wrapper with quota and `backoff`, bodies only with a filter, questions, answers and comments each of their own method, ids by the hundred."""

import gzip
import html
import json
import re
import sys

import world

KEY = "U4DMV*8nvpm3EOpvf69Rxw(("
FILTERS = {None: False, "default": False, "withbody": True, "none": False, "total": False}


class StackExchange(world.Platform):
    """Roots are questions, their direct replies answers, all below comments on those."""

    name = "stackexchange"
    wrong = {"key": "not-a-key"}
    page_sizes = (100, 100)
    cells = {**{cell: "tested" for cell in world.CELLS},
             "deletions": "questions and answers, tested; a comment cannot be asked for beside them: it stays"}
    quota = 9990
    said_backoff = 0

    def __init__(self, community):
        super().__init__(community)
        delete = community._delete  # pylint: disable=protected-access
        community._delete = lambda: [*delete(), self.delete_answer()]

    def delete_answer(self):
        """The community deletes a question and a comment."""
        post = next(each for each in self.world.alive() if self.kind(each) == "answer" and not self.world.children(each) and each.edited is None
                    and each.thread.deleted is None and self.world.now - 2 * world.DAY < each.created < self.world.now - 4 * world.HOUR)
        post.deleted = self.world.now - 300
        return post

    def configuration(self, base):
        return [{"name": "acme-so", "use": "stackexchange", "site": "stackoverflow.com", "tagged": "acme", "key": KEY, "api": f"{base}/2.3"}]

    def throttle(self, server):
        body = gzip.compress(json.dumps({"error_id": 502, "error_message": "too many requests from this IP, more requests available in 2 seconds",
                                         "error_name": "throttle_violation"}).encode())
        server.next(1, 400, {"Content-Encoding": "gzip", "Content-Type": "application/json; charset=utf-8"}, body, after=1)

    # --- its words ---

    def answer_of(self, post):
        """The answer that a comment stands below; None for a question or an answer."""
        while post.parent is not None and not post.parent.is_root:
            post = post.parent
            if post.parent.is_root:
                return post
        return None

    def kind(self, post):
        return "question" if post.is_root else "answer" if post.parent.is_root else "comment"

    def is_shown(self, post):
        return post.deleted is None and (post.is_root or self.is_shown(post.thread if self.kind(post) == "answer" else self.answer_of(post)))

    def owner(self, post):
        return {"account_id": post.author_id + 70000, "reputation": 1, "user_id": post.author_id, "user_type": "registered",
                "display_name": post.author, "link": f"https://stackoverflow.com/users/{post.author_id}/x"}

    def link(self, post):
        return f"https://stackoverflow.com/questions/{post.id}/question-{post.id}-sync-offline-again"

    def activity(self, question):
        """An answer or an edit counts, a comment does not."""
        below = [post for post in self.world.replies(question) if self.kind(post) == "answer"]
        return max([question.created, question.edited or 0] + [max(post.created, post.edited or 0) for post in below if post.deleted is None])

    def item(self, post, body):
        kind = self.kind(post)
        item = {"owner": self.owner(post), "score": post.score, "creation_date": post.created, f"{kind}_id": post.id, "content_license": "CC BY-SA 4.0"}
        if kind == "question":
            item.update(title=html.escape(post.title), link=self.link(post), tags=["acme", "sync"], is_answered=False, view_count=7,
                        answer_count=len([child for child in self.world.children(post) if child.deleted is None]), last_activity_date=self.activity(post))
        elif kind == "answer":
            item.update(question_id=post.thread.id, is_accepted=False, last_activity_date=post.edited or post.created)
        else:
            item.update(post_id=self.answer_of(post).id, edited=post.edited is not None)
        if post.edited and kind != "comment":
            item["last_edit_date"] = post.edited
        if body:
            item["body"] = html.escape(post.text).replace("\n\n", " ") if kind == "comment" else world.as_html(post.text)
        return item

    # --- its server ---

    def answer(self, request):
        status, body = self.decide(request)
        return (status, {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}, gzip.compress(json.dumps(body).encode()))

    def error(self, number, name, message):
        return 400, {"error_id": number, "error_name": name, "error_message": message}

    def decide(self, request):
        query, parts = request.query, request.path.strip("/").split("/")
        if parts[0] != "2.3":
            return self.error(404, "no_method", "this method does not exist")
        if query.get("site") not in ("stackoverflow", "stackoverflow.com"):
            return self.error(400, "bad_parameter", "site is required")
        if query.get("key", KEY) != KEY:
            return self.error(400, "bad_parameter", "`key` doesn't match a known application")
        if query.get("filter") not in FILTERS:
            return self.error(400, "bad_parameter", "filter")
        if int(query.get("page", 1)) > 25 and "key" not in query:
            return 403, {"error_id": 403, "error_name": "access_denied", "error_message": "page above 25 requires access token or app key"}
        posts = self.find(parts[1:], query)
        if posts is None:
            return self.error(404, "no_method", "this method does not exist")
        return 200, self.page(posts, query)

    def find(self, parts, query):
        shown = [post for post in self.world.posts if self.is_shown(post)]
        if parts == ["questions"]:
            if query.get("tagged", "acme") != "acme":
                return []
            return [post for post in shown if post.is_root]
        ids = {int(number) for number in parts[1].split(";")[:100]} if len(parts) > 1 and re.fullmatch(r"[\d;]+", parts[1]) else None
        if ids is None:
            return None
        if parts[0] == "questions" and parts[2:] == ["answers"]:
            return [post for post in shown if self.kind(post) == "answer" and post.thread.id in ids]
        if parts[0] in ("questions", "answers", "posts") and parts[2:] == ["comments"]:
            return [post for post in shown if self.kind(post) == "comment" and self.answer_of(post).id in ids]
        if len(parts) == 2 and parts[0] in ("questions", "answers", "comments", "posts"):
            kinds = ("question", "answer") if parts[0] == "posts" else (parts[0][:-1],)
            return [post for post in shown if self.kind(post) in kinds and post.id in ids]
        return None

    def page(self, posts, query):
        sort, descending = query.get("sort", "activity"), query.get("order", "desc") == "desc"

        def by(post):
            return self.activity(post) if sort == "activity" and post.is_root else post.created

        posts = [post for post in posts if by(post) >= int(query.get("min", 0)) and by(post) <= int(query.get("max", 1 << 60))
                 and post.created >= int(query.get("fromdate", 0)) and post.created <= int(query.get("todate", 1 << 60))]
        posts.sort(key=lambda post: (by(post), post.id), reverse=descending)
        size, number = min(int(query.get("pagesize", 30)), 100), int(query.get("page", 1))
        page = posts[(number - 1) * size:number * size]
        self.quota -= 1
        wrapper = {"items": [self.item(post, FILTERS[query.get("filter")]) for post in page], "has_more": number * size < len(posts),
                   "quota_max": 10000, "quota_remaining": self.quota}
        self.said_backoff += 1
        if self.said_backoff == 3:
            wrapper["backoff"] = 1
        return wrapper

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.posts:
            if post.thread.deleted is not None or (post.deleted is not None and self.kind(post) == "answer"):
                continue
            fields = self.told(post, thread=str(post.thread.id))
            kind = self.kind(post)
            if kind == "question":
                fields.update(title=post.title, url=self.link(post), edited_at=post.edited)
            elif kind == "answer":
                fields.update(url=f"https://stackoverflow.com/a/{post.id}", edited_at=post.edited)
            else:
                fields.update(url=f"https://stackoverflow.com/a/{self.answer_of(post).id}#comment{post.id}_{self.answer_of(post).id}")
            told[f"stackexchange:stackoverflow.com:{'c' if kind == 'comment' else ''}{post.id}"] = fields
        return told


if __name__ == "__main__":
    sys.exit(world.main(StackExchange))
