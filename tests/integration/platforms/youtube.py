#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""YouTube, after the documentation of its Data API ("CommentThreads: list", "Comments: list", "Search: list", "Videos: list", "Errors") and
recorded answers: threads by the time of their first comment, five answers beside it, the rest apart; 10,000 units a day."""

import base64
import datetime
import hashlib
import html
import sys
import zoneinfo

import world

KEY, CHANNEL = "AIza" + "k" * 35, "UC" + "acmechannel000000000ab"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def name_of(text, length):
    number = int.from_bytes(hashlib.sha512(text.encode()).digest(), "big")
    return "".join(LETTERS[number >> 6 * place & 63] for place in range(length))


class YouTube(world.Platform):
    """All comments of a channel."""

    name = "youtube"
    cells = {cell: "tested" for cell in world.CELLS}
    pause = 12 * world.HOUR
    thread_sizes = (100, 5, 100)
    wrong = {"key": "not-a-key"}
    videos = tuple(name_of(f"video {number}", 11) for number in range(4))
    closed = name_of("video without comments", 11)

    def __init__(self, community):
        super().__init__(community)
        self.day, self.units = None, 0

    def configuration(self, base):
        return [{"name": "acme-tube", "use": "youtube", "channel_id": CHANNEL, "key": KEY, "api": f"{base}/youtube/v3"}]

    def throttle(self, server):
        server.next(1, 403, {"Content-Type": "application/json"}, self.error(403, "rateLimitExceeded", "Rate Limit Exceeded", "usageLimits")[2], after=1)

    # --- its words ---

    def video(self, post):
        return self.videos[post.thread.id % 4]

    def key(self, post):
        top = "Ug" + name_of(f"thread {post.thread.id}", 20) + "4AaABAg"
        return top if post.is_root else f"{top}.9{name_of(f'reply {post.id}', 21)}"

    def comment(self, post, query, with_video=True):
        plain = query.get("textFormat") == "plainText"
        snippet = {"channelId": CHANNEL, "videoId": self.video(post), "textDisplay": post.text if plain else html.escape(post.text).replace("\n", "<br>"),
                   "authorDisplayName": f"@{post.author}", "authorProfileImageUrl": "", "authorChannelUrl": f"http://www.youtube.com/@{post.author}",
                   "authorChannelId": {"value": "UC" + name_of(post.author, 22)}, "canRate": True, "viewerRating": "none", "likeCount": post.score,
                   "publishedAt": world.iso(post.created), "updatedAt": world.iso(post.edited or post.created)}
        if not post.is_root:
            snippet["parentId"] = self.key(post.thread)
        if not with_video:
            del snippet["videoId"]
        if post.author_id % 11 == 0:
            del snippet["authorChannelId"]
        return {"kind": "youtube#comment", "etag": name_of(f"{post.id} {post.versions} {post.score}", 27), "id": self.key(post), "snippet": snippet}

    def replies(self, root):
        return [each for each in self.world.replies(root) if each.deleted is None]

    def thread(self, post, query):
        replies, parts = self.replies(post), query.get("part", "").split(",")
        thread = {"kind": "youtube#commentThread", "etag": name_of(f"thread {post.id} {len(replies)}", 27), "id": self.key(post), "snippet": {
            "channelId": CHANNEL, "videoId": self.video(post), "topLevelComment": self.comment(post, query), "canReply": True,
            "totalReplyCount": len(replies), "isPublic": True}}
        if replies and "replies" in parts:
            thread["replies"] = {"comments": [self.comment(each, query) for each in replies[:5]]}
        return thread

    # --- its server ---

    def error(self, code, reason, message, domain="youtube.commentThread", status=None):
        return code, {}, {"error": {"code": code, "message": message, "errors": [{"message": message, "domain": domain, "reason": reason}],
                                    **({"status": status} if status else {})}}

    def answer(self, request):
        query = request.query
        if query.get("key") is None and request.headers.get("X-Goog-Api-Key") is None:
            return self.error(403, "forbidden", "Method doesn't allow unregistered callers", "global", "PERMISSION_DENIED")
        if KEY not in (query.get("key"), request.headers.get("X-Goog-Api-Key")):
            return self.error(400, "badRequest", "API key not valid. Please pass a valid API key.", "usageLimits", "INVALID_ARGUMENT")
        method = request.path.removeprefix("/youtube/v3/")
        today = datetime.datetime.fromtimestamp(self.world.now, zoneinfo.ZoneInfo("America/Los_Angeles")).date()
        if today != self.day:
            self.day, self.units = today, 0
        self.units += 100 if method == "search" else 1
        if self.units > 10000:
            return self.error(403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota.", "youtube.quota")
        serve = {"commentThreads": self.threads, "comments": self.comments, "search": self.search, "videos": self.list_videos}.get(method)
        if serve is None:
            return 404, {"Content-Type": "text/html"}, b"<html>404</html>"
        if "part" not in query:
            return self.error(400, "missingRequiredParameter", "No filter selected. Expected one of: part", "youtube.parameter")
        if not 1 <= int(query.get("maxResults", 20)) <= (50 if method in ("search", "videos") else 100):
            return self.error(400, "invalidValue", "Invalid value for maxResults", "youtube.parameter")
        return serve(query)

    def page(self, kind, rows, query):
        """rows: (key, resource)."""
        size, start = int(query.get("maxResults", 20 if kind != "searchList" else 5)), 0
        if "pageToken" in query:
            after = base64.urlsafe_b64decode(query["pageToken"]).decode()
            keys = [row[0] for row in rows]
            start = keys.index(after) + 1 if after in keys else len(rows)
        page = rows[start:start + size]
        more = {"nextPageToken": base64.urlsafe_b64encode(page[-1][0].encode()).decode()} if page and start + size < len(rows) else {}
        return 200, {}, {"kind": f"youtube#{kind}Response", "etag": name_of(kind, 27), **more,
                         "pageInfo": {"totalResults": len(page), "resultsPerPage": size}, "items": [row[1] for row in page]}

    def threads(self, query):
        filters = [name for name in ("videoId", "allThreadsRelatedToChannelId", "id", "channelId") if name in query]
        if len(filters) != 1:
            return self.error(400, "missingRequiredParameter", "No filter selected.", "youtube.parameter")
        posts = [post for post in reversed(self.world.alive()) if post.is_root]
        posts.sort(key=lambda post: (post.created, post.id), reverse=True)
        if "videoId" in query:
            if query["videoId"] == self.closed:
                return self.error(403, "commentsDisabled", "The video identified by the videoId parameter has disabled comments.")
            if query["videoId"] not in self.videos:
                return self.error(404, "videoNotFound", "The video identified by the videoId parameter could not be found.")
            posts = [post for post in posts if self.video(post) == query["videoId"]]
        elif "id" in query:
            posts = [post for post in posts if self.key(post) in query["id"].split(",")]
        elif query.get("allThreadsRelatedToChannelId") != CHANNEL:
            return self.error(404, "channelNotFound", "The channel identified by the allThreadsRelatedToChannelId parameter could not be found.")
        if query.get("order", "time") == "relevance":
            posts.sort(key=lambda post: -post.score)
        return self.page("commentThreadList", [(self.key(post), self.thread(post, query)) for post in posts], query)

    def comments(self, query):
        """The answers to a comment, newest first; or those that are named."""
        if "id" in query:
            wanted = query["id"].split(",")
            posts = [post for post in self.world.alive() if self.key(post) in wanted]
        else:
            root = next((post for post in self.world.alive() if post.is_root and self.key(post) == query.get("parentId")), None)
            if root is None:
                return self.error(404, "commentNotFound", "The specified comment could not be found.", "youtube.comment")
            posts = self.replies(root)[::-1]
        return self.page("commentList", [(self.key(post), self.comment(post, query, with_video=False)) for post in posts], query)

    def search(self, query):
        if query.get("type") != "video":
            return self.error(400, "invalidSearchFilter", "This test knows videos alone.", "youtube.search")
        found = [*self.videos, self.closed] if "acme" in query.get("q", "").lower() else []
        return self.page("searchList", [(video, {"kind": "youtube#searchResult", "etag": name_of(video, 27), "id": {"kind": "youtube#video", "videoId": video},
                                                 "snippet": {"publishedAt": world.iso(world.START - 20 * world.DAY), "channelId": CHANNEL, "description": "",
                                                             "title": "Acme &amp; more", "channelTitle": "Acme"}}) for video in found], query)

    def list_videos(self, query):
        wanted = query.get("id", "").split(",")
        if not 1 <= len(wanted) <= 50:
            return self.error(400, "invalidFilters", "The request specifies an invalid filter parameter.", "youtube.parameter")
        rows = []
        for video in [*self.videos, self.closed]:
            if video in wanted:
                count = len([post for post in self.world.alive() if self.video(post) == video])
                statistics = {"viewCount": "1000", "likeCount": "10", "favoriteCount": "0", **({} if video == self.closed else {"commentCount": str(count)})}
                rows.append((video, {"kind": "youtube#video", "etag": name_of(video, 27), "id": video, "statistics": statistics,
                                     "snippet": {"publishedAt": world.iso(world.START - 20 * world.DAY), "channelId": CHANNEL, "title": "Acme & more"}}))
        return self.page("videoList", rows, {**query, "maxResults": "50"})

    # --- what earshot should know ---

    def expected(self):
        return {f"youtube:youtube.com:{self.key(post)}": self.told(
            post, title="", author=f"@{post.author}", thread=self.key(post.thread), **({"edited_at": post.edited} if post.edited else {}),
            url=f"https://www.youtube.com/watch?v={self.video(post)}&lc={self.key(post)}") for post in self.world.alive() if self.wanted(post)}


class YouTubeVideo(YouTube):
    """Those of one video."""

    cells = {**YouTube.cells, "edits": "tested with the channel", "deletions": "tested with the channel", "late replies": "tested with the channel"}

    def configuration(self, base):
        return [{"name": "acme-video", "use": "youtube", "video": self.videos[2], "key": KEY, "api": f"{base}/youtube/v3"}]

    def wanted(self, post):
        return self.video(post) == self.videos[2]


class YouTubeSearch(YouTube):
    """Those of the videos that a search finds, one of which lets nobody comment."""

    def least(self, since):
        """The search, the counts of comments, then each video that has others than before."""
        touched = {self.video(post) for post in self.world.posts if post.changed > since}
        return 2 + super().least(since) - 1 + max(0, len(touched) - 1) if touched else 2

    def configuration(self, base):
        return [{"name": "about-acme", "use": "youtube", "search": "acme", "key": KEY, "api": f"{base}/youtube/v3"}]


if __name__ == "__main__":
    sys.exit(world.main(YouTube) or world.main(YouTubeVideo) or world.main(YouTubeSearch))
