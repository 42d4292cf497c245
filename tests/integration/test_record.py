#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`earshot source test NAME --record DIR` and `--replay DIR`: what a source was asked and said, kept without a secret, and played again."""

import base64
import contextlib
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

PASSWORD, KEY, ACCESS, REFRESH = "hun/ter 2&more", "k3y", "acc:ess/tok\"en", "refresh-token-9"
DEFINITION = """platform: club
channel: forum
about: an imitation
params:
  base: {required: true}
  user: {required: true}
  word: {required: true, secret: true}
  key: {required: true}
login:
  request: {url: "{base}/login", form: {user: "{user}", word: "{word}"}}
  token: /session/access
  refresh: /session/refreshJwt
  again: {method: POST, url: "{base}/again", form: {token: "{token}"}}
  name: X-Session
  value: "{token}"
request: {url: "{base}/posts", query: {key: "{key}"}}
records: /posts/*
page: {kind: link, from: /next}
cursor: {by: /created, as: time, order: newest}
map: {id: /id, text: /text, created_at: /created, author: {id: /by, name: /by}}
children:
  - each: /posts/*
    request: {url: "{base}/answers/{/id}"}
    records: /answers/*
"""


class Club(http.server.ThreadingHTTPServer):
    """A login by form, posts behind its token, which the server likes to repeat: in links, in texts, in headers."""

    daemon_threads = True

    def __init__(self):
        self.log, self.broken, self.text = [], False, "I wish it had more colours"
        club = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def say(self, status, body, **headers):
                text = json.dumps(body).replace("/", "\\/").encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Set-Cookie": f"session={ACCESS}", "X-Left": "7", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                club.log.append(self.path)
                right = self.path == "/login" and form == {"user": "jo", "word": PASSWORD}
                self.say(200 if right else 401, {"session": {"access": ACCESS, "refreshJwt": REFRESH, "id_token": "beside-the-token", "name": "Jo"}})

            def do_GET(self):
                club.log.append(self.path)
                path, _, query = self.path.partition("?")
                query = dict(urllib.parse.parse_qsl(query))
                if self.headers["X-Session"] != ACCESS or club.broken:
                    self.say(403, {"error": f"no {ACCESS}"})
                elif path == "/posts" and query == {"key": KEY}:
                    self.say(200, {"posts": [{"id": i, "text": club.text + f" {i}", "created": f"2026-11-0{i}T08:00:00Z", "by": "Jo"} for i in (3, 2)],
                                   "next": None, "see": f"https://x.example/?key={KEY}&t={urllib.parse.quote(ACCESS, safe='')}"}, Link=f'<x?k={KEY}>; rel="me"')
                elif path.startswith("/answers/"):
                    i = path[-1]
                    self.say(200, {"answers": [{"id": f"a{i}", "text": f"So do I: {i}", "created": f"2026-11-0{i}T09:00:00Z", "by": "Al"}]})
                else:
                    self.say(404, {})

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


SECRETS = {"WORD": PASSWORD, "KEY": KEY}


@contextlib.contextmanager
def club():
    with harness.place() as place, Club() as server:
        (place.folder / "club.yaml").write_text(DEFINITION)
        place.configure(f'earshot: 1\ninclude: [club.yaml]\nsources:\n  - {{name: our-club, use: club, base: "{server.base}", user: jo, '
                        'word: "${WORD:-other}", key: "${KEY:-none}"}\nnetwork: {allow: [127.0.0.1]}\n')
        yield place, server
        server.shutdown()


def record(place, **more):
    return place.run("source", "test", "our-club", "--record", "tape", "--now", "2026-11-05T00:00:00Z", environment=SECRETS, **more)


def replay(place, *words, codes=(0,)):
    return place.run("source", "test", "our-club", "--replay", "tape", *words, codes=codes)


def a_record_is_played_without_a_network_and_without_its_secrets():
    with club() as (place, server):
        said = record(place).stderr
        expect("4 answers and 4 posts in tape" in said, said)
        expect(server.log == ["/login", f"/posts?key={KEY}", "/answers/3", "/answers/2"], f"{server.log}")
        server.shutdown()
        server.server_close()
        done = replay(place)
        posts = [json.loads(line) for line in done.stdout.splitlines()]
        expect([post["text"] for post in posts] == ["So do I: 3", "I wish it had more colours 3", "So do I: 2", "I wish it had more colours 2"], f"{posts}")
        expect((place.folder / "tape" / "posts.ndjson").read_text() == done.stdout, "the posts that are kept beside it are those it prints")
        expect(replay(place).stdout == done.stdout, "each time the same")


