#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One's own data: folders that are watched while the collector runs, tables and mail boxes that are imported."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import BUILD, expect, main, place  # pylint: disable=wrong-import-position

WATCHED = """earshot: 1
brands: {Acme: [acme]}
sources:
  - {name: survey, use: file, path: "in/*/*.csv", every: 6h}
"""

MAIL = """From kim@x.example Fri Nov 20 08:00:00 2026
Message-ID: <one@x.example>
From: Kim <kim@x.example>
Date: Fri, 20 Nov 2026 09:00:00 +0100
Subject: the acme app

I wish it had a dark mode.

From care@acme.example Fri Nov 20 09:00:00 2026
Message-ID: <two@acme.example>
From: care@acme.example
Date: Fri, 20 Nov 2026 10:00:00 +0100
In-Reply-To: <one@x.example>
Subject: Re: the acme app

Kim wrote:
> I wish it had a dark mode.

It is planned.
"""


def wait_for(held, seconds, what):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if held():
            return time.monotonic()
        time.sleep(0.1)
    raise AssertionError(what)


def texts(where):
    return [post.get("text") for post in where.lines("tap", "posts", "--from", "0", "--until-end", "--json")]


def a_file_that_comes_into_a_watched_folder_is_read_at_once():
    with place() as where:
        where.configure(WATCHED)
        (where.folder / "in" / "today").mkdir(parents=True)
        (where.folder / "in" / "today" / "a.csv").write_text("text\nthe first\n")
        process = subprocess.Popen([str(BUILD / "bin" / "earshot-collect"), "run"], cwd=where.folder, env=where.environment,
                                   stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: (where.folder / "earshot.data" / "log").exists() and texts(where) == ["the first"], 20, "the first poll")
            begun = time.monotonic()
            (where.folder / "in" / "today" / "half.tmp").write_text("text\nmoved in whole\n")
            (where.folder / "in" / "today" / "half.tmp").rename(where.folder / "in" / "today" / "b.csv")
            wait_for(lambda: "moved in whole" in texts(where), 20, f"it is due in hours, and was not woken: {texts(where)}")
            (where.folder / "in" / "tomorrow").mkdir()
            (where.folder / "in" / "tomorrow" / "c.csv").write_text("text\nin a folder that came later\n")
            wait_for(lambda: "in a folder that came later" in texts(where), 20, f"{texts(where)}")
            with (where.folder / "in" / "today" / "a.csv").open("a") as file:
                file.write("\"half a ro")
                file.flush()
                time.sleep(1.5)
                expect("half a ro" not in texts(where), "a row half written is not read")
                file.write("w, now whole\"\n")
            wait_for(lambda: "half a row, now whole" in texts(where), 20, f"{texts(where)}")
            print(f"# four changes within {time.monotonic() - begun:.1f} s, the source's turn is in 6 h")
            expect(sorted(texts(where)) == sorted(["the first", "moved in whole", "in a folder that came later", "half a row, now whole"]), texts(where))
        finally:
            process.send_signal(signal.SIGTERM)
            expect(process.wait(20) == 0, "it stops cleanly")


def a_mail_box_and_a_table_are_imported():
    with place() as where:
        where.configure("earshot: 1\nbrands: {Acme: [acme]}\n")
        (where.folder / "care.mbox").write_text(MAIL)
        for _ in range(2):
            where.run("import", "care.mbox", "--channel", "helpdesk")
        where.run("import", "-", "--source", "piped", "--channel", "helpdesk", stdin=MAIL)
        (where.folder / "table.tsv").write_text("text\tcreated_at\n\"quoted\tas a spreadsheet does\"\t2026-11-20\nplain \"words\", commas\t2026-11-21\n")
        where.run("import", "table.tsv")
        posts = {post["id"]: post for post in where.posts()}
        expect(set(posts) >= {"file:care:one@x.example", "file:care:two@acme.example", "file:piped:one@x.example"} and len(posts) == 6, sorted(posts))
        one, two = posts["file:care:one@x.example"], posts["file:care:two@acme.example"]
        expect(one["text"] == "I wish it had a dark mode." and one["title"] == "the acme app", one)
        expect(two["text"] == "It is planned." and two["thread"] == one["thread"], (one, two))
        expect(one["created_at"] == "2026-11-20T08:00:00Z", one)
        table = sorted(post["text"] for post in posts.values() if post["source"] == "table")
        expect(table == ["plain \"words\", commas", "quoted\tas a spreadsheet does"] or table == ["plain \"words\", commas", "quoted as a spreadsheet does"], table)


def an_import_that_brings_nothing_fails_each_time():
    with place() as where:
        where.configure("earshot: 1\nbrands: {Acme: [acme]}\n")
        (where.folder / "program").write_bytes(b"\x7fELF\x02\x01\x01\x00\x00\x1b[31m\x00\nand so on\n")
        (where.folder / "bad.csv").write_text("text,rating\nmuch too good,9\n")
        (where.folder / "some.csv").write_text("text,rating\ngood,2\nmuch too good,9\n")
        for name, item, words in (("program", "program: bad_format", "no text"), ("bad.csv", "bad.csv:2: bad_number", "0 to 3")):
            for _ in range(2):
                done = where.run("import", name, "--scale", "3", codes=(1,))
                said = json.loads(done.stdout)
                expect((said["new"], said["unchanged"], said["rejected"]) == (0, 0, 1) and item in said["error"], said)
                expect(item in done.stderr and words in done.stderr, done.stderr)
                expect("import" in done.stderr.split(item)[1] and "next poll" not in done.stderr, f"the cure of an import: {done.stderr}")
        for unchanged in (0, 1):
            done = where.run("import", "some.csv", "--scale", "3")
            said = json.loads(done.stdout)
            expect((said["new"], said["unchanged"], said["rejected"], said["error"]) == (1 - unchanged, unchanged, 1, None), said)
            expect("some.csv:3: bad_number" in done.stderr, done.stderr)
        table = where.run("rejects", "-o", "table").stdout
        for part in ("program: its first line", "bad.csv:2: rating 9", "some.csv:3: rating 9"):
            expect(part in table, f"{part}: {table}")
        expect(not any(ord(letter) < 32 and letter != "\n" for letter in table) and "next poll" not in table, table)


def a_folder_is_a_source_of_its_own_name():
    with place() as where:
        where.configure("earshot: 1\nbrands: {Acme: [acme]}\n")
        (where.folder / "answers.2026").mkdir()
        (where.folder / "answers.2026" / "a.csv").write_text("text\nfine\n")
        for argument in ("answers.2026", "answers.2026/", "answers.2026/.", "./answers.2026"):
            said = json.loads(where.run("import", argument).stdout)
            expect(said["source"] == "answers.2026", f"{argument}: {said}")
        expect(len(where.posts()) == 1, where.posts())
        done = where.run("import", "/", codes=(2,))
        expect("cannot name a source" in done.stderr, done.stderr)


if __name__ == "__main__":
    os.environ.pop("EARSHOT_CONFIG", None)
    sys.exit(main(a_file_that_comes_into_a_watched_folder_is_read_at_once, a_mail_box_and_a_table_are_imported,
                  an_import_that_brings_nothing_fails_each_time, a_folder_is_a_source_of_its_own_name))
