"""Values, texts and files of others that are not as they should be, and what reading one may come to."""

from __future__ import annotations

import copy
import errno
import json
import random
import string
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import yaml

from bench.errors import BenchError

ODD = (None, True, 0, -1, 7, 1.5, 2.0, 10**400, 2**63, float("inf"), float("nan"), "", "0", "x", "\ud800", "a\0b",
       "1e999",        [], [1], [[1, 2], [3, 4], [5, 6]], [[]], ["a"] * 6, {}, {"a": 1}, {"size": [8, 8]},
       {"size": [8, 8], "counts": [64]}, {"size": [8, 8], "counts": [10**30]}, "../../etc", "/", ".", "é\n", "~nouser",
       "*", "x" * 300, -(10**19), 1e308, [None], "[/red]", "=1+1", "\u00b2", "\u0663", "9" * 5000, "1_0", "-1",
       "\u202e", "\x1b[31m", {"0": "a", "00": "b"}, [{"id": 1}, {"id": 1}])  # fmt: skip
MOST_SECONDS, LONGEST_MESSAGE = 10.0, 4000
"""What reading one small file may cost: CPU time, and patience."""


def mutated(document: object, chance: random.Random) -> object:
    """A document in which one to three values are others, gone, or twice there."""
    other = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        owners = [o for o in _containers(other) if o]
        if not owners:
            return copy.deepcopy(chance.choice(ODD))
        owner = chance.choice(owners)
        key = chance.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        what = chance.random()
        if what < 0.7:
            owner[key] = copy.deepcopy(chance.choice(ODD))
        elif what < 0.9:
            del owner[key]
        elif isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        else:
            owner[chance.choice(["colour", "", "1", "\ud800"])] = owner[key]
    return other


def _containers(value: object) -> list[dict | list]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, dict | list) else []), *(o for one in inner for o in _containers(one))]


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Text with some bytes others, gone, doubled or swapped for odd words, or in another encoding."""
    if chance.random() < 0.1:
        return chance.choice(OTHERWISE)(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(content) + 1)
        length = chance.choice((1, 1, 2, 8, 40))
        word = chance.choice(
            [b"", chance.randbytes(length), content[place : place + length] * 2, b"nan", b"-1", b"1e999", b"\xff\xfe", 
             b"<", b"]", b"&x;", b"0" * 400, "".join(chance.choices(string.printable, k=length)).encode()]
        )  # fmt: skip
        content = content[:place] + word + content[place + length :]
    return content


def _as(encoding: str) -> Callable[[bytes], bytes]:
    return lambda content: content.decode("utf-8", "replace").encode(encoding, "replace")


OTHERWISE: tuple[Callable[[bytes], bytes], ...] = (
    _as("utf-16"), _as("utf-16-be"), _as("utf-8-sig"), _as("latin-1"), _as("utf-32"),
    lambda content: content.replace(b"\n", b"\r\n"), lambda content: content.replace(b"\n", b"\r"),
    lambda content: content + b"\0", lambda content: content * 2, lambda content: b"", lambda content: b"[" * 200_000,
    lambda content: b"{\"a\":" * 50_000, lambda content: content.replace(b":", b": &a", 1) + b"\nz: [*a, *a]",
)  # fmt: skip
"""A text as another program may have saved it, twice, or nested."""


def attempt(read: Callable[[], object]) -> str | None:
    """None if reading gives something or a paragraph; else the traceback's last lines, or what it cost."""
    began = time.process_time()
    try:
        read()
    except BenchError as error:
        told = str(error)
        if not told or len(told) > LONGEST_MESSAGE:
            return f"says {len(told)} characters: {told[:200]}"
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return None  # what `bench` tells in a paragraph, with the name
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} at {last.filename.rpartition('/bench/')[2]}:{last.lineno}"
    took = time.process_time() - began
    return None if took < MOST_SECONDS else f"took {took:.1f} s of CPU"


def changed(file: Path, content: bytes, chance: random.Random) -> bytes:
    """Content of a file in which values, or bytes, are others."""
    if file.suffix == ".json" and chance.random() < 0.8:
        return json.dumps(mutated(json.loads(content), chance)).encode()
    if file.suffix in (".yaml", ".yml") and chance.random() < 0.7:
        return yaml.dump(mutated(yaml.safe_load(content), chance)).encode("utf-8", "surrogatepass")
    return spoilt(content, chance)
