#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recorded_forums.py [NAME…]: answers of the real servers, as recorded, polled whole (pages, trees, children) into a store: every record of
them has to arrive, as it stands there. The recordings lie outside of the repository (see the harness); what they are from and under which licence is told beside them."""

import datetime
import html
import json
import re
import sys

import world
from harness import SHARED, main, place, skip

FIXTURES = SHARED / "fixtures"


def recording(name):
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00") if re.search(r"Z|[+-]\d\d:?\d\d$", text) else text + "+00:00").timestamp()


def plain(text):
    """HTML to words, as far as the recordings need it."""
    return html.unescape(re.sub(r"<[^>]+>", " ", text or ""))


class Recorded(world.Platform):
    """`now`: when it was recorded, or soon after."""

    settings = {"store": {"horizon": "4000d"}}
    now = "2026-11-22T12:00:00Z"

    def __init__(self):
        super().__init__(world.World(now=int(seconds(self.now)), threads=0))


class Reddit(Recorded):
    now = "2017-04-17T12:00:00Z"
    token = {"access_token": "TOKEN", "token_type": "bearer", "expires_in": 3600, "scope": "*"}

    def __init__(self):
        super().__init__()
        self.new, self.comments = recording("reddit/listing-new.json"), recording("reddit/subreddit-comments.json")
        self.tree, self.more = recording("reddit/submission-with-more.json"), recording("reddit/morechildren.json")
        self.new["data"]["children"] += self.tree[0]["data"]["children"]  # the post whose tree was recorded

    def configuration(self, base):
        return [{"name": "a", "use": "reddit", "subreddit": "kakapo", "id": "i", "secret": "s", "contact": "me", "api": base, "login": f"{base}/login",
                 "history": "all"}]

    def answer(self, request):
        nothing = {"kind": "Listing", "data": {"children": [], "after": None}}
        if request.path == "/login":
            return 200, {}, self.token
        if request.path == "/r/kakapo/new":
            return 200, {}, nothing if "after" in request.query else self.new
        if request.path == "/r/kakapo/comments":
            return 200, {}, self.comments
        if request.path == "/comments/3hahrw":
            return 200, {}, self.tree
        if request.path == "/api/morechildren" and "cu5tead" in request.form["children"] and request.form["link_id"] == "t3_3hahrw":
            return 200, {}, self.more
        if request.path.startswith("/comments/"):
            return 200, {}, [nothing, nothing]
        return 404, {}, {}

    def things(self, at):
        """All t1 and t3 in an answer, however deep."""
        if isinstance(at, dict):
            if at.get("kind") in ("t1", "t3"):
                yield at["data"]
            at = list(at.values())
        if isinstance(at, list):
            for each in at:
                yield from self.things(each)

    def expected(self):
        title = self.tree[0]["data"]["children"][0]["data"]["title"]
        told = {}
        for answer in (self.new, self.comments, self.tree, self.more):
            for thing in self.things(answer):
                if thing["author"] == "[deleted]" or thing.get("body") == "[removed]":
                    continue
                told[f"reddit:reddit.com:{thing['name']}"] = {
                    "text": thing.get("body", thing.get("selftext")), "title": thing.get("link_title", thing.get("title", title)), "author": thing["author"],
                    "created_at": thing["created_utc"], "thread": thing.get("link_id", thing["name"]), "edited_at": thing["edited"] or None}
        return told


class Discourse(Recorded):
    now = "2020-01-27T12:00:00Z"

    def configuration(self, base):
        return [{"name": "a", "use": "discourse", "base": base, "history": "all"}]

    def answer(self, request):
        if request.target == "/posts.json":
            return 200, {}, recording("discourse/posts_latest.json")
        if request.target == "/posts.json?before=2":
            return 200, {}, {"latest_posts": recording("discourse/posts_before.json")["latest_posts"][-1:]}
        return 404, {}, {}

    def expected(self):
        return {f"discourse:{self.host}:{post['id']}": {
            "title": post["topic_title"], "author": post["username"], "created_at": seconds(post["created_at"]), "thread": str(post["topic_id"]),
            "url": f"http://{self.host}/t/{post['topic_slug']}/{post['topic_id']}/{post['post_number']}",
            **({"text": plain(post["cooked"])} if "<p>" in post["cooked"] and len(post["cooked"]) < 60 else {})}
                for post in recording("discourse/posts_latest.json")["latest_posts"]}


class HackerNews(Recorded):
    now = "2026-01-03T12:00:00Z"

    def configuration(self, base):
        return [{"name": "a", "use": "hackernews", "query": "thing", "algolia": base, "firebase": base, "history": "all"}]

    def answer(self, request):
        answer = recording("hackernews/algolia-search_by_date.json")
        if "numericFilters" in request.query:
            answer["hits"] = answer["hits"][-1:]  # at or before the last one's second
        return (200, {}, answer) if request.path == "/api/v1/search_by_date" else (404, {}, {})

    def expected(self):
        return {f"hackernews:news.ycombinator.com:{hit['objectID']}": {
            "title": hit["title"] or hit["story_title"], "text": plain(hit["comment_text"] or hit["story_text"]), "author": hit["author"],
            "created_at": hit["created_at_i"], "thread": str(hit["story_id"] or hit["objectID"])}
                for hit in recording("hackernews/algolia-search_by_date.json")["hits"]}


class HackerNewsItems(Recorded):
    """The documentation's own items, under the newest ids; a job is left out, `null` comes in time."""

    now = "2011-08-25T12:00:00Z"
    files = ("item-comment-2921983", "item-poll-126809", "item-story-121003", "item-story-8863", "item-job-192327", "item-pollopt-160705", "item-null")

    def configuration(self, base):
        return [{"name": "a", "use": "hackernews", "all": "yes", "algolia": base, "firebase": base, "history": "all"}]

    def answer(self, request):
        if request.path == "/v0/maxitem.json":
            return 200, {}, len(self.files)
        if request.path == "/v0/updates.json":
            return 200, {}, {"items": [], "profiles": []}
        number = int(re.fullmatch(r"/v0/item/(\d+)\.json", request.path).group(1))
        item = recording(f"hackernews/{self.files[number - 1]}.json")
        return 200, {}, json.dumps(item).encode()

    def expected(self):
        told = {}
        for name in self.files:
            item = recording(f"hackernews/{name}.json")
            if item is not None and item["type"] not in ("job", "pollopt"):
                told[f"hackernews:news.ycombinator.com:{item['id']}"] = {"author": item["by"], "created_at": item["time"], "title": plain(item.get("title"))}
        return told


