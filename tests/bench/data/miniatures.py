"""Small data sets in every format, and `bench data` run in this process."""

from __future__ import annotations

import atexit
import importlib
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.cli.main import main
from bench.data.exports import Exported
from bench.data.opening import Choice, opened
from tests.bench.datasets.comparison import scenes


def written(form: str, folder: Path) -> Exported:
    """Thirty scenes, 48 × 64, in a format: 20 train, 6 val, 4 test; a copy of what is drawn and exported once."""
    once = _exported(form)
    shutil.copytree(once.folder, folder)
    return replace(once, folder=folder, options={**once.options, "root": str(folder)})


@cache
def _exported(form: str) -> Exported:
    folder = Path(tempfile.mkdtemp(prefix="bench-miniature-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return importlib.import_module(f"bench.data.exports.{form}").export(scenes(), folder / form)


def copied(exported: Exported, folder: Path) -> Choice:
    """A copy of an export that a test may damage."""
    shutil.copytree(exported.folder, folder)
    return Choice(exported.dataset, exported.dataset, {**exported.options, "root": str(folder)})


def entries(choice: Choice, split: str):
    """The files of every image of a split."""
    dataset = opened(choice)
    return [dataset.entry(image_id) for image_id in dataset.ids(split)]


def words_for(choice: Choice) -> list[str]:
    """The data set as arguments of a command."""
    settings = []
    for key, value in choice.options.items():
        text = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
        settings += ["--set", f"{key}={text}"]
    return [choice.name, *settings]


def bench_data(capsys, *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `bench data …`."""
    code = main(["data", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *words: object) -> str:
    """The one paragraph of a command that must end with a usage error, without its name and final newline."""
    code, out, err = bench_data(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("bench data: ")
    assert err.count("\n") == 1
    return err.removeprefix("bench data: ").rstrip("\n")
