"""`bench data export`: a data set in another format, with what that format cannot hold."""

from __future__ import annotations

import importlib
import pkgutil
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import bench.data.exports
from bench.data.exports import Exported
from bench.data.opening import Choice, as_yaml
from bench.data.progress import Advance, bar
from bench.dataset import Dataset, DatasetAround
from bench.errors import BenchError, PluginError, did_you_mean
from bench.records import IGNORE_LABEL
from bench.records.predictions import RgbImage
from bench.report.draw.tiles import shown_image

WIDE_FORMS = ("coco", "yolo")
"""Formats that hold objects alone, of any number of classes."""


def export_names() -> list[str]:
    """Formats that a data set can be written in."""
    return sorted(m.name for m in pkgutil.iter_modules(bench.data.exports.__path__) if not m.name.startswith("_"))


def parsed_names(settings: Sequence[str], dataset: Dataset) -> dict[str, str] | None:
    """Source class -> class of the format, from `OLD=NEW`; None if there are none.

    Raises:
        BenchError: If one is not of that form, or the data set has no such class.
    """
    names: dict[str, str] = {}
    known = [spec.name for spec in dataset.classes]
    for setting in settings:
        old, equals, new = setting.partition("=")
        if not equals or not old or not new:
            raise BenchError(f"--rename {setting!r} is not of the form OLD=NEW, for example --rename disc=car")
        if old not in known:
            raise BenchError(
                f"--rename {setting!r}: the data set has no class {old!r}.{did_you_mean(old, known)} "
                f"It has: {', '.join(known)}"
            )
        names[old] = new
    return names or None


def export(
    choice: Choice, dataset: Dataset, form: str, folder: Path, *, rename: Sequence[str], console: Console
) -> Exported:
    """Write all splits of a data set.

    Raises:
        PluginError: If there is no such format.
        DatasetError: If the folder holds anything, a ground truth cannot be read, or the format has no
            class for one of the source's.
    """
    if form not in export_names():
        raise PluginError(
            f"no export format {form!r}.{did_you_mean(form, export_names())} Formats: {', '.join(export_names())}"
        )
    if len(dataset.classes) > IGNORE_LABEL and form not in WIDE_FORMS:
        raise BenchError(
            f"{choice.label} has {len(dataset.classes)} classes; {form} stores masks of 8 bits, which hold "
            f"{IGNORE_LABEL}. Export it as {' or '.join(WIDE_FORMS)}, or choose fewer classes, for example with: "
            "--set classes='[…]'"
        )
    names = parsed_names(rename, dataset)
    module = importlib.import_module(f"bench.data.exports.{form}")
    with bar(console, f"export {choice.label} as {form}", unit="images") as advance:
        # Only a bar that is shown wants every split listed beforehand.
        source = _Watched(dataset, advance) if console.is_terminal else dataset
        written: Exported = module.export(source, folder, names=names)
    return written


def report(written: Exported, label: str) -> str:
    """Return what was written, what it could not hold, and how to open it."""
    lost = "\n".join(f"  - {loss}" for loss in written.loss) or "  nothing"
    quoted = (shlex.quote(f"{key}={as_yaml(value)}") for key, value in written.options.items())
    settings = " ".join(f"--set {setting}" for setting in quoted)
    return (
        f"{label}: {len(written.ids)} images written to {written.folder} as {written.dataset}\n\nWhat the format does "
        f"not hold:\n{lost}\n\nOpen it with: bench data check {written.dataset} {settings}"
    )


class _Watched(DatasetAround):
    """A data set that tells how many of its images were asked for."""

    def __init__(self, dataset: Dataset, advance: Advance) -> None:
        super().__init__(dataset)
        self._advance = advance
        self._images = sum(len(dataset.ids(split)) for split in dataset.splits())
        self._seen: set[str] = set()

    def image(self, image_id: str) -> RgbImage:
        self._seen.add(image_id)
        self._advance(len(self._seen), self._images)
        return shown_image(self.inner, image_id)
