#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recorded.py [NAME…]: what real servers answered (the recordings beside the checkout, or in $EARSHOT_SHARED), served again: each record with
the id, text, time and author that plain Python finds in the same bytes. What an imitation was written after is not what the definition was:
both have to agree with what was recorded. A single page is read by `earshot source test --record` and then once more by `--replay`, without the
server; what has pages, trees and children is polled whole, into a store; an error has to be told as what it is."""

import datetime
import html
import http.server
import json
import os
import pathlib
import re
import sys
import threading
import urllib.parse

import world
from harness import Failure, ROOT, SKIPPED, expect, place

FIXTURES = pathlib.Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "fixtures"


TOKEN = "token-of-nobody-at-all"


def recorded(name):
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def plain(markup):
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"</p>|<br ?/?>", " ", markup)))


class Tape(http.server.ThreadingHTTPServer):
    """Answers by what the path holds: the first pair whose pattern fits. An answer without its head beside it was 200, or what its pair says."""

    daemon_threads = True

    def __init__(self, pairs):
        pairs = list(pairs)
        log = self.log = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                log.append(self.path)
                target = urllib.parse.unquote(self.path)
                name, *status = next((said for pattern, *said in pairs if re.search(pattern, target)), (None, 404))
                written = isinstance(name, dict)
                body = (FIXTURES / name).read_bytes() if name and not written else json.dumps(name or {"error": "not on the tape"}).encode()
                head = FIXTURES / f"{name}".replace(".json", ".head")
                lines = head.read_text(encoding="utf-8").splitlines() if name and not written and head.exists() else []
                self.send_response(status[0] if status else int(lines[1].split()[1]) if lines else 200)
                for line in lines[2:]:
                    field, _, value = line.partition(": ")
                    if field.lower() not in ("date", "content-type", "link") and "reset" not in field.lower():
                        self.send_header(field, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format, *args):  # pylint: disable=redefined-builtin
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


# --- what each recording holds: {id: {text, created_at, author, url}} ---


def mastodon(name):
    return {f"mastodon:{urllib.parse.urlsplit(each['uri']).netloc}:{each['uri']}": {
        "text": plain(each["content"]), "created_at": each["created_at"], "author": each["account"]["acct"], "url": each["url"]}
            for each in recorded(f"mastodon/{name}.json")}


def bluesky(posts):
    return {f"bluesky:bsky.app:{post['uri']}": {
        "text": post["record"]["text"], "created_at": post["record"]["createdAt"], "author": post["author"]["handle"],
        "url": f"https://bsky.app/profile/{post['author']['handle']}/post/{post['uri'].rpartition('/')[2]}"} for post in posts}


def x(name):
    answer = recorded(f"x/{name}.json")
    users = {user["id"]: user["username"] for user in answer.get("includes", {}).get("users", ())}
    return {f"x:x.com:{each.get('edit_history_tweet_ids', [each['id']])[0]}": {
        "text": plain(each["text"]), "created_at": each.get("created_at"), "author": users.get(each.get("author_id"))} for each in answer["data"]}


def facebook():
    answer = recorded("facebook/feeds_default_fields_p1.json")
    return {f"facebook:facebook.com:{each['id']}": {"text": each["message"], "created_at": each["created_time"], "url": each["permalink_url"]}
            for each in answer["data"] if "message" in each}


def facebook_comments():
    """Public access: a comment's number stands in its address alone."""
    return {f"facebook:facebook.com:{re.search(r'comment_id=([0-9]+)$', each['permalink_url']).group(1)}": {
        "text": each["message"], "created_at": each["created_time"], "url": each["permalink_url"]}
            for each in recorded("facebook/comments_p1.json")["data"] if each.get("message")}


def youtube(name):
    return {f"youtube:youtube.com:{each['id']}": {
        "text": each["snippet"]["topLevelComment"]["snippet"]["textDisplay"], "created_at": each["snippet"]["topLevelComment"]["snippet"]["publishedAt"],
        "author": each["snippet"]["topLevelComment"]["snippet"]["authorDisplayName"]} for each in recorded(f"youtube/{name}.json")["items"]}


