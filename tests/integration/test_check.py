#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`earshot check`: every broken configuration names line, key and cure, and starts nothing; every example is valid."""

import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

BROKEN = harness.ROOT / "tests" / "common" / "settings" / "broken"
EXAMPLES = harness.ROOT / "common" / "earshot" / "examples"


def lay(place):
    for file in BROKEN.iterdir():
        shutil.copy(file, place.folder / file.name)
    os.chmod(place.folder / "12-open-secret.key", 0o644)


def every_mistake_names_line_key_and_cure():
    with harness.place() as place:
        lay(place)
        files = sorted(BROKEN.glob("*.yaml"))
        expect(len(files) >= 30, f"{len(files)} broken configurations")
        wrong = []
        for file in files:
            wanted = file.with_suffix(".expected").read_text(encoding="utf-8").splitlines()[0]
            said = place.run("check", file.name, codes=(78,)).stderr.splitlines()
            if said[:1] != [wanted]:
                wrong.append(f"{file.name}\n  said     {said[:1]}\n  expected {wanted}")
        expect(not wrong, "\n".join(wrong))


def a_broken_configuration_starts_nothing():
    with harness.place() as place:
        lay(place)
        for name in ("01-misspelt-key.yaml", "13-kafka.yaml", "26-feed-without-url.yaml", "37-misspelt-stage-option.yaml"):
            for command in (("run", "--once"), ("run",), ("run", "sink")):
                done = place.run(*command, "--config", name, codes=(78,))
                expect(name in done.stderr and done.stdout == "", f"{command} on {name}: {done.stderr}")
            expect(not (place.folder / "earshot.data").exists(), f"{name}: something was started")


def findings_are_ndjson_where_asked():
    with harness.place() as place:
        lay(place)
        lines = place.lines("check", "24-misspelt-section.yaml", "-o", "json", codes=(78,))
        expect(lines == [{"file": "24-misspelt-section.yaml", "line": 2, "column": 1, "key": "compettitors", "severity": "error",
                          "text": "unknown key in the configuration; did you mean 'competitors'?"}], f"{lines}")


def a_log_of_json_holds_warnings_too():
    with harness.place() as place:
        place.configure("earshot: 1\nstream: {topics: {insights: {retention: 30d}}}\n")
        done = place.run("run", "--once", "--log", "json")
        events = [json.loads(line) for line in done.stderr.splitlines()]
        warned = [event for event in events if event["level"] == "warn" and event.get("key") == "stream.topics.insights.retention"]
        expect(len(warned) == 1 and warned[0]["message"].startswith("shorter than") and ":2:" in warned[0]["place"], f"{events}")
        expect(any("names no source" in event["message"] for event in events), f"{events}")
        for command in (("run",), ("status",)):
            (place.folder / "wrong.yaml").write_text("earshot: 1\nstrem: {}\n")
            done = place.run(*command, "--config", "wrong.yaml", "--log", "json", codes=(78,))
            events = [json.loads(line) for line in done.stderr.splitlines()]
            expect(events[0]["level"] == "error" and events[0]["place"] == "wrong.yaml:2:1" and events[0]["key"] == "strem", f"{events}")
        done = place.run("check")
        expect("earshot.yaml:2:" in done.stderr and "retention: warning: shorter" in done.stderr, done.stderr)


def a_window_wider_than_what_was_seen_is_kept_is_told_with_its_cure():
    definition = "earshot: 1\nplatform: ours\nchannel: forum\nparams: {base: {required: true}}\nrequest: {url: \"{base}/posts\"}\nrecords: /posts/*\n" \
                 "cursor: {by: /id, as: int, order: newest}\npage: {kind: last, from: /id, into: before}\nrevisit: [{window: 2d, every: 1h}, {window: 120d, every: 1d}]\n" \
                 "map: {id: /id, text: /text, created_at: /at}\n"
    with harness.place() as place:
        (place.folder / "ours.yaml").write_text(definition, encoding="utf-8")
        for more, warned in (("", True), ("stream: {topics: {seen: {retention: 119d}}}\n", True), ("stream: {topics: {seen: {retention: 120d}}}\n", False)):
            place.configure(f"earshot: 1\ninclude: [ours.yaml]\n{more}sources:\n  - {{name: board, use: ours, base: \"https://board.acme.example\"}}\n")
            said = place.run("check").stderr
            expect(("retention: 120d" in said and "source 'board' looks back 120d" in said and "warning" in said) == warned, f"{more}: {said}")


