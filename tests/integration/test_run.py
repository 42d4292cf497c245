#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`earshot run` and the commands that look into the log or decide: roles come back, stop and reread; decisions reach the store."""

import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import expect  # noqa: E402

NOTES = "earshot: 1\nbrands:\n  Acme: [acme]\nsources:\n  - {name: notes, use: file, path: notes.ndjson, every: 1s, about: Acme}\n"


def note(number, text):
    return json.dumps({"id": f"n{number}", "text": text, "author": "jo", "created_at": "2026-11-20T08:00:00Z"}) + "\n"


def wait(held, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if held():
            return
        time.sleep(0.1)
    raise harness.Failure(f"waited {seconds} s for: {what}")


@contextlib.contextmanager
def running(place, *arguments):
    """`earshot run` in the place, stopped and waited for at the end."""
    log = open(place.folder / "run.log", "ab")
    process = subprocess.Popen([str(harness.BUILD / "bin" / "earshot"), "run", "--log", "json", *arguments], cwd=place.folder, env=place.environment,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def pids(place):
    status = json.loads(place.run("status", "-o", "json").stdout)
    return {role["role"]: role["pid"] for role in status["roles"]}


def all_run(place):
    return all(pids(place).values())


def stored(place):
    return {post["id"] for post in place.posts()}


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def roles_run_come_back_and_stop():
    with harness.place() as place:
        place.configure(NOTES)
        (place.folder / "notes.ndjson").write_text(note(1, "I wish acme had a dark mode"))
        place.run("status", "--quiet", codes=(1,))
        with running(place) as process:
            wait(lambda: all_run(place), "all roles to run")
            wait(lambda: stored(place) == {"file:notes:n1"}, "the first note to be stored")
            place.run("status", "--quiet")
            second = place.run("run", "sink", codes=(75,))
            expect(str(process.pid) in second.stderr, f"a second supervisor does not name the first: {second.stderr}")
            before = pids(place)
            for pid in before.values():
                os.kill(pid, signal.SIGKILL)
            wait(lambda: all_run(place) and not set(pids(place).values()) & set(before.values()), "the roles to come back")
            with open(place.folder / "notes.ndjson", "a") as file:
                file.write(note(2, "acme is great, thank you"))
            wait(lambda: stored(place) == {"file:notes:n1", "file:notes:n2"}, "the second note to be stored")
            last = pids(place)
            process.terminate()
            began = time.monotonic()
            expect(process.wait(15) == 0, f"run ended with {process.returncode}")
            expect(time.monotonic() - began < 11, "stopping took more than 10 s")
        expect(all(gone(pid) for pid in last.values()), "a role outlives `earshot run`")


def status_says_what_does_not_answer():
    """No server listens on port 1."""
    with harness.place() as place:
        place.configure(NOTES + 'stream: {url: "kafka://127.0.0.1:1/acme"}\n')
        said = place.run("status", "-o", "table", codes=(69,))
        expect("127.0.0.1:1" in said.stdout and "none yet" not in said.stdout, f"it does not say that the log does not answer: {said.stdout}")
        found = json.loads(place.run("status", "-o", "json", codes=(69,)).stdout)
        expect(found["log"]["exists"] is None and found["rejects"] is None and "127.0.0.1:1" in found["log"]["error"], f"it says what it cannot know: {found}")
        began = time.monotonic()
        said = place.run("run", "--once", codes=(75,))
        expect(time.monotonic() - began < 20, f"run --once waited {time.monotonic() - began} s for a log that does not answer")
        expect(said.stderr.count("does not answer") == 1, f"it says so more than once: {said.stderr}")
        place.configure(NOTES + 'sinks:\n  - store: {url: "postgresql://nobody@127.0.0.1:1/none"}\n')
        said = place.run("status", "-o", "table", codes=(75,))
        expect("store:  ✗" in said.stdout and "127.0.0.1" in said.stderr, f"it does not say that the store does not answer: {said.stdout}{said.stderr}")
        said = place.run("status", "--quiet", codes=(1,))
        expect(said.stdout + said.stderr == "", f"--quiet says: {said.stdout}{said.stderr}")


def status_names_who_fell():
    with harness.place() as place:
        place.configure(NOTES)
        with subprocess.Popen([str(harness.BUILD / "bin" / "earshot-collect"), "run"], cwd=place.folder, env=place.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait(lambda: pids(place)["collect"] == process.pid, "the collector to run")
            roles = {role["role"]: role for role in json.loads(place.run("status", "-o", "json").stdout)["roles"]}
            expect(roles["collect"]["pids"] == [process.pid] and roles["collect"]["fallen"] == [], f"status says of it: {roles}")
            process.kill()
            process.wait()
        roles = {role["role"]: role for role in json.loads(place.run("status", "-o", "json").stdout)["roles"]}
        expect(roles["collect"]["pids"] == [] and roles["collect"]["fallen"] == [process.pid], f"status does not name who fell: {roles}")
        expect(f"pid {process.pid} ended without being stopped" in place.run("status", "-o", "table").stdout, "the table does not name who fell")


def health_concerns_what_runs_here():
    """One source is red (an address that is not allowed): the collector's machine is not well, the others are."""
    with harness.place() as place:
        place.configure(NOTES + '  - {name: blog, use: feed, url: "http://127.0.0.1:1/feed"}\n')
        place.run("run", "--once", codes=(0, 1, 75))
        for role, code in (("collect", 1), ("process", 0)):
            with running(place, role):
                wait(lambda role=role: pids(place)[role], f"{role} to run")
                place.run("status", "--quiet", codes=(code,))


def roles_die_with_their_supervisor():
    with harness.place() as place:
        place.configure(NOTES)
        with running(place) as process:
            wait(lambda: all_run(place), "all roles to run")
            before = pids(place)
            process.kill()
            process.wait()
            wait(lambda: all(gone(pid) for pid in before.values()), "the roles to end", 20)


def sighup_rereads_what_is_valid_and_keeps_the_old_otherwise():
    with harness.place() as place:
        place.configure(NOTES)
        (place.folder / "notes.ndjson").write_text(note(1, "acme"))
        (place.folder / "more.ndjson").write_text(note(7, "acme too"))
        with running(place) as process:
            wait(lambda: all_run(place), "all roles to run")
            before = pids(place)
            place.configure(NOTES.replace("every: 1s", "every: banana"))
            process.send_signal(signal.SIGHUP)
            wait(lambda: "banana" in (place.folder / "run.log").read_text(), "the mistake to be named")
            place.configure(NOTES)
            expect(pids(place) == before, "a broken configuration restarted the roles")
            place.configure(NOTES + "  - {name: more, use: file, path: more.ndjson, every: 1s}\n")
            process.send_signal(signal.SIGHUP)
            wait(lambda: "file:more:n7" in stored(place), "the new source to be read")


def free_ports(count):
    """The first of so many ports in a row that nobody listens on."""
    for port in range(random.randrange(20000, 30000), 32000, count):
        with contextlib.ExitStack() as stack:
            try:
                for number in range(port, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
                return port
            except OSError:
                continue
    raise harness.Failure(f"no {count} free ports in a row")


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def sighup_gives_each_role_a_port_for_its_metrics():
    with harness.place() as place:
        place.configure(NOTES)
        with running(place) as process:
            wait(lambda: all_run(place), "all roles to run")
            port = free_ports(3)
            place.configure(NOTES + f'metrics: {{listen: "127.0.0.1:{port}"}}\n')
            process.send_signal(signal.SIGHUP)
            for number in range(port, port + 3):
                wait(lambda: answers(number), f"port {number} to answer")  # pylint: disable=cell-var-from-loop
            expect(all_run(place) and process.poll() is None, "a role has ended")


def tap_shows_values_and_their_places():
    with harness.place() as place:
        place.configure(NOTES)
        (place.folder / "notes.ndjson").write_text(note(1, "I wish acme had a dark mode") + note(2, "acme is ok"))
        place.once()
        posts = place.lines("tap", "posts", "--from", "0", "--until-end")
        expect({p["id"] for p in posts} == {"file:notes:n1", "file:notes:n2"}, f"{posts}")
        wrapped = place.lines("tap", "posts", "--from", "0", "--until-end", "--meta")
        expect(all(set(w) == {"topic", "partition", "offset", "key", "value"} and w["key"] == w["value"]["id"] for w in wrapped), f"{wrapped[:1]}")
        wishes = place.lines("tap", "insights", "--from", "0", "--until-end", "--where", "label=wish")
        expect([w["id"] for w in wishes] == ["file:notes:n1"], f"{wishes}")
        expect(place.lines("tap", "posts", "--until-end") == [], "without --from only what arrives is shown")
        place.run("tap", "pots", codes=(2,))


def what_is_rejected_can_be_seen_retried_and_dropped():
    with harness.place() as place:
        place.configure(NOTES)
        (place.folder / "notes.ndjson").write_text(note(1, "acme") + "not json\n")
        line = place.once()["notes"]
        expect(line["new"] == 1 and line["rejected"] == 1, f"{line}")
        rejects = place.lines("rejects")
        expect(len(rejects) == 1 and rejects[0]["source"] == "notes" and rejects[0]["code"] == "bad_json", f"{rejects}")
        expect("bad_json" in place.run("rejects", "-o", "table").stdout, "the table names no code")
        expect(place.lines("rejects", "show", rejects[0]["id"]) == [{**rejects[0], "bytes": "not json"}], "show shows another, or not its bytes")
        place.run("rejects", "show", "nobody/1", codes=(1,))
        place.run("rejects", "retry", rejects[0]["id"])
        expect(len(place.lines("rejects")) == 1, "what is still broken was not rejected again")
        (place.folder / "notes.ndjson").write_text(note(1, "acme") + note(2, "acme too"))
        place.run("rejects", "retry")
        expect(stored(place) == {"file:notes:n1", "file:notes:n2"}, f"{stored(place)}")
        expect(place.lines("rejects") == [], "a mended item is still among the rejects")
        with open(place.folder / "notes.ndjson", "a") as file:
            file.write("not json again\n")
        place.once()
        place.run("rejects", "drop", codes=(2,))
        place.run("rejects", "drop", "all")
        expect(place.lines("rejects") == [], "a dropped reject is still there")


def a_forgotten_post_leaves_log_and_store():
    with harness.place() as place:
        place.configure(NOTES)
        (place.folder / "notes.ndjson").write_text(note(1, "xyzzy acme") + note(2, "acme two"))
        place.once()
        report = json.loads(place.run("forget", "file:notes:n1").stdout)
        expect(report["posts"] == 1 and report["insights"] == 1 and report["off_disk"], f"{report}")
        expect(stored(place) == {"file:notes:n2"}, f"{stored(place)}")
        for file in (place.folder / "earshot.data").rglob("*"):
            expect(not file.is_file() or b"xyzzy" not in file.read_bytes(), f"{file.name} still holds the text")
        place.once()
        expect(stored(place) == {"file:notes:n2"}, "a forgotten post came back")
        place.run("forget", "nonsense", codes=(2,))


def later_commands_say_so_by_name():
    with harness.place() as place:
        for command in ("touchpoints", "compare", "remedies", "recovery", "wish", "remedy", "promise", "target", "replay", "stage"):
            done = place.run(command, codes=(2,))
            expect(f"'{command}' is not built yet" in done.stderr, done.stderr)
        place.run("run", "serve", codes=(2,))


def completion_is_accepted_by_the_shell():
    with harness.place() as place:
        script = place.run("completion", "bash").stdout
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        expect("complaints" in script and "--until-end" in script and "touchpoints" not in script, script)
        asked = script + "COMP_WORDS=(earshot wishes --si); COMP_CWORD=2; _earshot; echo ${COMPREPLY[@]}"
        path = f"{harness.BUILD / 'bin'}:{os.environ['PATH']}"
        said = subprocess.run(["bash", "-c", asked], cwd=place.folder, env={**place.environment, "PATH": path}, capture_output=True, text=True, check=True)
        expect(said.stdout == "--since\n", said.stdout + said.stderr)
        for shell in ("zsh", "fish"):
            expect("complaints" in place.run("completion", shell).stdout, shell)
        place.run("completion", "tcsh", codes=(2,))


if __name__ == "__main__":
    sys.exit(harness.main(roles_run_come_back_and_stop, status_says_what_does_not_answer, status_names_who_fell, health_concerns_what_runs_here, roles_die_with_their_supervisor, sighup_rereads_what_is_valid_and_keeps_the_old_otherwise,
                          sighup_gives_each_role_a_port_for_its_metrics, tap_shows_values_and_their_places, what_is_rejected_can_be_seen_retried_and_dropped, a_forgotten_post_leaves_log_and_store,
                          later_commands_say_so_by_name, completion_is_accepted_by_the_shell))
