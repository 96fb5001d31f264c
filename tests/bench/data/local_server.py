"""A file server in a thread that can fail: it cuts connections, refuses, forgets ranges and changes files."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Served:
    """One file, and what goes wrong with it; a refusal or cut is used up by one GET."""

    content: bytes
    etag: str | None = '"first"'
    changed: str | None = None
    ranges: bool = True
    shifted: bool = False
    length: bool = True
    silent: bool = False
    refusals: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


class Server:
    """Files by path, and the GET requests so far as (path, headers)."""

    def __init__(self):
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self):
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.over.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def serving():
    """A running server."""
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    owner: Server

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self.owner.requests.append((self.path, dict(self.headers)))
        self._answer(body=True)

    def log_message(self, *arguments):
        """Say nothing."""

    def _answer(self, *, body):
        served = self.owner.files.get(urlsplit(self.path).path)
        if served is None:
            return self.send_error(404)
        if body and served.silent:
            self.owner.over.wait(10)
            return None
        if body and served.refusals:
            return self.send_error(served.refusals.pop(0))
        start = self._start(served)
        if start > len(served.content):
            return self.send_error(416)
        return self._send(served, start, body=body)

    def _start(self, served):
        """First byte asked for, 0 if the condition of the request does not hold."""
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if span is None or not served.ranges or condition not in (None, served.etag, served.changed):
            return 0
        return int(span[1])

    def _send(self, served, start, *, body):
        content = served.content[start:]
        self.send_response(206 if start else 200)
        if served.length:
            self.send_header("Content-Length", str(len(content)))
        if start:
            first = start + (1 if served.shifted else 0)
            self.send_header("Content-Range", f"bytes {first}-{len(served.content) - 1}/{len(served.content)}")
        for name, value in (("ETag", served.etag), ("Last-Modified", served.changed)):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if body:
            cut = served.cuts.pop(0) if served.cuts else len(content)
            self.wfile.write(content[:cut])
