#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GitHub, after its REST reference (issues, issue comments, rate limits, best practices), recorded answers and the GraphQL reference of
discussions: lists by `since` and `sort=updated`, Link headers, ETags that make idleness free, 403 for a spent limit, pull requests among
the issues; discussions only by GraphQL and only with a token."""

import hashlib
import json
import re
import sys
import urllib.parse

import graphql
import world

TOKEN = "github_pat_11ACME0000000000"


class GitHub(world.Platform):
    """Issues and their comments. There are no answers to comments."""

    name = "github"
    wrong = {"token": "not-a-token"}
    page_sizes = (100, 100)
    cells = {cell: "tested" for cell in world.CELLS}
    left = 5000

    def configuration(self, base):
        return [{"name": "acme-issues", "use": "github", "repo": "acme/sync", "token": TOKEN, "api": base}]

    def throttle(self, server):
        server.next(1, 403, {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-used": "5000",
                             "x-ratelimit-reset": str(self.world.now + 5)}, {"message": "API rate limit exceeded for user ID 1."})

    # --- its words ---

    def user(self, post):
        return {"login": post.author, "id": post.author_id, "node_id": f"U_{post.author_id}", "type": "User", "site_admin": False,
                "html_url": f"https://github.com/{post.author}"}

    def issue_url(self, root):
        return f"https://github.com/acme/sync/issues/{root.id}"

    def pull(self):
        """A pull request, which the list of issues holds too, and a comment on it."""
        return world.Post(id=9000, author=world.AUTHORS[1], title="Fix sync", text="Fixes it.", created=world.START - 7200)

    def issue(self, post):
        return {"url": f"{self.base}/repos/acme/sync/issues/{post.id}", "repository_url": f"{self.base}/repos/acme/sync", "id": 170000 + post.id,
                "html_url": self.issue_url(post), "node_id": f"I_{post.id}", "number": post.id, "title": post.title, "user": self.user(post),
                "labels": [], "state": "open", "locked": False, "comments": len([reply for reply in self.world.replies(post) if not reply.deleted]),
                "created_at": world.iso(post.created), "updated_at": world.iso(self.updated(post)), "closed_at": None, "author_association": "NONE",
                "body": post.text, "reactions": {"total_count": post.score, "+1": post.score}, "state_reason": None}

    def updated(self, post):
        """An issue is updated by a comment too."""
        return max([post.changed] + [reply.created for reply in self.world.posts if reply.thread is post]) if post.is_root else post.edited or post.created

    def comment(self, post, number=None):
        issue = number or post.thread.id
        kind = "pull" if number else "issues"
        return {"url": f"{self.base}/repos/acme/sync/issues/comments/{880000 + post.id}", "id": 880000 + post.id, "node_id": f"IC_{post.id}",
                "html_url": f"https://github.com/acme/sync/{kind}/{issue}#issuecomment-{880000 + post.id}",
                "issue_url": f"{self.base}/repos/acme/sync/issues/{issue}", "user": self.user(post), "created_at": world.iso(post.created),
                "updated_at": world.iso(self.updated(post)), "author_association": "NONE", "body": post.text, "reactions": {"total_count": 0}}

    # --- its server ---

    @property
    def base(self):
        return f"http://{self.host}"

    def answer(self, request):
        if not request.headers.get("User-Agent"):
            return 403, {}, {"message": "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"}
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"}
        status, headers, body = self.decide(request)
        body = json.dumps(body).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        if status == 200 and request.method == "GET" and request.headers.get("If-None-Match") == etag:
            status, body = 304, b""
        else:
            self.left -= 1
        return status, {"Content-Type": "application/json; charset=utf-8", "ETag": etag, "x-ratelimit-limit": "5000",
                        "x-ratelimit-remaining": str(self.left), "x-ratelimit-reset": str(self.world.now + 1800), "x-ratelimit-used": str(5000 - self.left),
                        "x-ratelimit-resource": "core", **headers}, body

    def decide(self, request):
        path = re.sub(r"^/repositories/77/", "/repos/acme/sync/", request.path)
        if request.method == "POST" and path == "/graphql":
            return 200, {}, graphql.answer(request.json["query"], request.json.get("variables"), self.graph())
        if path == "/repos/acme/sync/issues":
            return self.paged(request, [self.issue(post) for post in self.roots()] + [self.pull_request()], request.query.get("sort", "created"))
        if path == "/repos/acme/sync/issues/comments":
            comments = [self.comment(post) for post in self.comments()]
            stranger = self.pull()
            return self.paged(request, [*comments, self.comment(stranger, number=9000)], request.query.get("sort", "created"))
        found = re.fullmatch(r"/repos/acme/sync/issues/(comments/)?(\d+)", path)
        if found and found.group(1):
            post = self.world.get(int(found.group(2)) - 880000)
            if post in self.comments():
                return 200, {}, self.comment(post)
        elif found:
            post = self.world.get(found.group(2))
            if post in self.roots():
                return 200, {}, self.issue(post)
            if post is not None and post.is_root:
                return 410, {}, {"message": "This issue was deleted", "documentation_url": "https://docs.github.com/v3/issues/"}
        return 404, {}, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}

    def roots(self):
        return [post for post in self.world.alive() if post.is_root]

    def comments(self):
        return [post for post in self.world.alive() if not post.is_root]

    def pull_request(self):
        pull = self.pull()
        pull.thread = pull
        return {**self.issue(pull), "html_url": "https://github.com/acme/sync/pull/9000", "pull_request": {"url": f"{self.base}/repos/acme/sync/pulls/9000"}}

    def paged(self, request, items, sort):
        query = request.query
        if "since" in query:
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["since"]):
                return 422, {}, {"message": "Validation Failed", "errors": [{"field": "since"}]}
            items = [item for item in items if item["updated_at"] >= query["since"]]
        items.sort(key=lambda item: (item[f"{sort}_at"], item["id"]), reverse=query.get("direction", "desc") == "desc")
        size, page = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        headers, last = {}, max(1, -(-len(items) // size))
        if page < last:
            rest = request.path.split("/repos/acme/sync/")[-1].split("/repositories/77/")[-1]
            links = {"next": page + 1, "last": last}
            headers["Link"] = ", ".join(f'<{self.base}/repositories/77/{rest}?{urllib.parse.urlencode({**query, "page": number})}>; rel="{rel}"'
                                        for rel, number in links.items())
        return 200, headers, items[(page - 1) * size:page * size]

    def graph(self):
        def repository(owner, name):
            if (owner, name) != ("acme", "sync"):
                raise graphql.Wrong(f"Could not resolve to a Repository with the name '{owner}/{name}'.", "NOT_FOUND", ["repository"])
            return {"__typename": "Repository", "nameWithOwner": "acme/sync", "hasDiscussionsEnabled": False,
                    "discussions": lambda first=None, after=None, orderBy=None: graphql.connection("Discussion", [], first, after)}
        return {"__typename": "Query", "repository": repository}

    # --- what earshot should know ---

    def expected(self):
        told = {}
        for post in self.roots():
            told[f"github:github.com:acme/sync/issues/{post.id}"] = self.told(
                post, title=post.title, thread=f"acme/sync/issues/{post.id}", url=self.issue_url(post))
        for post in self.comments():
            told[f"github:github.com:acme/sync/issues/comments/{880000 + post.id}"] = self.told(
                post, thread=f"acme/sync/issues/{post.thread.id}", url=self.comment(post)["html_url"])
        return told


class GitHubDiscussions(GitHub):
    """Discussions, comments, replies (no deeper). The repository has no issues."""

    name = "github-discussions"
    page_sizes, thread_sizes, rises = None, (20, 50, 50), True
    cells = {cell: "tested" for cell in world.CELLS}

    def configuration(self, base):
        return [{"name": "acme-discussions", "use": "github-discussions", "repo": "acme/sync", "token": TOKEN, "api": base}]

    def roots(self):
        return []

    def comments(self):
        return []

    def throttle(self, server):
        server.next(1, 403, {"Retry-After": "2"}, {"message": "You have exceeded a secondary rate limit."})

    # --- its words ---

    def url(self, post):
        url = f"https://github.com/acme/sync/discussions/{post.thread.id}"
        return url if post.is_root else f"{url}#discussioncomment-{post.id}"

    def top(self, post):
        """The comment that a reply stands below."""
        while not post.parent.is_root:
            post = post.parent
        return post

    def node_id(self, post):
        return f"{'D' if post.is_root else 'DC'}_kwDO{post.id}"

    def node(self, kind, post):
        return {"__typename": kind, "id": self.node_id(post), "body": post.text, "bodyText": post.text, "bodyHTML": world.as_html(post.text),
                "createdAt": world.iso(post.created), "publishedAt": world.iso(post.created), "lastEditedAt": post.edited and world.iso(post.edited),
                "updatedAt": world.iso(self.updated(post)), "url": self.url(post), "databaseId": post.id, "upvoteCount": post.score,
                "author": {"__typename": "User", "login": post.author, "url": f"https://github.com/{post.author}"}}

    def discussion(self, post):
        comments = [reply for reply in self.world.replies(post) if reply.deleted is None and reply.parent is post]
        return {**self.node("Discussion", post), "number": post.id, "title": post.title, "isAnswered": False, "locked": False,
                "comments": lambda first=None, after=None: graphql.connection("DiscussionComment", [self.comment_node(each) for each in comments], first, after)}

    def comment_node(self, post):
        replies = [reply for reply in self.world.replies(post.thread) if reply.deleted is None and reply.parent is not post.thread and self.top(reply) is post]
        return {**self.node("DiscussionComment", post), "isAnswer": False, "deletedAt": None, "replyTo": None,
                "discussion": lambda: self.discussion(post.thread), "replies": lambda first=None, after=None: graphql.connection("DiscussionComment", [self.reply_node(each) for each in replies], first, after)}

    def reply_node(self, post):
        return {**self.node("DiscussionComment", post), "isAnswer": False, "deletedAt": None, "replyTo": self.comment_node(self.top(post)),
                "discussion": lambda: self.discussion(post.thread)}

    def graph(self):
        def discussions(first=None, after=None, orderBy=None):
            order = orderBy or {"field": "UPDATED_AT", "direction": "DESC"}
            roots = [post for post in self.world.alive() if post.is_root]
            roots.sort(key=self.updated if order["field"] == "UPDATED_AT" else lambda post: post.created, reverse=order["direction"] == "DESC")
            return graphql.connection("Discussion", [self.discussion(post) for post in roots], first, after)

        def discussion(number):
            post = self.world.get(number)
            return self.discussion(post) if post and post.is_root and post.deleted is None else None

        def by_id(id):  # pylint: disable=redefined-builtin
            post = self.world.get(id.partition("_kwDO")[2] or 0)
            if post is None or post.deleted is not None:
                raise graphql.Wrong(f"Could not resolve to a node with the global id of '{id}'", "NOT_FOUND", ["node"])
            return self.discussion(post) if post.is_root else self.comment_node(post) if post.parent.is_root else self.reply_node(post)

        def repository(owner, name):
            return {"__typename": "Repository", "nameWithOwner": f"{owner}/{name}", "hasDiscussionsEnabled": True, "discussions": discussions,
                    "discussion": discussion}

        return {"__typename": "Query", "repository": repository, "node": by_id}

    # --- what earshot should know ---

    def expected(self):
        return {f"github-discussions:github.com:{self.node_id(post)}": self.told(
            post, title=post.thread.title, thread=self.node_id(post.thread), url=self.url(post), edited_at=post.edited)
                for post in self.world.alive()}


if __name__ == "__main__":
    sys.exit(world.main(GitHub) or world.main(GitHubDiscussions))
