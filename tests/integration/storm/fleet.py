# SPDX-License-Identifier: Apache-2.0
"""The storm's fleet on Kafka and PostgreSQL: two of each role as plain processes, each with a folder and an instance of its own, and what strikes them."""

import collections
import json
import os
import pathlib
import signal
import subprocess
import time

import harness
import keep
import kafka

ROLES = {"collect": "earshot-collect", "process": "earshot-process", "sink": "earshot-sink"}
COPIES = 2
SESSION_S, TRANSACTION_S = 2, 5
END_S = 12        # 10 s are promised
POINT_WAIT_S = 12 # so long a process that is to die at a point is left alone, to come there
CLIENT = {
    "session.timeout.ms": SESSION_S * 1000, "heartbeat.interval.ms": 400, "transaction.timeout.ms": TRANSACTION_S * 1000,
    "message.timeout.ms": 4000, "socket.timeout.ms": 4000, "reconnect.backoff.max.ms": 500, "reconnect.backoff.ms": 50,
}


class Member:
    """One process of a role, killed and started again many times; its folder and instance stay."""

    def __init__(self, role, index, folder, build):
        self.role, self.name, self.build = role, f"{role}-{index}", build
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.process, self.point = None, None
        # Until when it stands still, is left alone, has to have ended; from when on it may be started. Monotonic time; 0: not so.
        self.stopped_until = self.left_alone_until = self.end_until = self.start_at = 0
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_")}

    def start(self, point=None):
        """point: NAME:N:ACTION and the file that says it was passed."""
        more = {"EARSHOT_KILL_POINT": point[0], "EARSHOT_KILL_POINT_MARK": str(point[1])} if point else {}
        with open(self.log, "ab") as out:
            out.write(f"--- {time.time():.3f} start {point[0] if point else ''}\n".encode())
            out.flush()
            self.process = subprocess.Popen([self.build / "bin" / ROLES[self.role], "run", "--log", "json"], cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, env={**self.environment, **more}, start_new_session=True)
        self.point, self.left_alone_until = point, time.monotonic() + POINT_WAIT_S if point else 0

    def note(self, what):
        with open(self.log, "ab") as out:
            out.write(f"--- {time.time():.3f} {what}\n".encode())

    def running(self):
        return self.process is not None and self.process.poll() is None

    def can_be_struck(self, now):
        return self.running() and not self.stopped_until and not self.end_until and now >= self.left_alone_until


class Brokers:
    """Kills one broker at a time; the next only when all is replicated again."""

    def __init__(self, cluster, dice, every):
        self.cluster, self.dice, self.every = cluster, dice, every
        self.kills, self.down, self.due = 0, None, 0

    def go(self, now):
        self.due = now + self.dice.uniform(*self.every)

    def turn(self, now):
        if now < self.due:
            return
        if self.down is None:
            self.down = self.dice.randrange(1, self.cluster.count + 1)
            self.cluster.kill(self.down)
            self.kills += 1
            self.due = now + self.dice.uniform(0.5, 4)
        elif self.start_down():
            self.due = now + 2
        elif self.whole():
            self.down = None
            self.go(now)
        else:
            self.due = now + 1

    def start_down(self):
        """Starts the one that is down; again if it ended, for somebody had taken its port. False: it runs."""
        process = self.cluster.processes[self.down]
        if process is not None and process.poll() is None:
            return False
        self.cluster.restart(self.down, wait=False)
        return True

    def whole(self):
        """All brokers answer and hold all that they should."""
        if any(kafka.brokers_seen(port) < self.cluster.count for port in self.cluster.ports.values()):
            return False
        said = subprocess.run(["kcat", "-b", self.cluster.bootstrap, "-L", "-J", "-m", "5"], capture_output=True, text=True, check=False)
        if said.returncode != 0:
            return False
        return all(len(p["isrs"]) == len(p["replicas"]) for topic in json.loads(said.stdout)["topics"] for p in topic["partitions"])

    def mend(self, seconds=120):
        until = time.monotonic() + seconds
        while not self.whole():
            if self.down is not None:
                self.start_down()
            if time.monotonic() > until:
                raise keep.Failed("the brokers do not come together again")
            time.sleep(1)
        self.down = None


