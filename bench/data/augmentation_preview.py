"""Shows what a suite's recipes make of its training images, as contact sheets.

The changes are those of a training, made by `adapters._torch.training.preview` in the interpreter of a
model that is trained; no network is built.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.bands import as_bytes
from bench.data.labels.dataset import open_labelled
from bench.dataset import Dataset
from bench.errors import BenchError, DatasetError
from bench.records import Case, Recipe, Target
from bench.records.names import harness_root, python_path
from bench.records.recipe import PreviewRequest
from bench.records.store.files import write_record
from bench.records.store.layout import plain_name
from bench.report.draw.contact_sheet import PictureRow, Tile, overlay_with_void, picture_sheet
from bench.report.draw.figure import draw
from bench.run.environments.interpreters import Interpreters, installed_packages
from bench.run.planning.prepare import Prepared
from bench.run.process import run_worker
from bench.run.worker.environment import worker_environment

DRAWS = 5
"""Changed copies of each image."""

MOST_IMAGES = 50
"""Rows of a sheet that is still a picture."""

TIMEOUT_S = 600.0
REQUEST, GIVEN, DRAWN = "request.json", "images.npz", "draws.npz"
NEEDED = ("torch", "torchvision")


@dataclass(frozen=True)
class Sheet:
    """A sheet that was written.

    Attributes:
        models: Labels of the models that are trained so.
        changes: True if the recipe changes images at all.
    """

    path: Path
    models: tuple[str, ...]
    changes: bool


def preview(prepared: Prepared, out: Path, *, images: int) -> list[Sheet]:
    """Write a sheet for each data set and each recipe that treats its images differently.

    Args:
        images: Training images a sheet shows at most, taken at a fixed stride.

    Raises:
        BenchError: If the suite trains nothing, no interpreter has torchvision, a data set has no
            training images, or the folder cannot be made.
    """
    if not 1 <= images <= MOST_IMAGES:
        raise BenchError(f"--images {images}: expected 1 to {MOST_IMAGES}, the rows of a sheet")
    groups = _groups(prepared)
    python = _interpreter(groups, prepared.interpreters)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"--out {out}: cannot be made a folder: {error.strerror}; name another") from None
    with tempfile.TemporaryDirectory(prefix="bench-preview-") as name:
        asked = [_ask(group, Path(name) / str(number), images) for number, group in enumerate(groups)]
        _run(python, [one.folder for one in asked], log=Path(name) / "worker.log")
        return [_draw(one, out / file) for one, file in zip(asked, _file_names(groups), strict=True)]


@dataclass(frozen=True)
class _Asked:
    """Hold what is asked of the worker for a sheet, in a folder of its own."""

    cases: Sequence[Case]
    dataset: Dataset
    ids: Sequence[str]
    folder: Path


def _groups(prepared: Prepared) -> list[list[Case]]:
    """Trained cases whose sheet would be the same, in the order of the suite."""
    found: dict[object, list[Case]] = {}
    for case in (plan.case for plan in prepared.cases):
        if case.recipe is not None:
            recipe = case.recipe
            key = (case.dataset.label, recipe.flip, recipe.augmentation, recipe.image_size, recipe.random_crop)
            found.setdefault(key, []).append(case)
    if found:
        return list(found.values())
    if prepared.suite.recipe is None:
        raise BenchError(
            f"{prepared.source}: has no 'recipe', so it trains nothing and there is nothing to preview. Give it one, "
            "for example recipe: {budget: {epochs: 20}, augmentation: {rotate_deg: 15, colour: 0.2}}."
        )
    raise BenchError(
        f"{prepared.source}: its recipe applies to none of its models, which bring their weights or cannot be "
        "trained, so there is nothing to preview. Add a model to train; list them with: bench list models"
    )


def _interpreter(groups: Sequence[Sequence[Case]], interpreters: Interpreters) -> Path:
    """Return the first interpreter of a trained model that can draw."""
    adapters = dict.fromkeys(case.model.adapter for group in groups for case in group)
    pythons = list(dict.fromkeys(interpreters.python(adapter) for adapter in adapters))
    for python in pythons:
        if all(package in installed_packages(python) for package in NEEDED):
            return python
    raise BenchError(
        f"a preview is drawn with {' and '.join(NEEDED)}, which {' and '.join(map(str, pythons))} "
        f"does not have. Install them with: {pythons[0]} -m pip install {' '.join(NEEDED)}"
    )


def _file_names(groups: Sequence[Sequence[Case]]) -> list[str]:
    """`shapes.png`, and where recipes differ `shapes@unet-transposed.png` after the first model of each."""
    labels = [group[0].dataset.label for group in groups]
    return [
        plain_name(label if labels.count(label) == 1 else f"{label}@{group[0].model.label}") + ".png"
        for label, group in zip(labels, groups, strict=True)
    ]


def _ask(cases: Sequence[Case], folder: Path, images: int) -> _Asked:
    """Write the request for a sheet, with its images."""
    spec, recipe = cases[0].dataset, _recipe(cases)
    dataset = open_labelled(spec)
    ids = list(dataset.ids(spec.train))
    if not ids:
        raise DatasetError(f"data set {spec.label!r}: split {spec.train!r} has no images; set 'train' to one that has")
    ids = ids[:: max(1, len(ids) // images)][:images]
    given: dict[str, NDArray[np.uint8]] = {}
    for index, image_id in enumerate(ids):
        given[f"image_{index}"] = as_bytes(dataset.image(image_id))
        given[f"labels_{index}"] = dataset.target(image_id).semantic.labels
    folder.mkdir()
    np.savez(folder / GIVEN, **given)  # type: ignore[arg-type]  # hints: a flag may be among them
    request = PreviewRequest(recipe=recipe, count=len(ids), draws=DRAWS, images=GIVEN, out=DRAWN)
    write_record(folder / REQUEST, request)
    return _Asked(cases, dataset, ids, folder)


def _recipe(cases: Sequence[Case]) -> Recipe:
    recipe = cases[0].recipe
    assert recipe is not None  # only trained cases are grouped
    return recipe


def _draw(asked: _Asked, path: Path) -> Sheet:
    """Write the sheet from what the worker has left."""
    classes, recipe = asked.dataset.classes, _recipe(asked.cases)
    with np.load(asked.folder / DRAWN) as drawn:
        rows = [
            PictureRow(
                image_id,
                [
                    overlay_with_void(drawn[f"image_{index}_{draw}"], Tile(drawn[f"labels_{index}_{draw}"]), classes)
                    for draw in range(DRAWS + 1)
                ],
            )
            for index, image_id in enumerate(asked.ids)
        ]
    titles = ["unchanged", *(f"draw {draw}" for draw in range(1, DRAWS + 1))]
    draw(path, picture_sheet, rows, titles=titles, classes=classes, void="void, outside")
    models = tuple(dict.fromkeys(case.model.label for case in asked.cases))
    return Sheet(path, models, changes=recipe.flip or recipe.augmentation.changes or recipe.random_crop is not None)


def _run(python: Path, folders: Sequence[Path], *, log: Path) -> None:
    """Run one worker on the requests in all folders: starting torch takes longer than drawing.

    Raises:
        BenchError: What the worker says of a recipe that it cannot follow.
        RuntimeError: What it left in its log, if it ended in any other way.
    """
    environment = {**os.environ, "PYTHONPATH": python_path(), **worker_environment(Target(), None)}
    requests = [str(folder / REQUEST) for folder in folders]
    command = [str(python), "-m", "adapters._torch.training.preview", *requests]
    end = run_worker(command, environment=environment, log=log, timeout_s=TIMEOUT_S, cwd=harness_root())
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    if end.timed_out:
        raise BenchError(f"drawing took longer than {TIMEOUT_S:.0f} s and was ended; ask for fewer --images")
    if end.exit_code == 2:
        raise BenchError(said)
    if end.exit_code != 0:
        raise RuntimeError(f"the preview worker ended with {end.signal or end.exit_code}:\n{said}")
