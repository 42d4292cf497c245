#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks: what answers a question put out, whichever came first, the ask or the answer. In SQLite, or with EARSHOT_TEST_POSTGRES in PostgreSQL."""

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
from harness import ROOT, expect, main, place  # pylint: disable=wrong-import-position

THREAD = "https://forum.acme.example/t/colours/12"
NOW = "2026-11-22T12:00:00Z"
POSTGRES = os.environ.get("EARSHOT_TEST_POSTGRES")


def post(number, text, **more):
    return {"id": f"p{number}", "text": text, "created_at": f"2026-11-{10 + number:02}T10:00:00Z", "author": f"user{number}", **more}


FORUM = [
    post(1, "We ask you: which colour next?", url=f"{THREAD}/1", thread="12"),
    post(2, "I wish there was a green one", url=f"{THREAD}/2", thread="12"),
    post(3, "Red, please", url="https://forum.acme.example/posts/3", thread="12"),
    post(4, "Another thread altogether", url="https://forum.acme.example/t/colours/123/1", thread="123"),
    post(5, "Blue would be great", url=f"{THREAD}/5#last", thread="12", author="user2"),
    post(9, "far too late: yellow", url=f"{THREAD}/9", thread="12"),
]
FORUM[0]["url"] = THREAD


def write(where, name, posts):
    (where.folder / name).write_text("".join(json.dumps(one) + "\n" for one in posts), encoding="utf-8")


def shown(where, *arguments):
    return json.loads(where.run("ask", *arguments, "-o", "json", environment={"EARSHOT_NOW": NOW}).stdout)


def keys(answer):
    return sorted(row["key"].rsplit(":", 1)[1] for row in answer["rows"])


def configured():
    """Each call is another store: on PostgreSQL a database of its own."""
    return ours() + (f"sinks:\n  - store: {{url: \"{database()}\"}}\n" if POSTGRES else "")


def database():
    name = f"ask_{os.getpid()}_{os.urandom(4).hex()}"
    psql(POSTGRES, f'CREATE DATABASE "{name}"')
    return urllib.parse.urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()


def psql(url, text):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url], input=text, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, done.stderr)
    return done.stdout


def ours():
    return "earshot: 1\nbrands: {Acme: [acme]}\nsources:\n  - {name: forum, use: file, path: forum.ndjson}\n  - {name: ideas, use: file, path: ideas.ndjson}\n" \
           "  - {name: other, use: file, path: other.ndjson}\n"


def replies_in_the_thread_belong_to_the_ask():
    with place() as where:
        now = {"environment": {"EARSHOT_NOW": NOW}}
        where.configure(configured())
        write(where, "ideas.ndjson", [])
        # Of the same name on another host of ours, in a thread of the same number.
        write(where, "other.ndjson", [post(2, "A thread 12 of somebody else", url="https://other.example/t/x/12/2", thread="12")])
        write(where, "forum.ndjson", FORUM[:2])
        where.once(**now)
        done = where.run("ask", "new", "Which colour next?", "--thread", f"{THREAD}/#reply", "--until", "2026-12-18", **now)
        where.run("ask", "end", "which-colour-next", "--until", "2026-11-18", **now)
        expect(done.stdout.strip() == "which-colour-next", done.stdout)
        expect(keys(shown(where, "show", "which-colour-next")) == ["p1", "p2"], "what came before the ask was made known")
        write(where, "forum.ndjson", FORUM)
        where.once(**now)
        answer = shown(where, "show", "which-colour-next")
        expect(keys(answer) == ["p1", "p2", "p3", "p5"], f"by its address, by its conversation, not after the end: {answer}")
        expect((answer["posts"], answer["people"], answer["title"], answer["open"]) == (4, 3, "Which colour next?", False), answer)
        expect(answer["wish"] >= 1 and [row["key"] for row in answer["rows"]][0].endswith("p5"), f"the newest first: {answer}")
        # An edit takes it out of the thread, a deletion out of the store.
        edited = [dict(one) for one in FORUM]
        edited[1].update(url="https://forum.acme.example/t/else/77/1", thread="77", edited_at="2026-11-21T10:00:00Z")
        edited[2] = {"id": "p3", "deleted": True}
        write(where, "forum.ndjson", edited)
        where.once(**now)
        expect(keys(shown(where, "show", "which-colour-next")) == ["p1", "p5"], "as the posts now stand")