def every_example_is_valid():
    with harness.place() as place:
        names = [line.split()[0] for line in place.run("example").stdout.splitlines()]
        expect(names == sorted(f.stem for f in EXAMPLES.glob("*.yaml")), f"{names}")
        for name in names:
            text = place.run("example", name).stdout
            expect(text == (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"), name)
            place.configure(text)
            done = place.run("check")
            expect("valid" in done.stderr, done.stderr)


def what_the_example_offers_for_kafka_is_valid_too():
    with harness.place() as place:
        lines = (EXAMPLES / "engineer.yaml").read_text(encoding="utf-8").splitlines()
        for offered in ("# url:", "# security:", "# instance:", "# - store:"):
            expect(sum(line.startswith(offered) for line in lines) == 1, offered)
        lines = [" " + line[1:] if line.startswith(("# url:", "# security:", "# instance:", "# - store:")) else line
                 for line in lines if not line.startswith("  - store: {}")]
        for name in ("kafka_password", "db_password", "kafka-ca.pem"):
            (place.folder / name).write_text("hunter2hunter2\n")
            os.chmod(place.folder / name, 0o600)
        place.configure("\n".join(lines) + "\n")
        done = place.run("check")
        expect("valid" in done.stderr and "hunter2" not in done.stderr, done.stderr)


def init_writes_what_check_accepts():
    with harness.place() as place:
        place.run("init", "a", "--brand", 'Ac"me: x', "--word", "acmephone", "--competitor", "Globex", "--feed", "https://blog.example/feed.xml",
                  "--feed", "https://blog.example/feed.xml", "--file", "surveys/*.csv", "--timezone", "Europe/Berlin")
        place.run("check", "a/earshot.yaml")
        place.run("init", "d", "--brand", "Acme", "--feed", "https://jo:hunter2@blog.example/feed?token=hunter2")
        written = (place.folder / "d" / "earshot.yaml").read_text()
        expect("name: blog-example-feed," in written, f"a source is named by its password: {written}")
        place.run("init", "--yes")
        place.run("check")
        place.run("init", "--yes", codes=(78,))
        place.run("init", "b", codes=(2,), stdin="")


def the_configuration_of_the_handbook_names_each_later_feature():
    with harness.place() as place:
        place.configure('earshot: 1\nbrands:\n  Acme: [acme]\nsources:\n  - {name: our-forum, use: discourse, base: "https://forum.acme.example"}\n'
                        '  - {name: reviews-blog, use: feed, url: "https://blog.example/feed.xml", every: 30m}\n'
                        'alerts:\n  - {name: rising, when: {label: complaint}, send: [{webhook: "${SLACK_WEBHOOK:-x}"}]}\n'
                        'dashboard: {listen: "127.0.0.1:8470", digest: {every: monday 08:00, email: m@acme.example}}\n')
        findings = place.lines("check", "-o", "json", codes=(78,))
        expect([f["key"] for f in findings] == ["alerts", "dashboard"], f"{findings}")
        expect(all("not built yet" in f["text"] for f in findings), f"{findings}")
        json.dumps(findings)


if __name__ == "__main__":
    sys.exit(harness.main(every_mistake_names_line_key_and_cure, a_broken_configuration_starts_nothing, findings_are_ndjson_where_asked,
                          a_log_of_json_holds_warnings_too,
                          a_window_wider_than_what_was_seen_is_kept_is_told_with_its_cure, every_example_is_valid, what_the_example_offers_for_kafka_is_valid_too,
                          init_writes_what_check_accepts, the_configuration_of_the_handbook_names_each_later_feature))
