#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""table.py [NAME…]: runs each platform's test and prints what holds: platform × cells, and the requests spent, in Markdown."""

import concurrent.futures
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import world  # noqa: E402  pylint: disable=wrong-import-position

DEFINITIONS = pathlib.Path(__file__).resolve().parents[3] / "collectors/definitions"


def platforms(names):
    """The Platform classes of the modules beside this one, a module may have several."""
    folder = pathlib.Path(__file__).resolve().parent
    modules = names or sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("world", "table", "graphql", "graph", "recorded"))
    found = []
    for name in modules:
        module = importlib.import_module(name)
        found += [kind for kind in vars(module).values()
                  if isinstance(kind, type) and issubclass(kind, world.Platform) and kind.__module__ == name and kind.name]
    return found


def try_one(kind):
    try:
        return world.run(kind), None
    except Exception as fault:  # pylint: disable=broad-except
        return [], f"{type(fault).__name__}: {fault}"


def yaml_lines(name):
    path = DEFINITIONS / f"{name}.yaml"
    return str(len([line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line.strip()[0] != "#"])) if path.exists() else "-"


def main():
    kinds = platforms(sys.argv[1:])
    missing = sorted({kind.name for kind in kinds if not (DEFINITIONS / f"{kind.name}.yaml").exists()})
    kinds = [kind for kind in kinds if kind.name not in missing]
    for name in missing:
        print(f"{name}: an imitation, but no definition yet")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(try_one, kinds))
    notes, failed = [], 0
    print("| platform | " + " | ".join(world.CELLS) + " | requests a poll beside faults (least) | YAML |")
    print("| --- |" + " --- |" * (len(world.CELLS) + 2))
    for kind, (polls, fault) in zip(kinds, results):
        row = []
        for cell in world.CELLS:
            says = kind.cells.get(cell, "?")
            if says != "tested":
                notes.append(f"{kind.__name__}, {cell}: {says}")
                says = f"[{len(notes)}]"
            row.append("**failed**" if fault and says == "tested" else says)
        spent = ", ".join(f"{poll['requests'] - poll['faults']} ({poll['least']})" for poll in polls) or "-"
        print(f"| {kind.__name__} | " + " | ".join(row) + f" | {spent} | {yaml_lines(kind.name)} |")
    print()
    for number, note in enumerate(notes, 1):
        print(f"{number}. {note}")
    for kind, (_, fault) in zip(kinds, results):
        if fault:
            failed += 1
            print(f"\nnot ok {kind.__name__}: {fault}")
    print(f"\n{len(kinds) - failed} platforms passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
