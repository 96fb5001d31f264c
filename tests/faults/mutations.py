"""Suites, annotation files and records whose content was mutated: a paragraph or a result, never a traceback."""

from __future__ import annotations

import copy
import errno
import json
import pkgutil
import random
import resource
import string
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image
from pydantic import ValidationError

from bench.data import exports
from bench.data.formats.image_files import read_image, read_mask
from bench.data.formats.image_headers import _headers as header_cache
from bench.data.formats.image_headers import image_size
from bench.data.opening import Choice, opened
from bench.data.predictions.probabilities import read_numbers
from bench.errors import BenchError
from bench.records import CaseScores, Job, Outcome, read_record
from bench.records.store.samples import Samples
from bench.records.store.training_log import read_training_log
from bench.records.store.views import Plan
from bench.suite.expand import expand
from bench.suite.load import load_suite
from tests.bench.data.miniatures import copied, written
from tests.bench.suites import perfect, write_suite
from tests.faults.damages import quiet
from tests.faults.tally import Budget, Tally

ODD = (None, True, 0, -1, 7, 1.5, 2.0, 10**400, 2**63, float("inf"), float("nan"), "", "0", "x", "\ud800", "a\0b",
       "1e999",        [], [1], [[1, 2], [3, 4], [5, 6]], [[]], ["a"] * 6, {}, {"a": 1}, {"size": [8, 8]},
       {"size": [8, 8], "counts": [64]}, {"size": [8, 8], "counts": [10**30]}, "../../etc", "/", ".", "é\n", "~nouser",
       "*", "x" * 300, -(10**19), 1e308, [None], "[/red]", "=1+1")  # fmt: skip
FORMATS = sorted(m.name for m in pkgutil.iter_modules(exports.__path__) if not m.name.startswith("_"))
MOST_BYTES, MOST_SECONDS, LONGEST_MESSAGE = 2 * 1024**3, 10.0, 4000
"""What reading one small file may cost: memory beyond what is held, CPU time, and patience."""
TEXTS = (".json", ".yaml", ".yml", ".txt", ".xml", ".csv", ".jsonl", ".names")


def mutated(document: object, chance: random.Random) -> object:
    """A document in which one to three values are others, gone, or twice there."""
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        owners = [o for o in _containers(changed) if o]
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
    return changed


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


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Share the budget between suites, the readers of every format, pictures and arrays, and records."""
    chance = random.Random(seed)
    kept = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (_held_bytes() + MOST_BYTES, kept[1]))
        suites(tally, folder, budget.share(0.1), chance)
        for form in FORMATS:
            try:
                annotations(tally, folder, budget.share(0.6 / len(FORMATS)), chance, form)
            except BenchError as error:  # a format whose package is not here
                tally.left_out[f"mutated {form}"] = str(error)
        pictures(tally, folder, budget.share(0.15), chance)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, kept)
    records(tally, folder, budget.share(0.15), chance)


def _held_bytes() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmData:")) * 1024


def suites(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Suites whose values are others, loaded and expanded."""
    path = write_suite(
        folder,
        [perfect(), "fake/trains"],
        name="mutated",
        recipe={"budget": {"steps": 2}, "device": "cpu"},
        seeds=[0, 1],
    )
    document, text, left = yaml.safe_load(path.read_text()), path.read_bytes(), budget.left(tally)
    while left():
        if chance.random() < 0.7:
            dumped = yaml.dump(mutated(document, chance), allow_unicode=True)
            path.write_text(dumped, encoding="utf-8", errors="surrogatepass")
        else:
            path.write_bytes(spoilt(text, chance))
        tally.add("mutated suite", attempt(lambda: expand(load_suite(path), auto_device="cpu", source=path)))


def annotations(tally: Tally, folder: Path, budget: Budget, chance: random.Random, form: str) -> None:
    """The text files of a data set in a format, one of them mutated, opened and read: three images a split."""
    choice = copied(written(form, folder / f"whole-{form}"), folder / f"mutated-{form}")
    root = folder / f"mutated-{form}"
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix in TEXTS]
    contents, left = {file: file.read_bytes() for file in files}, budget.left(tally)
    while left() and files:
        file = chance.choice(files)
        file.write_bytes(_changed(file, contents[file], chance))
        tally.add(f"mutated {form}", attempt(lambda: _read_all(choice)))
        file.write_bytes(contents[file])


