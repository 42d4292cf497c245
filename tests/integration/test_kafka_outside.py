#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What others see of the log on Kafka with their own tools: kcat reads plain JSON with CloudEvents headers, kafka-consumer-groups the lag that `earshot
status` shows, and what was deleted is in no file of the broker any more."""

import contextlib
import datetime
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import harness  # noqa: E402
import kafka  # noqa: E402
import keep  # noqa: E402
from harness import expect  # noqa: E402
from test_compose import output  # noqa: E402
from test_run import answers, free_ports, note, running, wait  # noqa: E402

# Without compression bodies can be looked for in the broker's files; 2 s stand for the 12 h of compact_lag.
LAG_S = 2
CONFIG = """
earshot: 1
brands: {{Acme: [acme]}}
sources:
  - {{name: notes, use: file, path: notes.ndjson, every: 1s, about: Acme}}
stream:
  url: "kafka://{bootstrap}/outside"
  compact_lag: {lag}s
  topics: {{partitions: 2, replication: 1}}
  librdkafka: {{compression.type: none}}
"""


def configure(place, cluster):
    place.configure(CONFIG.format(bootstrap=cluster.bootstrap, lag=LAG_S))


def write(place, *notes):
    half = place.folder / ".notes"
    half.write_text("".join(notes), encoding="utf-8")
    half.rename(place.folder / "notes.ndjson")


def texts(place):
    """What the store holds, text by id; nothing while a role still makes it (75)."""
    return {post["id"]: post["text"] for post in place.lines("export", "posts", "-o", "json", codes=(0, 75))}


def read_topic(cluster, topic):
    """Every committed message of a topic as kcat shows it: {"key", "payload", "headers", "partition", "offset", …}."""
    text = output("kcat", "-q", "-b", cluster.bootstrap, "-t", f"outside.{topic}", "-C", "-o", "beginning", "-e", "-J", "-X", "isolation.level=read_committed")
    return [json.loads(line) for line in text.splitlines()]


def kcat_reads_plain_json_with_cloudevents_headers():
    with kafka.Kafka() as cluster, harness.place() as place:
        configure(place, cluster)
        write(place, note(1, "I wish acme had a dark mode"), note(2, "acme is great, thank you"))
        place.once()
        for topic, kind in (("posts", "earshot.post.v1"), ("insights", "earshot.insight.v1")):
            messages = [m for m in read_topic(cluster, topic) if m["payload"] is not None]
            expect({m["key"] for m in messages} == {"file:notes:n1", "file:notes:n2"}, f"{topic} holds {messages}")
            for message in messages:
                value = json.loads(message["payload"])
                pairs = message["headers"]
                headers = dict(zip(pairs[::2], pairs[1::2]))
                expect(value["id"] == message["key"], f"key and id differ: {message}")
                expect(("insight" in value) == (topic == "insights"), f"{topic}: {value}")
                expect(set(headers) == {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type"}, f"headers are {headers}")
                expect((headers["ce_specversion"], headers["ce_type"], headers["content-type"]) == ("1.0", kind, "application/json"), f"headers are {headers}")
                expect(headers["ce_id"] and headers["ce_source"], f"headers are {headers}")
                datetime.datetime.fromisoformat(headers["ce_time"].replace("Z", "+00:00"))
            expect(len({dict(zip(m["headers"][::2], m["headers"][1::2]))["ce_id"] for m in messages}) == len(messages), "two events share a ce_id")


def lag_is_what_kafkas_own_tool_says():
    def by_kafka(cluster, group, topic):
        """What is left of all partitions; None where the group does not exist."""
        try:
            said = cluster.tool("consumer-groups", "--describe", "--group", f"outside.{group}", "--offsets")
        except keep.Failed as why:
            if "does not exist" in str(why):
                return None
            raise
        rows = [line.split() for line in said.splitlines() if f" outside.{topic} " in line]
        return sum(int(row[5]) for row in rows) if rows else None

    def expect_equal(cluster, place, behind):
        for row in json.loads(place.run("status", "-o", "json").stdout)["groups"]:
            theirs = by_kafka(cluster, row["group"], row["topic"])
            if theirs is None:
                expect(not row["lag"], f"kafka-consumer-groups knows no {row['group']} on {row['topic']}, status says {row}")
            else:
                expect(theirs == row["lag"], f"kafka-consumer-groups says {theirs}, status {row}")
            if row["topic"] in behind:
                expect((theirs or 0) >= behind[row["topic"]], f"{row} is not {behind} behind")

    with kafka.Kafka() as cluster, harness.place() as place:
        configure(place, cluster)
        notes = [note(i, f"I wish acme had colour {i}") for i in range(12)]
        write(place, *notes[:4])
        place.once()
        expect_equal(cluster, place, {})
        write(place, *notes)
        with running(place, "collect"):
            wait(lambda: len(read_topic(cluster, "posts")) >= 12, "all notes to be collected")
        expect_equal(cluster, place, {"posts": 8})
        with running(place, "process"):
            wait(lambda: len(read_topic(cluster, "insights")) >= 12, "all notes to be processed")
        expect_equal(cluster, place, {"insights": 8})
        place.once()
        expect_equal(cluster, place, {})


def what_was_deleted_is_in_no_segment():
    """An edited, a forgotten and a kept note, each with words of its own; nothing else arrives, so that each partition lies idle."""
    def files_with(cluster, word, topics=("posts", "insights")):
        found = []
        for topic in topics:
            for path in cluster.data().glob(f"outside.{topic}-*/*"):
                try:
                    if word.encode() in path.read_bytes():
                        found.append(f"{path.parent.name}/{path.name}")
                except FileNotFoundError:
                    pass  # cleaned meanwhile
        return found

    def gone(cluster, word, seconds):
        """After how many seconds no file holds a word."""
        began = time.monotonic()
        wait(lambda: not files_with(cluster, word), f"'{word}' to be gone from {files_with(cluster, word)}", seconds)
        return time.monotonic() - began

    with kafka.Kafka() as cluster, harness.place() as place:
        configure(place, cluster)
        kept = note(3, "acme keeps xylophones")
        write(place, note(1, "I wish acme made zeppelins"), note(2, "acme broke my quokka"), kept)
        with running(place):
            wait(lambda: set(texts(place)) == {"file:notes:n1", "file:notes:n2", "file:notes:n3"}, "the notes to be stored")
            for word in ("zeppelins", "quokka", "xylophones"):
                expect(len(files_with(cluster, word)) >= 2, f"'{word}' is not in the segments of posts and insights to begin with")
            write(place, note(1, "I wish acme made balloons"), note(2, "acme broke my quokka"), kept)
            wait(lambda: "balloons" in texts(place)["file:notes:n1"], "the edit to be stored")
            # The lag, half of it until the segment is closed, and the cleaner's own pace; on a busy machine later, which is said, not failed.
            took = gone(cluster, "zeppelins", 60 * LAG_S)
            expect(len(files_with(cluster, "quokka")) >= 2, "what was kept is gone too")
            place.run("forget", "file:notes:n2")
            wait(lambda: set(texts(place)) == {"file:notes:n1", "file:notes:n3"}, "the note to be forgotten")
            print(f"with compact_lag {LAG_S} s: superseded bodies gone {took:.1f} s after the edit, forgotten ones "
                  f"{gone(cluster, 'quokka', 60 * LAG_S):.1f} s after forget")
            expect(not files_with(cluster, "quokka", topics=("*",)), "the forgotten body lies in another topic")
            expect(len(files_with(cluster, "xylophones")) >= 2, "what was kept is gone too")


def more_of_a_role_on_one_machine_share_its_work():
    """Two of each role in one folder, each with its metrics; when one of each is killed the others go on alone."""
    def working(cluster, group):
        """How many members of a group have partitions."""
        rows = [line.split() for line in cluster.tool("consumer-groups", "--describe", "--members", "--group", f"outside.{group}").splitlines()]
        return sum(1 for row in rows if row[:1] == [f"outside.{group}"] and int(row[4]) > 0)

    with kafka.Kafka() as cluster, harness.place() as place, contextlib.ExitStack() as stack:
        port = free_ports(6)
        place.configure(CONFIG.format(bootstrap=cluster.bootstrap, lag=LAG_S) + f'metrics: {{listen: "127.0.0.1:{port}"}}\n')
        notes = [note(i, f"I wish acme had colour {i}") for i in range(40)]
        write(place, *notes[:20])
        firsts = [stack.enter_context(running(place, role)) for role in ("collect", "process", "sink")]
        for role in ("collect", "process"):  # SQLite has one writing process
            stack.enter_context(running(place, role))
        for number in (0, 1, 2, 4, 5):  # the first of each role (none takes posts by HTTP here), then the second collector and processor
            wait(lambda: answers(port + number), f"port {port} and {number} to answer")  # pylint: disable=cell-var-from-loop
        wait(lambda: len(texts(place)) == 20, "20 notes to be stored", 120)
        wait(lambda: working(cluster, "process.main") == 2, "two processes to share the posts", 120)
        for process in firsts[:2]:
            process.kill()
            process.wait()
        write(place, *notes)
        wait(lambda: len(texts(place)) == 40, "40 notes to be stored", 120)


def roles_sign_in_over_tls_and_say_when_they_may_not():
    with kafka.Kafka(secure=True) as cluster, harness.place() as place:
        def secured(password, ca=True, mechanism="PLAIN"):
            secret = place.folder / "kafka_password"
            secret.write_text(password)
            secret.chmod(0o600)
            trust = f", ca: {json.dumps(str(cluster.ca))}" if ca else ""
            security = f'security: {{protocol: SASL_SSL, mechanism: {mechanism}, user: {cluster.USER}, password: "${{file:kafka_password}}"{trust}}}'
            text = CONFIG.format(bootstrap=cluster.secured, lag=LAG_S)
            place.configure(text.replace("  topics:", f"  {security}\n  topics:"))

        write(place, note(1, "I wish acme had a dark mode"))
        for password, ca in (("wrong words", True), (cluster.PASSWORD, False)):
            secured(password, ca)
            said = place.run("run", "--once", "--deadline", "40s", codes=(1, 69, 75, 78)).stderr
            expect("wrong words" not in said and cluster.PASSWORD not in said, f"a password is in what it says: {said}")
            expect(cluster.secured in said, f"it does not say who refused it: {said}")
            place.run("check")
            said = place.run("check", "--online", codes=(1, 69)).stderr
            expect(cluster.secured in said and "stream.security" in said, f"check --online does not say who refused it: {said}")
        secured(cluster.PASSWORD, mechanism="SCRAM-SHA-512")
        scram = place.run("run", "--once", codes=(0, 78))
        refused = [line for line in scram.stderr.splitlines() if "librdkafka 2.6.1" in line and "warning: " not in line]
        expect(scram.returncode == 0 or refused, f"it does not say that SCRAM cannot work: {scram.stderr}")
        secured(cluster.PASSWORD)
        expect("stream answers" in place.run("check", "--online").stderr, "check --online says nothing of the stream")
        said = place.once()
        expect(set(texts(place)) == {"file:notes:n1"}, f"the note is not stored: {said}, {place.run('status').stdout}")


def a_broker_that_stands_still_is_said_once_and_so_is_its_return():
    with kafka.Kafka() as cluster, harness.place() as place:
        configure(place, cluster)
        write(place, note(1, "I wish acme had a dark mode"))
        with running(place, "process"):
            time.sleep(8)
            cluster.pause()
            time.sleep(30)
            cluster.resume()
            log = place.folder / "run.log"
            wait(lambda: "answers again" in log.read_text(), "the broker's return to be said", 60)
        events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        said = [event["message"] for event in events if event["level"] in ("warn", "error") and "place" not in event]  # of no line of the configuration
        expect(1 <= sum("until it answers" in line for line in said) <= 2 and len(said) <= 4, f"{len(said)} lines of trouble: {said}")


TESTS = (a_broker_that_stands_still_is_said_once_and_so_is_its_return, kcat_reads_plain_json_with_cloudevents_headers,
         lag_is_what_kafkas_own_tool_says, what_was_deleted_is_in_no_segment,
         more_of_a_role_on_one_machine_share_its_work, roles_sign_in_over_tls_and_say_when_they_may_not)


def main():
    try:
        kafka.fetch()
    except keep.Missing as why:
        harness.skip(str(why))
    return harness.main(*(test for test in TESTS if test.__name__ in (sys.argv[1:] or test.__name__)))


if __name__ == "__main__":
    sys.exit(main())
