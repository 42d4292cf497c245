# SPDX-License-Identifier: Apache-2.0
"""What the storms compare when all is quiet: the store and the topics with the list of what was served. Each function returns faults, sentences."""

import collections
import json

FACTS = "SELECT DISTINCT post, label FROM fact"
ROLLED = "SELECT day, brand, label, posts FROM rollup_day WHERE posts > 0 ORDER BY 1, 2, 3"
CELLS = "SELECT day, brand, label, posts, people, conversations FROM rollup_day WHERE posts > 0"
COUNTED = "SELECT day, brand, label, count(DISTINCT post) FROM fact WHERE audience = 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"


def store(rows, wanted):
    """Every post that was served and not deleted is stored once, as it was served last; nothing else is."""
    stored = {row["id"]: row for row in rows}
    found = {
        "doubled": [i for i, n in collections.Counter(row["id"] for row in rows).items() if n > 1],
        "lost": sorted(set(wanted) - set(stored)),
        "not asked for (a deletion missed)": sorted(set(stored) - set(wanted)),
        "stale": sorted(i for i in set(wanted) & set(stored) if stored[i]["text"] != wanted[i]),
    }
    return [f"{len(ids)} {name}: {ids[:4]}" for name, ids in found.items() if ids]


def facts(query, rows):
    """Each stored post has facts of its own, under each of its labels, and nobody else has any; the roll-ups say what the facts say."""
    faults, found = [], collections.defaultdict(set)
    stored = {row["id"]: row for row in rows}
    for post, label in query(FACTS):
        found[post].add(label)
    if set(found) != set(stored):
        faults.append(f"facts of {len(found)} posts, {len(stored)} are stored: {sorted(set(found) ^ set(stored))[:3]}")
    for post, labels in found.items():
        wanted = {"", *(stored[post]["labels"] if post in stored else ())}
        if labels != wanted:
            faults.append(f"{post}: facts under {sorted(labels)}, labels are {sorted(wanted)}")
    rolled, counted = query(ROLLED), query(COUNTED)
    if rolled != counted:
        faults.append(f"roll-ups differ from facts: {sorted(set(rolled) ^ set(counted))[:3]}")
    return faults


def versions(topic, values):
    """No version of an id comes after a later one."""
    faults, last = [], {}
    for value in values:
        if value["version"] < last.get(value["id"], 0):
            faults.append(f"{topic}: {value['id']} goes back from version {last[value['id']]} to {value['version']}")
        last[value["id"]] = value["version"]
    return faults


def published(topic, values, histories):
    """Each (id, version) once, and per id the texts in the order in which they were served, none twice: a text may have been missed between two polls, the
    last may not. None stands for a deletion."""
    faults, shown = [], collections.defaultdict(list)
    for value in values:
        shown[value["id"]].append((value["version"], None if value.get("deleted") else value.get("text")))
    for post, seen in shown.items():
        if [v for v, _ in seen] != sorted({v for v, _ in seen}):
            faults.append(f"{topic}: {post} has versions {[v for v, _ in seen][:6]}")
        served = iter(histories.get(post, ()))
        if not all(any(text == other for other in served) for _, text in seen):
            faults.append(f"{topic}: {post} was published as {[t for _, t in seen][:4]}, served as {histories.get(post, ())[:4]}")
        elif seen[-1][1] != histories[post][-1]:
            faults.append(f"{topic}: {post} ends as {seen[-1][1]!r}, served last as {histories[post][-1]!r}")
    for post in sorted(set(histories) - set(shown)):
        if histories[post][-1] is not None:
            faults.append(f"{topic}: {post} was never published")
    return faults


def reach(cursor):
    """How far a source's cursor has come: what only ever grows. A feed's entity tag, a file's offset."""
    if cursor["use"] == "feed":
        return cursor.get("etag") or ""
    offsets, left = [0], [cursor.get("cursor")]
    while left:
        at = left.pop()
        if isinstance(at, dict):
            offsets += [at["o"]] if isinstance(at.get("o"), int) else []
            left += at.values()
        elif isinstance(at, list):
            left += at
    return max(offsets)


def cursors(values):
    """No source's cursor goes back, neither in what it says nor in when it was written."""
    faults, last = [], {}
    for value in values:
        now = (reach(value), value["at"])
        before = last.get(value["source"])
        if before is not None and (now[0] < before[0] or now[1] < before[1]):
            faults.append(f"cursors: {value['source']} goes back from {before} to {now}")
        last[value["source"]] = now
    return faults


def trends(messages, query):
    """The last value of each cell on the topic is what the store holds: whole days as rolled up."""
    cells, faults = {}, []
    for message in messages:
        cells[message["key"]] = json.loads(message["payload"]) if message["payload"] is not None else None
    days = {(c["start"][:10], c["brand"], c["label"]): (c["posts"], c["people"], c["conversations"]) for c in cells.values() if c and c["window"] == "1d"}
    rolled = {tuple(row[:3]): tuple(row[3:]) for row in query(CELLS)}
    for cell in sorted(set(days) | set(rolled)):
        if days.get(cell) != rolled.get(cell):
            faults.append(f"trends: {cell} is {days.get(cell)} on the topic, {rolled.get(cell)} in the store")
    return faults


def audit(place):
    """A last sink goes through what is left, if anything is, and balances the ledger: nothing was lost or doubled on the way."""
    at_once = {"EARSHOT_AUDIT_GRACE": "0"}
    done = place.program("earshot-sink", "run", "--until-end", environment=at_once)
    if done.returncode not in (0, 1):
        return [f"audit: the last sink ended with {done.returncode}: {done.stderr[-500:]}"]
    status = json.loads(place.run("status", "-o", "json", codes=(0, 1), environment=at_once).stdout)
    if status.get("store") is None:
        return ["audit: earshot status says nothing of the store"]
    return [f"audit: {json.dumps(each)}" for each in status["store"]["audit"]]