def no_secret_gets_into_a_record():
    with club() as (place, _):
        place.run("probe", "our-club", environment=SECRETS)  # a token is at hand already: the record begins with a login all the same
        record(place)
        files = {path.name: path.read_text() for path in (place.folder / "tape").iterdir()}
        whole = "\n".join(files.values())
        forms = {text for secret in (PASSWORD, KEY, ACCESS, REFRESH, "beside-the-token") for text in (
            secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), json.dumps(secret)[1:-1], json.dumps(secret)[1:-1].replace("/", "\\/"),
            base64.b64encode(secret.encode()).decode().rstrip("="))}
        found = [form for form in forms if form in whole]
        expect(not found, f"{found} in\n{whole}")
        expect(files["001.request"].startswith("POST ") and files["001.request"].endswith("\n\nuser=jo&word=SECRET"), files["001.request"])
        expect("/posts?key=SECRET\n" in files["002.request"] and "\nx-session: SECRET\n" in files["002.request"], files["002.request"])
        expect(files["002.head"] == 'status 200\ncontent-type: application/json\nx-left: 7\nlink: <x?k=SECRET>; rel="me"\n', files["002.head"])
        expect('"name": "Jo"' in files["001.body"] and json.loads(files["001.body"])["session"]["access"] == "SECRET", files["001.body"])
        expect(json.loads(files["record.json"]) == {"earshot": 1, "source": "our-club", "use": "club", "at": "2026-11-05T00:00:00Z"} or
               files["record.json"].startswith('{"earshot":1,"source":"our-club","use":"club","at":"2026-11-05T00:00:00'), files["record.json"])


def no_secret_is_printed_raw():
    with club() as (place, _):
        done = place.run("probe", "our-club", "--raw", environment=SECRETS)
        expect("I wish it had more colours 3" in done.stdout and "/posts?key=SECRET" in done.stdout and '"refreshJwt": "SECRET"' in done.stdout, done.stdout)
        shown = [secret for secret in (PASSWORD, KEY, ACCESS, REFRESH, "acc:ess\\/tok") if secret in done.stdout + done.stderr]
        expect(not shown, f"{shown} in {done.stdout}")


def a_definition_that_changes_shows_what_changes_of_the_posts():
    with club() as (place, _):
        record(place)
        (place.folder / "club.yaml").write_text(DEFINITION.replace("text: /text", "text: /text, title: /by").replace("/answers/*\n", "/answer/*\n"))
        said = replay(place, codes=(1,)).stderr
        expect(replay(place, "-o", "table", codes=(1,)).stdout == "", "a person reads what differs, not all posts")
        expect('    + title: "Jo"' in said and "- club:" in said and '    - text: "So do I: 2"' in said and "4 posts are other than in tape/posts.ndjson" in said, said)
        replay(place, "--accept")
        expect(replay(place).stderr.startswith("2 posts, as they were kept"), "what was accepted is what is kept")
        (place.folder / "tape" / "posts.ndjson").unlink()
        expect("missing; --accept writes it" in replay(place, codes=(1,)).stderr, "no posts to compare with")


def what_is_refused_is_said():
    with club() as (place, _):
        record(place)
        body = place.folder / "tape" / "003.body"
        body.write_text(body.read_text().replace('"a3"', "null"))
        said = replay(place, codes=(1,)).stderr
        expect("would be rejected: " in said and "1 would be rejected" in said and "1 post is other" in said, said)


def a_request_that_the_record_lacks_is_named():
    with club() as (place, server):
        record(place)
        (place.folder / "club.yaml").write_text(DEFINITION.replace('"{base}/answers/{/id}"', '"{base}/replies/{/id}?key={key}"'))
        said = replay(place, codes=(1,)).stderr
        expect(f"the record holds no answer to GET {server.base}/replies/3?key=SECRET" in said, said)
        (place.folder / "club.yaml").write_text(DEFINITION[:DEFINITION.index("children:")])
        said = replay(place, codes=(1,)).stderr
        expect("2 of 4 answers were not asked for" in said and "2 posts are other" in said, said)


def a_record_is_replaced_as_a_whole():
    with club() as (place, server):
        record(place)
        (place.folder / "club.yaml").write_text(DEFINITION[:DEFINITION.index("children:")])
        server.text = "I love it"
        expect("2 answers and 2 posts" in record(place).stderr, "a shorter one")
        expect(sorted(path.name for path in (place.folder / "tape").iterdir()) ==
               ["001.body", "001.head", "001.request", "002.body", "002.head", "002.request", "posts.ndjson", "record.json"], "nothing of the longer one is left")
        expect("I love it 3" in replay(place).stdout, "the new one")


def a_feed_is_recorded_too():
    entry = '<item><guid>1</guid><title>One</title><description>I wish</description><pubDate>Sun, 01 Nov 2026 08:00:00 GMT</pubDate></item>'

    class Feed(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'<rss version="2.0"><channel><title>x</title>{entry}</channel></rss>'.encode())

        def log_message(self, *_):
            pass

    with harness.place() as place, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Feed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place.configure(f'earshot: 1\nsources: [{{name: f, use: feed, url: "http://jo:geheimnis@127.0.0.1:{server.server_port}/feed"}}]\nnetwork: {{allow: [127.0.0.1]}}\n')
        place.run("source", "test", "f", "--record", "a/tape")
        server.shutdown()
        expect("One" in place.run("source", "test", "f", "--replay", "a/tape").stdout, "its post")
        expect("geheimnis" not in "".join(path.read_text() for path in (place.folder / "a/tape").iterdir()), "the password of its address")


