#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end, as a newcomer runs it: what its posts hold is in the store once; views, corrections, forgetting and imports as interface.md says."""

import csv
import datetime
import io
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

DEMO = harness.ROOT / "collectors" / "demo"
TRUTHS = json.loads((harness.ROOT / "tests" / "collectors" / "demo" / "truths.json").read_text(encoding="utf-8"))
SOURCES = {"forum.ndjson": "rider-forum", "social.ndjson": "social", "blog.ndjson": "spoke-blog", "reviews.ndjson": "shop-reviews"}
NOW = "2026-11-22T09:00:00Z"


def last_versions():
    """Post id -> the last line of each recorded post that is not deleted."""
    wanted = {}
    for name, source in SOURCES.items():
        for line in (DEMO / name).read_text(encoding="utf-8").splitlines():
            post = json.loads(line)
            key = f"file:{source}:{post['id']}"
            if post.get("deleted"):
                wanted.pop(key, None)
            else:
                wanted[key] = post
    return wanted


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def the_demo_is_stored_once_and_its_last_post_falls_on_now():
    with harness.place() as place:
        first = {line["source"]: line for line in place.lines("run", "--demo", "--once", "--now", NOW)}
        posts = {p["id"]: p for p in place.posts()}
        wanted = last_versions()
        files = {i: p for i, p in posts.items() if not i.startswith("file:survey:")}
        expect(set(files) == set(wanted), f"{sorted(set(files) ^ set(wanted))[:4]}")
        for identity, post in wanted.items():
            expect(harness.words(files[identity]["text"]) == harness.words(post["text"]), f"{identity}: {files[identity]['text']!r}")
        with open(DEMO / "survey.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        expect(len(posts) - len(files) == len(rows), f"{len(posts) - len(files)} survey answers of {len(rows)}")
        newest = max(instant(p["created_at"]) for p in posts.values())
        expect(abs((newest - instant(NOW)).total_seconds()) < 60, f"the newest post is of {newest}")
        again = place.lines("run", "--demo", "--once", "--now", NOW)
        expect(all(line["new"] == line["edited"] == line["deleted"] == 0 for line in again), f"second run: {again}")
        expect({p["id"]: p for p in place.posts()} == posts, "the second run changed what is stored")
        expect(not (place.folder / "earshot.yaml").exists(), "the demo wrote a configuration")


def views_have_the_agreed_shape_and_filters_narrow_them():
    keys = {"key", "title", "label", "posts", "people", "conversations", "before", "first_at", "last_at", "sample"}
    with harness.place() as place:
        place.run("run", "--demo", "--once", "--now", NOW)
        for view in ("trends", "wishes", "complaints", "praise"):
            whole = json.loads(place.run(view, "--since", "200d", "--now", NOW, "-o", "json").stdout)
            expect({"as_of", "since", "until", "complete", "rows"} <= set(whole), f"{view}: {sorted(whole)}")
            expect(whole["rows"], f"{view}: no rows")
            for row in whole["rows"]:
                expect(keys <= set(row), f"{view}: row lacks {sorted(keys - set(row))}")
                expect({"posts", "people", "conversations"} <= set(row["before"] or {"posts": 0, "people": 0, "conversations": 0}), f"{view}: {row['before']}")
            table = place.run(view, "--since", "200d", "--now", NOW, "-o", "table").stdout
            expect(table.strip(), f"{view}: an empty table")
            rows = list(csv.reader(io.StringIO(place.run(view, "--since", "200d", "--now", NOW, "-o", "csv").stdout)))
            expect(len(rows) == len(whole["rows"]) + 1, f"{view}: {len(rows)} lines of CSV for {len(whole['rows'])} rows")
        ids = {p["id"]: p for p in place.posts()}
        complaints = json.loads(place.run("complaints", "--since", "200d", "--now", NOW, "-o", "json").stdout)["rows"]
        for row in complaints:
            expect("complaint" in ids[row["key"]]["labels"], f"{row['key']} is no complaint")
        offline = json.loads(place.run("wishes", "--since", "200d", "--now", NOW, "--contains", "offline", "-o", "json").stdout)["rows"]
        expect(offline and all("offline" in (ids[r["key"]]["text"] + (ids[r["key"]]["title"] or "")).lower() for r in offline), f"--contains: {offline[:2]}")
        expect(not any(p["author"]["name"] for p in ids.values()), "names are exported though authors.names is off")
        ours = json.loads(place.run("trends", "--since", "200d", "--now", NOW, "-o", "json").stdout)["rows"]
        expect(ours, "no trends")


def a_correction_holds_at_once_and_is_explained():
    with harness.place() as place:
        place.run("run", "--demo", "--once", "--now", NOW)
        wish = json.loads(place.run("wishes", "--since", "200d", "--now", NOW, "-o", "json").stdout)["rows"][0]["key"]
        place.run("label", wish, "wish=no", "--now", NOW)
        left = json.loads(place.run("wishes", "--since", "200d", "--now", NOW, "-o", "json").stdout)["rows"]
        expect(wish not in [r["key"] for r in left], "the corrected post is still a wish")
        post = next(p for p in place.posts() if p["id"] == wish)
        expect("wish" not in post["labels"], f"exported labels: {post['labels']}")
        said = json.loads(place.run("explain", wish, "-o", "json").stdout)
        expect(said["correction"]["set"] == {"wish": False}, f"explain: {said.get('correction')}")
        expect(said["explain"]["wish"], "explain names no words")
        expect(place.run("explain", "file:nobody:1", codes=(1,)).returncode == 1, "an unknown post is explained")


def a_person_is_forgotten_everywhere():
    with harness.place() as place:
        place.run("run", "--demo", "--once", "--now", NOW)
        posts = place.posts()
        loud = TRUTHS["loud_author"]
        counts = {}
        for post in posts:
            counts[post["author"]["id"]] = counts.get(post["author"]["id"], 0) + 1
        gary, number = max(counts.items(), key=lambda item: item[1] if item[0] else 0)
        expect(number == loud["posts"], f"the loud author {loud} has {number} posts")
        text = next(p["text"] for p in posts if p["author"]["id"] == gary)
        place.run("forget", gary, "--now", NOW)
        expect(not [p for p in place.posts() if p["author"]["id"] == gary], "a forgotten person's posts are exported")
        for topic in ("posts", "insights"):
            expect(text not in place.run("tap", topic, "--from", "0", "--until-end", "--json").stdout, f"{topic} still holds a forgotten text")
        again = place.lines("run", "--demo", "--once", "--now", NOW)
        expect(all(line["new"] == 0 for line in again), f"forgotten posts come back: {again}")


def importing_twice_changes_nothing_and_equal_answers_stay_two():
    with harness.place() as place:
        (place.folder / "may.csv").write_text("When,Comment,Score\n2026-05-01,\"Great, but\nadd a bell\",9\n2026-05-02,Too heavy,3\n2026-05-02,Too heavy,3\n")
        for _ in range(2):
            place.run("import", "may.csv", "--map", "text=Comment", "--map", "created_at=When", "--channel", "survey")
            posts = place.posts()
            expect(len(posts) == 3 and len({p["id"] for p in posts}) == 3, f"{len(posts)} posts")
            expect(all(p["id"].startswith("file:may:") for p in posts), posts[0]["id"])
        place.run("import", "-", "--source", "notes", stdin='{"id":"n1","text":"Customer asked for a lighter frame"}\nnot json\n', codes=(0, 1))
        expect(len(place.posts()) == 4, "an NDJSON note was not stored")
        rejects = place.lines("rejects", "-o", "json")
        expect(len(rejects) == 1 and rejects[0]["code"] == "bad_json" and rejects[0]["source"] == "notes", f"rejects: {rejects}")


def classify_answers_a_line_for_a_line_without_a_configuration():
    with harness.place() as place:
        text = 'Please add a dark mode to the app\n\n{"id":"a","text":"I love it, thank you"}\n{"id":7,"text":5}\n{"x":1}\n'
        done = place.run("classify", stdin=text, codes=(1,))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        expect([line["id"] for line in lines] == [1, 2, "a", 7, 5], f"ids: {[line['id'] for line in lines]}")
        expect("wish" in lines[0]["labels"] and lines[1]["labels"] == [] and "error" in lines[3], f"{lines}")
        expect(0 <= lines[0]["wish"] <= 1 and "suggestion" not in lines[0], f"{lines[0]}")


def the_demo_refuses_a_folder_that_is_not_its_own():
    with harness.place() as place:
        place.configure("earshot: 1\n")
        place.run("run", "--demo", "--once", codes=(78,))


def a_configuration_without_sources_runs_and_has_a_status():
    with harness.place() as place:
        place.configure("earshot: 1\n")
        place.run("run", "--once")
        status = json.loads(place.run("status", "-o", "json").stdout)
        expect(isinstance(status, dict), "status is no object")
        version = json.loads(place.run("version", "--json").stdout)
        expect(re.match(r"\d+\.\d+", version["version"]), f"{version}")


if __name__ == "__main__":
    sys.exit(harness.main(the_demo_is_stored_once_and_its_last_post_falls_on_now, views_have_the_agreed_shape_and_filters_narrow_them,
                          a_correction_holds_at_once_and_is_explained, a_person_is_forgotten_everywhere,
                          importing_twice_changes_nothing_and_equal_answers_stay_two,
                          classify_answers_a_line_for_a_line_without_a_configuration, the_demo_refuses_a_folder_that_is_not_its_own,
                          a_configuration_without_sources_runs_and_has_a_status))
