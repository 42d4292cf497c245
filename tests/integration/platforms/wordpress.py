#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""WordPress by its REST API, after the handbook ("Pagination", "Posts", "Comments"), its own source (6.1) and recorded answers: posts may be
asked for by when they were modified, comments only by when they were written; `date` is the site's own time, four hours behind; what was
put into the bin is 401 to strangers, what was deleted for good 404; posts and comments are numbered apart."""

import base64
import datetime
import html
import sys

import world

PAGE_MAX = 100
ZONE = datetime.timezone(datetime.timedelta(hours=-4))


class WordPress(world.Platform):
    """A public blog with pretty links."""

    name = "wordpress"
    page_sizes = (100, 100)
    cells = {**{cell: "tested" for cell in world.CELLS}, "auth": "a blog is public; WordPressClosed signs in",
             "budget": "WordPress has no limits of its own; a host's 429 is waited for"}

    def configuration(self, base):
        return [{"name": "acme-blog", "use": "wordpress", "base": base}]

    def throttle(self, server):
        """A host's own, in mid-walk; later at once: what is asked of one post alone, if that is throttled, is asked anew by the next poll."""
        server.next(1, 429, {"Retry-After": "1"}, b"Too many requests", after=2 if self.world.now == world.START else 0)

    # --- its words ---

    def number(self, post):
        """Posts and comments are counted apart."""
        return 10 + [other for other in self.world.posts if other.is_root == post.is_root].index(post)

    def find(self, number, root):
        kind = [post for post in self.world.posts if post.is_root == root]
        return kind[int(number) - 10] if number.isdigit() and 0 <= int(number) - 10 < len(kind) else None

    def link(self, post):
        path = f"http://{self.host}/{datetime.datetime.fromtimestamp(post.thread.created, ZONE):%Y/%m}/question-{self.number(post.thread)}/"
        return path if post.is_root else f"{path}#comment-{self.number(post)}"

    def local(self, seconds):
        return datetime.datetime.fromtimestamp(seconds, ZONE).strftime("%Y-%m-%dT%H:%M:%S")

    def gmt(self, seconds):
        return world.iso(seconds, suffix="")

    def post(self, post, query):
        modified = post.edited or post.created
        shown = {
            "id": self.number(post), "date": self.local(post.created), "date_gmt": self.gmt(post.created),
            "guid": {"rendered": f"http://{self.host}/?p={self.number(post)}"}, "modified": self.local(modified), "modified_gmt": self.gmt(modified),
            "slug": f"question-{self.number(post)}", "status": "publish", "type": "post", "link": self.link(post),
            "title": {"rendered": html.escape(post.title, quote=False).replace('"', "&#8221;").replace("&amp;", "&#038;")},
            "content": {"rendered": world.as_html(post.text).replace("&amp;", "&#038;") + "\n", "protected": False},
            "excerpt": {"rendered": world.as_html(post.text[:20]) + "\n", "protected": False}, "author": post.author_id, "featured_media": 0,
            "comment_status": "open", "ping_status": "open", "sticky": False, "template": "", "format": "standard", "meta": [], "categories": [1],
            "tags": [2], "_links": {"self": [{"href": f"http://{self.host}/wp-json/wp/v2/posts/{self.number(post)}"}]}}
        if query.get("_embed") in ("", "1", "true", "author"):
            shown["_embedded"] = {"author": [{"id": post.author_id, "name": post.author, "url": "", "description": "", "slug": post.author}]}
        return shown

    def rest(self, comment):
        return f"http://{self.host}/wp-json/wp/v2/comments/{self.number(comment)}"

    def locked(self):
        """A post behind a password: its text is not there."""
        stranger = world.Post(id=0, author=world.AUTHORS[0], title="Protected: plans", text="", created=self.world.now - world.DAY)
        stranger.thread = stranger
        return stranger

    def comment(self, post):
        return {
            "id": self.number(post), "post": self.number(post.thread), "parent": 0 if post.parent.is_root else self.number(post.parent),
            "author": 0, "author_name": post.author, "author_url": "", "date": self.local(post.created), "date_gmt": self.gmt(post.created),
            "content": {"rendered": world.as_html(post.text).replace("&amp;", "&#038;") + "\n"}, "link": self.link(post), "status": "approved",
            "type": "comment", "meta": [], "_links": {"self": [{"href": self.rest(post)}], **({} if post.parent.is_root else {
                "in-reply-to": [{"embeddable": True, "href": self.rest(post.parent)}]})}}

    # --- its server ---

    def route(self, request):
        if request.path in ("/", "/index.php") and "rest_route" in request.query:
            return request.query["rest_route"].rstrip("/")
        return request.path.removeprefix("/wp-json").rstrip("/") if request.path.startswith("/wp-json/") else None

    def refuse(self, status, code, message=""):
        return status, {"Link": f'<http://{self.host}/wp-json/>; rel="https://api.w.org/"'}, {"code": code, "message": message, "data": {"status": status}}

    unauthorized = 401

    def may(self, request):
        return True

    def answer(self, request):
        route = self.route(request)
        if route is None:
            return 404, {"Content-Type": "text/html; charset=UTF-8"}, b"<!DOCTYPE html><title>Page not found</title>"
        if not self.may(request):
            return self.refuse(401, "rest_not_logged_in", "You are not currently logged in.")
        parts = route.strip("/").split("/")
        if parts[:2] != ["wp", "v2"] or len(parts) not in (3, 4) or parts[2] not in ("posts", "comments"):
            return self.refuse(404, "rest_no_route", "No route was found matching the URL and request method.")
        if len(parts) == 4:
            return self.single(parts[3], parts[2] == "posts", request.query)
        return self.listing(parts[2] == "posts", request)

    def single(self, number, root, query):
        post = self.find(number, root)
        if post is None:
            return self.refuse(404, "rest_post_invalid_id" if root else "rest_comment_invalid_id")
        if post.deleted is not None:
            if not root and post.id % 2:     # deleted for good; the others are in the bin
                return self.refuse(404, "rest_comment_invalid_id")
            return self.refuse(self.unauthorized, "rest_forbidden" if root else "rest_cannot_read", "Sorry, you are not allowed to do that.")
        return 200, {}, self.post(post, query) if root else self.comment(post)

    def instant(self, text):
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return int((when if when.tzinfo else when.replace(tzinfo=ZONE)).timestamp())

    def listing(self, root, request):
        query = request.query
        size, number, offset = int(query.get("per_page", 10)), int(query.get("page", 1)), query.get("offset")
        order_by, order = query.get("orderby", "date" if root else "date_gmt"), query.get("order", "desc")
        known = ("author", "date", "id", "modified", "title", "slug", "relevance") if root else ("date", "date_gmt", "id", "post", "parent")
        if not 1 <= size <= PAGE_MAX or number < 1 or order not in ("asc", "desc") or order_by not in known:
            return self.refuse(400, "rest_invalid_param", "Invalid parameter(s)")
        posts = [post for post in self.world.posts if post.is_root == root and post.deleted is None]
        if root:
            posts.append(self.locked())
        try:
            for name, of in (("after", lambda post: post.created), ("modified_after", lambda post: post.edited or post.created)):
                if name in query and (root or name == "after"):
                    posts = [post for post in posts if of(post) > self.instant(query[name])]
        except ValueError:
            return self.refuse(400, "rest_invalid_param", "Invalid parameter(s)")
        key = {"modified": lambda post: (post.edited or post.created, post.id), "id": lambda post: post.id}.get(
            order_by, lambda post: (post.created, post.id))
        posts.sort(key=key, reverse=order == "desc")
        pages = -(-len(posts) // size)
        if root and number > pages and posts and offset is None:
            return self.refuse(400, "rest_post_invalid_page_number",
                               "The page number requested is larger than the number of pages available.")
        start = int(offset) if offset is not None else (number - 1) * size
        headers = {"X-WP-Total": len(posts), "X-WP-TotalPages": pages}
        if number < pages and offset is None:
            kept = "&".join(f"{name}={value}" for name, value in query.items() if name not in ("page", "rest_route"))
            headers["Link"] = f'<http://{self.host}/wp-json{self.route(request)}?{kept}&page={number + 1}>; rel="next"'
        shown = []
        for post in posts[start:start + size]:
            if post.id == 0:
                shown.append({**self.post_of(post, query), "content": {"rendered": "", "protected": True}})
            else:
                shown.append(self.post(post, query) if root else self.comment(post))
        return 200, headers, shown

    def post_of(self, post, query):
        """One that is not of the community."""
        roots = [other for other in self.world.posts if other.is_root]
        shown = self.post(roots[0], query)
        return {**shown, "id": 9, "date": self.local(post.created), "date_gmt": self.gmt(post.created), "modified": self.local(post.created),
                "modified_gmt": self.gmt(post.created), "title": {"rendered": post.title}, "link": f"http://{self.host}/plans/"}

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.world.alive():
            of_root = {"title": post.title.replace('"', "”"), "edited_at": post.edited} if post.is_root else {"title": None}
            key = f"wordpress:{self.host}:{'' if post.is_root else 'c'}{self.number(post)}"
            told[key] = self.told(post, url=self.link(post), thread=str(self.number(post.thread)), **of_root)
        return told


class WordPressClosed(WordPress):
    """Without pretty links, and only for those who sign in with an application password."""

    cells = {**WordPress.cells, "auth": "tested"}
    unauthorized = 403
    wrong = {"password": "not the password"}
    user, password = "earshot", "abcd EFGH 1234 ijkl MNOP 6789"

    def configuration(self, base):
        return [{"name": "acme-blog", "use": "wordpress", "base": base, "user": self.user, "password": self.password}]

    def may(self, request):
        said = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {said}"

    def route(self, request):
        return super().route(request) if request.path == "/" else None


if __name__ == "__main__":
    sys.exit(world.main(WordPress) or world.main(WordPressClosed))
