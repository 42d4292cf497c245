#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Entries that are sent over HTTP, on a real Kafka: two receivers beside each other, a kill, the same key again."""

import http.client
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402
from test_ingest import TOKEN, CONFIGURATION, Receiver, lines  # noqa: E402

BOOTSTRAP = os.environ.get("EARSHOT_TEST_KAFKA")


def two_receivers_lose_and_double_nothing():
    with harness.place() as where:
        where.configure(CONFIGURATION.format(port=0, rate=1000) + f'stream: {{url: "kafka://{BOOTSTRAP}/ingest{os.getpid()}"}}\n')
        token = where.folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        dies = Receiver(where, environment={"EARSHOT_KILL_POINT": "kafka.before-commit:4"})
        stays = Receiver(where)
        taken, unanswered = [], []

        def send(receiver, who):
            for i in range(25):
                try:
                    status = receiver.send(lines({"ref": f"{who}-{i}", "message": f"{who} says {i}"}))[0]
                except (OSError, http.client.HTTPException):
                    status = None
                (taken if status == 202 else unanswered).append((who, i))
        threads = [threading.Thread(target=send, args=pair) for pair in ((dies, "a"), (dies, "b"), (stays, "c"), (stays, "d"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(dies.process.wait(20) == -9 and unanswered, "it was killed while it took entries in")
        for who, i in unanswered:
            answer = stays.send(lines({"ref": f"{who}-{i}", "message": f"{who} says {i}"}))
            expect(answer[0] == 202, answer)
        expect(stays.stop() == 0, "the other stops cleanly")
        posts = [post["id"] for post in where.lines("tap", "posts", "--from", "0", "--until-end", "--json")]
        expect(sorted(posts) == sorted(f"ingest:chatbot:{who}-{i}" for who in "abcd" for i in range(25)),
               f"{len(posts)} of 100 in the log, {len(set(posts))} different; {len(taken)} were answered at once")
        print(f"# {len(taken)} answered at once, {len(unanswered)} sent again")


if __name__ == "__main__":
    if not BOOTSTRAP:
        harness.skip("no Kafka: EARSHOT_TEST_KAFKA is not set")
    sys.exit(harness.main(two_receivers_lose_and_double_nothing))
