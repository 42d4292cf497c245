#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`earshot source list` and `source show`: every platform has a page whose example `check` accepts; definitions of one's own count."""

import pathlib
import re
import sys

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
            if row["kind"] == "reader":
                continue
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


def words_that_make_no_sense_are_refused():
    with harness.place() as place:
        for words in (("source",), ("source", "lst"), ("source", "show"), ("source", "list", "x")):
            place.run(*words, codes=(2,))
        expect("did you mean 'discourse'?" in place.run("source", "show", "discurse", codes=(78,)).stderr, "a near miss")


if __name__ == "__main__":
    sys.exit(harness.main(the_list_names_readers_and_definitions, the_example_of_every_page_is_valid,
                          one_s_own_definition_is_checked_listed_and_used, what_is_wrong_with_a_source_is_said_at_its_place,
                          a_definition_is_not_run, words_that_make_no_sense_are_refused))