def a_token_is_fetched_anew_for_a_record():
    """With a token, and another refresh token than the configured one, at hand: what is recorded is what somebody without them asks."""
    class Oauth(http.server.BaseHTTPRequestHandler):
        given, forms = [], []

        def say(self, status, body):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_POST(self):
            form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            right = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:client-secret-1").decode()
            right = right and form.get("refresh_token") in (None, self.given[-1][1] if self.given else "first-refresh")
            self.forms.append(form["grant_type"])
            self.given.append((f"access-token-{len(self.given)}", f"refresh-token-{len(self.given)}"))
            self.say(200 if right else 400, {"access_token": self.given[-1][0], "refresh_token": self.given[-1][1], "expires_in": 3600} if right
                     else {"error": "invalid_grant"})

        def do_GET(self):
            right = self.headers["Authorization"] == f"Bearer {self.given[-1][0]}"
            self.say(200 if right else 401, {"posts": [{"id": 1, "text": "I wish"}]})

        def log_message(self, *_):
            pass

    for grant, more in (("password", "user: \"{user}\", password: \"{word}\""), ("refresh_token", "refresh: \"{refresh}\"")):
        Oauth.given, Oauth.forms = [], []
        with harness.place() as place, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Oauth) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            (place.folder / "o.yaml").write_text(
                "platform: o\nchannel: forum\nparams: {base: {required: true}, user: {}, word: {secret: true}, refresh: {secret: true}, client: {secret: true}}\n"
                f"auth: {{kind: oauth2, grant: {grant}, token_url: \"{{base}}/token\", id: me, secret: \"{{client}}\", via: basic, {more}}}\n"
                'request: "{base}/posts"\nrecords: /posts/*\nmap: {id: /id, text: /text}\n')
            place.configure(f'earshot: 1\ninclude: [o.yaml]\nsources: [{{name: o, use: o, base: "http://127.0.0.1:{server.server_port}", user: jo, '
                            'word: "${W:-x}", refresh: "${R:-x}", client: "${C:-x}"}]\nnetwork: {allow: [127.0.0.1]}\n')
            real = {"W": "the-pass-word", "R": "first-refresh", "C": "client-secret-1"}
            place.run("probe", "o", environment=real)
            place.run("source", "test", "o", "--record", "tape", environment=real)
            expect(Oauth.forms == [grant, grant], f"{Oauth.forms}")
            place.run("probe", "o", environment=real)  # what the record left is good
            server.shutdown()
            whole = "".join(path.read_text() for path in (place.folder / "tape").iterdir())
            found = [text for pair in Oauth.given for text in (*pair, *real.values()) if text in whole]
            expect(not found and "authorization: SECRET" in whole, f"{found} in {whole}")
            expect('"text":"I wish"' in place.run("source", "test", "o", "--replay", "tape").stdout, "it plays")


def what_cannot_be_recorded_or_played_is_said():
    with club() as (place, server):
        said = replay(place, codes=(78,)).stderr
        expect("no record lies there" in said, said)
        for words in (("our-club",), ("our-club", "--record", "a", "--replay", "b"), ("our-club", "--record", "a", "--accept")):
            place.run("source", "test", *words, codes=(2,))
        expect("did you mean 'our-club'?" in place.run("source", "test", "our-clbu", "--record", "tape", codes=(78,)).stderr, "a name")
        (place.folder / "else").mkdir()
        (place.folder / "else" / "diary.txt").write_text("mine")
        said = place.run("source", "test", "our-club", "--record", "else", codes=(2,), environment=SECRETS).stderr
        expect("'diary.txt'" in said and [path.name for path in (place.folder / "else").iterdir()] == ["diary.txt"], said)
        place.run("source", "test", "our-club", "--record", "tape", codes=(1,))  # with the wrong secrets
        server.broken = True
        record(place, codes=(1,))
        expect("status 403" in (place.folder / "tape" / "002.head").read_text(), "a refusal is kept too")
        (place.folder / "tape" / "002.head").write_text("nonsense\n")
        expect("tape: 002: a head begins with a line such as: status 200" in replay(place, codes=(78,)).stderr, "a broken file")
        (place.folder / "answers.csv").write_text("text\nI wish\n")
        place.configure("earshot: 1\nsources: [{name: s, use: file, path: answers.csv}]\n")
        expect("asks nobody over the network" in place.run("source", "test", "s", "--record", "other", codes=(1,)).stderr, "a file")


if __name__ == "__main__":
    sys.exit(harness.main(*(test for name, test in list(globals().items())
                            if callable(test) and getattr(test, "__module__", "") == "__main__" and name.startswith(("a_", "no_", "what_")))))
