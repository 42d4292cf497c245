#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`earshot source list` and `source show`: every platform has a page whose example `check` accepts; definitions of one's own count."""

import contextlib
import http.server
import json
import pathlib
import re
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

OWN = """platform: ours
channel: ideas
about: our own board
params: {base: {required: true, help: "where it is"}, key: {secret: true, required: true}}
request: {url: "{base}/posts.json", headers: {Key: "{key}"}}
records: /posts/*
map: {id: /id, text: /text}
"""


def the_list_names_readers_and_definitions():
    with harness.place() as place:
        rows = {row["name"]: row for row in place.lines("source", "list", "-o", "json")}
        shipped = {file.stem for file in (harness.ROOT / "collectors" / "definitions").glob("*.yaml")}
        expect(shipped <= set(rows) and {"feed", "file"} <= set(rows), f"{sorted(rows)}")
        expect(rows["feed"]["kind"] == "reader" and rows["reddit"]["kind"] == "built in", f"{rows}")
        expect(all(row["about"] != "has mistakes" for row in rows.values()), f"{rows}")


def the_example_of_every_page_is_valid():
    with harness.place() as place:
        wrong = []
        for row in place.lines("source", "list", "-o", "json"):
            page = place.run("source", "show", row["name"]).stdout
            place.configure(re.search(r"```yaml\n(.*?)```", page, re.S).group(1))
            done = place.run("check", codes=(0, 78))
            if done.returncode != 0 or "valid" not in done.stderr or "warning" in done.stderr:
                wrong.append(f"{row['name']}: {done.stderr}")
        expect(not wrong, "\n".join(wrong))


def one_s_own_definition_is_checked_listed_and_used():
    with harness.place() as place:
        (place.folder / "ours.yaml").write_text(OWN)
        place.configure('earshot: 1\ninclude: [ours.yaml]\nsources:\n  - {name: a, use: ours, base: "https://a.example", key: "${KEY:-k}"}\n')
        expect("valid" in place.run("check").stderr, "a source of one's own")
        expect("a valid definition" in place.run("check", "ours.yaml").stderr, "a definition alone")
        rows = {row["name"]: row for row in place.lines("source", "list", "-o", "json")}
        expect(rows["ours"] == {"name": "ours", "channel": "ideas", "kind": "own", "about": "our own board"}, f"{rows['ours']}")
        expect("One of your own" in place.run("source", "show", "ours").stdout, "its page")
        (place.folder / "ours.yaml").write_text(OWN.replace("records:", "record:"))
        for command in (("check",), ("check", "ours.yaml"), ("source", "show", "ours"), ("run", "--once")):
            done = place.run(*command, codes=(78,))
            expect("ours.yaml:6:1 record: unknown key in the definition; did you mean 'records'?" in done.stderr, f"{command}: {done.stderr}")


def what_is_wrong_with_a_source_is_said_at_its_place():
    with harness.place() as place:
        place.configure("earshot: 1\nsources:\n"
                        "  - {name: a, use: discors, base: x}\n"
                        "  - {name: b, use: discourse, bas: \"https://a.example\"}\n"
                        "  - {name: c, use: discourse, base: a.example}\n")
        said = place.run("check", codes=(78,)).stderr
        for part in ("earshot.yaml:3:20 sources[0].use: 'discors' is neither a reader nor a definition; did you mean 'discourse'?",
                     "earshot.yaml:4:31 sources[1].bas: unknown key in source 'b'; did you mean 'base'?",
                     "earshot.yaml:4:5 sources[1]: source 'b' lacks 'base'",
                     "earshot.yaml:5:37 sources[2].base: 'a.example' is no http or https address"):
            expect(part in said, f"{part}\nnot in\n{said}")


def a_definition_is_not_run():
    with harness.place() as place:
        (place.folder / "ours.yaml").write_text(OWN)
        for command in (("run", "--once"), ("status",), ("probe", "a")):
            done = place.run(*command, "--config", "ours.yaml", codes=(78,))
            expect("include: [ours.yaml]" in done.stderr, f"{command}: {done.stderr}")
        expect(not (place.folder / "earshot.data").exists(), "something was started")


