#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real WordPress by its feeds, and a folder of surveys: what they hold is in the store once, compared with the server's own database."""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import server  # noqa: E402
from harness import expect  # noqa: E402

CONFIG = """
earshot: 1
brands:
  Tandelo: [tandelo]
sources:
  - {{name: blog, use: feed, url: "{url}/?feed=rss2", every: 1m}}
  - {{name: blog-comments, use: feed, url: "{url}/?feed=comments-rss2", every: 1m}}
  - {{name: survey, use: file, path: "surveys/*.csv", channel: survey, about: Tandelo, map: {{text: Comment, created_at: Date}}}}
network: {{allow: [127.0.0.1]}}
"""

POSTS = [
    ("Hello & <b>welcome</b>", "First line.\n\nSecond \"quoted\" line -- fish & chips, 5 < 6."),
    ("Winter tyres", "Wouldn't it be nice if the Tandelo came with studded tyres? <em>Please</em> add them."),
    ("Ümläute und Emoji 🚲", "Schöne Grüße aus Köln 🚲 – die Tandelo läuft super!"),
]


def key(guid, port):
    return f"feed:127.0.0.1:{port}:{guid}"


def compare(place, blog, surveys):
    """The store against the server's database and the survey files: same items, same words, each once."""
    stored = {}
    for post in place.posts():
        expect(post["id"] not in stored, f"{post['id']} is there twice")
        stored[post["id"]] = post
    wanted = {key(item["guid"], blog.port): item for item in blog.drive(["dump"])[0]}
    feeds = {i for i in stored if i.startswith("feed:")}
    expect(feeds == set(wanted), f"missing {sorted(set(wanted) - feeds)[:3]}, not asked for {sorted(feeds - set(wanted))[:3]}")
    for identity, item in wanted.items():
        post = stored[identity]
        expect(harness.words(post["text"]) == harness.words(item["html"]), f"{identity}: {post['text']!r} is not {item['html']!r}")
        if item["kind"] == "post":
            expect(harness.words(post["title"]) == harness.words(item["title"]), f"{identity}: title {post['title']!r}")
            expect(post["created_at"][:19] == item["created"][:19], f"{identity}: created {post['created_at']}, not {item['created']}")
    answers = sorted(harness.words(p["text"]) for i, p in stored.items() if i.startswith("file:survey:"))
    expect(answers == sorted(harness.words(s) for s in surveys), f"surveys: {answers}")


def feeds_and_surveys_are_stored_once_and_follow_edits_and_deletions():
    with harness.place() as place, tempfile.TemporaryDirectory(prefix="earshot-wordpress-") as folder, server.WordPress(folder) as blog:
        place.configure(CONFIG.format(url=blog.url))
        (place.folder / "surveys").mkdir()
        (place.folder / "surveys" / "may.csv").write_text(
            'Date,Comment\n2026-11-01 09:00,"The Tandelo is great, but\nplease add a bell"\n2026-11-02 10:00,Too heavy\n2026-11-02 10:00,Too heavy\n')
        surveys = ["The Tandelo is great, but please add a bell", "Too heavy", "Too heavy"]
        ids = blog.drive(*[["post", title, text, f"2026-11-{n + 1:02d} 10:00:00"] for n, (title, text) in enumerate(POSTS * 4)])
        notes = blog.drive(*[["comment", ids[n % 4], f"Reader {n}", f"Comment {n}: I <b>love</b> it & want more :)", f"2026-11-15 10:{n:02d}:00"]
                             for n in range(30)])

        first = place.once()
        expect(first["blog"]["new"] == 12 and first["blog-comments"]["new"] == 30 and first["survey"]["new"] == 3, f"first poll: {first}")
        compare(place, blog, surveys)

        again = place.once()
        expect(all(again[s]["new"] == 0 and again[s]["edited"] == 0 and again[s]["deleted"] == 0 for s in again), f"second poll: {again}")
        compare(place, blog, surveys)

        blog.drive(["post", "Newest", "Just in.", "2026-11-16 10:00:00"], ["comment", ids[0], "Late", "A late reply", "2026-11-17 10:00:00"],
                   ["edit_post", ids[2], "Edited: die Tandelo läuft jetzt noch besser"], ["edit_comment", notes[4], "Edited comment"],
                   ["delete_post", ids[5]])
        with open(place.folder / "surveys" / "may.csv", "a", encoding="utf-8") as grown:
            grown.write("2026-11-03 11:00,Grown by one\n")
        (place.folder / "surveys" / "june.csv").write_text("Date;Comment\n2026-11-04 12:00;Semicolons; no\n".replace("; no", " here"))
        surveys += ["Grown by one", "Semicolons here"]
        third = place.once()
        expect(third["blog"]["new"] == 1 and third["blog"]["edited"] == 1 and third["blog"]["deleted"] == 1, f"third poll: {third}")
        expect(third["blog-comments"]["new"] == 1 and third["blog-comments"]["edited"] == 1, f"third poll: {third}")
        expect(third["survey"]["new"] == 2, f"third poll: {third}")
        compare(place, blog, surveys)


def dress(blog):
    """The least of a theme: Debian's WordPress brings none, and without one its pages are empty."""
    theme = blog.site / "wp-content" / "themes" / "least"
    theme.mkdir(parents=True)
    (theme / "style.css").write_text("/* Theme Name: Least */")
    (theme / "index.php").write_text("<!DOCTYPE html><html><head><?php wp_head(); ?></head><body><p>Hello</p></body></html>")
    (theme / "functions.php").write_text("<?php add_action('after_setup_theme', function () { add_theme_support('automatic-feed-links'); });")
    blog.drive(["option", "template", "least"], ["option", "stylesheet", "least"])


def the_address_of_the_site_is_enough():
    with harness.place() as place, tempfile.TemporaryDirectory(prefix="earshot-wordpress-") as folder, server.WordPress(folder) as blog:
        place.configure(f'''
earshot: 1
brands: {{Tandelo: [tandelo]}}
sources: [{{name: site, use: feed, url: "{blog.url}", comments: true}}]
network: {{allow: [127.0.0.1]}}
''')
        dress(blog)
        ids = blog.drive(*[["post", title, text, f"2026-11-{n + 1:02d} 10:00:00"] for n, (title, text) in enumerate(POSTS)])
        blog.drive(*[["comment", ids[n % 3], f"Reader {n}", f"Comment {n}: add a bell", f"2026-11-15 10:{n:02d}:00"] for n in range(9)])
        expect(place.once()["site"]["new"] == 12, f"found by the site's address: {len(place.posts())} of 12")
        compare(place, blog, [])
        time.sleep(1.1)     # its feeds count in seconds
        blog.drive(["comment", ids[0], "Late", "A late reply", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())])
        last = place.once()["site"]
        expect(last["new"] == 1, f"by what was found: {last}")
        compare(place, blog, [])


if __name__ == "__main__":
    if server.missing():
        harness.skip(f"no WordPress here: {', '.join(server.missing())}; install the packages of docker/packages")
    sys.exit(harness.main(feeds_and_surveys_are_stored_once_and_follow_edits_and_deletions, the_address_of_the_site_is_enough))
