#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""earshot-collect as a program: what its commands print, their exit codes, its lock, its end."""

import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BUILD = pathlib.Path(os.environ["EARSHOT_BUILD"])
COLLECT = str(BUILD / "bin" / "earshot-collect")
EARSHOT = str(BUILD / "bin" / "earshot")
WHEN = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
ITEM = ("<item><guid isPermaLink=\"false\">{0}</guid><title>Note {0}</title><description>{1}</description>"
        "<pubDate>{2}</pubDate></item>")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    items = {}

    def do_GET(self):  # noqa: N802
        if self.path.split("?")[0] == "/feed":
            entries = "".join(ITEM.format(key, text, WHEN) for key, text in self.items.items())
            return self.answer(200, f"<rss version=\"2.0\"><channel><title>t</title>{entries}</channel></rss>", "application/rss+xml")
        if self.path == "/slow":
            time.sleep(5)
            return self.answer(200, "late")
        if self.path.startswith("/status/"):
            return self.answer(int(self.path.rsplit("/", 1)[1]), "no")
        return self.answer(404, "nothing here")

    def answer(self, status, body, kind="text/plain"):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Place:
    def __init__(self, folder, port):
        self.folder, self.port = pathlib.Path(folder), port
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_")}
        Handler.items = {"1": "one", "2": "two"}

    def configure(self, *sources, more=""):
        lines = "".join(f"  - {source}\n" for source in sources).replace("BASE", f"http://127.0.0.1:{self.port}")
        (self.folder / "earshot.yaml").write_text(f"earshot: 1\nsources:\n{lines}network: {{allow: [127.0.0.1]}}\n{more}")

    def start(self, *arguments, program=COLLECT, **more):
        return subprocess.Popen([program, *arguments], cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def run(self, *arguments, code=0, program=COLLECT, stdin=""):
        done = subprocess.run([program, *arguments], cwd=self.folder, env=self.environment, text=True, input=stdin, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        return done

    def once(self, *arguments, code=0):
        return {line["source"]: line for line in map(json.loads, self.run("once", *arguments, code=code).stdout.splitlines())}

    def posts(self):
        return [json.loads(line) for line in self.run("tap", "posts", "--from", "0", "--until-end", program=EARSHOT).stdout.splitlines()]


def once_prints_a_line_for_each_source(place):
    place.configure("{name: blog, use: feed, url: \"BASE/feed\"}")
    line = place.once()["blog"]
    assert line == {"source": "blog", "new": 2, "edited": 0, "deleted": 0, "unchanged": 0, "rejected": 0, "undated": 0, "requests": 1, "error": None}, line
    Handler.items["1"] = "one, mended"
    Handler.items["3"] = "three"
    line = place.once()["blog"]
    assert (line["new"], line["edited"], line["unchanged"]) == (1, 1, 1), line
    posts = place.posts()
    assert sorted(post["text"] for post in posts) == ["one", "one, mended", "three", "two"], posts
    assert {post["id"] for post in posts} == {f"feed:127.0.0.1:{place.port}:{n}" for n in "123"}, posts


def once_says_by_its_code_what_failed(place):
    blog = "{name: blog, use: feed, url: \"BASE/feed\"}"
    cases = [("BASE/status/503", 75), ("BASE/status/429", 75), ("BASE/status/410", 1), ("BASE/nothing", 1), ("http://127.0.0.1:1/", 75), ("http://10.0.0.1/", 1)]
    for url, code in cases:
        place.configure(blog, f"{{name: bad, use: feed, url: \"{url}\"}}")
        lines = place.once(code=code)
        assert lines["blog"]["error"] is None and lines["bad"]["error"], lines
    place.configure("{name: later, use: feed, url: \"BASE/status/503\"}", "{name: bad, use: feed, url: \"BASE/status/410\"}")
    place.once(code=1)


def a_source_that_drifts_is_said_to(place):
    place.configure("{name: lines, use: file, path: lines.ndjson}")
    good = json.dumps({"id": "1", "text": "one", "created_at": "2026-01-10T11:20:07Z"})
    (place.folder / "lines.ndjson").write_text(f"{good}\n{{broken\n{{too\n")
    done = place.run("once")
    assert json.loads(done.stdout)["rejected"] == 2 and done.stderr.count("drifting") == 1, done
    status = place.run("status", "-o", "table", program=EARSHOT).stdout
    assert "drifting: 2 of 3 records were rejected within ten minutes; `earshot rejects` shows them; the last is 'bad_json'" in status, status
    source = json.loads(place.run("status", "-o", "json", program=EARSHOT).stdout)["sources"][0]
    assert source["drifting"] is True and source["drift_error"].startswith("2 of 3"), source


def a_time_that_cannot_be_read_is_told_once_a_poll(place):
    place.configure("{name: answers, use: file, path: answers.csv, map: {text: Comment, created_at: Date}}")
    table = place.folder / "answers.csv"
    table.write_text("Comment,Date\none,31.31.2026\ntwo,20.11.2025\nthree,soon\nfour,\n")
    done = place.run("once")
    line = json.loads(done.stdout)
    assert (line["new"], line["undated"]) == (4, 3) and done.stderr.count("3 posts bear no readable time") == 1, done
    assert sorted(post["text"] for post in place.posts() if "time_suspect" in post.get("flags", [])) == ["four", "one", "three"]
    done = place.run("once")
    assert json.loads(done.stdout)["undated"] == 0 and "readable time" not in done.stderr, done
    table.write_text(table.read_text() + "five,31.31.2026\nsix,2025-11-21\n")
    done = place.run("once")
    assert json.loads(done.stdout)["undated"] == 1 and done.stderr.count("1 post bears no readable time") == 1, done
    done = place.run("import", "answers.csv", "--source", "again", "--map", "text=Comment,created_at=Date", "-o", "table")
    assert done.stderr.count("4 posts bear no readable time") == 1 and "6 new, 0 edited, 0 unchanged, 0 rejected, 4 undated" in done.stderr, done


def what_is_undated_is_a_metric_and_said_once(place):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as spare:
        metrics = spare.server_port
    place.configure("{name: answers, use: file, path: answers.csv, every: 1s, map: {text: Comment, created_at: Date}}",
                    more=f"metrics: {{listen: \"127.0.0.1:{metrics}\"}}\n")
    table = place.folder / "answers.csv"
    table.write_text("Comment,Date\none,31.31.2026\ntwo,20.11.2025\n")
    running = place.start("run")

    def counted(posts, undated):
        wanted = [f'earshot_collect_posts_total{{source="answers"}} {posts}\n', f'earshot_collect_undated_total{{source="answers"}} {undated}\n']
        for _ in range(100):
            time.sleep(0.1)
            try:
                text = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5).read().decode()
            except OSError:
                continue
            if all(line in text for line in wanted):
                return
        raise AssertionError(text)

    try:
        counted(2, 1)
        table.write_text(table.read_text() + "three,2025-11-20\n")
        counted(3, 1)
    finally:
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=10)[1]
    assert said.count("1 post bears no readable time") == 1, said


