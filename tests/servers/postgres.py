# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port and a unix socket there.

    with postgres.Postgres() as server:
        server.url                   # "postgresql://postgres@127.0.0.1:17001/postgres"
        server.create("mine")        # a database; returns its URL
        server.kill(); server.restart()
"""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import keep
from keep import Failed, Missing, LOOPBACK

SETTINGS = {
    "listen_addresses": LOOPBACK, "max_connections": 200, "shared_buffers": "64MB", "wal_level": "minimal", "max_wal_senders": 0, "max_wal_size": "256MB",
    "log_min_messages": "warning", "log_timezone": "UTC", "timezone": "UTC", "deadlock_timeout": "200ms", "jit": "off", "fsync": "on",
}


def programs():
    """The folder of initdb and postgres. Missing: none."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(pathlib.Path(p).parent.name.split(".")[0]), reverse=True)
    for folder in [*found, os.path.dirname(shutil.which("initdb") or "")]:
        if folder and all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "postgres")):
            return pathlib.Path(folder)
    raise Missing("no PostgreSQL server: install postgresql-15")


class Postgres:
    """A server. Used in a `with`, or start() and stop()."""

    def __init__(self, settings=None, user="postgres", password=None):
        """user: the superuser's name; with a password everybody has to give theirs."""
        self.settings = {**SETTINGS, **(settings or {})}
        self.user, self.password = user, password
        self.kept = self.process = self.port = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return self.address("postgres")

    def address(self, database):
        secret = f":{self.password}" if self.password else ""
        return f"postgresql://{self.user}{secret}@{LOOPBACK}:{self.port}/{database}"

    def start(self):
        self.bin = programs()
        # PostgreSQL refuses to run as root.
        self.identity = {}
        if os.getuid() == 0:
            try:
                who = pwd.getpwnam("postgres")
            except KeyError:
                raise Missing("no user postgres to run PostgreSQL as root's child: install postgresql-15") from None
            self.identity = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        self.kept = keep.Kept("postgres")
        try:
            self.home = self.kept.folder / "server"
            self.home.mkdir(mode=0o700)
            if self.identity:
                os.chown(self.home, self.identity["user"], self.identity["group"])
            trust = ["-A", "trust"]
            if self.password:
                secret = self.home / "password"
                secret.write_text(self.password, encoding="utf-8")
                secret.chmod(0o644)  # in a folder that only the server opens
                trust = ["-A", "scram-sha-256", f"--pwfile={secret}"]
            made = self.kept.spawn([self.bin / "initdb", "-D", self.home / "data", "-U", self.user, *trust, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                                    "--no-instructions"], "initdb.log", cwd="/", **self.identity)
            if made.wait(120) != 0:
                raise Failed("initdb failed: " + self.kept.said("initdb.log"))
            for left in (4, 3, 2, 1, 0):
                self.port = keep.free_ports(1)[0]
                try:
                    self.restart()
                    return self
                except Failed as why:
                    if left == 0 or "Address already in use" not in str(why):
                        raise
        except BaseException:
            self.stop()
            raise
        return self

    def restart(self, seconds=60):
        """Starts the server (again), on its port and data, and waits until it answers."""
        until = time.monotonic() + seconds
        more = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        while True:
            at = len(self.kept.said("postgres.log", limit=1 << 24))
            self.process = self.kept.spawn([self.bin / "postgres", "-D", self.home / "data", "-p", self.port, "-k", self.home, *more], "postgres.log",
                                           cwd="/", **self.identity)
            while self.process.poll() is None:
                if subprocess.run([self.bin / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(self.port)], check=False).returncode == 0:
                    return
                if time.monotonic() > until:
                    break
                time.sleep(0.03)
            said = self.kept.said("postgres.log", limit=1 << 24)[at:][-3000:]
            # After kill() the last of its children may still hold the shared memory for a moment.
            if "still in use" not in said or time.monotonic() > until:
                raise Failed(f"PostgreSQL did not start: {said}")
            time.sleep(0.1)

    def kill(self):
        """kill -9: its children see it and end, what was committed is in the write-ahead log."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def sql(self, text, database="postgres"):
        """Runs SQL by psql; returns its rows, fields parted by tabs."""
        done = subprocess.run([self.bin / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.address(database)], input=text,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed("psql: " + done.stderr[-2000:])
        return done.stdout

    def create(self, database):
        self.sql(f'CREATE DATABASE "{database}"')
        return self.address(database)

    def stop(self):
        if self.kept is not None:
            self.kept.stop()
            if self.process is not None:
                self.process.wait()
            self.kept = self.process = None
