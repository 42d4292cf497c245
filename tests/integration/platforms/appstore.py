#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Apple's App Store, after what is commonly known of its feed of customer reviews (two recordings were looked at, whose licences let nobody
ship them; nothing here was verified against the server): ten pages of fifty, every value in a `label`, no list where there is one review,
nothing where there is none. A review has no address of its own; an edit takes the place of what was said, with a new time."""

import sys

import world

PAGE, PAGES = 50, 10


class AppStore(world.Platform):
    name = "appstore"
    page_sizes = (50,)
    cells = {"posts": "tested", "edits": "tested", "paging": "tested", "budget": "Apple names no limits; its 429 or 503 is waited for",
             "comments": "a review has none but the developer's answer, which the feed leaves out", "late replies": "a review has none",
             "auth": "reviews are public", "deletions": "nothing tells a deleted review: it has no address to be asked for"}
    app, country = "284882215", "de"

    def configuration(self, base):
        return [{"name": "acme-app", "use": "appstore", "app": self.app, "country": self.country, "api": base}]

    def entry(self, post):
        return {"author": {"uri": {"label": f"https://itunes.apple.com/{self.country}/reviews/id{post.author_id}"}, "name": {"label": post.author},
                           "label": ""},
                "updated": {"label": world.iso((post.edited or post.created) - 7 * 3600, suffix="-07:00")},
                "im:rating": {"label": str(1 + post.score % 5)}, "im:version": {"label": "4.2"}, "id": {"label": str(9000000000 + post.id)},
                "title": {"label": post.title or "Review"}, "content": {"label": post.text, "attributes": {"type": "text"}},
                "link": {"attributes": {"rel": "related", "href": f"https://itunes.apple.com/{self.country}/review?id={self.app}&type=Purple%20Software"}},
                "im:voteSum": {"label": str(post.score)}, "im:contentType": {"attributes": {"term": "Application", "label": "Application"}},
                "im:voteCount": {"label": str(post.score + 1)}}

    def answer(self, request):
        parts = request.path.strip("/").split("/")
        if len(parts) != 7 or parts[:3] != [self.country, "rss", "customerreviews"] or parts[5:] != ["sortBy=mostRecent", "json"] \
                or parts[4] != f"id={self.app}":
            return 404, {"Content-Type": "text/html"}, b"<html>Not found</html>"
        number = int(parts[3].removeprefix("page="))
        if not 1 <= number <= PAGES:
            return 400, {"Content-Type": "text/plain"}, b"CustomerReviews RSS page depth is limited to 10"
        reviews = sorted(self.world.alive(), key=lambda post: (post.edited or post.created, post.id), reverse=True)
        entries = [self.entry(post) for post in reviews[(number - 1) * PAGE:number * PAGE]]
        feed = {"author": {"name": {"label": "iTunes Store"}}, "updated": {"label": world.iso(self.world.now)}, "title": {"label": "Customer Reviews"}}
        if entries:
            feed["entry"] = entries[0] if len(entries) == 1 else entries
        return 200, {"Content-Type": "text/javascript; charset=utf-8"}, {"feed": feed}

    def expected(self):
        seen = [post for post in self.world.posts if post.deleted is None or post.created < self.world.now - 2 * world.HOUR]
        return {f"appstore:apps.apple.com:{9000000000 + post.id}": {
            "text": post.text, "title": post.title or "Review", "versions": post.versions, "author": post.author,
            "created_at": post.edited or post.created, "url": f"https://apps.apple.com/{self.country}/app/id{self.app}?see-all=reviews"}
                for post in seen}


if __name__ == "__main__":
    sys.exit(world.main(AppStore))
