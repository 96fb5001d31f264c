"""Holds what the actions of `bench data` share: which data set, which splits, and where pictures and caches go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser

if TYPE_CHECKING:
    from bench.data.opening import Choice
    from bench.dataset import Dataset

FOLDER = "data"
"""A check or a count remembers here, below the results, what it saw; pictures go here by default."""


def add_choice(parser: Parser) -> None:
    """Add the flags that choose a data set: a name and options, or one of a suite."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of a data set (see: bench list datasets)")
    parser.repeated("--set", "KEY=VALUE", "an option of the data set, in YAML; repeatable")
    parser.option("--suite", "FILE", "use a data set of this suite, with its options")
    parser.option("--dataset", "LABEL", "label of the data set in the suite")


def add_splits(parser: Parser) -> None:
    """Add the flag that chooses splits."""
    parser.repeated("--split", "SPLIT", "only this split; repeatable (default: all)")


def add_passes(parser: Parser) -> None:
    """Add the flags that say how every image is read."""
    parser.option("--jobs", "N", "number of processes (default: one for each core)", type=int)
    parser.option("--cache", "DIR", "folder of cached results (default: RESULTS/data)")


def choice_of(options: Namespace) -> Choice:
    """Return the data set, as `add_choice` was answered."""
    from bench.data.opening import chosen

    return chosen(options.name, options.set, options.suite, options.dataset)


def opened_splits(options: Namespace) -> tuple[Choice, Dataset, tuple[str, ...]]:
    """Return the data set, opened, and the splits that are asked for."""
    from bench.data.opening import opened, wanted_splits

    choice = choice_of(options)
    dataset = opened(choice)
    return choice, dataset, wanted_splits(dataset, choice, options.split)


def cache_of(options: Namespace) -> Path:
    """Return the folder that remembers what was seen."""
    return Path(options.cache) if options.cache else Path(options.results) / FOLDER


def picture_of(options: Namespace, choice: Choice, kind: str) -> Path:
    """Return where a picture goes: `--out`, or a file named after data set and command."""
    from bench.errors import BenchError
    from bench.records.store.layout import plain_name

    if options.out is None:
        return Path(options.results) / FOLDER / f"{plain_name(choice.label)}-{kind}.png"
    if Path(options.out).suffix.lower() != ".png":
        raise BenchError(f"--out {options.out}: the picture is a PNG; give a name that ends in .png")
    return Path(options.out)
