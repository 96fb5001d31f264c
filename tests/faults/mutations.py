"""Suites, annotations, predictions, records, archives, pictures, mutated: a paragraph or a result, no traceback."""

from __future__ import annotations

import pkgutil
import random
import resource
from pathlib import Path

import yaml

from bench.data import exports
from bench.data.opening import Choice, opened
from bench.errors import BenchError
from bench.suite.expand import expand
from bench.suite.load import load_suite
from tests.bench.data.miniatures import copied, written
from tests.bench.suites import perfect, write_suite
from tests.faults.mutated import attempt, changed, mutated, spoilt
from tests.faults.stored import pictures, predictions, records
from tests.faults.tally import Budget, Tally

FORMATS = sorted(m.name for m in pkgutil.iter_modules(exports.__path__) if not m.name.startswith("_"))
MOST_BYTES = 2 * 1024**3
"""Memory that reading a small file may take beyond what is held."""
TEXTS = (".json", ".yaml", ".yml", ".txt", ".xml", ".csv", ".jsonl", ".names")


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Share the budget between suites, readers of predictions and of every format, pictures and arrays, and records."""
    chance = random.Random(seed)
    kept = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (_held_bytes() + MOST_BYTES, kept[1]))
        suites(tally, folder, budget.share(0.1), chance)
        predictions(tally, folder, budget.share(0.1), chance)
        for form in FORMATS:
            try:
                annotations(tally, folder, budget.share(0.5 / len(FORMATS)), chance, form)
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
        file.write_bytes(changed(file, contents[file], chance))
        tally.add(f"mutated {form}", attempt(lambda: _read_all(choice)))
        file.write_bytes(contents[file])


def _read_all(choice: Choice) -> None:
    dataset = opened(choice)
    for split in dataset.splits():
        for image_id in list(dataset.ids(split))[:3]:
            dataset.target(image_id)
