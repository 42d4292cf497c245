#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recorded.py [NAME…]: what real servers answered (the recordings beside the checkout, or in $EARSHOT_SHARED), served again and read by
`earshot probe`: each record with the id, text, time and author that plain Python finds in the same bytes. What an imitation was written
after is not what the definition was: both have to agree with what was recorded."""

import http.server
import json
import os
import pathlib
import re
import sys
import threading
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import Failure, ROOT, SKIPPED, expect, place  # noqa: E402  pylint: disable=wrong-import-position

FIXTURES = pathlib.Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "fixtures"


def recorded(name):
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def plain(markup):
    import html  # pylint: disable=import-outside-toplevel
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"</p>|<br ?/?>", " ", markup)))


class Tape(http.server.ThreadingHTTPServer):
    """Answers by what the path holds: the first pair whose pattern fits."""

    daemon_threads = True

    def __init__(self, pairs):
        pairs = list(pairs)
        log = self.log = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                log.append(self.path)
                target = urllib.parse.unquote(self.path)
                name = next((name for pattern, name in pairs if re.search(pattern, target)), None)
                body = (FIXTURES / name).read_bytes() if name else b'{"error": "not on the tape"}'
                self.send_response(200 if name else 404)
                head = FIXTURES / f"{name}".replace(".json", ".head")
                for line in head.read_text(encoding="utf-8").splitlines()[2:] if name and head.exists() else ():
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
        "gotosocial": ({"use": "mastodon", "base": "BASE", "tag": "feedback", "token": "t"},
                       [context, (r"/timelines/tag/feedback", "mastodon/gotosocial-timeline-tag.json")], mastodon("gotosocial-timeline-tag")),
        "bluesky": ({"use": "bluesky", "api": "BASE", "search": "feedback", "user": "listener.test", "password": "p"},
                    [session, (r"searchPosts", "bluesky/searchPosts-page1.json")], bluesky(recorded("bluesky/searchPosts-page1.json")["posts"])),
        "bluesky-author": ({"use": "bluesky", "api": "BASE", "author": "carola.test"},
                           [(r"getAuthorFeed", "bluesky/getAuthorFeed-with-reposts.json"), (r"getPostThread", "bluesky/getPostThread.json")],
                           bluesky(said)),
        "x": ({"use": "x", "api": "BASE", "query": "error", "token": "t"}, [(r"search/recent", "x/search-with-expansions.json")], x("search-with-expansions")),
        "x-bare": ({"use": "x", "api": "BASE", "query": "Tweepy", "token": "t"}, [(r"search/recent", "x/search-recent.json")], x("search-recent")),
        "x-mentions": ({"use": "x", "api": "BASE", "mentions": "783214", "token": "t"}, [(r"/mentions", "x/mentions.json")], x("mentions")),
        "facebook": ({"use": "facebook", "api": "BASE", "page": "19292868552", "token": "t"}, [comments[1]], facebook()),
        "facebook-comments": ({"use": "facebook", "api": "BASE", "page": "19292868552", "token": "t"}, [(r"/feed", "facebook/comments_p1.json")],
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


def try_one(source, pairs, wanted):
    with place() as where, Tape(pairs) as server:
        wanted = {key.replace("HOST", server.base.partition("//")[2]): fields for key, fields in wanted.items()}
        source = {name: value.replace("BASE", server.base) for name, value in source.items()}
        where.configure(json.dumps({"earshot": 1, "brands": {"Acme": ["acme"]}, "sources": [{"name": "tape", **source}], "authors": {"names": True},
                                    "network": {"allow": ["127.0.0.1"]}}))
        posts = {post["id"]: post for post in where.lines("probe", "tape", "-n", "1000")}
        server.shutdown()
    missing, more = sorted(set(wanted) - set(posts)), sorted(set(posts) - set(wanted))
    expect(not missing and not more, f"missing {missing[:3]}, too many {more[:3]}\n" + "\n".join(server.log))
    for key, fields in wanted.items():
        for field, want in fields.items():
            expect(same(field, want, posts[key].get(field)), f"{key}: {field} is {posts[key].get(field)!r}, recorded was {want!r}")
    return len(wanted)


def main():
    if not FIXTURES.is_dir():
        print(f"skipped: no recordings in {FIXTURES}")  # they are none of the repository's: in CI too
        return SKIPPED
    failed = 0
    for name, tape in tapes().items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        try:
            print(f"ok {name}: {try_one(*tape)} records")
        except Failure as fault:
            failed += 1
            print(f"not ok {name}: {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