def entries_of_a_source_belong_to_the_ask_and_views_filter_by_it():
    with place() as where:
        now = {"environment": {"EARSHOT_NOW": NOW}}
        where.configure(configured())
        for name in ("forum.ndjson", "other.ndjson"):
            write(where, name, FORUM)
        write(where, "ideas.ndjson", [post(1, "I wish it could fly", author="a"), post(8, "I wish it could swim", author="b"),
                                      post(9, "I wish it could sing", author="c")])
        where.run("ask", "new", "What is missing?", "--source", "ideas", "--since", "2026-11-15", "--name", "missing", **now)
        where.run("ask", "new", "Nobody answers", "--source", "ideas", **now)
        where.once(**now)
        answer = shown(where, "show", "missing")
        expect(keys(answer) == ["p8", "p9"] and answer["open"] and answer["sources"] == ["ideas"], answer)
        listed = {row["key"]: row["posts"] for row in shown(where, "list")["rows"]}
        expect(listed == {"missing": 2, "nobody-answers": 0}, f"of a source what comes from now on: {listed}")
        exported = where.lines("export", "posts", "--ask", "missing", "-o", "json", **now)
        expect(sorted(one["text"] for one in exported) == ["I wish it could sing", "I wish it could swim"], exported)
        wishes = json.loads(where.run("wishes", "--ask", "missing", "-o", "json", **now).stdout)
        expect({row["key"] for row in wishes["rows"]} <= {one["id"] for one in exported} and wishes["rows"], wishes)
        where.run("ask", "end", "missing", "--until", "2026-11-19", **now)
        answer = shown(where, "show", "missing")
        expect(keys(answer) == ["p8"] and not answer["open"] and answer["title"] == "What is missing?", f"ended, the rest as it was: {answer}")
        status = json.loads(where.run("status", "-o", "json", codes=(0, 1), **now).stdout)
        expect("decisions_waiting" not in json.dumps(status) or '"decisions_waiting": 0' in json.dumps(status), "an ask waits for no post")
        table = where.run("ask", "list", "-o", "table", **now).stdout
        expect("missing" in table and "What is missing?" in table and "1 posts" in table, table)


def an_ask_is_there_once_and_a_slip_changes_none():
    with place() as where:
        now = {"environment": {"EARSHOT_NOW": NOW}}
        where.configure(configured())
        for name in ("forum.ndjson", "other.ndjson"):
            write(where, name, [])
        write(where, "ideas.ndjson", [post(1, "I wish it could fly", author="a")])
        where.once(**now)
        where.run("ask", "new", "What is missing?", "--source", "ideas", "--since", "2026-11-01", "--name", "missing", **now)
        before = shown(where, "list")
        for word, more in (("end", ()), ("remove", ()), ("change", ("--until", "2027-01-01")), ("show", ())):
            done = where.run("ask", word, "mising", *more, codes=(1,), **now)
            expect("no ask is called 'mising'; did you mean 'missing'?" in done.stderr, f"{word}: {done.stderr}")
        done = where.run("ask", "new", "Something else", "--name", "missing", "--source", "other", codes=(1,), **now)
        expect("there is an ask 'missing' already" in done.stderr and "ask change missing" in done.stderr, done.stderr)
        for until, since in (("2026-11-21", "2026-11-01"), ("2026-12-01", "2026-12-02")):
            where.run("ask", "new", "Too late", "--source", "ideas", "--since", since, "--until", until, codes=(2,), **now)
        expect({**shown(where, "list"), "as_of": None} == {**before, "as_of": None}, "nothing of it has changed anything")
        where.run("ask", "change", "missing", "What do you miss?", "--until", "2026-12-24", **now)
        answer = shown(where, "show", "missing")
        expect((answer["title"], answer["until"], answer["since"], answer["posts"]) ==
               ("What do you miss?", "2026-12-24T00:00:00Z", "2026-11-01T00:00:00Z", 1), answer)
        where.run("ask", "remove", "missing", **now)
        expect(shown(where, "list")["rows"] == [], "removed")
        where.run("ask", "show", "missing", codes=(1,), **now)
        where.run("ask", "new", "Anew", "--name", "missing", "--thread", THREAD, "--no-wait", **now)
        where.run("ask", "new", "Anew", "--name", "missing", "--thread", THREAD, codes=(1,), **now)
        where.once(**now)
        answer = shown(where, "show", "missing")
        expect((answer["title"], answer["sources"], answer["since"], answer["until"]) == ("Anew", [], None, None), f"nothing is left of the first: {answer}")