def simple(markup):
    """Only where a text and its markup hold the same words: no list's signs, no quotation's, no link's address."""
    return {} if re.search(r"<(blockquote|li|pre|a|img)\b", markup) else {"text": plain(markup)}


def wordpress(posts, comments):
    told = {}
    for each in recorded(f"wordpress/{posts}.json"):
        embedded = each.get("_embedded", {}).get("author", [{}])[0].get("name")
        if not each["content"]["protected"]:
            told[f"wordpress:HOST:{each['id']}"] = {**simple(each["content"]["rendered"]), "created_at": each["date_gmt"], "url": each["link"],
                                                    "author": embedded, "title": plain(each["title"]["rendered"])}
    for each in recorded(f"wordpress/{comments}.json"):
        told[f"wordpress:HOST:c{each['id']}"] = {**simple(each["content"]["rendered"]), "created_at": each["date_gmt"], "url": each["link"],
                                                 "author": plain(each["author_name"])}
    return told


def ghost(name):
    return {f"ghost:HOST:{each['id']}": {**(simple(each["html"]) if each["html"] else {}), "created_at": each["published_at"], "url": each["url"],
                                         "title": each["title"], "author": each["primary_author"]["name"]}
            for each in recorded(f"ghost/{name}.json")["posts"]}


def instagram():
    """As it was asked for, a medium has no words: it counts for its likes alone."""
    return {f"instagram:instagram.com:{each['id']}": {} for each in recorded("instagram/hashtag_recent_medias_p1.json")["data"]}


def tapes():
    """name: (source, [(pattern, recording)], what is wanted)."""
    feed = recorded("bluesky/getAuthorFeed-with-reposts.json")["feed"]
    said = [item["post"] for item in feed if "reason" not in item]
    comments = [(r"/comments", "facebook/comments_p1.json"), (r"/feed", "facebook/feeds_default_fields_p1.json")]
    context = (r"/context$", "mastodon/status-context.json")
    session = (r"createSession|refreshSession", "bluesky/createSession.json")
    key = {"key": "k" * 39}
    return {
        "mastodon": ({"use": "mastodon", "base": "BASE", "tag": "hoot"}, [context, (r"/timelines/tag/hoot", "mastodon/timeline-tag.json")],
                     mastodon("timeline-tag")),
        "gotosocial": ({"use": "mastodon", "base": "BASE", "tag": "feedback", "token": TOKEN},
                       [context, (r"/timelines/tag/feedback", "mastodon/gotosocial-timeline-tag.json")], mastodon("gotosocial-timeline-tag")),
        "instagram": ({"use": "instagram", "api": "BASE", "user": "1", "tag": "coke", "token": TOKEN},
                      [(r"ig_hashtag_search", {"data": [{"id": "17843826142012701"}]}), (r"recent_media", "instagram/hashtag_recent_medias_p1.json")],
                      instagram()),
        "bluesky-2": ({"use": "bluesky", "api": "BASE", "search": "feedback", "user": "listener.test", "password": TOKEN},
                      [session, (r"searchPosts", "bluesky/searchPosts-page2.json")], bluesky(recorded("bluesky/searchPosts-page2.json")["posts"])),
        "bluesky": ({"use": "bluesky", "api": "BASE", "search": "feedback", "user": "listener.test", "password": TOKEN},
                    [session, (r"searchPosts", "bluesky/searchPosts-page1.json")], bluesky(recorded("bluesky/searchPosts-page1.json")["posts"])),
        "bluesky-author": ({"use": "bluesky", "api": "BASE", "author": "carola.test"},
                           [(r"getAuthorFeed", "bluesky/getAuthorFeed-with-reposts.json"), (r"getPostThread", "bluesky/getPostThread.json")],
                           bluesky(said)),
        "x": ({"use": "x", "api": "BASE", "query": "error", "token": TOKEN}, [(r"search/recent", "x/search-with-expansions.json")],
              x("search-with-expansions")),
        "x-bare": ({"use": "x", "api": "BASE", "query": "Tweepy", "token": TOKEN}, [(r"search/recent", "x/search-recent.json")], x("search-recent")),
        "x-mentions": ({"use": "x", "api": "BASE", "mentions": "783214", "token": TOKEN}, [(r"/mentions", "x/mentions.json")], x("mentions")),
        "facebook": ({"use": "facebook", "api": "BASE", "page": "19292868552", "token": TOKEN}, [comments[1]], facebook()),
        "facebook-comments": ({"use": "facebook", "api": "BASE", "page": "19292868552", "token": TOKEN}, [(r"/feed", "facebook/comments_p1.json")],
                              facebook_comments()),
        **{f"wordpress-{name}": ({"use": "wordpress", "base": "BASE"}, [
            (r"rest_route=/wp/v2/posts", f"wordpress/{name}.json"), (r"rest_route=/wp/v2/comments", "wordpress/comments-page.json")],
            wordpress(name, "comments-page")) for name in ("posts-page", "posts-embed-author", "posts-modified-after")},
        **{f"ghost-{name}": ({"use": "ghost", "base": "BASE", "key": "0" * 26, "comments": ""}, [(r"/content/posts/", f"ghost/{name}.json")], ghost(name))
           for name in ("posts-page", "posts-members-only", "posts-updated-after")},
        "youtube": ({"use": "youtube", "api": "BASE", "video": "F1UP7wRCPH8", **key}, [(r"commentThreads", "youtube/comment_threads_by_video_paged_1.json")],
                    youtube("comment_threads_by_video_paged_1")),
    }


