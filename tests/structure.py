#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The arrows and the doors: roles include common and themselves only, each library is included behind one door, no banned calls,
nothing but the agreed at the top level, headers guarded by their path, an SPDX line first."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOP = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "NOTICE",
       "collectors", "processors", "sinks", "common", "tests", "docker"}
ROLES = ("collectors", "processors", "sinks")
# library header (a regular expression) -> where it may be included
DOORS = {
    r"yajl/.*": r"common/json/",
    r"lmdb\.h": r"common/stream/local[^/]*\.[ch]",
    r"librdkafka/.*": r"(tests/)?common/stream/(test_)?kafka[^/]*\.[ch]",
    r"libfyaml\.h": r"common/config/",
    r"microhttpd\.h": r"common/http/",
    r"libxml/.*": r"common/markup/",
    r"utf8proc\.h": r"common/text/",
    r"cld2/.*": r"processors/stages/language_cld2\.cc",
    r"curl/.*": r"collectors/fetch/",
    r"sqlite3\.h": r"sinks/store/sqlite[^/]*\.[ch]",
    r"libpq-fe\.h": r"sinks/store/postgres[^/]*\.[ch]",
    r"pcre2\.h": r"collectors/definition/pattern\.c",
    r"xxhash\.h|openssl/.*": r"common/hash\.c",
    r"cmocka\.h": r"tests/",
}
BANNED = ("strcpy strcat sprintf strncpy strtok gets scanf sscanf fscanf atoi atof localtime gmtime system popen alloca").split()
BANNED_NAMES = re.compile(r"(^|[_/])(util|utils|helper|helpers|misc|manager|base)([_./]|$)")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [f for f in out.split("\0") if f and (ROOT / f).exists()]


def without_comments(text):
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check_includes(name, text, report):
    role = name.split("/")[0]
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        kind, path = match.groups()
        place = f"{name}:{number}"
        if kind == '"':
            target = path.split("/")[0]
            if not (ROOT / path).exists():
                report(f"{place}: \"{path}\" is no path from the repository's root")
            if role in ROLES and target not in (role, "common"):
                report(f"{place}: {role} includes {path}; a role includes common and itself only")
            if role == "common" and target != "common":
                report(f"{place}: common includes {path}; common includes common only")
            if path.endswith("_internal.h") and pathlib.PurePath(path).parent != pathlib.PurePath(name).parent \
                    and role != "tests":
                report(f"{place}: {path} is internal to its room")
        for library, door in DOORS.items():
            if re.fullmatch(library, path) and not re.match(door, name):
                report(f"{place}: <{path}> belongs behind {door}")


def check_testpoints(files, report):
    """Every test point that code passes is in common/testpoints.h, once, and the other way round."""
    rows = re.findall(r'POINT\("([^"]+)",', (ROOT / "common/testpoints.h").read_text(encoding="utf-8"))
    passed = set()
    for name in files:
        if name.endswith((".c", ".h", ".cc")) and not name.startswith(("tests/", "common/testpoint")):
            text = (ROOT / name).read_text(encoding="utf-8")
            passed |= set(re.findall(r'TESTPOINT(?:_FAILS)?\("([^"]+)"\)', text))
    for point in sorted({row for row in rows if rows.count(row) > 1}):
        report(f"common/testpoints.h: {point} stands there twice")
    for point in sorted(passed - set(rows)):
        report(f"common/testpoints.h: {point} is passed but not listed")
    for point in sorted(set(rows) - passed):
        if not point.startswith("testpoint."):
            report(f"common/testpoints.h: no code passes {point}")


def main():
    faults = []
    files = tracked()
    check_testpoints(files, faults.append)
    for top in sorted({f.split("/")[0] for f in files}):
        if top not in TOP and not top.startswith("."):
            faults.append(f"{top}: not among what the top level holds")
    for name in files:
        if BANNED_NAMES.search(name):
            faults.append(f"{name}: a name that says its concept has not been found yet")
        if not name.endswith((".c", ".h", ".cc")):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        if not text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"):
            faults.append(f"{name}:1: the first line is no SPDX licence line")
        if name.endswith(".h"):
            guard = "EARSHOT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
            if f"#ifndef {guard}\n#define {guard}\n" not in text:
                faults.append(f"{name}: guard is not {guard}")
        check_includes(name, text, faults.append)
        bare = without_comments(text)
        if not name.startswith("tests/"):
            for number, line in enumerate(bare.splitlines(), 1):
                for word in BANNED:
                    if re.search(rf"(?<![\w.>]){word}\s*\(", line):
                        faults.append(f"{name}:{number}: {word} is not used here")
    print("\n".join(faults) or f"structure: {len(files)} files, arrows and doors hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