def a_table_shows_the_entries():
    with place() as where:
        now = {"environment": {"EARSHOT_NOW": NOW}}
        where.configure(configured())
        for name in ("forum.ndjson", "other.ndjson"):
            write(where, name, [])
        write(where, "ideas.ndjson", [post(1, "I wish it could fly", author="a"), post(2, "I wish it\u001b[31m could swim", author="b")])
        where.run("ask", "new", "What is missing?", "--source", "ideas", "--since", "2026-11-01", "--name", "missing", **now)
        where.once(**now)
        table = where.run("ask", "show", "missing", "-o", "table", **now).stdout
        for part in ("What is missing?", "2 posts by 2 people", "2 wishes", "source ideas", "I wish it could fly", "could swim", "2026-11-11", "wish"):
            expect(part in table, f"{part}: {table}")
        expect("\u001b" not in table, table)
        table = where.run("ask", "show", "missing", "-o", "table", "-n", "1", **now).stdout
        expect("could fly" not in table and "1 more; -n 0" in table, table)


def query(name):
    """A query as the store has it, with a text in place of each parameter."""
    text = (ROOT / "sinks" / "store" / "queries.sql").read_text(encoding="utf-8")
    found = re.search(rf"^-- name: {name}\n(.*?);\n", text, re.M | re.S)
    return re.sub(r"\?(\d+)", r"'https://forum.acme.example/t/colours/\1'", found.group(1))


def a_thread_is_found_by_an_index():
    with place() as where:
        where.configure(configured())
        for name in ("forum.ndjson", "other.ndjson", "ideas.ndjson"):
            write(where, name, FORUM)
        where.once()
        if POSTGRES:
            url = re.search(r'url: "(.*)"', (where.folder / "earshot.yaml").read_text(encoding="utf-8")).group(1)
            schema = psql(url, "SELECT schemaname FROM pg_tables WHERE tablename = 'insight'").strip()
            # So few rows lie in one page, and reading it all is cheaper than any index.
            plan = psql(url, f"SET search_path = \"{schema}\"; SET enable_seqscan = off; EXPLAIN {query('insight_of_url')};")
            expect("Seq Scan" not in plan and plan.count("insight_url") == 2, plan)
        else:
            store = sqlite3.connect(f"file:{next(where.folder.glob('**/*.sqlite*'))}?mode=ro", uri=True)
            plan = " ".join(row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {query('insight_of_url')}"))
            store.close()
            expect("SCAN" not in plan and "insight_url" in plan, plan)


def an_address_of_any_length_is_kept():
    """Longer than an entry of a tree may be, and nothing in it that could be pressed together."""
    long = f"{THREAD}/{os.urandom(1800).hex()}"
    with place() as where:
        now = {"environment": {"EARSHOT_NOW": NOW}}
        where.configure(configured())
        for name in ("other.ndjson", "ideas.ndjson"):
            write(where, name, [])
        write(where, "forum.ndjson", [post(1, "A long way to go", url=long, thread="77")])
        where.once(**now)
        expect([one["url"] for one in where.posts()] == [long], where.posts())
        where.run("ask", "new", "Where?", "--thread", THREAD, **now)
        expect(keys(shown(where, "show", "where")) == ["p1"], shown(where, "show", "where"))


def what_makes_no_ask_is_told():
    with place() as where:
        where.configure(configured())
        for name in ("forum.ndjson", "other.ndjson", "ideas.ndjson"):
            write(where, name, FORUM[:1])
        cases = [(("new", "Where?"), "--thread URL or --source NAME"), (("new", "", "--source", "ideas"), "say what was asked"),
                 (("new", "x", "--thread", "12"), "takes an address"), (("new", "???", "--source", "ideas"), "--name NAME"),
                 (("new", "x", "--source", "ideas", "--until", "soon"), "--until"), (("end",), "say which"), (("sohw", "x"), "show")]
        for arguments, part in cases:
            done = where.run("ask", *arguments, codes=(2,))
            expect(part in done.stderr, f"{arguments}: {done.stderr}")
        where.once()
        done = where.run("ask", "show", "nobody", codes=(1,))
        expect("no ask is called 'nobody'" in done.stderr, done.stderr)
        expect("no ask yet" in where.run("ask", "-o", "table").stdout, "an empty list acts")


if __name__ == "__main__":
    os.environ.pop("EARSHOT_CONFIG", None)
    sys.exit(main(replies_in_the_thread_belong_to_the_ask, entries_of_a_source_belong_to_the_ask_and_views_filter_by_it,
                  an_ask_is_there_once_and_a_slip_changes_none, a_table_shows_the_entries, a_thread_is_found_by_an_index, an_address_of_any_length_is_kept, what_makes_no_ask_is_told))