def a_deadline_cuts(place):
    place.configure("{name: blog, use: feed, url: \"BASE/feed\"}", "{name: slow, use: feed, url: \"BASE/slow\"}")
    began = time.monotonic()
    lines = place.once("--deadline", "1s", code=75)
    assert time.monotonic() - began < 4
    assert lines["blog"]["new"] == 2 and "deadline" in lines["slow"]["error"], lines


def a_wrong_configuration_starts_nothing(place):
    place.configure("{name: blog, use: feed, url: \"BASE/feed\", coments: true}")
    for command in ("once", "run", "check"):
        done = place.run(command, code=78)
        assert "earshot.yaml:3:" in done.stderr and "comments" in done.stderr, done.stderr
    assert not (place.folder / "earshot.data").exists()
    place.configure("{name: blog, use: feed, url: \"BASE/feed\"}")
    place.run("check")


def probe_shows_and_leaves_no_trace(place):
    place.configure("{name: blog, use: feed, url: \"BASE/feed?token=hunter2\"}", "{name: gone, use: feed, url: \"BASE/status/410\"}",
                    "{name: off, use: feed, url: \"http://127.0.0.1:1/\"}")
    done = place.run("probe", "blog", "-n", "1")
    assert len(done.stdout.splitlines()) == 1 and json.loads(done.stdout)["source"] == "blog", done.stdout
    assert "1 post (of 2 on the page), nothing published" in done.stderr, done.stderr
    raw = place.run("probe", "blog", "--raw").stdout
    assert raw.startswith("200 ") and "content-type: application/rss+xml" in raw and "<rss" in raw, raw
    assert "hunter2" not in raw, "what may be a token is shown"
    place.run("probe", "gone", code=1)
    place.run("probe", "off", code=69)
    assert "did you mean 'blog'" in place.run("probe", "blgo", code=78).stderr
    assert not (place.folder / "earshot.data").exists()


