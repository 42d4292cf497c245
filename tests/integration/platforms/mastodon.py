#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mastodon, after its documentation ("timelines", "accounts", "statuses", "search", "Rate limits") and recorded answers, and GoToSocial after
recorded ones: paging by the header Link alone, ids that are the server's own while `uri` is the identity, half of what it shows written on
another server, replies that carry no tag known only from a status's context."""

import html
import sys

import world

TAG, TOKEN, AWAY = "acme", "b" * 43, "away.example"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def base32(number, length):
    return "".join(CROCKFORD[number >> 5 * place & 31] for place in reversed(range(length)))


class Mastodon(world.Platform):
    """What carries a tag, and what was answered to it."""

    thread_sizes = (40, 0, 10000)
    name = "mastodon"
    cells = {cell: "tested" for cell in world.CELLS}
    pause = 12 * world.HOUR
    page_max = 40
    wrong = {"token": "not-a-token"}
    fraction = ".512"

    def __init__(self, community):
        super().__init__(community)
        self.window, self.asked = None, 0

    def configuration(self, base):
        return [{"name": "acme-mastodon", "use": "mastodon", "base": base, "tag": TAG, "token": TOKEN}]

    def throttle(self, server):
        server.next(1, 429, {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": self.instant(self.world.now + 2)},
                    {"error": "Too many requests"}, after=1)

    # --- its words ---

    def instant(self, seconds):
        return world.iso(seconds, fraction=".146988")

    def local(self, post):
        """The id that this server gave it: by time, and then in order."""
        return str(post.created * 1000 << 16 | post.id)

    def is_away(self, post):
        return post.author_id % 2 == 1

    def acct(self, post):
        return f"{post.author}@{AWAY}" if self.is_away(post) else post.author

    def profile(self, post):
        return f"https://{AWAY}/@{post.author}" if self.is_away(post) else f"http://{self.host}/@{post.author}"

    def own(self, post):
        """The id that its author's server gave it."""
        return str(110000000000000000 + post.id * 7919) if self.is_away(post) else self.local(post)

    def uri(self, post):
        home = f"https://{AWAY}" if self.is_away(post) else f"http://{self.host}"
        return f"{home}/users/{post.author}/statuses/{self.own(post)}"

    def url(self, post):
        return f"{self.profile(post)}/{self.own(post)}"

    def is_tagged(self, post):
        """Who answers leaves the tag out more often than not."""
        return post.is_root or post.id % 3 == 0

    def words(self, post):
        words = post.text if post.is_root else f"@{post.parent.author} {post.text}"
        return f"{words} #{TAG}" if self.is_tagged(post) else words

    def content(self, post):
        parts = [html.escape(part, quote=False) for part in post.text.split("\n\n")]
        if not post.is_root:
            parts[0] = (f'<span class="h-card" translate="no"><a href="{self.profile(post.parent)}" class="u-url mention">'
                        f"@<span>{post.parent.author}</span></a></span> {parts[0]}")
        if self.is_tagged(post):
            parts[-1] += f' <a href="http://{self.host}/tags/{TAG}" class="mention hashtag" rel="tag">#<span>{TAG}</span></a>'
        return "".join(f"<p>{part}</p>" for part in parts)

    def warning(self, post):
        return "long & winding" if post.is_root and post.id % 5 == 0 else ""

    def account(self, author):
        post = next(post for post in self.world.posts if post.author == author)
        return {"id": str(108000000000000000 + post.author_id), "username": author, "acct": self.acct(post), "display_name": author.title(),
                "locked": False, "bot": False, "discoverable": True, "indexable": True, "group": False, "created_at": "2026-08-01T00:00:00.000Z",
                "note": "", "url": self.profile(post), "uri": self.profile(post), "followers_count": 3, "statuses_count": 9, "emojis": [], "fields": []}

    def status(self, post):
        alive = [child for child in self.world.children(post) if child.deleted is None]
        return {"id": self.local(post), "created_at": world.iso(post.created, fraction=self.fraction),
                "in_reply_to_id": None if post.is_root else self.local(post.parent),
                "in_reply_to_account_id": None if post.is_root else self.account(post.parent.author)["id"], "sensitive": False,
                "spoiler_text": self.warning(post), "visibility": "public", "language": "en", "uri": self.uri(post), "url": self.url(post),
                "replies_count": len(alive), "reblogs_count": 0, "favourites_count": post.score, "quotes_count": 0,
                "edited_at": world.iso(post.edited, fraction=self.fraction) if post.edited else None, "content": self.content(post), "filtered": [],
                "reblog": None, "account": self.account(post.author), "media_attachments": [], "mentions": [],
                "tags": [{"name": TAG, "url": f"http://{self.host}/tags/{TAG}"}] if self.is_tagged(post) else [], "emojis": [], "card": None, "poll": None}

    def reblog(self, post, by):
        """Somebody showed it to their followers: a status of its own, without words."""
        status = self.status(post)
        return {**status, "id": str((post.created + 1800) * 1000 << 16 | 7), "uri": f"{status['uri']}/activity", "url": None, "account": self.account(by),
                "reblog": status}

    # --- its server ---

    def headers(self):
        if self.window is None or self.world.now >= self.window + 300:
            self.window, self.asked = self.world.now, 0
        self.asked += 1
        return {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": str(300 - self.asked), "X-RateLimit-Reset": self.instant(self.window + 300)}

    def may(self, request):
        return request.headers.get("Authorization") in (None, f"Bearer {TOKEN}")

    def answer(self, request):
        headers, parts, authorized = self.headers(), request.path.strip("/").split("/"), request.headers.get("Authorization") is not None
        if not self.may(request):
            return 401, headers, {"error": "The access token is invalid"}
        if self.asked > 300:
            return 429, headers, {"error": "Too many requests"}
        newest = sorted(self.world.alive(), key=lambda post: (post.created, post.id), reverse=True)
        if parts[:4] == ["api", "v1", "timelines", "tag"]:
            return self.page(request, headers, [post for post in newest if self.is_tagged(post)] if parts[4].lower() == TAG else [])
        if parts == ["api", "v1", "timelines", "public"]:
            return self.page(request, headers, [post for post in newest if post.is_root])
        if parts[:3] == ["api", "v1", "accounts"]:
            return self.accounts(request, headers, parts[3:], newest)
        if parts[:3] == ["api", "v1", "statuses"] and len(parts) > 3:
            post = next((post for post in newest if self.local(post) == parts[3]), None)
            if post is None:
                return 404, headers, {"error": "Record not found"}
            if parts[4:] == ["context"]:
                below = self.below(post)
                return 200, headers, {"ancestors": self.above(post), "descendants": [self.status(each) for each in below[:4096 if authorized else 60]]}
            return 200, headers, self.status(post)
        if parts == ["api", "v2", "search"]:
            return self.search(request, headers, authorized, newest)
        return 404, headers, {"error": "Not Found"}

    def above(self, post):
        return [] if post.is_root else [*self.above(post.parent), self.status(post.parent)]

    def below(self, post):
        return [each for child in self.world.children(post) if child.deleted is None for each in [child, *self.below(child)]]

    def page(self, request, headers, posts, more=None):
        """`posts` newest first. min_id: the oldest ones after it; since_id: the newest ones after it; always newest first."""
        query, statuses = request.query, more or [(self.local(post), self.status(post)) for post in posts]
        size = min(int(query.get("limit", 20)), self.page_max)
        key = (lambda text: (len(text), text))
        if "max_id" in query:
            statuses = [each for each in statuses if key(each[0]) < key(query["max_id"])]
        if "min_id" in query:
            statuses = [each for each in statuses if key(each[0]) > key(query["min_id"])][-size:]
        if "since_id" in query:
            statuses = [each for each in statuses if key(each[0]) > key(query["since_id"])]
        statuses = statuses[:size]
        if statuses:
            rest = "".join(f"&{name}={value}" for name, value in query.items() if name not in ("max_id", "min_id", "since_id"))
            where = f"{request.base}{request.path}?"
            headers["Link"] = (f'<{where}max_id={statuses[-1][0]}{rest}>; rel="next", <{where}min_id={statuses[0][0]}{rest}>; rel="prev"')
        return 200, headers, [status for _, status in statuses]

    def accounts(self, request, headers, rest, newest):
        if rest == ["lookup"]:
            post = next((post for post in newest if self.acct(post) == request.query.get("acct")), None)
            return (200, headers, self.account(post.author)) if post else (404, headers, {"error": "Record not found"})
        author = next((name for name in world.AUTHORS if rest and str(108000000000001000 + world.AUTHORS.index(name)) == rest[0]), None)
        if author is None or rest[1:] != ["statuses"]:
            return 404, headers, {"error": "Record not found"}
        statuses = [(self.local(post), self.status(post)) for post in newest if post.author == author
                    and not (request.query.get("exclude_replies") == "true" and not post.is_root)]
        if request.query.get("exclude_reblogs") != "true":
            shared = self.reblog(newest[9], author)
            statuses = sorted([*statuses, (shared["id"], shared)], key=lambda each: (len(each[0]), each[0]), reverse=True)
        return self.page(request, headers, [], statuses)

    def search(self, request, headers, authorized, newest):
        query = request.query
        if not authorized:
            return 401, headers, {"error": "Search queries pagination is not supported without authentication"}
        size, start = min(int(query.get("limit", 20)), self.page_max), int(query.get("offset", 0))
        found = [self.status(post) for post in newest if all(word.lower() in post.text.lower() for word in query["q"].split())]
        return 200, headers, {"accounts": [], "statuses": found[start:start + size] if query.get("type") == "statuses" else found[:5], "hashtags": []}

    # --- what earshot should know ---

    def told_status(self, post):
        return self.told(post, title=self.warning(post), text=self.words(post), author=self.acct(post), url=self.url(post),
                         created_at=post.created + float(self.fraction), edited_at=post.edited and post.edited + float(self.fraction),
                         thread=self.local(post if post.is_root else post.parent))

    def key(self, post):
        return f"mastodon:{AWAY if self.is_away(post) else self.host}:{self.uri(post)}"

    def wanted(self, post):
        return True

    def expected(self):
        return {self.key(post): self.told_status(post) for post in self.world.alive() if self.wanted(post)}


class MastodonLists(Mastodon):
    """Three sources of one server: an account with what was answered to it, a search, all that the server shows."""

    cells = {**Mastodon.cells, "late replies": "tested with the tag: none of these three lists is about threads"}
    account_name, search_words = world.AUTHORS[2], "delivery weeks"

    def least(self, since):
        """Three lists."""
        return 2 + super().least(since)

    def configuration(self, base):
        return [{"name": "account", "use": "mastodon", "base": base, "account": self.account_name, "token": TOKEN},
                {"name": "search", "use": "mastodon", "base": base, "search": self.search_words, "token": TOKEN},
                {"name": "server", "use": "mastodon", "base": base, "public": "yes", "token": TOKEN}]

    def told_status(self, post):
        """Each source publishes what it sees."""
        fields = super().told_status(post)
        del fields["versions"]
        return fields

    def wanted(self, post):
        """What is answered to what the account or the search brought belongs to it."""
        shown = post.author == self.account_name or all(word in post.text.lower() for word in self.search_words.split())
        return post.is_root or shown or self.wanted_below(post.parent)

    def wanted_below(self, post):
        shown = post.author == self.account_name or all(word in post.text.lower() for word in self.search_words.split())
        return shown or (not post.is_root and self.wanted_below(post.parent))


class GoToSocial(Mastodon):
    """Ids are ULIDs, members alone may read, a page has at most thirty."""

    page_max = 30
    fraction = ".323"

    def local(self, post):
        return base32(post.created * 1000 + 323, 10) + base32(post.id * 104729 << 40, 16)

    def instant(self, seconds):
        return world.iso(seconds, fraction=".000")

    def may(self, request):
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def throttle(self, server):
        server.next(1, 429, {"X-Ratelimit-Limit": "300", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": self.instant(self.world.now + 2)},
                    {"error": "rate limit reached"}, after=1)


if __name__ == "__main__":
    sys.exit(world.main(Mastodon) or world.main(MastodonLists) or world.main(GoToSocial))
