"""`bench data detect`: what a folder seems to be, how sure that is and why, and the lines of a suite that open it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath

from pydantic import JsonValue, ValidationError

from bench.data._guess import Guess, Listing
from bench.data._guess_damaged import damaged_guesses, describe_others
from bench.data._guess_folder import SPLIT_WORDS
from bench.data._guess_formats import generic_guesses, guesses
from bench.data.formats.by_name import open_dataset
from bench.data.formats.file_names import is_hidden
from bench.data.formats.home import expanded
from bench.data.formats.patterns import visible_files
from bench.data.opening import as_yaml
from bench.dataset import Dataset, dataset_names
from bench.errors import BenchError, DatasetError, in_one_line

ODD = (BenchError, ValidationError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)
"""This is what a folder that only looks like a format may make its reader raise."""
TRAIN = ("train", "training")
VAL = ("val", "valid", "validation", "dev")
TEST = ("test", "testing")


@dataclass(frozen=True)
class Detected:
    """A proposal that was tried.

    Attributes:
        dataset: The opened data set, or None.
        trouble: Reason why it does not open or its first ground truth cannot be read; empty if it does.
        counts: Split -> number of images.
    """

    guess: Guess
    dataset: Dataset | None
    trouble: str
    counts: dict[str, int]


def detect(folder: Path) -> tuple[Detected, ...]:
    """Return what a folder may be, what opens first, then the likeliest; empty if it is like nothing known.

    Raises:
        DatasetError: If there is no such folder.
    """
    root = expanded(str(folder)).absolute()
    if not root.is_dir():
        raise DatasetError(f"{folder} is no folder. Give the folder in which the images and annotations lie.")
    root = innermost(root)
    listing = Listing(root, tuple(visible_files(root)))
    tried: list[Detected] = []
    for guess in chain(guesses(listing), damaged_guesses(listing), generic_guesses(listing)):
        if guess.name not in dataset_names():
            continue
        found = _tried(guess, root)
        tried.append(found)
        if not found.trouble and guess.certain:
            break
    return tuple(sorted(tried, key=_rank))


GENERIC = ("folder", "volumes")
"""Data sets of any files, as which much opens that is something else."""
UNMISTAKABLE = (
    "cityscapes", "coco", "cvat", "label_studio", "labelme", "nnunet", "open_images", "supervisely", "voc",
)  # fmt: skip
"""Formats that a folder has even where a file of it is missing or damaged."""


def _rank(found: Detected) -> int:
    """Return the place of a proposal: known formats, even if something is wrong, come before any images and masks."""
    if found.guess.name not in GENERIC and not found.trouble:
        return 0
    if found.guess.name in UNMISTAKABLE and found.guess.certain:
        return 1
    return 3 if found.trouble else 2


def innermost(root: Path) -> Path:
    """Return the folder itself, or the only one in it where it holds nothing else, as archives are often unpacked."""
    while True:
        inside = [path for path in root.iterdir() if not is_hidden(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in SPLIT_WORDS:
            return root
        root = inside[0]


def _tried(guess: Guess, root: Path) -> Detected:
    """Open a proposal, with fractions where it has one split only, and read the first ground truth of each split."""
    dataset: Dataset | None = None
    counts: dict[str, int] = {}
    try:
        dataset = open_dataset(guess.name, {"root": str(root), **guess.options})
        counts = {split: len(dataset.ids(split)) for split in dataset.splits()}
        if len([split for split in counts if counts[split]]) == 1 and sum(counts.values()) >= 3:
            guess = replace(guess, options={**guess.options, "split_by": "fraction"})
            dataset = open_dataset(guess.name, {"root": str(root), **guess.options})
            counts = {split: len(dataset.ids(split)) for split in dataset.splits()}
        for split in dataset.splits():
            for image_id in dataset.ids(split)[:1]:
                dataset.target(image_id)
        trouble = "" if any(counts.values()) else "it has no images"
    except ODD as error:
        trouble = in_one_line(error)
    return Detected(guess, dataset, trouble, counts)


def yaml_lines(found: Detected, root: Path) -> str:
    """Return lines for a suite."""
    options: dict[str, JsonValue] = {"root": str(root), **found.guess.options}
    lines = ["datasets:", f"  - name: {found.guess.name}", "    options:"]
    lines += [f"      {key}: {as_yaml(value)}" for key, value in options.items()]
    lines += [f"    {role}: {as_yaml(split)}{note}" for role, split, note in _roles(found.counts)]
    return "\n".join(lines)


def _roles(counts: dict[str, int]) -> list[tuple[str, str, str]]:
    """Return what the splits are used for, where they are not called train, val and test."""
    there = [split for split, count in counts.items() if count]
    if not there:
        return []
    train, val, test = (next((s for s in there if s.lower() in words), None) for words in (TRAIN, VAL, TEST))
    train = train or there[0]
    rows = [
        ("train", train, ""),
        ("val", val or test or train, "" if val else "  # there is no split for validation"),
        ("test", test or val or there[-1], "" if test else "  # there is no split for testing"),
    ]
    return [(role, split, note) for role, split, note in rows if role != split or note]


def report(found: tuple[Detected, ...], folder: Path) -> str:
    """Return what was found, in words, with the lines to use."""
    root = innermost(expanded(str(folder)).absolute())
    counted = _what_lies_there(root)
    if not found:
        known = describe_others(Listing(root, tuple(visible_files(root))))
        return "\n\n".join([f"{folder}: like no format that is known. {counted}", *known, _advice(root)])
    first, *others = found
    surely = "this is, for sure," if first.guess.certain else "this is probably"
    surely = "looks like, but does not open as," if first.trouble else surely
    parts = [f"{folder}: {surely} {first.guess.name}. {counted}"]
    parts.append("\n".join(f"- {reason}" for reason in first.guess.reasons))
    if first.trouble:
        parts.append(f"It cannot be used yet: {first.trouble}")
    if first.dataset is not None and not first.trouble:
        parts.append(_contents(first))
    parts.append(f"For a suite:\n\n{yaml_lines(first, root)}")
    for other in others:
        verb = f"but then: {other.trouble}" if other.trouble else "which opens too"
        said = ", ".join(f"{key}={as_yaml(value)}" for key, value in other.guess.options.items())
        parts.append(f"It could also be {other.guess.name} ({said or 'as usual'}), {verb}")
    parts.append("Then read every file once with: bench data check --suite SUITE.yaml")
    return "\n\n".join(parts)


def _contents(found: Detected) -> str:
    dataset = found.dataset
    assert dataset is not None
    names = [spec.name for spec in dataset.classes]
    shown = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
    counts = ", ".join(f"{count} {split}" for split, count in found.counts.items())
    return f"Images: {counts}\nClasses: {shown}\nGround truth: {', '.join(dataset.tasks)}\nSource: {dataset.source}"


def _what_lies_there(root: Path) -> str:
    endings = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in visible_files(root))
    if not endings:
        return "It holds no visible file."
    return "It holds " + ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8)) + "."


def _advice(root: Path) -> str:
    return (
        "If images and masks lie there, say where by patterns, for example:\n\n"
        f"datasets:\n  - name: folder\n    options:\n      root: {as_yaml(str(root))}\n"
        '      images: "{split}/images/{id}.*"\n      masks: "{split}/masks/{id}_mask.png"\n\n'
        "All formats: bench list datasets"
    )