def same(field, want, have):
    if field == "created_at":
        return want is None or have[:19] == want[:19]
    if field == "text":
        return "".join((have or "").split()) == "".join(want.split())
    if field == "author":
        return want is None or have["name"] == want
    return have == want


def configure(where, source, base):
    where.configure(json.dumps({"earshot": 1, "brands": {"Acme": ["acme"]}, "authors": {"names": True}, "network": {"allow": ["127.0.0.1"]}, "sources": [
        {"name": "tape", **{name: value.replace("BASE", base) for name, value in source.items()}}]}))


def try_one(source, pairs, wanted):
    with place() as where, Tape(pairs) as server:
        wanted = {key.replace("HOST", server.base.partition("//")[2]): fields for key, fields in wanted.items()}
        configure(where, source, server.base)
        where.run("source", "test", "tape", "--record", "kept")
        kept = "".join(each.read_text(encoding="utf-8") for each in (where.folder / "kept").iterdir())
        expect(TOKEN not in kept, "the record holds the token")
        server.shutdown()
        server.server_close()
        posts = {post["id"]: post for post in where.lines("source", "test", "tape", "--replay", "kept")}
    missing, more = sorted(set(wanted) - set(posts)), sorted(set(posts) - set(wanted))
    expect(not missing and not more, f"missing {missing[:3]}, too many {more[:3]}\n" + "\n".join(server.log))
    for key, fields in wanted.items():
        for field, want in fields.items():
            expect(same(field, want, posts[key].get(field)), f"{key}: {field} is {posts[key].get(field)!r}, recorded was {want!r}")
    return len(wanted)


# --- polled whole ---


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00") if re.search(r"Z|[+-]\d\d:?\d\d$", text) else text + "+00:00").timestamp()


