# SPDX-License-Identifier: Apache-2.0
"""The storms' ledger: a line a round, NDJSON, beside the build. Rounds of one commit add up over as many runs as it takes."""

import json
import subprocess

import harness


def commit():
    """The commit that is tried; changes not committed are said so."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=harness.ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return git("rev-parse", "--short", "HEAD") + ("+changes" if git("status", "--porcelain") else "")


class Ledger:
    def __init__(self, path):
        self.path, self.commit = path, commit()
        past = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        self.rounds = [entry for entry in past if entry["commit"] == self.commit]

    def add(self, entry):
        entry = {"commit": self.commit, **entry}
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        self.rounds.append(entry)

    def sum(self, key):
        return sum(entry.get(key, 0) for entry in self.rounds)

    def bad(self):
        return [entry for entry in self.rounds if entry["faults"]]
