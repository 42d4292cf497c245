#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""X, after its documentation of API v2 (recent search, mentions, posts lookup, "Rate limits", "Edit Posts") and recorded answers: seven days
alone, newest first, authors beside the posts, `data` absent where there is none, an edit is a new id whose history names the first one and is
possible within an hour, what is deleted is told as an error beside the data."""

import datetime
import html
import sys

import world

TOKEN, EPOCH_MS = "A" * 100, 1288834974657
DEFAULT_FIELDS = ("id", "text", "edit_history_tweet_ids")


class X(world.Platform):
    name = "x"
    page_sizes = (100,)
    cells = {**{cell: "tested" for cell in world.CELLS},
             "edits": "an edit within its hour is tested; the community's, a day later, X does not allow"}
    pause = 12 * world.HOUR
    wrong = {"token": "not-a-token"}

    def __init__(self, community):
        super().__init__(community)
        self.started, self.left, self.window = community.now, 450, None
        self.first_words = {}

    def configuration(self, base):
        return [{"name": "acme-x", "use": "x", "query": "note", "token": TOKEN, "api": base}]

    def throttle(self, server):
        server.next(1, 429, {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(self.world.now + 2)},
                    {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429}, after=1)

    # --- its words ---

    def snowflake(self, seconds, number):
        return str((seconds * 1000 - EPOCH_MS) << 22 | number)

    def edited(self, post):
        """When its author mended it; one of those that come later is, within its hour."""
        return post.created + 3000 if post.created > self.started and post.id % 4 == 0 and post.created + 3000 <= self.world.now else None

    def words(self, post):
        words = self.first_words.setdefault(post.id, post.text)
        return f"Mended: {words}" if self.edited(post) else words

    def ids(self, post):
        """All that it ever had, the first one first."""
        ids = [self.snowflake(post.created, post.id)]
        return ids + [self.snowflake(self.edited(post), post.id)] if self.edited(post) else ids

    def user_id(self, post):
        return str(2244994000 + post.author_id)

    def tweet(self, post, fields):
        ids = self.ids(post)
        long = len(self.words(post)) > 75
        text = html.escape(self.words(post), quote=False)
        whole = {"id": ids[-1], "edit_history_tweet_ids": ids, "text": text if not long else text[:60] + "… https://t.co/abcdefghij",
                 "author_id": self.user_id(post), "conversation_id": self.ids(post.thread)[0], "lang": "en",
                 "created_at": world.iso(self.edited(post) or post.created, fraction=".000"), "possibly_sensitive": False, "reply_settings": "everyone",
                 "public_metrics": {"retweet_count": 0, "reply_count": len(self.world.children(post)), "like_count": post.score, "quote_count": 0,
                                    "bookmark_count": 0, "impression_count": 100}}
        if long:
            whole["note_tweet"] = {"text": text}
        if not post.is_root:
            whole["referenced_tweets"] = [{"type": "replied_to", "id": self.ids(post.parent)[-1]}]
            whole["in_reply_to_user_id"] = self.user_id(post.parent)
        return {name: value for name, value in whole.items() if name in DEFAULT_FIELDS or name in fields}

    def retweet(self, post, fields):
        tweet = self.tweet(post, fields)
        tweet["id"] = str(int(tweet["id"]) + (5 << 22))
        tweet.update(text=f"RT @{post.author}: {tweet['text'][:40]}…", edit_history_tweet_ids=[tweet["id"]])
        if "referenced_tweets" in fields:
            tweet["referenced_tweets"] = [{"type": "retweeted", "id": self.ids(post)[-1]}]
        return tweet

    # --- its server ---

    def answer(self, request):
        for post in self.world.posts:
            self.words(post)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
        if self.window is None or self.world.now >= self.window + 900:
            self.window, self.left = self.world.now, 450
        self.left -= 1
        headers = {"x-rate-limit-limit": "450", "x-rate-limit-remaining": str(self.left), "x-rate-limit-reset": str(self.window + 900)}
        status, body = self.route(request)
        return status, headers, body

    def route(self, request):
        parts, query = request.path.strip("/").split("/"), request.query
        if parts == ["2", "tweets", "search", "recent"]:
            return self.search(query, "next_token", "note" in query.get("query", ""), "-is:retweet" not in query.get("query", ""))
        if parts[:2] == ["2", "users"] and parts[3:] == ["mentions"]:
            return self.search(query, "pagination_token", True, True)
        if parts == ["2", "tweets"]:
            return self.lookup(query.get("ids", "").split(","), query, many=True)
        if parts[:2] == ["2", "tweets"] and len(parts) == 3:
            return self.lookup(parts[2:], query, many=False)
        return 404, {"title": "Not Found", "detail": "Not Found", "type": "about:blank", "status": 404}

    def invalid(self, name, value, message):
        return 400, {"errors": [{"parameters": {name: [value]}, "message": message}], "title": "Invalid Request",
                     "detail": "One or more parameters to your request was invalid.", "type": "https://api.twitter.com/2/problems/invalid-request"}

    def search(self, query, token_name, matches, retweets):
        fields = query.get("tweet.fields", "").split(",")
        size, oldest = int(query.get("max_results", 10)), self.world.now - 7 * world.DAY
        if not 10 <= size <= 100:
            return self.invalid("max_results", str(size), f"The `max_results` query parameter value [{size}] is not between 10 and 100")
        if len(query.get("query", "")) > 512:
            return self.invalid("query", query["query"], "The query is too long")
        if "since_id" in query and int(query["since_id"]) >> 22 < oldest * 1000 - EPOCH_MS:
            return self.invalid("since_id", query["since_id"], f"'since_id' must be a tweet id created after {world.iso(oldest)}.")
        if "start_time" in query and datetime.datetime.fromisoformat(query["start_time"].replace("Z", "+00:00")).timestamp() < oldest - 60:
            return self.invalid("start_time", query["start_time"], f"'start_time' must be on or after {world.iso(oldest)}.")
        found = {self.ids(post)[-1]: (post, self.tweet(post, fields)) for post in self.world.alive() if matches and post.created >= oldest}
        if retweets:
            for post, _ in list(found.values())[::6]:
                tweet = self.retweet(post, fields)
                found[tweet["id"]] = post, tweet
        since = int(query.get("since_id", 0))
        ids = sorted((int(key) for key in found if int(key) > since), reverse=True)
        if token_name in query:
            ids = [key for key in ids if key < int(query[token_name].removeprefix("b26v89c19zqg8o3f"), 36)]
        page, rest = ids[:size], ids[size:]
        if not page:
            return 200, {"meta": {"result_count": 0}}
        meta = {"newest_id": str(page[0]), "oldest_id": str(page[-1]), "result_count": len(page)}
        if rest:
            meta["next_token"] = "b26v89c19zqg8o3f" + self.base36(page[-1])
        return 200, {"data": [found[str(key)][1] for key in page], "meta": meta, **self.includes(query, [found[str(key)][0] for key in page])}

    def base36(self, number):
        digits = ""
        while number:
            number, digit = divmod(number, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        return digits

    def includes(self, query, posts):
        if "author_id" not in query.get("expansions", "").split(","):
            return {}
        users = {self.user_id(post): {"id": self.user_id(post), "name": post.author.title(), "username": post.author} for post in posts}
        return {"includes": {"users": list(users.values())}}

    def lookup(self, ids, query, many):
        found, missing = [], []
        for key in ids:
            post = next((post for post in self.world.alive() if key in self.ids(post)), None)
            (found if post else missing).append(post or key)
        body = {}
        if found:
            data = [self.tweet(post, query.get("tweet.fields", "").split(",")) for post in found]
            body["data"] = data if many else data[0]
            body.update(self.includes(query, found))
        if missing:
            name = "ids" if many else "id"
            body["errors"] = [{"value": key, "detail": f"Could not find tweet with {name}: [{key}].", "title": "Not Found Error", "resource_type": "tweet",
                               "parameter": name, "resource_id": key, "type": "https://api.twitter.com/2/problems/resource-not-found"} for key in missing]
        return 200, body

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.alive():
            if post.created < self.started - 7 * world.DAY:
                continue
            fields = self.told(post, text=self.words(post), title="", thread=self.ids(post.thread)[0], versions=2 if self.edited(post) else 1,
                               url=f"https://x.com/i/web/status/{self.ids(post)[0]}")
            if self.edited(post):
                del fields["created_at"]
            told[f"x:x.com:{self.ids(post)[0]}"] = fields
        return told


if __name__ == "__main__":
    sys.exit(world.main(X))