def words(text):
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
        self.new, self.comments = recorded("reddit/listing-new.json"), recorded("reddit/subreddit-comments.json")
        self.tree, self.more = recorded("reddit/submission-with-more.json"), recorded("reddit/morechildren.json")
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
            return 200, {}, recorded("discourse/posts_latest.json")
        if request.target == "/posts.json?before=2":
            return 200, {}, {"latest_posts": recorded("discourse/posts_before.json")["latest_posts"][-1:]}
        return 404, {}, {}

    def expected(self):
        return {f"discourse:{self.host}:{post['id']}": {
            "title": post["topic_title"], "author": post["username"], "created_at": seconds(post["created_at"]), "thread": str(post["topic_id"]),
            "url": f"http://{self.host}/t/{post['topic_slug']}/{post['topic_id']}/{post['post_number']}",
            **({"text": words(post["cooked"])} if "<p>" in post["cooked"] and len(post["cooked"]) < 60 else {})}
                for post in recorded("discourse/posts_latest.json")["latest_posts"]}


class HackerNews(Recorded):
    now = "2026-01-03T12:00:00Z"

    def configuration(self, base):
        return [{"name": "a", "use": "hackernews", "query": "thing", "algolia": base, "firebase": base, "history": "all"}]

    def answer(self, request):
        answer = recorded("hackernews/algolia-search_by_date.json")
        if "numericFilters" in request.query:
            answer["hits"] = answer["hits"][-1:]  # at or before the last one's second
        return (200, {}, answer) if request.path == "/api/v1/search_by_date" else (404, {}, {})

    def expected(self):
        return {f"hackernews:news.ycombinator.com:{hit['objectID']}": {
            "title": hit["title"] or hit["story_title"], "text": words(hit["comment_text"] or hit["story_text"]), "author": hit["author"],
            "created_at": hit["created_at_i"], "thread": str(hit["story_id"] or hit["objectID"])}
                for hit in recorded("hackernews/algolia-search_by_date.json")["hits"]}


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
        item = recorded(f"hackernews/{self.files[number - 1]}.json")
        return 200, {}, json.dumps(item).encode()

    def expected(self):
        told = {}
        for name in self.files:
            item = recorded(f"hackernews/{name}.json")
            if item is not None and item["type"] not in ("job", "pollopt"):
                told[f"hackernews:news.ycombinator.com:{item['id']}"] = {"author": item["by"], "created_at": item["time"], "title": words(item.get("title"))}
        return told


class Lemmy(Recorded):
    def configuration(self, base):
        return [{"name": "a", "use": "lemmy", "base": base, "community": "feedback", "history": "all"}]

    def answer(self, request):
        first = request.query.get("page", "1") == "1"
        if request.path == "/api/v3/community":
            return 200, {}, {"community_view": {"community": recorded("lemmy/post-list.json")["posts"][0]["community"]}}
        if request.path == "/api/v3/post/list" and request.query.get("community_id") == "2":
            return 200, {}, recorded("lemmy/post-list.json") if first else {"posts": []}
        if request.path == "/api/v3/comment/list" and request.query.get("community_id") == "2":
            return 200, {}, recorded("lemmy/comment-list.json") if first else {"comments": []}
        return 400, {}, recorded("lemmy/error-limit.json")

    def expected(self):
        told = {}
        for view in recorded("lemmy/post-list.json")["posts"] + recorded("lemmy/comment-list.json")["comments"]:
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
            return 200, {}, recorded("github/issues-page2.json")
        if request.path == "/repos/octokit-fixture-org/paginate-issues/issues":
            return 200, {"Link": link}, recorded("github/issues-page1.json")
        return (200, {}, []) if request.path.endswith("/issues/comments") else (404, {}, {})

    def expected(self):
        told = {}
        for issue in recorded("github/issues-page1.json") + recorded("github/issues-page2.json"):
            name = f"octokit-fixture-org/paginate-issues/issues/{issue['number']}"
            told[f"github:github.com:{name}"] = {"title": issue["title"], "text": issue["body"], "author": issue["user"]["login"], "thread": name,
                                                 "created_at": seconds(issue["created_at"]), "url": issue["html_url"]}
        return told


def poll(kind):
    platform = kind()
    with place() as where, world.Imitation(platform) as server:
        reading = world.Reading(platform, server, where)
        reading.poll()
        reading.compare(1)
        return len(platform.expected())


