#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Entries that are sent over HTTP and filled into forms: the role itself, by requests, up to what the store holds."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import BUILD, expect, main, place  # pylint: disable=wrong-import-position

TOKEN = "a-token-of-the-tests-000"
CONFIGURATION = """earshot: 1
brands: {{Acme: [acme]}}
sources:
  - {{name: chatbot, use: ingest, channel: helpdesk, about: Acme, scale: 5, map: {{id: ref, text: message, author: user, rating: stars, created_at: when}}}}
  - {{name: ideas, use: ingest, channel: ideas}}
ingest:
  listen: "127.0.0.1:{port}"
  token: "${{file:token}}"
  forms:
    idea: {{source: ideas, title: "Ideas <for> us", author: "Your name", origins: ["https://www.acme.example"], per_minute: {rate}}}
    stars: {{source: ideas, rating: "How was it?"}}
"""


class Receiver:
    """`earshot-collect ingest`, or any other command that starts it, until it is stopped."""

    def __init__(self, where, command=("earshot-collect", "ingest"), environment=None):
        self.process = subprocess.Popen([str(BUILD / "bin" / command[0]), *command[1:], "--log", "json"], cwd=where.folder, text=True,
                                        stderr=subprocess.PIPE, env={**where.environment, **(environment or {})})
        self.said, self.port = [], None
        ready = threading.Event()

        def listen():
            for line in self.process.stderr:
                self.said.append(line)
                match = re.search(r"taking in entries on .*, port (\d+)", line)
                if match:
                    self.port = int(match.group(1))
                    ready.set()
            ready.set()
        self.listener = threading.Thread(target=listen, daemon=True)
        self.listener.start()
        ready.wait(60)
        expect(self.port, f"it does not listen: {''.join(self.said)[-2000:]}")

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def send(self, body, kind="application/x-ndjson", source="chatbot", token=TOKEN, **headers):
        given = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token:
            given["Authorization"] = f"Bearer {token}"
        status, lines, text = self.ask("POST", f"/ingest/{source}", body, given)
        return status, json.loads(text), lines

    def fill(self, form, headers=None, **fields):
        return self.ask("POST", f"/form/{form}", urllib.parse.urlencode(fields),
                        {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.listener.join(5)
        return code


@contextlib.contextmanager
def receiving(rate=1000, size=None, **more):
    with place() as where:
        where.configure(CONFIGURATION.format(port=0, rate=rate) + (f"stream: {{size: {size}}}\n" if size else ""))
        token = where.folder / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        receiver = Receiver(where, **more)
        try:
            yield where, receiver
        finally:
            if receiver.process.poll() is None:
                receiver.process.kill()
                receiver.process.wait()


def stored(where):
    where.once()
    return {post["id"]: post for post in where.posts()}


def lines(*entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def what_is_sent_is_stored_as_the_map_says():
    with receiving() as (where, receiver):
        status, answer, _ = receiver.send(lines({"ref": "t-1", "message": "I wish the acme app had a dark mode", "user": "kim", "stars": 4},
                                                {"ref": "t-2", "message": "The acme app is great"}))
        expect((status, answer) == (202, {"new": 2, "edited": 0, "deleted": 0, "unchanged": 0, "undated": 0}), (status, answer))
        expect(receiver.send(json.dumps([{"ref": "t-3", "message": "as an array"}]), "application/json; charset=utf-8")[1]["new"] == 1, "an array")
        expect(receiver.send("ref=t-4&message=as+a+form%21+%C3%A9", "application/x-www-form-urlencoded")[1]["new"] == 1, "a form")
        for at, undated in (("gestern", 1), ("2026-11-20", 0), (None, 0)):
            answer = receiver.send(json.dumps({"ref": "t-5", "message": f"said {at}", "when": at}))[1]
            expect(answer["new"] + answer["edited"] == 1 and answer["undated"] == undated, f"{at}: {answer}")
        receiver.send(json.dumps({"ref": "t-5", "deleted": True}))
        posts = stored(where)
        expect(set(posts) == {f"ingest:chatbot:t-{i}" for i in (1, 2, 3, 4)}, sorted(posts))
        table = where.run("status", "-o", "table", codes=(0, 1)).stdout
        expect("chatbot: takes what is sent to /ingest/chatbot" in table and "chatbot: answered" not in table, table)
        first = posts["ingest:chatbot:t-1"]
        expect(first["text"] == "I wish the acme app had a dark mode" and first["source"] == "chatbot" and first["author"]["id"], first)
        expect(posts["ingest:chatbot:t-4"]["text"] == "as a form! é", posts["ingest:chatbot:t-4"])
        log = where.lines("tap", "posts", "--from", "0", "--until-end", "--json")
        one = [post for post in log if post["id"] == "ingest:chatbot:t-1"][0]
        expect(one["channel"] == "helpdesk" and one["about"] == "Acme" and one["rating"] == 0.8, one)
        expect("flags" not in one, f"its time is its arrival, and to be believed: {one}")
        expect(receiver.stop() == 0, "it stops cleanly")


def sent_again_it_is_once():
    with receiving() as (where, receiver):
        for expected in ({"new": 1, "unchanged": 0}, {"new": 0, "unchanged": 1}):
            answer = receiver.send(lines({"ref": "a", "message": "the same by its id"}))[1]
            expect(expected.items() <= answer.items(), answer)
        for expected in ({"new": 2, "unchanged": 0}, {"new": 0, "unchanged": 2}):
            answer = receiver.send(lines({"message": "the same by its key"}, {"message": "the same by its key"}), Idempotency_Key="run-7")[1]
            expect(expected.items() <= answer.items(), answer)
        for _ in range(2):
            expect(receiver.send(lines({"message": "said twice, by two people"}))[1]["new"] == 1, "without id and key each is new")
        expect(receiver.send(lines({"ref": "a", "message": "mended"}))[1]["edited"] == 1, "another text is an edit")
        expect(receiver.send(lines({"ref": "a", "deleted": True}))[1]["deleted"] == 1, "a deletion")
        posts = stored(where)
        expect(len(posts) == 4 and "ingest:chatbot:a" not in posts, sorted(posts))


def what_is_refused_is_told_and_leaves_nothing():
    with receiving() as (where, receiver):
        good = lines({"ref": "x", "message": "fine"})
        status, answer, head = receiver.send(good, token=None)
        expect(status == 401 and answer["error"] == "auth" and head["www-authenticate"] == "Bearer", (status, answer, head))
        expect(receiver.send(good, token=TOKEN + "0")[0] == 401 and receiver.send(good, token=TOKEN[:-1])[0] == 401, "a token that is nearly right")
        expect(receiver.send(good, source="nobody")[0] == 404, "an unknown source")
        expect(receiver.send(good, "text/plain")[0] == 415, "a type that is none of ours")
        status, answer, _ = receiver.send("", Content_Length=str(1024 * 1024 + 1))
        expect(status == 413 and "1024 KiB" in answer["reason"], answer)
        status, _, text = receiver.ask("POST", "/ingest/chatbot", iter([b"{}"]), {"Content-Type": "application/json", "Transfer-Encoding": "chunked",
                                                                                 "Authorization": f"Bearer {TOKEN}"})
        expect(status == 411 and json.loads(text)["error"] == "length_required", (status, text))
        status, answer, _ = receiver.send(good + '{"ref": "y", "message" 3}\n')
        expect(status == 400 and answer["error"] == "bad_json" and answer["line"] == 2 and 20 <= answer["column"] <= 26, answer)
        status, answer, _ = receiver.send('{"ref": "y",\n  "message": tru}', "application/json")
        expect(status == 400 and answer["line"] == 2 and answer["column"] >= 14, answer)
        status, answer, _ = receiver.send(good + lines({"ref": "z"}))
        expect(status == 400 and answer["error"] == "schema" and answer["line"] == 2 and "neither a text" in answer["reason"], answer)
        status, answer, _ = receiver.send(json.dumps([{"ref": "a", "message": "fine"}, 7]), "application/json")
        expect(status == 400 and answer["item"] == 2, answer)
        status, answer, _ = receiver.send(good + lines({"ref": "big", "message": "x" * 600000}))
        expect(status == 400 and answer["error"] == "too_large", answer)
        expect(receiver.send("\n\n")[0] == 400 and receiver.send("[]", "application/json")[0] == 202, "nothing is no entry, none are none")
        expect(receiver.send(good, source="chatbot/../ideas")[0] == 404, "a path that is none of ours")
        codes = [receiver.send(good, token="guess")[0] for _ in range(30)]
        expect(429 in codes and codes[0] == 401, f"guessing is slowed down: {codes}")
        expect(receiver.send(lines({"ref": "ok", "message": "still taken"}))[0] == 202, "who has the token is not")
        expect(set(stored(where)) == {"ingest:chatbot:ok"}, "a batch is refused whole")
        expect(not where.lines("tap", "rejects", "--from", "0", "--until-end", "--json"), "who sent it was told; nothing is set aside")
        expect(TOKEN not in "".join(receiver.said), "the token stands in no log")


def it_says_yes_only_when_the_log_has_it():
    with receiving(environment={"EARSHOT_KILL_POINT": "collect.before-commit"}) as (where, receiver):
        try:
            status = receiver.send(lines({"message": "killed before the commit"}), Idempotency_Key="k1")[0]
        except (OSError, http.client.HTTPException):
            status = None
        expect(status is None, f"it was killed before the commit and answered {status}")
        receiver.process.wait(20)
        expect(not stored(where), "and kept nothing")
        again = Receiver(where, environment={"EARSHOT_KILL_POINT": "collect.after-commit"})
        try:
            status = again.send(lines({"message": "killed before the commit"}), Idempotency_Key="k1")[0]
        except (OSError, http.client.HTTPException):
            status = None
        expect(status is None, "killed behind the commit it answers nothing either")
        again.process.wait(20)
        last = Receiver(where)
        answer = last.send(lines({"message": "killed before the commit"}), Idempotency_Key="k1")
        expect(answer[0] == 202 and answer[1]["unchanged"] == 1, answer)
        expect(len(stored(where)) == 1, "it is there once")
        last.stop()


def many_senders_at_once_lose_nothing():
    with receiving() as (where, receiver):
        answers, per_sender, senders = [], 40, 12

        def send(who):
            for i in range(per_sender):
                body = lines({"ref": f"{who}-{i}", "message": f"sender {who} says {i}"})
                for _ in range(100):  # the server drops what goes beyond 20 connections of an address: a sender sends again
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        answers.append(receiver.send(body)[0])
                        break
                    time.sleep(0.05)
        threads = [threading.Thread(target=send, args=(who,)) for who in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(answers == [202] * (per_sender * senders), sorted(set(answers)))
        expect(len(stored(where)) == per_sender * senders, "every entry that was answered 202")


def a_form_takes_an_idea_and_thanks():
    with receiving() as (where, receiver):
        status, head, page = receiver.ask("GET", "/form/idea")
        expect(status == 200 and "Ideas &lt;for&gt; us" in page and "<script" not in page, page)
        expect("frame-ancestors 'self' https://www.acme.example" in head["content-security-policy"], head)
        key = re.search(r'name="key" value="([0-9a-f]{32})"', page).group(1)
        own = {"Origin": f"http://127.0.0.1:{receiver.port}"}
        status, head, _ = receiver.fill("idea", own, text="I'd love <b>sharper</b> images & more", author="kim", key=key, website="")
        expect(status == 303 and head["location"] == "idea/thanks", (status, head))
        expect("Thank you" in receiver.ask("GET", "/form/idea/thanks")[2], "the page that thanks")
        expect(receiver.fill("idea", own, text="I'd love <b>sharper</b> images & more", author="kim", key=key)[0] == 303, "sent twice by a double click")
        expect(receiver.fill("idea", text="a robot was here", website="http://spam.example")[0] == 303, "a robot is thanked")
        expect(receiver.fill("stars", rating="4")[0] == 303 and receiver.fill("stars", rating="9")[0] == 400, "stars alone are an entry")
        status, _, page = receiver.fill("idea", text="   ")
        expect(status == 400 and "Please write something" in page, page)
        posts = stored(where)
        texts = sorted(post["text"] or "" for post in posts.values())
        expect(texts == ["", "I'd love <b>sharper</b> images & more"], texts)
        named = f"ingest:ideas:{hashlib.sha256(key.encode()).hexdigest()}"
        expect(named in posts and all(post["source"] == "ideas" for post in posts.values()), posts)
        said = where.run("export", "posts", "-o", "json").stdout
        expect(key not in said, "who sees a post cannot tell the key that would change it")
        receiver.fill("idea", own, text="overwritten", key=named.rpartition(":")[2][:32])
        expect(stored(where)[named]["text"].startswith("I'd love"), "an id is no key")


def what_was_filled_in_comes_back():
    with receiving() as (_, receiver):
        key = "0123456789abcdef" * 2
        status, _, page = receiver.fill("idea", text=" ", author='Kim "<b>&', key=key)
        expect(status == 400 and 'value="Kim &quot;&lt;b&gt;&amp;"' in page, page)
        expect(f'name="key" value="{key}"' in page, "sent once more it is the same entry")
        page = receiver.ask("GET", "/form/stars")[2]
        expect("checked" not in page and "></textarea>" in page.replace("\n", "") and key not in page, page)
    with receiving(size="4MiB") as (_, receiver):
        for turn in range(40):
            if receiver.send(lines(*({"ref": f"{turn}-{i}", "message": os.urandom(400).hex()} for i in range(300))))[0] == 503:
                break
        status, _, page = receiver.fill("stars", text="\nToo </textarea> late" + " at last" * 2000, rating="4", key=key)
        expect(status == 503 and ">\n\nToo &lt;/textarea&gt; late" in page and " at last</textarea>" in page, (status, page[:2000]))
        expect('value="4" checked' in page and page.count("checked") == 1 and f'value="{key}"' in page, page[:2000])


def a_form_is_only_sent_from_where_it_may():
    with receiving() as (where, receiver):
        cases = [({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
                 ({"Origin": "https://www.acme.example"}, 303), ({"Origin": f"http://127.0.0.1:{receiver.port}"}, 303),
                 ({"Sec-Fetch-Site": "same-origin"}, 303), ({}, 303), ({"Origin": "https://www.acme.example.evil.example"}, 403)]
        for number, (headers, expected) in enumerate(cases):
            status = receiver.fill("idea", headers, text=f"case {number}")[0]
            expect(status == expected, f"{headers}: {status}, expected {expected}")
        status, _, text = receiver.ask("POST", "/form/idea", "{}", {"Content-Type": "application/json"})
        expect(status == 415, text)
        expect(receiver.ask("GET", "/form/nobody")[0] == 404 and receiver.ask("GET", "/form/idea/../../token")[0] == 404, "nothing else is shown")
        expect(len(stored(where)) == 4, "only what was allowed is kept")


def an_address_may_send_so_many():
    with receiving(rate=3) as (where, receiver):
        answers = [receiver.fill("idea", text=f"idea {i}") for i in range(5)]
        expect([status for status, _, _ in answers] == [303, 303, 303, 429, 429], [status for status, _, _ in answers])
        _, head, text = answers[-1]
        expect(1 <= int(head["retry-after"]) <= 21 and "send it again in" in json.loads(text)["reason"], (head, text))
        expect(receiver.fill("idea", {"X-Forwarded-For": "203.0.113.9"}, text="pretended")[0] == 429, "who says so is not believed")
        expect(len(stored(where)) == 3, "three ideas")


def run_starts_it_where_it_is_configured():
    with receiving(command=("earshot", "run")) as (where, receiver):
        expect(receiver.send(lines({"ref": "r", "message": "through all roles"}))[0] == 202, "taken in")
        roles = json.loads(where.run("status", "-o", "json", codes=(0, 1)).stdout)["roles"]
        expect("ingest" in [role["role"] for role in roles if role["pid"]], roles)
        until = time.monotonic() + 30
        while time.monotonic() < until and not where.posts():
            time.sleep(0.3)
        expect([post["id"] for post in where.posts()] == ["ingest:chatbot:r"], "stored by the roles that run")
        expect(receiver.stop() == 0, "it stops with the others")


def check_finds_what_is_wrong():
    with place() as where:
        where.configure("""earshot: 1
sources: [{name: ideas, use: ingest, scale: 0}, {name: other, use: ingest, map: {txt: a}}]
ingest: {listen: "127.0.0.1:99999", token: short, forms: {idea: {source: idea, tilte: x, origins: ["www.acme.example"]}, "a b": {source: ideas}, many: {source: ideas, origins: [%s]}}}
""" % ", ".join(f"https://shop-{i}.acme.example" for i in range(20)))
        done = where.run("check", codes=(78,))
        for part in ("scale", "no field 'txt'", "99999", "at least 16 characters", "did you mean 'title'", "is no origin", "a form's name",
                     "no source of `use: ingest` is called 'idea'", "these origins have"):
            expect(part in done.stderr, f"{part} is not in {done.stderr}")
        where.configure('earshot: 1\nsources: [{name: ideas, use: ingest}]\n')
        expect("nothing listens for it" in where.run("check").stderr, "a warning")
        done = where.program("earshot", "run", "ingest", timeout=60)
        expect(done.returncode == 78 and "no `ingest:`" in done.stderr, done.stderr)


if __name__ == "__main__":
    os.environ.pop("EARSHOT_CONFIG", None)
    chosen = [test for test in (what_is_sent_is_stored_as_the_map_says, sent_again_it_is_once, what_is_refused_is_told_and_leaves_nothing,
                                it_says_yes_only_when_the_log_has_it, many_senders_at_once_lose_nothing, a_form_takes_an_idea_and_thanks, what_was_filled_in_comes_back,
                                a_form_is_only_sent_from_where_it_may, an_address_may_send_so_many, run_starts_it_where_it_is_configured,
                                check_finds_what_is_wrong) if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]]
    sys.exit(main(*chosen))