def import_takes_a_table_once(place):
    place.configure("{name: blog, use: feed, url: \"BASE/feed\"}")
    (place.folder / "answers.csv").write_text("When,Comment\n2026-01-05 09:12,Good\n2026-01-06 10:00,\"Late,\nagain\"\n2026-01-05 09:12,Good\n")
    arguments = ("import", "answers.csv", "--map", "text=Comment", "--map", "created_at=When", "--zone", "Europe/Berlin")
    line = json.loads(place.run(*arguments).stdout)
    assert (line["source"], line["new"], line["unchanged"]) == ("answers", 3, 0), line
    line = json.loads(place.run(*arguments).stdout)
    assert (line["new"], line["unchanged"]) == (0, 3), line
    posts = place.posts()
    assert len({post["id"] for post in posts}) == 3 and all(post["id"].startswith("file:answers:") for post in posts), posts
    assert {post["created_at"] for post in posts} == {"2026-01-05T08:12:00Z", "2026-01-06T09:00:00Z"}, posts
    assert all(post["channel"] == "survey" for post in posts), posts
    line = json.loads(place.run("import", "-", "--source", "notes", "--channel", "frontline", "--map", "text=note,id=nr",
                                stdin='{"nr": "7", "note": "said hello"}\n').stdout)
    assert (line["source"], line["new"]) == ("notes", 1), line
    assert place.posts()[-1]["id"] in {"file:notes:7", posts[-1]["id"]}
    place.run("import", "nowhere.csv", code=78)
    assert "FIELD=COLUMN" in place.run("import", "answers.csv", "--map", "text", code=2).stderr


def one_collector_runs_and_ends_when_told(place):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as spare:
        metrics = spare.server_port
    place.configure("{name: blog, use: feed, url: \"BASE/feed\", every: 1s}", more=f"metrics: {{listen: \"127.0.0.1:{metrics}\"}}\n")
    running = place.start("run")
    try:
        for _ in range(100):
            time.sleep(0.1)
            if (place.folder / "earshot.data" / "log").exists() and len(place.posts()) == 2:
                break
        assert running.poll() is None, running.communicate()
        done = place.run("once", code=75)
        assert str(running.pid) in done.stderr, done.stderr
        Handler.items["3"] = "three"
        for _ in range(100):
            time.sleep(0.1)
            if len(place.posts()) == 3:
                break
        assert len(place.posts()) == 3
        text = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5).read().decode()
        assert 'earshot_collect_posts_total{source="blog"} 3' in text, text
        assert 'earshot_collect_requests_total{source="blog",code="200"}' in text, text
    finally:
        running.send_signal(signal.SIGTERM)
        began = time.monotonic()
        out, err = running.communicate(timeout=10)
    assert time.monotonic() - began < 10 and running.returncode == 0, (out, err)


def a_running_collector_retries_what_was_rejected(place):
    place.configure("{name: lines, use: file, path: lines.ndjson, every: 1h}")
    good = json.dumps({"id": "1", "text": "one", "created_at": "2026-01-10T11:20:07Z"})
    (place.folder / "lines.ndjson").write_text(f"{good}\n{{broken\n")

    def rejects():
        return [json.loads(line) for line in place.run("rejects", program=EARSHOT).stdout.splitlines()]

    running = place.start("run")
    try:
        for _ in range(100):
            time.sleep(0.1)
            if (place.folder / "earshot.data" / "log").exists() and rejects():
                break
        before = rejects()
        assert len(before) == 1 and "again" not in before[0], before
        place.run("rejects", "retry", before[0]["id"], "--no-wait", program=EARSHOT)
        for _ in range(100):
            time.sleep(0.1)
            after = rejects()
            if len(after) == 1 and "again" not in after[0] and after[0]["at"] > before[0]["at"]:
                break
        assert after[0]["id"] == before[0]["id"] and after[0]["at"] > before[0]["at"], (before, after)
        assert len(place.posts()) == 1
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=10)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    failed = 0
    tests = (once_prints_a_line_for_each_source, once_says_by_its_code_what_failed, a_source_that_drifts_is_said_to, a_time_that_cannot_be_read_is_told_once_a_poll,
             what_is_undated_is_a_metric_and_said_once, a_deadline_cuts, a_wrong_configuration_starts_nothing,
             probe_shows_and_leaves_no_trace, import_takes_a_table_once, one_collector_runs_and_ends_when_told,
             a_running_collector_retries_what_was_rejected)
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="earshot-test-") as folder:
            try:
                test(Place(folder, server.server_port))
                print("ok", test.__name__, flush=True)
            except Exception as fault:  # pylint: disable=broad-except
                failed += 1
                print("not ok", test.__name__, type(fault).__name__, fault, flush=True)
    return 1 if failed else 0


sys.exit(main())