def _changed(file: Path, content: bytes, chance: random.Random) -> bytes:
    if file.suffix == ".json" and chance.random() < 0.8:
        return json.dumps(mutated(json.loads(content), chance)).encode()
    if file.suffix in (".yaml", ".yml") and chance.random() < 0.7:
        return yaml.dump(mutated(yaml.safe_load(content), chance)).encode("utf-8", "surrogatepass")
    return spoilt(content, chance)


def _read_all(choice: Choice) -> None:
    dataset = opened(choice)
    for split in dataset.splits():
        for image_id in list(dataset.ids(split))[:3]:
            dataset.target(image_id)


def records(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Records of a run and raw samples, each read by its reader."""
    results = folder / "records"
    suite = write_suite(
        folder, [perfect(), "fake/trains"], name="rec", recipe={"budget": {"steps": 2}, "device": "cpu"}
    )
    quiet(["run", str(suite), "--results", str(results)])
    readers: dict[str, Callable[[Path], object]] = {
        "job.json": lambda p: read_record(Job, p),
        "outcome.json": lambda p: read_record(Outcome, p),
        "plan.json": lambda p: read_record(Plan, p),
        "samples.npz": Samples.load,
        "training.jsonl": read_training_log,
    }
    found = [(f, readers[f.name]) for f in results.rglob("*") if f.name in readers]
    found += [(f, lambda p: read_record(CaseScores, p)) for f in results.glob("*/*/scores/*.json")]
    contents, left = {file: file.read_bytes() for file, _ in found}, budget.left(tally)
    while left():
        file, reader = chance.choice(found)
        file.write_bytes(_changed(file, contents[file], chance))
        tally.add("mutated record", attempt(partial(_tolerant, reader, file)))
        file.write_bytes(contents[file])


def _tolerant(reader: Callable[[Path], object], file: Path) -> None:
    try:
        reader(file)
    except (ValidationError, UnicodeDecodeError) as error:  # what `bench.records.store.runs` turns into a damage
        raise BenchError(str(error)[:80]) from None


def pictures(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Images, masks and arrays of every format, with other bytes and other sizes, each read as image and as mask."""
    place = folder / "pictures"
    place.mkdir()
    colours = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    labels = (colours[..., 0] // 100).astype(np.uint8)
    for suffix in ("png", "jpg", "bmp", "webp", "ppm", "jp2", "tif"):
        cv2.imwrite(str(place / f"colours.{suffix}"), colours)
    for suffix in ("png", "bmp", "tif", "gif"):
        Image.fromarray(labels, "L").save(place / f"labels.{suffix}")
    np.save(place / "labels.npy", labels)
    np.savez_compressed(place / "numbers.npz", probabilities=colours.astype(np.float32))
    contents, left = {file: file.read_bytes() for file in sorted(place.iterdir())}, budget.left(tally)
    while left():
        file = chance.choice(list(contents))
        file.write_bytes(_other_picture(contents[file], chance))
        readers = [read_numbers] if file.suffix == ".npz" else [read_mask, image_size, read_image]
        for read in readers[: 1 if file.suffix == ".npy" else 3]:
            header_cache.clear()
            tally.add(f"mutated {file.suffix[1:]}", attempt(partial(read, file)))
        file.write_bytes(contents[file])


def _other_picture(content: bytes, chance: random.Random) -> bytes:
    """Content of a file with a number of its beginning, where sizes are, larger; or cut, or with other bytes."""
    what = chance.random()
    if what < 0.4:
        place = chance.randrange(min(len(content), 160))
        number = chance.choice(
            [b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x40\x00", b"\xff\xff", b"\x00\x00", b"9" * 9]
        )
        return content[:place] + number + content[place + len(number) :]
    if what < 0.5:
        return content[: chance.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 4, 30))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