# --- errors ---


def errors():
    """name: (source, [(pattern, recording)], exit codes, what is said)."""
    session = (r"createSession|refreshSession", "bluesky/createSession.json")
    bluesky_source = {"use": "bluesky", "api": "BASE", "search": "feedback", "user": "listener.test", "password": TOKEN}
    wordpress_source = {"use": "wordpress", "base": "BASE"}
    ghost_source = {"use": "ghost", "base": "BASE", "key": "0" * 26, "comments": ""}
    mastodon_source = {"use": "mastodon", "base": "BASE", "tag": "feedback"}
    lemmy_source = {"use": "lemmy", "base": "BASE", "community": "feedback"}
    return {
        "bluesky-auth": (bluesky_source, [session, (r"searchPosts", "bluesky/error-auth.json")], 1, "lets only its own accounts ask"),
        "bluesky-expired": (bluesky_source, [session, (r"searchPosts", "bluesky/error-expired.json")], 1, "neither the token nor a fresh one"),
        "bluesky-limit": (bluesky_source, [session, (r"searchPosts", "bluesky/error-bad-limit.json")], 1, "Bluesky refuses: Invalid"),
        "ghost-bad-key": (ghost_source, [(r"/content/", "ghost/error-bad-key.json")], 1, "auth: Ghost refuses the key"),
        "ghost-no-key": (ghost_source, [(r"/content/", "ghost/error-no-key.json")], 1, "auth: Ghost refuses the key"),
        "gotosocial-no-token": (mastodon_source, [(r"tag", "mastodon/gotosocial-error-no-token.json")], 1, "shows that to members only"),
        "gotosocial-rate": (mastodon_source, [(r"tag", "mastodon/gotosocial-error-rate-limit.json")], 69, "the server says to come back later (429)"),
        "lemmy-limit": (lemmy_source, [(r"/api/v3/", "lemmy/error-limit.json")], 1, "the server refuses the request (400)"),
        "lemmy-rate": (lemmy_source, [(r"/api/v3/", "lemmy/error-rate-limit.json")], 69, "rate_limit: the server answered 400"),
        "wordpress-per-page": (wordpress_source, [(r".", "wordpress/error-per-page.json")], 1, "the server refuses the request (400)"),
        "facebook": ({"use": "facebook", "api": "BASE", "page": "19292868552", "token": TOKEN}, [(r".", "facebook/error_data.json", 400)], 1,
                     "Facebook refuses: (#100) Object does not exist"),
        "youtube": ({"use": "youtube", "api": "BASE", "video": "F1UP7wRCPH8", "key": "k" * 39}, [(r".", "youtube/error_permission_resp.json", 403)], 1,
                    "YouTube refuses: The caller does not have permission"),
    }


def refuse(source, pairs, code, said):
    with place() as where, Tape(pairs) as server:
        configure(where, source, server.base)
        done = where.run("probe", "tape", codes=(code,))
        expect(said in done.stderr, f"it says {done.stderr!r}, not {said!r}")
        return 0


# --- all of it ---


def trials():
    """name: what to call, which returns how many records were compared."""
    yield from ((name, lambda tape=tape: try_one(*tape)) for name, tape in tapes().items())
    yield from ((f"{kind.__name__}-whole", lambda kind=kind: poll(kind)) for kind in (Reddit, Discourse, HackerNews, HackerNewsItems, Lemmy, GitHub))
    yield from ((f"error-{name}", lambda error=error: refuse(*error)) for name, error in errors().items())


def main():
    if not FIXTURES.is_dir():
        print(f"skipped: no recordings in {FIXTURES}")  # they are none of the repository's: in CI too
        return SKIPPED
    failed = 0
    for name, trial in trials():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        try:
            print(f"ok {name}: {trial()} records", flush=True)
        except Failure as fault:
            failed += 1
            print(f"not ok {name}: {fault}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
