#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Steam, after Steamworks' documentation "User Reviews - Get List": reviews of an application, newest first, a cursor of text that has to be
sent as it came (it holds + / =), a hundred a page, and a page without reviews at the end. A review may be edited and deleted, nobody says so;
it has no answers but the developer's, which stands in it."""

import base64
import sys

import world

PAGE_MAX = 100


class Steam(world.Platform):
    name = "steam"
    page_sizes = (100,)
    cells = {"posts": "tested", "edits": "tested", "paging": "tested", "budget": "Steam names no limits; its 429 is waited for",
             "comments": "a review has none", "late replies": "a review has none", "auth": "reviews are public",
             "deletions": "no answer tells a deleted review from one that a filter hides"}
    app = "480"

    def configuration(self, base):
        return [{"name": "acme-game", "use": "steam", "app": self.app, "api": base}]

    def review(self, post):
        return {"recommendationid": str(90000000 + post.id),
                "author": {"steamid": str(76561190000000000 + post.author_id), "num_games_owned": 0, "num_reviews": 3, "playtime_forever": 900,
                           "playtime_last_two_weeks": 0, "playtime_at_review": 600, "last_played": post.created},
                "language": "english", "review": post.text, "timestamp_created": post.created, "timestamp_updated": post.edited or post.created,
                "voted_up": post.score % 2 == 0, "votes_up": post.score, "votes_funny": 0, "weighted_vote_score": "0.5", "comment_count": 0,
                "steam_purchase": True, "received_for_free": False, "written_during_early_access": False, "primarily_steam_deck": False}

    def shown(self):
        """Everything that is said in the community is a review here."""
        return sorted(self.world.alive(), key=lambda post: (post.created, post.id), reverse=True)

    def answer(self, request):
        query = request.query
        if request.path != f"/appreviews/{self.app}":
            return 200, {}, {"success": 2}     # an unknown application
        if query.get("json") != "1":
            return 200, {"Content-Type": "text/html"}, b"<div class=review_box></div>"
        if query.get("filter") not in ("recent", "updated") or query.get("language") != "all" or query.get("purchase_type") != "all":
            return 200, {}, {"success": 1, "query_summary": {"num_reviews": 0}, "reviews": [], "cursor": "*"}
        size = min(PAGE_MAX, int(query.get("num_per_page", 20)))
        reviews, start = self.shown(), 0
        if query.get("filter") == "updated":
            reviews.sort(key=lambda post: (post.edited or post.created, post.id), reverse=True)
        cursor = query.get("cursor", "*")
        if cursor != "*":
            try:
                start = int(base64.b64decode(cursor, altchars=b"+/", validate=True).decode().split("?", maxsplit=1)[1].split(">")[1])
            except (ValueError, IndexError):
                return 200, {}, {"success": 1, "query_summary": {"num_reviews": 0}, "reviews": [], "cursor": "*"}
        page = reviews[start:start + size]
        following = base64.b64encode(f"~~?>{start + len(page)}>?~".encode()).decode("ascii")     # with + and / in it
        return 200, {}, {"success": 1, "query_summary": {"num_reviews": len(page)}, "reviews": [self.review(post) for post in page],
                         "cursor": following if page else cursor}

    def expected(self):
        return {f"steam:steampowered.com:{90000000 + post.id}": {
            "created_at": post.created, "text": post.text, "versions": post.versions, "edited_at": post.edited, "title": None,
            "author": str(76561190000000000 + post.author_id), "thread": str(90000000 + post.id),
            "url": f"https://steamcommunity.com/profiles/{76561190000000000 + post.author_id}/recommended/{self.app}/"}
                for post in self.shown_ever()}

    def shown_ever(self):
        """What was deleted stays: nobody tells."""
        return [post for post in self.world.posts if post.deleted is None or post.created < self.world.now - world.HOUR]


if __name__ == "__main__":
    sys.exit(world.main(Steam))
