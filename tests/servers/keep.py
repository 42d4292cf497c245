# SPDX-License-Identifier: Apache-2.0
"""What every server of the tests needs: a temporary folder and processes that go when their owner goes, however it goes.

A second small process (the warden) holds one end of a pipe. It is told of each process and folder; when the pipe closes, because the owner closed it or
died, it kills what still runs and removes the folder. So nothing stays behind after a failure, a kill -9 of the test or of ctest.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LOOPBACK = "127.0.0.1"


class Missing(Exception):
    """A server cannot run on this machine; the text says what is not there."""


class Failed(Exception):
    """A server did not start or ended; the text holds the end of its log."""


def cache():
    """Where fetched jars lie: never in the repository."""
    return pathlib.Path(os.environ.get("EARSHOT_TEST_CACHE") or pathlib.Path.home() / ".cache" / "earshot-tests")


def free_ports(count):
    """Ports that nobody listens on, outside the range that the system gives to clients, so that a server killed and started again finds its port free."""
    found = []
    draw = random.SystemRandom()
    for _ in range(1000):
        port = draw.randrange(16000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
        if len(found) == count:
            return found
    raise Failed("no free ports between 16000 and 32000")


def began(pid):
    """When a process started, in the kernel's ticks: with it a pid names one process for good. None: no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def wait_gone(pid, when, seconds):
    """Whether a process that began at `when` is gone within `seconds`."""
    until = time.monotonic() + seconds
    while began(pid) == when is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def remove(folder, seconds=10):
    """Removes a folder into which dying processes may still write."""
    until = time.monotonic() + seconds
    while os.path.lexists(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > until:
            break
        if os.path.lexists(folder):
            time.sleep(0.05)


def warden():
    """The warden's own life: lines from the pipe until it closes, then the end of everything it was told of."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    processes, folders = {}, []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "process":
            pid, when = map(int, rest.split())
            processes[pid] = when
        elif word == "folder":
            folders.append(rest)
    for pid, when in processes.items():
        if began(pid) == when:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for pid, when in processes.items():
        wait_gone(pid, when, 10)
    for folder in folders:
        remove(folder)


class Kept:
    """A temporary folder and its processes. Everything is gone when stop() returns, and when this process ends without it."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"earshot-{name}-"))
        self.folder.chmod(0o711)  # a server under another user gets to its own folder below
        try:
            self.warden = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, text=True)
        except BaseException:
            remove(self.folder)
            raise
        self.tell(f"folder {self.folder}")

    def tell(self, line):
        self.warden.stdin.write(line + "\n")
        self.warden.stdin.flush()

    def spawn(self, command, log, **more):
        """Starts a process in a session of its own, its output appended to a file in the folder."""
        with open(self.folder / log, "ab") as out:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more)
        when = began(process.pid)
        if when is not None:
            self.tell(f"process {process.pid} {when}")
        return process

    def said(self, log, limit=3000):
        """The end of a log."""
        try:
            return (self.folder / log).read_text(errors="replace")[-limit:]
        except OSError:
            return ""

    def stop(self):
        """Kills what still runs, removes the folder. May be called again."""
        if self.warden is None:
            return
        self.warden.stdin.close()
        self.warden.wait()
        self.warden = None


if __name__ == "__main__":
    warden()
