# SPDX-License-Identifier: Apache-2.0
"""As much of Meta's Graph API as Facebook and Instagram share (its documentation: "Field Expansion", "Paginated Results", "Handle Errors"; and
recorded answers): fields and edges in one request, cursors, errors that come as 400 with a code, a bound on how much may be asked at once."""

import base64
import re

import world


def stamp(seconds):
    return world.iso(seconds, suffix="+0000")


def parse(text):
    """fields=id,comments.limit(5).summary(true){id,from}: [(name, arguments, fields below or None)]."""
    fields, rest = [], text

    def take(pattern):
        nonlocal rest
        match = re.match(pattern, rest)
        rest = rest[match.end():] if match else rest
        return match

    def level():
        found = []
        while True:
            name = take(r"\s*([a-z_]+)")
            if not name:
                raise ValueError(f"Syntax error at {rest[:20]!r}")
            arguments, below = {}, None
            while True:
                argument = take(r"\.([a-z_]+)\(([^()]*)\)")
                if not argument:
                    break
                arguments[argument.group(1)] = argument.group(2)
            if take(r"\{"):
                below = level()
                if not take(r"\s*\}"):
                    raise ValueError("Expected end of string instead of \"}\".")
            found.append((name.group(1), arguments, below))
            if not take(r"\s*,"):
                return found

    fields = level()
    if rest.strip():
        raise ValueError(f"Syntax error at {rest[:20]!r}")
    return fields


class Graph(world.Platform):
    """Nodes are dicts; an edge is a function of its arguments and fields."""

    token = "EAAG" + "x" * 40
    versions = ("v19.0", "v20.0", "v21.0", "v22.0", "v23.0", "v24.0")
    most_nodes = 10000
    wrong = {"token": "not-a-token"}

    def error(self, code, message, kind="OAuthException", status=400, **more):
        return status, {}, {"error": {"message": f"(#{code}) {message}", "type": kind, "code": code, **more, "fbtrace_id": "AQt_hJ68vFybS4TnupatNtX"}}

    def throttle(self, server):
        server.next(1, 400, {"Content-Type": "application/json", "X-App-Usage": '{"call_count":100,"total_cputime":20,"total_time":25}'},
                    self.error(4, "Application request limit reached", is_transient=True)[2], after=1)

    def answer(self, request):
        given = request.query.get("access_token") or (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if given != self.token:
            return self.error(190, "Invalid OAuth access token - Cannot parse access token")
        parts = request.path.strip("/").split("/")
        if parts and re.fullmatch(r"v\d+\.0", parts[0]):
            if parts[0] not in self.versions:
                return self.error(2635, "You are calling a deprecated version of the Ads API")
            parts = parts[1:]
        try:
            fields = parse(request.query.get("fields", "id"))
        except ValueError as fault:
            return self.error(2500, str(fault))
        if self.weight(fields, int(request.query.get("limit", 25))) > self.most_nodes:
            return self.error(1, "Please reduce the amount of data you're asking for, then retry your request", status=500)
        status, headers, body = self.serve(request, parts, fields)
        return status, {"X-App-Usage": '{"call_count":3,"total_cputime":1,"total_time":1}', **headers}, body

    def weight(self, fields, size):
        return size * (1 + sum(self.weight(below, int(arguments.get("limit", 25))) - 1 for _, arguments, below in fields if below and "limit" in arguments))

    def serve(self, request, parts, fields):
        raise NotImplementedError

    def missing(self, key):
        return self.error(100, f"Unsupported get request. Object with ID '{key}' does not exist, cannot be loaded due to missing permissions, or does not "
                          "support this operation.", "GraphMethodException", error_subcode=33)

    def select(self, node, fields):
        """Unknown fields are refused."""
        told = {}
        for name, arguments, below in [("id", {}, None), *fields]:
            if name not in node:
                raise KeyError(name)
            value = node[name]
            if callable(value):
                value = value(arguments, below)
            elif isinstance(value, dict) and below:
                value = self.select(value, below)
            if value is not None:
                told[name] = value
        return told

    def edge(self, rows, arguments, fields, request=None, most=100):
        """`rows`: (key, node or None: not for these eyes), as they stand. A page holds so many rows, and may show fewer."""
        size, start = min(int(arguments.get("limit", 25)), most), 0
        if "after" in arguments:
            after = base64.b64decode(arguments["after"]).decode()
            start = next((number for number, row in enumerate(rows) if row[0] == after), len(rows)) + 1
        page = rows[start:start + size]
        told = {"data": [self.select(node, fields or [("id", {}, None)]) for _, node in page if node]}
        if page:
            marks = {"before": base64.b64encode(page[0][0].encode()).decode(), "after": base64.b64encode(page[-1][0].encode()).decode()}
            told["paging"] = {"cursors": marks}
            if start + size < len(rows):
                where = f"{request.base}{request.path}?limit={size}&" if request else "https://graph.facebook.com/v21.0/edge?"
                told["paging"]["next"] = f"{where}access_token={self.token}&pretty=0&after={marks['after']}"
        return told
