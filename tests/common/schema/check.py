#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages against their JSON Schema.

    check.py                 the samples beside this file: each good line fits, each bad one does not
    check.py NAME [FILE]     NDJSON (or stdin) against common/schema/NAME.json; prints what does not fit, exit 1

Knows the part of JSON Schema 2020-12 that our schemas use, and refuses a schema that uses more."""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SCHEMAS = HERE.parents[2] / "common" / "schema"
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
SAID_ONLY = {"$schema", "$id", "$defs", "title", "description"}


def is_type(value, name):
    if name in ("number", "integer"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return name == "number" or value == int(value)
    return isinstance(value, TYPES[name])


def faults(value, schema, root, at="$"):
    """What is wrong with the value, as a list of sentences."""
    if isinstance(schema, bool):
        return [] if schema else [f"{at} must not be there"]
    found = []
    for key, rule in schema.items():
        if key in SAID_ONLY:
            continue
        if key == "$ref":
            target = root
            for step in rule.removeprefix("#/").split("/"):
                target = target[step]
            found += faults(value, target, root, at)
        elif key == "oneOf":
            tries = [faults(value, one, root, at) for one in rule]
            if sum(not one for one in tries) != 1:
                found += min((one for one in tries if one), key=len, default=[f"{at} fits more than one shape"])
        elif key == "type":
            names = [rule] if isinstance(rule, str) else rule
            if not any(is_type(value, name) for name in names):
                found.append(f"{at} is no {' or '.join(names)}")
        elif key == "enum":
            if value not in rule:
                found.append(f"{at} is none of {', '.join(rule)}")
        elif key == "const":
            if value != rule or type(value) is not type(rule):
                found.append(f"{at} is not {json.dumps(rule)}")
        elif key == "minimum":
            if is_type(value, "number") and value < rule:
                found.append(f"{at} is below {rule}")
        elif key == "maximum":
            if is_type(value, "number") and value > rule:
                found.append(f"{at} is above {rule}")
        elif key == "minLength":
            if isinstance(value, str) and len(value) < rule:
                found.append(f"{at} is too short")
        elif key == "pattern":
            if isinstance(value, str) and not re.search(rule, value):
                found.append(f"{at} does not match {rule}")
        elif key == "format":
            if rule != "date-time":
                raise ValueError(f"format {rule} is not known here")
            if isinstance(value, str) and not DATE_TIME.fullmatch(value):
                found.append(f"{at} is no RFC 3339 instant")
        elif key == "required":
            found += [f"{at}.{name} is missing" for name in rule if isinstance(value, dict) and name not in value]
        elif key == "properties":
            for name, inner in rule.items():
                if isinstance(value, dict) and name in value:
                    found += faults(value[name], inner, root, f"{at}.{name}")
        elif key == "additionalProperties":
            for name in (value if isinstance(value, dict) else {}):
                if name not in schema.get("properties", {}):
                    found += faults(value[name], rule, root, f"{at}.{name}")
        elif key == "items":
            for index, item in enumerate(value if isinstance(value, list) else []):
                found += faults(item, rule, root, f"{at}[{index}]")
        else:
            raise ValueError(f"the keyword {key} is not known here")
    return found


def load(name):
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def check(name, lines, place):
    schema = load(name)
    wrong = 0
    for number, line in enumerate(lines, 1):
        for fault in faults(json.loads(line), schema, schema):
            print(f"{place}:{number}: {fault}")
            wrong = 1
    return wrong


def check_samples():
    wrong = 0
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = load(path.stem)
        good, bad = (HERE / "samples" / f"{path.stem}.{kind}.ndjson" for kind in ("good", "bad"))
        wrong |= check(path.stem, good.read_text(encoding="utf-8").splitlines(), good.name)
        for number, line in enumerate(bad.read_text(encoding="utf-8").splitlines(), 1):
            if not faults(json.loads(line), schema, schema):
                print(f"{bad.name}:{number}: fits, though it should not")
                wrong = 1
    return wrong


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(check_samples())
    with open(sys.argv[2], encoding="utf-8") if len(sys.argv) > 2 else sys.stdin as stream:
        sys.exit(check(sys.argv[1], stream, sys.argv[2] if len(sys.argv) > 2 else "stdin"))
