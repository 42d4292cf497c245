#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hacker News twice: the search by Algolia (hn-search's API page: newest first, 1,000 hits a query, `numericFilters`) and the item API by
Firebase (its README: ids one by one, `null` for what is not ready, `updates` names what changed, deleted ones say so)."""

import html
import re
import sys

import world

FIRST = 41000000


def hn_html(text):
    """Paragraphs are split by <p> without closing."""
    return "<p>".join(html.escape(part).replace("/", "&#x2F;") for part in text.split("\n\n"))


class HackerNews(world.Platform):
    """By search: what names the word."""

    name = "hackernews"
    page_sizes = (200,)
    cells = {**{cell: "tested" for cell in world.CELLS}, "auth": "the API has none"}

    def configuration(self, base):
        return [{"name": "acme-hn", "use": "hackernews", "query": "note", "algolia": base, "firebase": base}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1"}, {"message": "Too many requests", "status": 429}, only="/api/")

    # --- its words ---

    def number(self, post):
        return FIRST + post.id

    def url(self, post):
        return f"https://news.ycombinator.com/item?id={self.number(post)}"

    def hit(self, post):
        root, story = post.is_root, post.thread
        hit = {"objectID": str(self.number(post)), "author": post.author, "created_at": world.iso(post.created), "created_at_i": post.created,
               "updated_at": world.iso(post.changed), "story_id": self.number(story),
               "_tags": ["story" if root else "comment", f"author_{post.author}", f"story_{self.number(story)}"],
               "_highlightResult": {"author": {"value": post.author, "matchLevel": "none", "matchedWords": []}}}
        if root:
            return {**hit, "title": story.title, "story_text": hn_html(post.text), "points": post.score,
                    "num_comments": len(self.world.replies(post)), "children": []}
        return {**hit, "comment_text": hn_html(post.text), "story_title": story.title, "story_url": None, "parent_id": self.number(post.parent)}

    def item(self, post):
        if post.deleted is not None:
            return {"deleted": True, "id": self.number(post), "time": post.created, "type": "story" if post.is_root else "comment",
                    **({} if post.is_root else {"parent": self.number(post.parent)})}
        item = {"by": post.author, "id": self.number(post), "time": post.created, "text": hn_html(post.text), "type": "comment"}
        kids = [self.number(child) for child in self.world.children(post)]
        if kids:
            item["kids"] = kids
        if post.is_root:
            return {**item, "type": "story", "title": html.escape(post.title), "score": post.score, "descendants": len(self.world.replies(post))}
        return {**item, "parent": self.number(post.parent)}

    # --- its servers ---

    def answer(self, request):
        if request.path == "/api/v1/search_by_date":
            return 200, {}, self.search(request)
        if request.path == "/v0/maxitem.json":
            return 200, {}, self.number(self.world.posts[-1])
        if request.path == "/v0/updates.json":
            recent = [self.number(post) for post in self.world.posts if post.changed > self.world.now - 3600]
            return 200, {}, {"items": recent[-100:], "profiles": ["kim_berg"]}
        found = re.fullmatch(r"/v0/item/(\d+)\.json", request.path)
        if found:
            if int(found.group(1)) <= FIRST:  # long before
                return 200, {}, {"by": "pg", "id": int(found.group(1)), "time": 1160418111, "type": "story", "title": "Y Combinator", "score": 57}
            post = self.world.get(int(found.group(1)) - FIRST)
            return 200, {}, self.item(post) if post and self.is_ready(post) else b"null"
        return 404, {}, {"status": 404, "error": "Not Found"}

    def is_ready(self, post):
        return True

    def search(self, request):
        query, tags = request.query.get("query", ""), request.query.get("tags", "")
        hits = [post for post in self.world.alive() if all(word.lower() in f"{post.title} {post.text}".lower() for word in query.split())]
        if tags:
            wanted = set(re.findall(r"[a-z_]+", tags))
            if not wanted & {"story", "comment"}:
                hits = []
            elif len(wanted & {"story", "comment"}) == 1:
                hits = [post for post in hits if post.is_root == ("story" in wanted)]
        for bound in filter(None, request.query.get("numericFilters", "").split(",")):
            name, sign, number = re.fullmatch(r"(created_at_i|points)(<=|>=|<|>|=)(\d+)", bound).groups()
            value = {"created_at_i": lambda post: post.created, "points": lambda post: post.score}[name]
            keep = {"<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__, "=": int.__eq__}[sign]
            hits = [post for post in hits if keep(value(post), int(number))]
        hits.sort(key=lambda post: (post.created, post.id), reverse=True)
        count, size, page = len(hits), min(int(request.query.get("hitsPerPage", 20)), 1000), int(request.query.get("page", 0))
        hits = hits[:1000]
        return {"hits": [self.hit(post) for post in hits[page * size:(page + 1) * size]], "nbHits": count, "page": page,
                "nbPages": -(-len(hits) // size), "hitsPerPage": size, "exhaustiveNbHits": True, "query": query, "params": "", "processingTimeMS": 1}

    # --- what earshot should know ---

    def expected(self):
        return {f"hackernews:news.ycombinator.com:{self.number(post)}": self.told(
            post, title=post.thread.title, thread=str(self.number(post.thread)), url=self.url(post)) for post in self.world.alive()}


class HackerNewsItems(HackerNews):
    """By ids: everything that is said there. The newest item is not ready at the first time that it is asked for."""

    cells = {**{cell: "tested" for cell in world.CELLS}, "paging": "there are no pages: ids are walked one by one", "auth": "the API has none",
             "budget": "the item API has no limit; 503 and a lost connection are tested"}
    page_sizes = (1,)
    waiting = None

    def configuration(self, base):
        return [{"name": "all-hn", "use": "hackernews", "all": "yes", "algolia": base, "firebase": base}]

    def throttle(self, server):
        server.next(1, 503, after=2)

    def is_ready(self, post):
        if post is self.world.posts[-1] and self.waiting is not post and post.id > 380:
            self.waiting = post
            return False
        return True

    def expected(self):
        told = super().expected()
        for post in self.world.alive():
            fields = told[f"hackernews:news.ycombinator.com:{self.number(post)}"]
            fields["thread"] = None  # an item names its parent alone
            if not post.is_root:
                fields["title"] = ""
        return told


if __name__ == "__main__":
    sys.exit(world.main(HackerNews) or world.main(HackerNewsItems))