class Fleet:
    """Members, struck by dice. tick() is called every few hundredths of a second."""

    def __init__(self, folder, build, dice, points, past, configure):
        """past: how often each point was reached in earlier rounds; configure(name): a member's configuration."""
        self.folder, self.dice, self.points, self.tried = pathlib.Path(folder), dice, points, collections.Counter(past)
        self.marks = self.folder / "marks"
        self.marks.mkdir()
        self.members = [Member(role, index, folder, build) for role in ROLES for index in range(1, COPIES + 1)]
        for member in self.members:
            (member.folder / "earshot.yaml").write_text(configure(member.name), encoding="utf-8")
        self.counts, self.reached, self.exits, self.faults = collections.Counter(), collections.Counter(), collections.Counter(), []
        self.storming, self.due, self.phase, self.phase_until, self.armed = False, 0, list(ROLES), 0, 0

    # --- what a round does ---

    def go(self):
        self.storming = True
        for member in self.members:
            member.start()

    def calm(self):
        """No more strikes: who was paused goes on, who is dead is started, and left alone from now on."""
        self.storming = False
        for member in self.members:
            if member.stopped_until:
                self.wake(member)
            if member.point and member.running():
                self.hit(member, signal.SIGKILL, None)  # what it was armed with shall not go off now
            member.start_at = 0

    def tick(self, now):
        for member in self.members:
            self.tend(member, now)
        if self.storming and now >= self.due:
            self.strike(now)

    def stop(self):
        """SIGTERM to all; each must end by itself, and well."""
        now = time.monotonic()
        for member in self.members:
            if member.running():
                self.end(member, now)
        while any(member.running() for member in self.members):
            for member in self.members:
                self.watch_end(member, time.monotonic())
            time.sleep(0.05)
        for member in self.members:
            self.watch_end(member, time.monotonic())

    def kill_all(self):
        for member in self.members:
            if member.running():
                member.process.kill()
                member.process.wait()

    # --- one member ---

    def tend(self, member, now):
        self.look_at_point(member)
        self.watch_end(member, now)
        if member.stopped_until and now >= member.stopped_until:
            self.wake(member)
        if not member.running() and not member.end_until:
            if member.process is not None:
                self.ended(member)
                member.process, member.stopped_until = None, 0
            if now >= member.start_at:
                member.start(self.next_point(member) if self.storming else None)

    def end(self, member, now):
        """SIGTERM."""
        self.hit(member, signal.SIGTERM, None)
        member.end_until = now + END_S

    def watch_end(self, member, now):
        if not member.end_until:
            return
        if member.running() and now >= member.end_until:
            self.faults.append(f"{member.name} did not end within {END_S} s of SIGTERM: {self.last_words(member)}")
            self.hit(member, signal.SIGKILL, None)
        if not member.running():
            code = member.process.returncode
            if code == 75 and "did not stop in time" in self.last_words(member):  # at a broker that does not answer; its successor settles what it left
                self.exits[f"{member.role}:late"] += 1
            elif code not in (0, -signal.SIGKILL, -signal.SIGTERM):  # the last: it had not come to take signals yet
                self.faults.append(f"{member.name} ended with {code} after SIGTERM: {self.last_words(member)}")
            member.process, member.end_until = None, 0

    def ended(self, member):
        """It ended, and this storm did not wait for it: by its own hand, or at its point."""
        code = member.process.returncode
        if code == -signal.SIGKILL:
            return
        member.note(f"ended with {code}")
        self.exits[f"{member.role}:{code}"] += 1
        member.start_at = time.monotonic() + 0.3
        if code < 0 or code in (2, 78):
            self.faults.append(f"{member.name} ended with {code}: {self.last_words(member)}")

    def last_words(self, member):
        return member.log.read_text(errors="replace")[-600:].replace("\n", " | ")

    def look_at_point(self, member):
        if member.point is None or not member.point[1].exists():
            return
        name, _, action = member.point[0].split(":")
        action = action.split("=")[0]
        self.reached[f"{name} {action}"] += 1
        self.tried[f"{name} {action}"] += 1
        self.counts["point " + action] += 1
        member.point, member.left_alone_until = None, 0
        if action == "pause" and member.running():
            # The point holds one thread for a second; all of the process is held, heartbeats too, until somebody else owns its work.
            self.hit(member, signal.SIGSTOP, None)
            member.stopped_until = time.monotonic() + self.dice.choice((SESSION_S + 1, SESSION_S + 1, SESSION_S + 1, TRANSACTION_S + 2))

    def next_point(self, member):
        """The point of this role that was reached least so far, half of the times."""
        mine = [p for p in self.points if p.split(".")[0] in ("kafka", member.role)]
        if not mine or self.dice.random() < 0.35:
            return None
        action = self.dice.choice(("kill", "pause=1"))
        self.dice.shuffle(mine)
        kind = action.split("=")[0]
        name = min(mine, key=lambda p: self.tried[f"{p} {kind}"])
        self.tried[f"{name} {kind}"] += 0.3  # one that is never passed shall not keep the others waiting
        self.armed += 1
        return f"{name}:{self.dice.choice((1, 1, 2, 3))}:{action}", self.marks / str(self.armed)

    def wake(self, member):
        member.stopped_until = 0
        if member.running():
            member.note("goes on")
            member.process.send_signal(signal.SIGCONT)

    def hit(self, member, number, kind):
        member.note(f"signal {number}")
        member.process.send_signal(number)
        if kind:
            self.counts[kind] += 1
        if number == signal.SIGKILL:
            member.process.wait()
            self.look_at_point(member)
            member.point, member.left_alone_until = None, 0

    # --- dice ---

    def strike(self, now):
        """For a few seconds one or two roles are struck, the others work in peace: so that there is always something under way."""
        struck = [m for m in self.members if m.role in self.phase and m.can_be_struck(now)]
        if now >= self.phase_until or not struck:
            self.phase = self.dice.sample(list(ROLES), self.dice.choice((1, 1, 2, 3)))
            self.phase_until = now + self.dice.uniform(1, 4)
            struck = [m for m in self.members if m.role in self.phase and m.can_be_struck(now)]
        self.due = now + self.dice.uniform(0.05, 0.7)
        if not struck:
            return
        member, kind = self.dice.choice(struck), self.dice.random()
        member.start_at = now + (0 if self.dice.random() < 0.7 else self.dice.uniform(0, 2))
        if kind < 0.74:
            self.hit(member, signal.SIGKILL, "kill")
        elif kind < 0.92:
            self.hit(member, signal.SIGSTOP, "stop")
            member.stopped_until = now + self.dice.choice((1, SESSION_S + 1, SESSION_S + 1, TRANSACTION_S + 2))
        elif kind < 0.96:
            for other in struck:
                if other.role == member.role:
                    self.hit(other, signal.SIGKILL, "kill")
                    other.start_at = now + self.dice.uniform(0, 1)
        else:
            self.end(member, now)
            self.counts["term"] += 1
