#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Zendesk Support, after its documentation ("Incremental Exports", "Tickets", "Ticket Comments", "Rate limits"; no recorded answer was to be
had): tickets by the instant they last changed, a cursor through an export and an instant for the next, deleted tickets among them; the
comments of a ticket a hundred a page, private notes among them. A comment cannot be edited, only parts of it blacked out."""

import base64
import sys

import world

EMAIL, TOKEN = "agent@acme.example", "6wiIBWbGkBMo1mRDMuVwkw1EPsNkeUj95PIz2akv"
NOTES = 900000  # added to the id of a comment: of the note that an agent wrote below it


class Zendesk(world.Platform):
    """A ticket is a root, its first comment what the customer wrote; each seventh comment has an agent's note below it that no customer sees."""

    name = "zendesk"
    wrong = {"token": "not-the-token"}
    cells = {**{cell: "tested" for cell in world.CELLS},
             "edits": "a comment cannot be edited; that parts of one are blacked out is tested",
             "deletions": "of tickets, tested; a comment cannot be deleted without its ticket"}

    def __init__(self, community):
        super().__init__(community)
        self.first_words = {}

    def configuration(self, base):
        return [{"name": "acme-help", "use": "zendesk", "base": base, "email": EMAIL, "token": TOKEN}]

    def throttle(self, server):
        server.next(1, 429, {"Retry-After": "1", "ratelimit-limit": "10", "ratelimit-remaining": "0", "ratelimit-reset": "1"},
                    {"error": "APIRateLimitExceeded", "description": "Number of allowed incremental ticket export API requests per minute exceeded"},
                    after=1)

    # --- its words ---

    def words(self, post):
        """What was blacked out keeps its length."""
        first = self.first_words.setdefault(post.id, post.text)
        return first if post.edited is None else "▇" * 12 + first[12:]

    def is_deleted(self, post):
        """With its ticket alone."""
        return post.thread.deleted is not None

    def changed(self, ticket):
        """A comment changes its ticket, and so does what is blacked out in one. What was to be deleted by itself stays."""
        return max([ticket.changed] + [max(post.created, post.edited or 0) for post in self.world.replies(ticket)])

    def ticket(self, post):
        status = "deleted" if post.deleted else ("new", "open", "pending", "solved", "closed")[post.id % 5]
        return {"url": f"http://{self.host}/api/v2/tickets/{post.id}.json", "id": post.id, "external_id": None, "via": {"channel": "web"},
                "created_at": world.iso(post.created), "updated_at": world.iso(self.changed(post)), "generated_timestamp": self.changed(post),
                "type": "question", "subject": post.title, "raw_subject": post.title, "description": self.words(post), "priority": None,
                "status": status, "requester_id": post.author_id, "submitter_id": post.author_id, "assignee_id": 77, "tags": ["sync"],
                "custom_fields": [], "is_public": True, "allow_channelback": False, "from_messaging_channel": False}

    def comment(self, post):
        return {"id": 5000000 + post.id, "type": "Comment", "author_id": post.author_id, "body": self.words(post),
                "html_body": f'<div class="zd-comment" dir="auto">{world.as_html(self.words(post))}</div>', "plain_body": self.words(post),
                "public": True, "attachments": [], "audit_id": 9000000 + post.id, "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
                "created_at": world.iso(post.created), "metadata": {"system": {}, "custom": {}}}

    def note(self, post):
        text = "He is an important customer: be quick."
        return {**self.comment(post), "id": 5000000 + NOTES + post.id, "author_id": 77, "public": False, "body": text, "plain_body": text,
                "html_body": f'<div class="zd-comment" dir="auto"><p>{text}</p></div>'}

    def comments(self, ticket):
        told = []
        for post in sorted([ticket, *self.world.replies(ticket)], key=lambda each: (each.created, each.id)):
            told += [self.comment(post)] + ([self.note(post)] if post.id % 7 == 0 else [])
        return told

    def user(self, number):
        name = "Agent" if number == 77 else world.AUTHORS[number - 1000]
        return {"id": number, "name": name, "email": f"{number}@example.com", "role": "agent" if number == 77 else "end-user", "active": True}

    # --- its server ---

    def answer(self, request):
        given = request.headers.get("Authorization") or ""
        if given != "Basic " + base64.b64encode(f"{EMAIL}/token:{TOKEN}".encode()).decode():
            return 401, {}, {"error": "Couldn't authenticate you"}
        for post in self.world.posts:
            self.words(post)
        status, body = self.decide(request, request.path.strip("/").removesuffix(".json").split("/"))
        return status, {"ratelimit-limit": 700, "ratelimit-remaining": 690, "ratelimit-reset": 30, "X-Rate-Limit": 700, "X-Rate-Limit-Remaining": 690}, body

    def decide(self, request, parts):
        if parts == ["api", "v2", "incremental", "tickets", "cursor"]:
            return self.export(request)
        ticket = self.world.get(parts[3]) if len(parts) > 3 and parts[:3] == ["api", "v2", "tickets"] and parts[3].isdigit() else None
        if ticket is None or not ticket.is_root or ticket.deleted is not None:
            return 404, {"error": "RecordNotFound", "description": "Not found"}
        if len(parts) == 4:
            return 200, {"ticket": self.ticket(ticket)}
        if parts[4:] == ["comments"]:
            return 200, self.list_comments(request, ticket)
        return 404, {"error": "InvalidEndpoint", "description": "Not found"}

    def export(self, request):
        """Nothing of the last minute; in the order of the instants; `cursor` begins behind the last ticket of its page."""
        query = request.query
        tickets = sorted((self.changed(post), post.id) for post in self.world.roots() if self.changed(post) <= self.world.now - 60)
        if "cursor" in query:
            try:
                behind = tuple(map(int, base64.b64decode(query["cursor"], validate=True).decode().split("|")))
            except ValueError:
                return 400, {"error": "InvalidPaginationParameter", "description": "cursor"}
            tickets = [each for each in tickets if each > behind]
        elif "start_time" not in query:
            return 400, {"error": "StartTimeMissing", "description": "A start_time or a cursor is required"}
        elif int(query["start_time"]) > self.world.now - 60:
            return 422, {"error": "InvalidValue", "description": "Too recent start_time. Use a start_time older than 60 seconds"}
        else:
            behind = (int(query["start_time"]) - 1, 1 << 60)
            tickets = [each for each in tickets if each > behind]
        size = min(int(query.get("per_page", 1000)), 1000)
        page = tickets[:size]
        after = base64.b64encode("|".join(map(str, page[-1] if page else behind)).encode()).decode()
        told = {"tickets": [self.ticket(self.world.get(number)) for _, number in page], "after_cursor": after, "before_cursor": None,
                "after_url": f"{request.base}{request.path}?cursor={after}", "before_url": None, "end_of_stream": len(tickets) <= size}
        if query.get("exclude_deleted") == "true":
            told["tickets"] = [each for each in told["tickets"] if each["status"] != "deleted"]
        return 200, told

    def list_comments(self, request, ticket):
        """By cursor, where page[size] is given."""
        query = request.query
        comments, size = self.comments(ticket), min(int(query.get("page[size]", 100)), 100)
        if query.get("sort") == "-created_at":
            comments.reverse()
        start = int(base64.b64decode(query["page[after]"])) if "page[after]" in query else 0
        page, more = comments[start:start + size], start + size < len(comments)
        told = {"comments": page}
        if "users" in query.get("include", ""):
            told["users"] = [self.user(number) for number in sorted({each["author_id"] for each in page})]
        if "page[size]" not in query:
            return {**told, "count": len(comments), "next_page": None, "previous_page": None}
        after = base64.b64encode(str(start + size).encode()).decode()
        return {**told, "meta": {"has_more": more, "after_cursor": after if more else None, "before_cursor": None},
                "links": {"next": f"{request.base}{request.path}?page%5Bafter%5D={after}" if more else None, "prev": None}}

    # --- what earshot should know ---

    def least(self, since):
        """One page of tickets, and the comments of each ticket that changed, a hundred a page; one for each that was deleted."""
        tickets = [post for post in self.world.roots() if self.changed(post) > since]
        return 1 + sum(1 if post.deleted else -(-len(self.comments(post)) // 100) for post in tickets)

    def expected(self):
        return {f"zendesk:{self.host}:{5000000 + post.id}": {
            "created_at": post.created, "author": post.author, "text": self.words(post), "versions": post.versions, "title": post.thread.title,
            "thread": str(post.thread.id), "url": f"http://{self.host}/agent/tickets/{post.thread.id}"}
                for post in self.world.posts if not self.is_deleted(post)}


if __name__ == "__main__":
    sys.exit(world.main(Zendesk))
