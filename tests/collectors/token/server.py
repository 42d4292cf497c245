#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that gives out tokens as RFC 6749 says (client credentials, password, refresh tokens that rotate: the old one is dead once it
was used), sessions that begin with a login, and a place that asks for a token. Prints its port and serves until its standard input ends.

POST /token   the OAuth token endpoint             POST /login  {"identifier","password"} -> accessJwt, refreshJwt
POST /renew   the refresh token as bearer          GET /api     200 with a token that is good, 401 without
GET /counts   how often what was asked             GET /do?…    life=SECONDS of tokens from now on; fail=STATUS the next one at /token,
                                                                with after=SECONDS; body=TEXT of it; revoke=1 all access tokens;
                                                                forget=1 all refresh tokens too; rotate=0|1; slow=SECONDS"""

import base64
import http.server
import json
import secrets
import sys
import threading
import time
import urllib.parse

CLIENT = ("the client", "s3cret/+ä:%")
USER = ("jo@example", "pass word&=é")

lock = threading.Lock()
state = {"life": 3600.0, "fail": [], "rotate": True, "slow": 0.0, "access": {}, "refresh": set(), "counts": {}}


def count(name):
    state["counts"][name] = state["counts"].get(name, 0) + 1


def jwt(life):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    now = int(time.time())
    return f'{part({"alg": "none"})}.{part({"iat": now, "exp": now + int(life), "jti": secrets.token_hex(8)})}.c2ln'


def grant(as_jwt=False):
    text = jwt(state["life"]) if as_jwt else secrets.token_urlsafe(24)
    state["access"][text] = time.time() + state["life"]
    return text


def new_refresh():
    text = "r-" + secrets.token_urlsafe(24)
    state["refresh"].add(text)
    return text


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, value, headers=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def bearer(self):
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        return text if kind.lower() == "bearer" else ""

    def client(self, form):
        """Basic, id and secret form-encoded (RFC 6749, 2.3.1), or in the form; never both."""
        header = self.headers.get("Authorization", "")
        if header:
            if "client_id" in form or not header.startswith("Basic "):
                return None
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
        return form.get("client_id"), form.get("client_secret")

    def token(self, body):
        count("token")
        if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            return self.say(400, {"error": "invalid_request"})
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        if self.client(form) != CLIENT:
            count("refused")
            return self.say(401, {"error": "invalid_client", "error_description": "Client authentication failed."})
        kind = form.get("grant_type")
        count(kind)
        answer = {"token_type": "bearer"}
        if kind == "refresh_token":
            given = form.get("refresh_token")
            if given not in state["refresh"]:
                count("refused")
                return self.say(400, {"error": "invalid_grant", "error_description": f"The token {given} is revoked."})
            if state["rotate"]:
                state["refresh"].discard(given)
                answer["refresh_token"] = new_refresh()
        elif kind == "password":
            if (form.get("username"), form.get("password")) != USER:
                count("refused")
                return self.say(400, {"error": "invalid_grant"})
            answer["refresh_token"] = new_refresh()
        elif kind != "client_credentials":
            return self.say(400, {"error": "unsupported_grant_type"})
        if form.get("scope", "read") != "read":
            return self.say(400, {"error": "invalid_scope"})
        answer["access_token"] = grant()
        if state["life"] > 0:
            answer["expires_in"] = state["life"]
        return self.say(200, answer)

    def login(self, body):
        count("login")
        given = json.loads(body)
        if (given.get("identifier"), given.get("password")) != USER:
            count("refused")
            return self.say(401, {"error": "AuthenticationRequired", "message": "Invalid identifier or password"})
        return self.say(200, {"did": "did:x", "accessJwt": grant(True), "refreshJwt": new_refresh()})

    def renew(self):
        count("renew")
        given = self.bearer()
        if given not in state["refresh"]:
            count("refused")
            return self.say(400, {"error": "ExpiredToken", "message": "Token has been revoked"})
        state["refresh"].discard(given)
        return self.say(200, {"accessJwt": grant(True), "refreshJwt": new_refresh()})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = urllib.parse.urlsplit(self.path).path
        time.sleep(state["slow"])
        with lock:
            if state["fail"]:
                count("failed")
                status, text, headers = state["fail"].pop(0)
                return self.say(status, text, headers)
            if path == "/token":
                return self.token(body)
            if path == "/login":
                return self.login(body)
            if path == "/renew":
                return self.renew()
        return self.say(404, {})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with lock:
            if url.path == "/api":
                count("api")
                good = state["access"].get(self.bearer(), 0) > time.time() or (state["life"] <= 0 and self.bearer() in state["access"])
                return self.say(200 if good else 401, {})
            if url.path == "/counts":
                return self.say(200, state["counts"])
            if url.path == "/refresh":
                return self.say(200, new_refresh().encode())
            if url.path == "/do":
                if "life" in query:
                    state["life"] = float(query["life"])
                if "fail" in query:
                    headers = [("Retry-After", query["after"])] if "after" in query else []
                    state["fail"].append((int(query["fail"]), query.get("body", "no").encode(), headers))
                if "revoke" in query:
                    state["access"].clear()
                if "forget" in query:
                    state["refresh"].clear()
                if "rotate" in query:
                    state["rotate"] = query["rotate"] == "1"
                if "slow" in query:
                    state["slow"] = float(query["slow"])
                if "fresh" in query:
                    state["counts"].clear()
                return self.say(200, {})
        return self.say(404, {})


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
