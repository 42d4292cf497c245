#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves on request: what the fetcher's test asks. Prints one line, `PLAIN_PORT TLS_PORT CA_FILE` (0 and - without
openssl), and serves until its standard input ends."""

import gzip
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

connections = 0
under_way = {}
most = {}
lock = threading.Lock()


def answer(sock, status, body=b"", headers=(), length=True):
    lines = [f"HTTP/1.1 {status} Because"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)


def bomb(sock, chunked):
    body = gzip.compress(bytes(12 * 1024 * 1024), 9)
    if not chunked:
        return answer(sock, 200, body, [("Content-Encoding", "gzip")])
    answer(sock, 200, headers=[("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")], length=False)
    for at in range(0, len(body), 4096):
        piece = body[at:at + 4096]
        sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    sock.sendall(b"0\r\n\r\n")


def codings(sock, count):
    body = b"packed"
    for _ in range(count):
        body = gzip.compress(body)
    answer(sock, 200, body, [("Content-Encoding", ", ".join(["gzip"] * count))])


def drip(sock, size, pause):
    answer(sock, 200, headers=[("Content-Length", str(size))], length=False)
    for _ in range(size):
        sock.sendall(b"x")
        time.sleep(pause)


def pour(sock, size):
    """Megabytes at once, and then silence: what holds memory."""
    answer(sock, 200, headers=[("Content-Length", str(size + 1))], length=False)
    sock.sendall(b"x" * size)
    time.sleep(20)


def counted(sock, key):
    with lock:
        under_way[key] = under_way.get(key, 0) + 1
        most[key] = max(most.get(key, 0), under_way[key])
    time.sleep(0.05)
    with lock:
        under_way[key] -= 1
        count = most[key]
    answer(sock, 200, str(count).encode())


def serve_path(sock, method, target, headers, body, number):
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    path = url.path
    if path == "/echo":
        shown = {"method": method, "target": target, "connection": number, "body": body.decode("latin-1"), "headers": headers}
        return answer(sock, 200, json.dumps(shown).encode(), [("Content-Type", "application/json"), ("ETag", 'W/"v1"'), ("X-Many", "one"), ("X-Many", "two")])
    if path == "/cached":
        if headers.get("if-none-match") == '"e1"' and headers.get("if-modified-since") == "Sat, 21 Nov 2026 08:00:00 GMT":
            return answer(sock, 304, headers=[("ETag", '"e1"')], length=False)
        return answer(sock, 200, b"new", [("ETag", '"e1"'), ("Last-Modified", "Sat, 21 Nov 2026 08:00:00 GMT")])
    if path == "/status":
        extra = [("Retry-After", query["after"])] if "after" in query else []
        extra += [("Date", query["date"])] if "date" in query else []
        return answer(sock, int(query["code"]), b"no", extra)
    if path == "/quota":
        # What a platform says of its quota: ?code=429&x-remaining=3&x-reset=60, names of headers as they come.
        code = int(query.pop("code", "200"))
        return answer(sock, code, b"{}", list(query.items()))
    if path == "/redirect":
        return answer(sock, int(query.get("code", "302")), b"elsewhere", [("Location", query["to"])])
    if path == "/hops":
        left = int(query["left"])
        return answer(sock, 200, b"arrived") if left == 0 else answer(sock, 301, headers=[("Location", f"/hops?left={left - 1}")])
    if path == "/bomb":
        return bomb(sock, "chunked" in query)
    if path == "/codings":
        return codings(sock, int(query["count"]))
    if path == "/packed":
        body = json.dumps([{"id": n, "text": "the same again and again"} for n in range(20000)]).encode()
        packed = gzip.compress(body) if query["with"] == "gzip" else zlib.compress(body)
        return answer(sock, 200, packed, [("Content-Encoding", query["with"])])
    if path == "/big":
        return answer(sock, 200, b"x" * int(query["size"]))
    if path == "/endless":
        answer(sock, 200, length=False, headers=[("Connection", "close")])
        while True:
            sock.sendall(b"x" * 65536)
    if path == "/drip":
        return drip(sock, int(query["size"]), float(query["pause"]))
    if path == "/pour":
        return pour(sock, int(query["size"]))
    if path == "/hang":
        return time.sleep(20)
    if path == "/short":
        answer(sock, 200, headers=[("Content-Length", "100")], length=False)
        return "close"
    if path == "/manyheaders":
        return answer(sock, 200, b"", [(f"X-{n}", "y" * int(query["size"])) for n in range(int(query["count"]))])
    if path == "/garbage":
        sock.sendall(b"\x00\xff\xfe this is no HTTP\r\n\r\n")
        return "close"
    if path == "/counted":
        return counted(sock, query["key"])
    return answer(sock, 404, b"not here")


def serve(sock, number):
    rest = b""
    try:
        while True:
            while b"\r\n\r\n" not in rest:
                more = sock.recv(65536)
                if not more:
                    return
                rest += more
            head, rest = rest.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
            size = int(headers.get("content-length", "0"))
            while len(rest) < size:
                rest += sock.recv(65536)
            body, rest = rest[:size], rest[size:]
            if serve_path(sock, method, target, headers, body, number) == "close":
                return
    except OSError:
        pass
    finally:
        sock.close()


def listen(context):
    global connections
    door = socket.create_server(("127.0.0.1", 0), backlog=256)

    def greet(sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            try:
                sock = context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError):
                return sock.close()
        return serve(sock, number)

    def accept():
        global connections
        while True:
            sock, _ = door.accept()
            connections += 1
            threading.Thread(target=greet, args=(sock, connections), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return door.getsockname()[1]


def certificate(folder):
    name = str(pathlib.Path(folder, "server.pem"))
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name, "-days", "2",
                           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], capture_output=True, check=False)
    if made.returncode != 0:
        return None, "-"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(name, name + ".key")
    return context, name


def main():
    with tempfile.TemporaryDirectory() as folder:
        try:
            context, name = certificate(folder)
        except FileNotFoundError:
            context, name = None, "-"
        print(listen(None), 0 if context is None else listen(context), name, flush=True)
        sys.stdin.read()


main()
