# SPDX-License-Identifier: Apache-2.0
"""As much of GraphQL (its specification of October 2021) as an imitation needs to answer any query over a tree of objects: names, aliases,
arguments, variables, inline fragments, nested selections. An unknown field is an error, as at the real servers."""

import re

_TOKENS = re.compile(r'\s*(?:#[^\n]*\n\s*|,\s*)*(\.\.\.|[A-Za-z_]\w*|-?\d+|"(?:[^"\\]|\\.)*"|[{}()\[\]:$!=@])')


class Wrong(Exception):
    """What the server says under "errors"."""

    def __init__(self, message, kind=None, path=None):
        super().__init__(message)
        self.said = {"message": message, **({"type": kind, "path": path} if kind else {})}


class _Parser:
    def __init__(self, text):
        self.tokens, at = [], 0
        text = text.rstrip(" \n,")
        while at < len(text):
            match = _TOKENS.match(text, at)
            if not match:
                raise Wrong(f"Parse error on {text[at:at + 20]!r}")
            self.tokens.append(match.group(1))
            at = match.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise Wrong(f"Parse error: expected {wanted}, found {token or 'the end'}")
        self.at += 1
        return token

    def value(self):
        token = self.take()
        if token == "$":
            return ("variable", self.take())
        if token == "{":
            fields = {}
            while self.peek() != "}":
                name = self.take()
                self.take(":")
                fields[name] = self.value()
            self.take("}")
            return ("object", fields)
        if token == "[":
            items = []
            while self.peek() != "]":
                items.append(self.value())
            self.take("]")
            return ("list", items)
        if token[0] == '"':
            return ("text", token[1:-1])
        if token.lstrip("-").isdigit():
            return ("text", int(token))
        return ("text", {"null": None, "true": True, "false": False}.get(token, token))

    def selection(self):
        """[(alias, name, arguments, selection)]; a fragment: (None, its type, {}, selection)."""
        self.take("{")
        found = []
        while self.peek() != "}":
            if self.peek() == "...":
                self.take()
                self.take("on")
                found.append((None, self.take(), {}, self.selection()))
                continue
            alias = name = self.take()
            if self.peek() == ":":
                self.take()
                name = self.take()
            arguments = {}
            if self.peek() == "(":
                self.take()
                while self.peek() != ")":
                    key = self.take()
                    self.take(":")
                    arguments[key] = self.value()
                self.take(")")
            found.append((alias, name, arguments, self.selection() if self.peek() == "{" else None))
        self.take("}")
        return found

    def document(self):
        if self.peek() == "query":
            while self.peek() != "{":
                if self.take() == "(":
                    while self.take() != ")":
                        pass
        chosen = self.selection()
        if self.peek():
            raise Wrong(f"Parse error on {self.peek()!r}")
        return chosen


def _value(value, variables):
    kind, held = value
    if kind == "variable":
        return variables.get(held)
    if kind == "object":
        return {name: _value(each, variables) for name, each in held.items()}
    if kind == "list":
        return [_value(each, variables) for each in held]
    return held


def _select(thing, selection, variables):
    if thing is None:
        return None
    if isinstance(thing, list):
        return [_select(each, selection, variables) for each in thing]
    out = {}
    for alias, name, arguments, inner in selection:
        if alias is None:
            if name == thing.get("__typename"):
                out.update(_select(thing, inner, variables))
            continue
        if name not in thing:
            raise Wrong(f"Field '{name}' doesn't exist on type '{thing.get('__typename', 'Query')}'")
        value = thing[name]
        if callable(value):
            value = value(**{key: _value(each, variables) for key, each in arguments.items()})
        if isinstance(value, (dict, list)) and not inner:
            raise Wrong(f"Field '{name}' must have selections")
        out[alias] = _select(value, inner, variables) if inner else value
    return out


def answer(query, variables, root):
    """`root` is a dict: values, dicts, lists, or functions of the arguments. Returns the answer's body."""
    try:
        return {"data": _select(root, _Parser(query).document(), variables or {})}
    except Wrong as wrong:
        return {**({"data": {wrong.said["path"][0]: None}} if "path" in wrong.said else {}), "errors": [wrong.said]}


def connection(kind, items, first, after):
    """A connection in the sense of the cursor specification, its cursors opaque."""
    if not first or first > 100:
        raise Wrong("You must provide a `first` value of at most 100 to properly paginate the connection")
    start = 0 if after is None else int(after.removeprefix("Y3Vyc29yOn")) + 1
    page = items[start:start + first]
    return {"__typename": f"{kind}Connection", "nodes": page, "totalCount": len(items),
            "edges": [{"node": item, "cursor": f"Y3Vyc29yOn{start + number}"} for number, item in enumerate(page)],
            "pageInfo": {"__typename": "PageInfo", "hasNextPage": start + first < len(items), "hasPreviousPage": start > 0,
                         "endCursor": f"Y3Vyc29yOn{start + len(page) - 1}" if page else None,
                         "startCursor": f"Y3Vyc29yOn{start}" if page else None}}
