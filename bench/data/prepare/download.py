"""Fetching a file over HTTP: resumed after an interruption, tried again when the connection fails, checked.

`X` is written as `X.part`; `X.part.json` beside it says which state of the file on the server that
is part of (its ETag or time of change, and its size). A later attempt asks for the rest on the
condition that the server still has that state (RFC 9110, If-Range), and begins again where it has
another. Proxies are those of the environment (`https_proxy`, `no_proxy`).

pooch 1.9, which checks hashes as well, begins a broken download from the start; data sets of tens of
gigabytes need the rest alone.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from rich.filesize import decimal

from bench import __version__
from bench.data.progress import Advance
from bench.errors import BenchError
from bench.records.damage import json_of
from bench.records.store.files import write_atomically

BLOCK = 1 << 20
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be another one a moment later."""


@dataclass(frozen=True)
class RetryLimits:
    """State how long a failing connection is borne with.

    Attributes:
        attempts: Attempts in a row that bring no further byte.
        first_wait_s: Seconds before the second attempt; doubled before each further one.
        timeout_s: Without a byte from the server.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    timeout_s: float = 60.0


class _ConnectionFailed(Exception):
    """Worth another attempt; says why."""


class _PartialFile(NamedTuple):
    """Bytes of a file that are here and in all, None if unknown, and its strong ETag or time of change, or ''."""

    done: int = 0
    size: int | None = None
    validator: str = ""


def download(url: str, target: Path, *, advance: Advance, patience: RetryLimits) -> None:
    """Fetch a file, going on from what an earlier attempt left.

    Raises:
        BenchError: If the server refuses it, cannot be reached after all attempts, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    state = target.with_name(f"{target.name}.part.json")
    failures, most = 0, _size(part)
    while True:
        try:
            _attempt(url, part, state, advance, patience)
            break
        except _ConnectionFailed as error:
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= patience.attempts:
                raise BenchError(
                    f"{url} cannot be fetched: {error}; {patience.attempts} attempts brought nothing further. "
                    f"{decimal(_size(part))} of it are kept in {part}; the same command goes on from there."
                ) from None
            time.sleep(patience.first_wait_s * 2 ** (failures - 1))
    part.replace(target)
    state.unlink(missing_ok=True)


def remote_size(url: str, patience: RetryLimits) -> int | None:
    """Return bytes of a file on a server; None if the server does not say, or cannot be asked."""
    try:
        with _response(urllib.request.Request(url, method="HEAD"), patience) as response:
            return _length(response.headers)
    except (_ConnectionFailed, BenchError):
        return None


def kept_bytes(target: Path) -> int:
    """Return bytes that are here of a file, whole or in part."""
    return _size(target) or _size(target.with_name(f"{target.name}.part"))


def hash_of(path: Path, algorithm: str, *, advance: Advance) -> str:
    """Return the hash of a file in hex; `algorithm` as in `hashlib`."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
            done += len(block)
            advance(done, size)
    return found.hexdigest()


def _attempt(url: str, part: Path, state: Path, advance: Advance, patience: RetryLimits) -> None:
    """Ask once for what is missing; raises `_ConnectionFailed` if it did not all come."""
    begun = _begun(url, part, state)
    if begun.size is not None and begun.done == begun.size:
        return
    request = urllib.request.Request(url)
    if begun.done:
        request.add_header("Range", f"bytes={begun.done}-")
        if begun.validator:
            request.add_header("If-Range", begun.validator)
    try:
        with _response(request, patience) as response:
            begun = _agreed(url, begun, response, part, state)
            _append(response, part, begun, advance)
    except _RangeRefused:
        part.unlink(missing_ok=True)
        raise _ConnectionFailed("the server has no such range of it") from None
    if begun.size is not None and _size(part) != begun.size:
        raise _ConnectionFailed(f"the connection ended after {_size(part)} of {begun.size} bytes")


def _begun(url: str, part: Path, state: Path) -> _PartialFile:
    """Return what an earlier attempt left, if it can be gone on from."""
    try:
        known = json_of(state.read_bytes())
        begun = _PartialFile(part.stat().st_size, known["size"], known["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return _PartialFile()
    # Without either there is no telling whether the rest would be of the same file.
    certain = known.get("url") == url and (begun.validator or begun.size is not None)
    return begun if certain and (begun.size is None or begun.done <= begun.size) else _PartialFile()


def _agreed(url: str, begun: _PartialFile, response: Any, part: Path, state: Path) -> _PartialFile:
    """Return what the answer is part of: the rest of the file begun, or another one from its start."""
    if begun.done and response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        same_size = span is not None and (begun.size is None or span[2] in ("*", str(begun.size)))
        if span is not None and same_size and int(span[1]) == begun.done:
            return begun
        part.unlink(missing_ok=True)
        raise _ConnectionFailed("the server sent another range than was asked for")
    fresh = _PartialFile(0, _length(response.headers), _validator(response.headers))
    part.write_bytes(b"")
    write_atomically(state, json.dumps({"url": url, "size": fresh.size, "validator": fresh.validator}))
    return fresh


def _append(response: Any, part: Path, begun: _PartialFile, advance: Advance) -> None:
    done = begun.done
    with part.open("ab") as file:
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _ConnectionFailed(_words(error)) from None
            if not block:
                return
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise BenchError(
                    f"{part} cannot be written: {_words(error)}. Make room; the same command goes on from there."
                ) from None
            done += len(block)
            advance(done, begun.size)


class _RangeRefused(Exception):
    """Answer 416."""


@contextmanager
def _response(request: urllib.request.Request, patience: RetryLimits) -> Iterator[Any]:
    """The answer to a request.

    Raises:
        _ConnectionFailed: If there is none, or one that may be another a moment later.
        BenchError: If the server refuses.
    """
    request.add_header("User-Agent", f"segbench/{__version__}")
    request.add_header("Accept-Encoding", "identity")
    try:
        # Not urlopen, which keeps the proxies of its first call.
        response = urllib.request.build_opener().open(request, timeout=patience.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == 416:
            raise _RangeRefused from None
        if error.code in PASSING:
            raise _ConnectionFailed(answer) from None
        raise BenchError(
            f"{request.full_url} cannot be fetched: {answer}. It may have moved: look at its source, fetch it by hand, "
            "put it into the folder archives and give the same command again."
        ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise BenchError(
                f"{request.full_url} cannot be fetched: its certificate is not trusted here ({error.reason.reason}). "
                "Name the certificates to trust in the variable SSL_CERT_FILE."
            ) from None
        raise _ConnectionFailed(_words(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionFailed(_words(error)) from None
    with response:
        yield response


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _validator(headers: Message) -> str:
    """Return what names the state of the file for If-Range: a strong ETag, or else its time of change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _words(reason: object) -> str:
    """Return an error in words; most of a socket's have them."""
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__
