#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests' own servers: they start, answer, survive a kill -9 with what was written, and leave nothing behind, however their owner ends."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "integration"))
import kafka  # noqa: E402
import keep  # noqa: E402
import postgres  # noqa: E402
from harness import expect, main  # noqa: E402


def kcat(bootstrap, *arguments, stdin=None):
    return subprocess.run(["kcat", "-q", "-b", bootstrap, *arguments], input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout


def alive(folder):
    """Processes that name a folder in their command line."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            pass
    return found


def expect_gone(folder, seconds=20):
    until = time.monotonic() + seconds
    while (os.path.exists(folder) or alive(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    expect(not os.path.exists(folder), f"{folder} is still there")
    expect(not alive(folder), f"processes of {folder} still run: {alive(folder)}")


def the_shared_servers_answer():
    rows = subprocess.run(["psql", "-X", "-A", "-t", "-c", "SELECT 1", os.environ["EARSHOT_TEST_POSTGRES"]], capture_output=True, text=True, check=True)
    expect(rows.stdout == "1\n", rows.stdout)
    seen = json.loads(kcat(os.environ["EARSHOT_TEST_KAFKA"], "-L", "-J"))
    expect(len(seen["brokers"]) == 1, seen["brokers"])


def three_brokers_keep_what_was_written_while_one_is_killed_and_comes_back():
    with kafka.Kafka(brokers=3) as cluster:
        folder = cluster.kept.folder
        cluster.tool("topics", "--create", "--topic", "kept", "--partitions", "2")
        kcat(cluster.bootstrap, "-P", "-t", "kept", "-X", "acks=all", stdin="one\ntwo\n")
        cluster.kill(1)
        kcat(cluster.bootstrap, "-P", "-t", "kept", "-X", "acks=all", stdin="three\n")
        cluster.restart(1)
        cluster.kill(2)
        cluster.restart(2, wait=False)
        cluster.pause(3)
        cluster.resume(3)
        cluster.await_up()
        got = kcat(cluster.bootstrap, "-C", "-t", "kept", "-o", "beginning", "-e")
        expect(sorted(got.split()) == ["one", "three", "two"], got)
    expect_gone(folder, 0)


def a_secure_broker_wants_its_user_and_shows_its_certificate():
    with kafka.Kafka(secure=True) as cluster:
        secure = ["-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanism=PLAIN", "-X", f"sasl.username={cluster.USER}"]
        known = [*secure, "-X", f"ssl.ca.location={cluster.ca}"]
        cluster.tool("topics", "--create", "--topic", "kept")
        kcat(cluster.secured, *known, "-X", f"sasl.password={cluster.PASSWORD}", "-P", "-t", "kept", stdin="one\n")
        expect(kcat(cluster.bootstrap, "-C", "-t", "kept", "-o", "beginning", "-e") == "one\n", "what was written over TLS is not there")
        for wrong in ([*known, "-X", "sasl.password=wrong"], [*secure, "-X", f"sasl.password={cluster.PASSWORD}"]):
            done = subprocess.run(["kcat", "-b", cluster.secured, *wrong, "-L", "-m", "5"], capture_output=True, text=True, check=False)
            expect(done.returncode != 0, f"it let {wrong} in: {done.stdout}")


def postgres_keeps_what_was_committed_when_it_is_killed():
    with postgres.Postgres() as server:
        folder = server.kept.folder
        server.create("mine")
        server.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)", "mine")
        server.kill()
        server.restart()
        expect(server.sql("SELECT sum(n) FROM t; SHOW fsync", "mine") == "3\non\n", "rows or fsync are lost")
    expect_gone(folder, 0)


def servers_go_when_their_owner_is_killed():
    say = "import keep, postgres, time; s = postgres.Postgres().start(); print(s.kept.folder, flush=True); time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", say], cwd=HERE, stdout=subprocess.PIPE, text=True)
    folder = owner.stdout.readline().strip()
    expect(os.path.isdir(folder) and alive(folder), "the server did not start")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    expect_gone(folder)


def a_taken_port_is_another_port():
    taken = keep.free_ports(2)
    drawn = [[taken[0]], [taken[1]]]
    real = keep.free_ports
    with socket.socket() as other:
        other.bind((keep.LOOPBACK, taken[0]))
        other.listen()
        keep.free_ports = lambda count: drawn.pop(0)
        try:
            with postgres.Postgres() as server:
                expect(server.port == taken[1], f"it listens on {server.port}")
        finally:
            keep.free_ports = real


def with_passes_the_exit_code_on_and_names_what_is_missing():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_TEST_") and k != "CI"}
    say = [sys.executable, str(HERE / "with"), "--postgres", "--"]
    done = subprocess.run([*say, "sh", "-c", 'test -n "$EARSHOT_TEST_POSTGRES" && exit 7'], env=environment, check=False)
    expect(done.returncode == 7, f"it ended with {done.returncode}")
    without = {**environment, "EARSHOT_TEST_CACHE": "/nonexistent", "PATH": "/nonexistent", "JAVA_HOME": "/nonexistent"}
    for more, code in (({}, 77), ({"CI": "1"}, 1)):
        done = subprocess.run([sys.executable, str(HERE / "with"), "--kafka", "--", "/bin/true"], env={**without, **more}, capture_output=True, text=True,
                              check=False)
        expect(done.returncode == code and "skipped: kafka: no java" in done.stdout, f"{done.returncode}: {done.stdout} {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(the_shared_servers_answer, three_brokers_keep_what_was_written_while_one_is_killed_and_comes_back,
                  a_secure_broker_wants_its_user_and_shows_its_certificate,
                  postgres_keeps_what_was_committed_when_it_is_killed, servers_go_when_their_owner_is_killed, a_taken_port_is_another_port,
                  with_passes_the_exit_code_on_and_names_what_is_missing))
