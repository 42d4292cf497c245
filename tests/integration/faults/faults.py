#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the tests have teeth: switches each seeded fault of common/testfaults.h on (EARSHOT_FAULT=NAME, test builds) and runs the ordinary tests that ought
to notice, until one fails. The same tests pass without the fault. Prints FAULT -> TEST and a verdict; ends with 1 if a fault is not caught.

    tests/faults [FAULT…] [--all]     --all: names every listed test that catches a fault, not only the first"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "integration"), str(ROOT / "tests" / "servers")]
import harness  # noqa: E402
import kafka  # noqa: E402
import keep  # noqa: E402
import postgres  # noqa: E402

LIMIT_S = 150  # a test that hangs with a fault has caught it
# fault -> tests of ctest that ought to notice, each with the promise in it (a pattern; EARSHOT_TEST_ONLY); all of it where there is none. The quickest first.
TESTS = {
    "no-generation": (("test_stream_kafka_share", "a_member_that_lost_its_keys_is_fenced"), ("test_kafka", "a_process_that_stood_still_commits_nothing")),
    "no-rewind": (("test_stream_kafka", "an_aborted_transaction_leaves_nothing"), ("test_kafka", "what_failed_is_read_again_and_published_once")),
    "produce-ignored": (("test_kafka", "what_failed_is_read_again_and_published_once"),),
    "offset-without-one": (("test_stream_kafka", "position_moves_only_with_its_messages"),),
    "abort-without-flush": (("test_kafka", "an_abort_leaves_no_doubt"),),
    "cursor-outside": (("test_group", "*"), ("test_collector", "*")),
    "sink-offset-outside": (("test_sink_run", "a_sink_killed_at_any_point_*"),),
    "second-checkpointer": (("test_store", "a_reader_does_not_checkpoint"),),
    "dedupe-off": (("test_apply", "*"), ("test_collector", "what_is_unchanged_is_not_told_again")),
    "offset-reset-latest": (("test_stream_kafka", "two_groups_read_each_for_itself"),),
    "reject-outside": (("test_sink_run", "*"),),
    "commit-after-lost": (("test_kafka", "a_process_that_stood_still_commits_nothing"), ("test_kafka", "a_reader_that_lost_its_partitions_is_fenced")),
    "restore-to-lso": (("test_stream_kafka_share", "a_restore_waits_for_what_a_zombie_hides"),),
}


def listed():
    """The faults that the build knows, and those that some code asks for."""
    known = re.findall(r'FAULT\("([a-z-]+)"', (ROOT / "common" / "testfaults.h").read_text(encoding="utf-8"))
    asked = set()
    for room in ("collectors", "common", "processors", "sinks"):
        for path in (ROOT / room).rglob("*.c"):
            asked.update(re.findall(r'TESTFAULT\("([a-z-]+)"\)', path.read_text(encoding="utf-8")))
    return known, asked


def run(build, test, fault, environment):
    """None: the test passed. Otherwise what failed of it."""
    test, promise = test
    more = {"EARSHOT_TEST_ONLY": promise, **({"EARSHOT_FAULT": fault} if fault else {})}
    if "kafka" not in test and "postgres" not in test:
        environment = {k: v for k, v in environment.items() if not k.startswith("EARSHOT_TEST_")}
    done = subprocess.run(["ctest", "--test-dir", str(build), "-R", f"^{test}$", "-FA", ".*", "-V", "--no-tests=error", "--timeout", str(LIMIT_S)],
                          capture_output=True, text=True, env={**environment, **more}, check=False)
    passed = done.returncode == 0 and "***Skipped" not in done.stdout
    if passed and sum(map(int, re.findall(r"Running (\d+) test\(s\)", done.stdout))) == 0:
        raise harness.Failure(f"{test} has no {promise}")
    if passed:
        return None
    names = list(dict.fromkeys(re.findall(r"^(?:\d+: )?(?:\[  FAILED  \] (\w+)$|not ok (?:\d+ - )?(\w+))", done.stdout, re.M)))
    if "***Skipped" in done.stdout or "No tests were found" in done.stdout + done.stderr:
        raise harness.Failure(f"{test} was not run: {(done.stdout + done.stderr)[-300:]}")
    if "***Timeout" in done.stdout:
        return ["(hangs)"]
    return [a or b for a, b in names] or [done.stdout.strip().splitlines()[-1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "storm")
    options = parser.parse_args()
    known, asked = listed()
    if set(known) != set(TESTS):
        parser.error(f"common/testfaults.h and this table differ: {sorted(set(known) ^ set(TESTS))}")
    wanted = options.faults or known
    began, missed, plain = time.monotonic(), [], {}
    with kafka.Kafka() as cluster, postgres.Postgres() as base:
        environment = {**os.environ, "EARSHOT_TEST_KAFKA": cluster.bootstrap, "EARSHOT_TEST_POSTGRES": base.url}
        environment.pop("EARSHOT_FAULT", None)
        for fault in wanted:
            caught, said = [], ""
            for test in TESTS[fault]:
                try:
                    if test not in plain:
                        plain[test] = run(options.build, test, None, environment)
                    if plain[test] is not None:
                        said += f" {test[0]} fails without it ({', '.join(plain[test][:3])});"
                        continue
                    failed = run(options.build, test, fault, environment)
                except harness.Failure as why:
                    said += f" {why};"
                    continue
                if failed is not None:
                    caught.append(f"{test[0]}: {', '.join(failed[:3])}" + (f" and {len(failed) - 3} more" if len(failed) > 3 else ""))
                    if not options.all:
                        break
            if fault not in asked:
                caught, said = [], " no code asks for it"
            missed += [] if caught else [fault]
            print(f"  {fault:20} -> {'; '.join(caught) or 'NOT CAUGHT:' + said}", flush=True)
    print(f"faults: {len(wanted) - len(missed)} of {len(wanted)} caught, {time.monotonic() - began:.0f} s: {'FAILED' if missed else 'passed'}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except keep.Missing as absent:
        harness.skip(absent)
