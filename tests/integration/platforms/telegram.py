#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Telegram's Bot API, after its documentation ("getUpdates", "Update", "Message"): what is said in the groups and channels that a bot is a
member of, at most a hundred updates an answer, from `offset` on, the earlier ones being forgotten by the server for good, all of them after a
day; an edit is an update of its own, a deletion is none. One offset too high loses posts: the imitation forgets like the server."""

import sys

import world

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
GROUP = -1001234567890


class Telegram(world.Platform):
    name = "telegram"
    page_sizes = (100,)
    cells = {**{cell: "tested" for cell in world.CELLS}, "deletions": "the Bot API tells no bot of them", "auth": "tested"}
    wrong = {"token": "110201543:not-the-token"}

    def __init__(self, community):
        super().__init__(community)
        self.first = 1     # the earliest update that the server still has
        self.happened = []     # (post, edited) in order; an update's id is its place and 900000000
        self.known = {}

    def configuration(self, base):
        return [{"name": "acme-group", "use": "telegram", "token": TOKEN, "api": base}]

    def throttle(self, server):
        server.next(1, 429, {"Content-Type": "application/json"},
                    {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 1", "parameters": {"retry_after": 1}}, after=1)

    def happen(self):
        """What came since the last look: what was written in the last day at most, and edits."""
        news = []
        for post in self.world.posts:
            if post.id not in self.known and post.created > self.world.now - world.DAY and post.deleted is None:
                news.append((post.created, post.id, False))
            elif post.edited is not None and self.known.get(post.id) != post.edited:
                news.append((post.edited, post.id, True))
        for _, number, edited in sorted(news):
            self.known[number] = self.world.get(number).edited
            self.happened.append((self.world.get(number), edited))

    def message(self, post, edited):
        said = {"message_id": post.id, "from": {"id": post.author_id, "is_bot": False, "first_name": post.author.title(), "username": post.author,
                                                "language_code": "en"},
                "chat": {"id": GROUP, "title": "Acme users", "username": "acmeusers", "type": "supergroup"}, "date": post.created}
        if not post.is_root:
            said["reply_to_message"] = {"message_id": post.parent.id, "chat": said["chat"], "date": post.parent.created, "text": post.parent.text}
        if post.id % 5 == 0:     # a picture with words below
            said.update({"photo": [{"file_id": "AgAD", "width": 90, "height": 60}], "caption": post.text})
        else:
            said["text"] = post.text
        return {**said, "edit_date": post.edited} if edited else said

    def answer(self, request):
        self.happen()
        if request.path != f"/bot{TOKEN}/getUpdates":
            return 401, {}, {"ok": False, "error_code": 401, "description": "Unauthorized"}
        offset, limit = int(request.query.get("offset", 0)), min(100, int(request.query.get("limit", 100)))
        if offset > 0:
            self.first = max(self.first, offset - 900000000)
        wanted = request.query.get("allowed_updates", '["message","edited_message","channel_post","edited_channel_post"]')
        updates = []
        for number, (post, edited) in enumerate(self.happened, 1):
            if number >= self.first and len(updates) < limit and ('"edited_message"' if edited else '"message"') in wanted:
                updates.append({"update_id": 900000000 + number, "edited_message" if edited else "message": self.message(post, edited)})
        joined = {"update_id": 899999999 + self.first, "my_chat_member": {"chat": {"id": GROUP}, "date": self.world.now}}
        return 200, {}, {"ok": True, "result": updates if updates or self.first > 1 else [joined]}

    def expected(self):
        self.happen()
        told = {}
        for post in {post.id: post for post, _ in self.happened}.values():
            told[f"telegram:t.me:{GROUP}/{post.id}"] = self.told(post, title=None, url=f"https://t.me/acmeusers/{post.id}",
                                                                    edited_at=post.edited if self.known[post.id] else None)
        return told


if __name__ == "__main__":
    sys.exit(world.main(Telegram))