@contextlib.contextmanager
def board(posts):
    """The board that the README describes: two posts a page, the newest first."""
    class Board(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = int((re.findall(r"[?&]page=(\d+)", self.path) or ["0"])[0])
            body = {"posts": posts[page * 2:page * 2 + 2], "next": str(page + 1) if len(posts) > page * 2 + 2 else None}
            if self.headers["X-Key"] != "k":
                self.send_response(403)
            elif self.path.startswith("/api/posts?"):
                self.send_response(200)
            else:
                self.send_response(404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Board)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def the_platform_of_the_readme_works_as_written():
    readme = (harness.ROOT / "README.md").read_text(encoding="utf-8")
    definition = re.search(r"```yaml\n# definitions/board.yaml\n(.*?)```", readme, re.S).group(1)
    configuration = re.search(r"```yaml\n# earshot.yaml\n(.*?)```", readme, re.S).group(1)
    expect(len(definition.splitlines()) < 30, "described in under thirty lines")
    posts = [{"id": i, "title": f"No {i}", "html": f"<p>I wish {i} &lt; {i + 1}</p>", "created": f"2026-11-0{i}T08:00:00Z", "topic": 7,
              "edited": None, "user": {"id": 5, "name": "Jo"}, "likes": i, "removed": i == 4} for i in range(5, 0, -1)]
    with harness.place() as place, board(posts) as base:
        (place.folder / "definitions").mkdir()
        (place.folder / "definitions" / "board.yaml").write_text(definition)
        place.configure(configuration.replace("https://board.example", base).replace(", every", ', key: "${KEY:-k}", every') +
                        "network: {allow: [127.0.0.1]}\n")
        expect("valid" in place.run("check").stderr, "it is checked")
        shown = place.lines("probe", "our-board", "-n", "9")
        expect([post["title"] for post in shown] == ["No 5"], f"one page, each post once, no deleted one: {shown}")
        ran = place.lines("run", "--once", "--now", "2026-11-10T00:00:00Z")
        expect([(r["source"], r["new"], r["error"]) for r in ran] == [("our-board", 4, None)], f"{ran}")
        kept = {post["title"]: post for post in place.lines("export", "posts", "-o", "json")}
        expect(sorted(kept) == ["No 1", "No 2", "No 3", "No 5"], f"{sorted(kept)}")
        one = kept["No 3"]
        expect(one["text"] == "I wish 3 < 4" and one["url"] == f"{base}/p/3" and one["thread"] == "7" and
               one["created_at"] == "2026-11-03T08:00:00Z" and one["id"] == f"board:{base[7:]}:3", f"{one}")


def an_answer_makes_a_draft_that_is_a_definition():
    posts = [{"id": i, "title": f"No {i}", "body": f"I wish {i}", "created_at": f"2026-11-0{i}T08:00:00Z"} for i in (3, 2)]
    with harness.place() as place, board(posts) as base:
        place.configure("earshot: 1\nnetwork: {allow: [127.0.0.1]}\n")
        done = place.run("source", "new", f"{base}/api/posts?limit=9&api_key=hunter2", "--header", "X-Key: k")
        expect("hunter2" not in done.stdout + done.stderr, "a secret is shown")
        (place.folder / "draft.yaml").write_text(done.stdout)
        expect("a valid definition" in place.run("check", "draft.yaml").stderr, done.stdout)
        expect('auth: {kind: header, name: "X-Key", value: "{key}"}' in done.stdout and "\n  key: {required: true, secret: true" in done.stdout, done.stdout)
        expect('records: "/posts/*"' in done.stdout and "text: /body" in done.stdout and "\nplatform: draft\n" in done.stdout, done.stdout)
        expect("it answers 403" in place.run("source", "new", f"{base}/api/posts?", codes=(1,)).stderr, "a refusal")
        place.run("source", "new", f"{base}/api/posts?", "--header", "nonsense", codes=(2,))
        for name, text in (("line", "X-Key: k\n"), ("value", "k\n")):
            (place.folder / name).write_text(text)
            (place.folder / name).chmod(0o600)
        for given in (f"@{place.folder}/line", f"X-Key: ${{file:{place.folder}/value}}"):
            place.run("source", "new", f"{base}/api/posts?limit=9", "--header", given)
        (place.folder / "line").chmod(0o644)
        place.run("source", "new", f"{base}/api/posts?", "--header", f"@{place.folder}/line", codes=(78,))
        place.run("source", "new", "http://127.0.0.1:1/", codes=(69,))
        place.run("source", "new", "banana", codes=(78,))
        said = place.run("source", "new", f"{base[7:]}/api/posts", codes=(78,)).stderr
        expect("begins with http:// or https://" in said, said)
        place.configure("earshot: 1\n")
        said = place.run("source", "new", f"{base}/api/posts", codes=(1,)).stderr
        expect("earshot.yaml" in said and "network: {allow:" in said, said)


def words_that_make_no_sense_are_refused():
    with harness.place() as place:
        for words in (("source",), ("source", "lst"), ("source", "show"), ("source", "list", "x")):
            place.run(*words, codes=(2,))
        expect("did you mean 'discourse'?" in place.run("source", "show", "discurse", codes=(78,)).stderr, "a near miss")


if __name__ == "__main__":
    sys.exit(harness.main(the_list_names_readers_and_definitions, the_example_of_every_page_is_valid,
                          one_s_own_definition_is_checked_listed_and_used, what_is_wrong_with_a_source_is_said_at_its_place,
                          a_definition_is_not_run, the_platform_of_the_readme_works_as_written,
                          an_answer_makes_a_draft_that_is_a_definition, words_that_make_no_sense_are_refused))