class Lemmy(Recorded):
    def configuration(self, base):
        return [{"name": "a", "use": "lemmy", "base": base, "community": "feedback", "history": "all"}]

    def answer(self, request):
        first = request.query.get("page", "1") == "1"
        if request.path == "/api/v3/community":
            return 200, {}, {"community_view": {"community": recording("lemmy/post-list.json")["posts"][0]["community"]}}
        if request.path == "/api/v3/post/list" and request.query.get("community_id") == "2":
            return 200, {}, recording("lemmy/post-list.json") if first else {"posts": []}
        if request.path == "/api/v3/comment/list" and request.query.get("community_id") == "2":
            return 200, {}, recording("lemmy/comment-list.json") if first else {"comments": []}
        return 400, {}, recording("lemmy/error-limit.json")

    def expected(self):
        told = {}
        for view in recording("lemmy/post-list.json")["posts"] + recording("lemmy/comment-list.json")["comments"]:
            it = view.get("comment", view["post"])
            told[f"lemmy:localhost:28070:{it['ap_id']}"] = {
                "title": view["post"]["name"], "text": it.get("content", it.get("body")), "author": view["creator"]["name"],
                "created_at": seconds(it["published"]), "thread": view["post"]["ap_id"]}
        return told


class GitHub(Recorded):
    now = "2017-10-11T12:00:00Z"

    def configuration(self, base):
        return [{"name": "a", "use": "github", "repo": "octokit-fixture-org/paginate-issues", "api": base, "history": "all"}]

    def answer(self, request):
        link = (FIXTURES / "github/issues-page1.head").read_text(encoding="utf-8").partition("link: ")[2].partition("\n")[0]
        link = link.replace("https://api.github.com", f"http://{self.host}")
        if request.path == "/repositories/1000/issues" and request.query["page"] == "2":
            return 200, {}, recording("github/issues-page2.json")
        if request.path == "/repos/octokit-fixture-org/paginate-issues/issues":
            return 200, {"Link": link}, recording("github/issues-page1.json")
        return (200, {}, []) if request.path.endswith("/issues/comments") else (404, {}, {})

    def expected(self):
        told = {}
        for issue in recording("github/issues-page1.json") + recording("github/issues-page2.json"):
            name = f"octokit-fixture-org/paginate-issues/issues/{issue['number']}"
            told[f"github:github.com:{name}"] = {"title": issue["title"], "text": issue["body"], "author": issue["user"]["login"], "thread": name,
                                                 "created_at": seconds(issue["created_at"]), "url": issue["html_url"]}
        return told


def trial(kind):
    def test():
        platform = kind()
        with place() as where, world.Imitation(platform) as server:
            reading = world.Reading(platform, server, where)
            reading.poll()
            reading.compare(1)
    test.__name__ = f"{kind.__name__}_as_recorded"
    return test


if __name__ == "__main__":
    if not FIXTURES.exists():
        skip(f"{FIXTURES} is not there")
    kinds = [Reddit, Discourse, HackerNews, HackerNewsItems, Lemmy, GitHub]
    sys.exit(main(*(trial(kind) for kind in kinds if len(sys.argv) == 1 or kind.__name__ in sys.argv[1:])))
