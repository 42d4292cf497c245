# SPDX-License-Identifier: Apache-2.0
"""What the whole-pipeline tests share: a temporary folder with a configuration, and `earshot` run in it."""

import contextlib
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ.get("EARSHOT_ROOT", pathlib.Path(__file__).resolve().parent.parent.parent))
BUILD = pathlib.Path(os.environ.get("EARSHOT_BUILD", ROOT / "build" / "dev"))
SHARED = ROOT.parent / "shared"
SKIPPED = 77


def skip(reason):
    """A missing server is a skip that names it; in CI it is a failure."""
    print(f"skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") else SKIPPED)


class Failure(AssertionError):
    pass


def expect(held, what):
    if not held:
        raise Failure(what)


class Place:
    """A folder with an earshot.yaml, its data, and the commands to run on it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_") or k == "EARSHOT_FAULT"}

    def configure(self, text):
        (self.folder / "earshot.yaml").write_text(text, encoding="utf-8")

    def program(self, name, *arguments, stdin=None, environment=None, timeout=240):
        """Runs one of the programs; returns the finished process, its output as text."""
        return subprocess.run([str(BUILD / "bin" / name), *map(str, arguments)], cwd=self.folder, input=stdin, text=True, capture_output=True,
                              env={**self.environment, **(environment or {})}, timeout=timeout, check=False)

    def run(self, *arguments, codes=(0,), **more):
        """Runs `earshot ARGUMENT…`; returns the finished process. Any code not among `codes` fails the test."""
        done = self.program("earshot", *arguments, **more)
        expect(done.returncode in codes, f"earshot {' '.join(map(str, arguments))} ended with {done.returncode}, expected {codes}\n"
                                         f"stdout: {done.stdout[-3000:]}\nstderr: {done.stderr[-5000:]}")
        return done

    def lines(self, *arguments, **more):
        """The same for NDJSON on stdout: a list of objects."""
        return [json.loads(line) for line in self.run(*arguments, **more).stdout.splitlines()]

    def once(self, **more):
        """`earshot run --once`: what it says of each source, by name."""
        return {line["source"]: line for line in self.lines("run", "--once", **more)}

    def posts(self):
        return self.lines("export", "posts", "-o", "json")


@contextlib.contextmanager
def place():
    folder = tempfile.mkdtemp(prefix="earshot-test-")
    try:
        yield Place(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def words(text):
    """HTML or text to its words: what two renderings of one text have in common."""
    return " ".join(html.unescape(re.sub(r"</?[a-zA-Z][^>]*>", " ", text or "")).split())


def main(*tests):
    """Runs tests (functions without arguments); prints one line each and the total; returns an exit code."""
    failed = 0
    for test in tests:
        name = test.__name__
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception as fault:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {name}: {type(fault).__name__}: {fault}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0
