"""Chooses images and makes their small pictures: image, ground truth, each model's prediction and its errors.

Chosen are the most informative images, for every model, and those that lists of the page name, for the named models.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, zip_longest
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.tint import rims
from bench.data.labels.dataset import open_labelled
from bench.dataset import Dataset
from bench.errors import BenchError, in_one_line
from bench.metric import load_metric
from bench.records import ClassSpec, TaskKind, background_class
from bench.records.predictions import LabelMap
from bench.records.store.files import write_atomically
from bench.records.store.layout import PAGE_IMAGES
from bench.report.draw.contact_sheet import Tile, painted_map
from bench.report.draw.tiles import finest, ground_truth_tile, predicted_tile, score_to_draw, shown_image
from bench.report.facts import Facts
from bench.report.summary.per_image import CaseImages, by_dataset, disagreement, largest

SIDE = 224
"""Longest side of a small picture, pixels."""

MOST_PICTURES, MOST_IMAGES, MOST_FURTHER = 420, 24, 800
"""Pictures of all models together, and images: of many models fewer images are shown; pictures of further images."""

MISSED, EXTRA, CONFUSED = (0, 114, 178), (230, 159, 0), (204, 121, 167)
"""Colours of errors, from Okabe and Ito: an object that is not found, one where there is none, another class."""

Place = Callable[[str, bytes], str]
"""Keeps a picture under a name and returns its address in the page."""


@dataclass(frozen=True)
class ShownPrediction:
    """One prediction in the page: its name, addresses of its picture and its errors, the share of wrong pixels."""

    name: str
    case_id: str
    picture: str | None = None
    errors: str | None = None
    wrong: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Example:
    """One image in the page.

    Attributes:
        image_id, dataset: Id of the image, and the data set that it belongs to.
        why: Reasons why it is among those shown.
        image, ground_truth: Addresses of its pictures.
        height, width: Size of each of its pictures, pixels.
        predictions: Prediction of each model; of a further image, of those that a list names it for.
        further: True if it is there because a list names it, and folded away until it is asked for.
    """

    image_id: str
    dataset: str
    why: tuple[str, ...]
    image: str
    ground_truth: str
    height: int
    width: int
    predictions: tuple[ShownPrediction, ...]
    further: bool = False


@dataclass(frozen=True)
class Gallery:
    """All images in the page, the classes with their colours by data set, and what could not be shown."""

    examples: tuple[Example, ...]
    classes: dict[str, tuple[ClassSpec, ...]]
    left_out: tuple[str, ...]


def beside(folder: Path) -> Place:
    """Keep pictures as files beside the page."""

    def place(name: str, content: bytes) -> str:
        write_atomically(folder / PAGE_IMAGES / name, content, to_disk=False)  # the next report draws it again
        return f"{PAGE_IMAGES}/{name}"

    return place


def inside(_: str, content: bytes) -> str:
    """Keep pictures in the page itself."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def gallery(facts: Facts, place: Place) -> Gallery:
    """Draw the images that tell most; of a data set that is not on this machine a line says so."""
    examples: list[Example] = []
    classes: dict[str, tuple[ClassSpec, ...]] = {}
    left_out = []
    groups = by_dataset(facts.images)
    for label, cases in groups.items():
        cases = [case for case in cases if case.scores and case.view.predict is not None and case.view.predict.ok]
        if not cases:
            continue
        try:
            dataset = open_labelled(cases[0].view.case.dataset)
            most = max(3, min(MOST_IMAGES, MOST_PICTURES // (2 + 2 * len(cases))) // len(groups))
            chosen = chosen_images(cases, facts, most=most)
            form = finest([case.view for case in cases])
            further = further_images(cases, facts, chosen, pictures=MOST_FURTHER // len(groups))
            drawn = [(image_id, tuple(why), cases, False) for image_id, why in chosen.items()]
            drawn += [(one.image_id, tuple(one.why), one.of(cases), True) for one in further]
            for number, (image_id, why, shown, folded) in enumerate(drawn, start=len(examples)):
                example = _example(number, image_id, why, shown, dataset, form, facts, place)
                examples.append(replace(example, further=folded))
        except (BenchError, OSError, KeyError) as error:
            left_out.append(f"{label}: {in_one_line(error)}")
            continue
        classes[label] = cases[0].view.task.classes
    return Gallery(tuple(examples), classes, tuple(left_out))


# --------------------------------------------------------------------------- pictures


def _example(
    number: int,
    image_id: str,
    why: tuple[str, ...],
    cases: Sequence[CaseImages],
    dataset: Dataset,
    form: TaskKind,
    facts: Facts,
    place: Place,
) -> Example:
    classes = cases[0].view.task.classes
    image = small(shown_image(dataset, image_id), smooth=True)
    ground_truth = small_tile(ground_truth_tile(dataset.target(image_id), form))
    shown = []
    for case in cases:
        file = f"{number:03}_{facts.position_of[case.case_id]:03}"
        drawn = score_to_draw(case.view)
        tile = predicted_tile(case.view, image_id, dataset, drawn)
        one = ShownPrediction(facts.name_of[case.case_id], case.case_id, note="the prediction cannot be read")
        if tile is not None:
            tile = small_tile(tile)
            errors, wrong = error_map(image, ground_truth.labels, tile.labels, classes)
            one = replace(
                one,
                picture=place(f"{file}_prediction.png", _encoded(painted_map(tile, classes))),
                errors=place(f"{file}_errors.png", _encoded(errors)),
                wrong=wrong,
                note="" if drawn is None else f"objects with a score of {drawn:g} or more",
            )
        shown.append(one)
    return Example(
        image_id=image_id,
        dataset=cases[0].view.case.dataset.label,
        why=why,
        image=place(f"{number:03}_image.jpg", _encoded(image, photo=True)),
        ground_truth=place(f"{number:03}_truth.png", _encoded(painted_map(ground_truth, classes))),
        height=image.shape[0],
        width=image.shape[1],
        predictions=tuple(shown),
    )


def small(pixels: NDArray[np.generic], *, smooth: bool) -> NDArray[np.uint8]:
    """Return a picture or a map no longer than `SIDE` on its longest side; smaller ones stay as they are."""
    height, width = pixels.shape[:2]
    share = SIDE / max(height, width)
    if share >= 1:
        return np.asarray(pixels)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    how = cv2.INTER_AREA if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how))


def small_tile(tile: Tile) -> Tile:
    """Return a tile no longer than `SIDE`; rims of objects are drawn anew, for thin lines would be lost."""
    labels = small(tile.labels, smooth=False)
    if tile.objects is None:
        return Tile(labels)
    objects = small(tile.objects, smooth=False)
    return Tile(labels, rims(objects, thin=True), np.asarray(objects, dtype=np.int32), tile.class_of)


def error_map(
    image: NDArray[np.uint8], ground_truth: LabelMap, predicted: LabelMap, classes: Sequence[ClassSpec]
) -> tuple[NDArray[np.uint8], float | None]:
    """Return the image in grey with wrong pixels in the colour of their kind, and the share of wrong pixels.

    Args:
        image: (H, W, 3).
        ground_truth, predicted: Class ids, (H, W); those that are no class are void, or no prediction.
        classes: The label space; without a background every wrong pixel with a class is of another class.

    Returns:
        uint8, (H, W, 3); and wrong pixels over those that are not void, None where all are.
    """
    nothing, count = background_class(classes), len(classes)
    judged, wrong = ground_truth < count, ground_truth != predicted
    no_class = predicted >= count if nothing is None else (predicted >= count) | (predicted == nothing)
    missed = judged & wrong & no_class
    extra = judged & wrong & ~no_class & (ground_truth == (-1 if nothing is None else nothing))
    confused = judged & wrong & ~missed & ~extra
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float64) * 0.55 + 90
    painted = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    for where, colour in ((missed, MISSED), (extra, EXTRA), (confused, CONFUSED)):
        painted[where] = colour
    painted[~judged] = 60
    pixels = int(judged.sum())
    return painted, int((judged & wrong).sum()) / pixels if pixels else None


def _encoded(pixels: NDArray[np.uint8], *, photo: bool = False) -> bytes:
    """Return a photo as JPEG, a map as PNG of few colours."""
    from PIL import Image

    buffer, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(pixels))
    if photo:
        image.save(buffer, "JPEG", quality=82)
    else:
        image.quantize(64, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return buffer.getvalue()


LISTED = 5
"""Images in each list."""
BEATEN = 8
"""Images on which one model beats another the most that the page lists."""


def chosen_images(cases: Sequence[CaseImages], facts: Facts, most: int) -> dict[str, list[str]]:
    """Return image ids with the reasons to show them: by turns of each kind of reason, until there are `most`."""
    name = next(iter(cases[0].scores))
    cases = [case for case in cases if name in case.scores]
    sign = 1.0 if load_metric(name).higher_is_better else -1.0
    ids, names = cases[0].image_ids, facts.name_of
    kinds = []
    if len(cases) > 1:
        kinds.append([(ids[i], "models disagree") for i in largest(disagreement(cases, name), 8, above=0)])
    for case in cases:
        why = f"among the worst of {names[case.case_id]}"
        kinds.append([(case.image_ids[i], why) for i in largest(-sign * case.scores[name], 3)])
    kinds += [_confused(case, facts) for case in cases]
    if len(cases) > 1:
        ranked = sorted(cases, key=lambda case: -sign * float(np.nanmean(np.append(case.scores[name], -sign))))
        better, worse = ranked[:2]
        ahead = largest(sign * (worse.scores[name] - better.scores[name]), 3, above=0)
        kinds.append([(ids[i], f"{names[worse.case_id]} beats {names[better.case_id]}") for i in ahead])
    found: dict[str, list[str]] = {}
    for turn in zip_longest(*kinds):
        if len(found) >= most:
            break
        for image_id, why in filter(None, turn):
            if image_id in found or len(found) < most:
                found.setdefault(image_id, []).append(why)
    return found


def _confused(case: CaseImages, facts: Facts) -> list[tuple[str, str]]:
    table = next((one for one in facts.confusions if one.case_id == case.case_id), None)
    name = facts.name_of[case.case_id]
    pairs = [pair for pair in (table.pairs[:2] if table is not None else ()) if pair.images]
    return [(pair.images[0][0], f"{pair.true} taken for {pair.predicted} by {name}") for pair in pairs]


# --------------------------------------------------------------------------- images that lists name


@dataclass
class ListedImage:
    """An image that a list names, with the reasons and the models that these are about."""

    image_id: str
    why: list[str] = field(default_factory=list)
    case_ids: set[str] = field(default_factory=set)

    def of(self, cases: Sequence[CaseImages]) -> list[CaseImages]:
        """Return the cases that it is shown under, in their order."""
        return [case for case in cases if case.case_id in self.case_ids]


def further_images(
    cases: Sequence[CaseImages], facts: Facts, known: Collection[str], *, pictures: int
) -> list[ListedImage]:
    """Return the images that lists of the page name and that are not shown yet, the first of each list first.

    Args:
        cases: Cases of one data set.
        facts: Facts of the run, for the names of the rows.
        known: Images that are shown already.
        pictures: Largest number of pictures: two of each image, and two of each model that it is shown under.
    """
    found: dict[str, ListedImage] = {}
    for image_id, why, case_ids in _named(cases, facts):
        if image_id in known:
            continue
        one = found.get(image_id, ListedImage(image_id))
        cost = 2 * len(case_ids - one.case_ids) + (0 if image_id in found else 2)
        if cost > pictures:
            continue
        pictures -= cost
        found[image_id] = one
        one.case_ids |= case_ids
        one.why += [] if why in one.why else [why]
    return list(found.values())


def _named(cases: Sequence[CaseImages], facts: Facts) -> Iterator[tuple[str, str, set[str]]]:
    """Yield image, reason, and ids of the cases that it is about, by turns of all lists."""
    name = next(iter(cases[0].scores))
    cases = [case for case in cases if name in case.scores]
    sign = 1.0 if load_metric(name).higher_is_better else -1.0
    values = sign * np.stack([case.scores[name] for case in cases])  # (cases, images), larger is better
    best = np.nan_to_num(values, nan=-np.inf).argmax(axis=0)
    names, ids = [facts.name_of[case.case_id] for case in cases], cases[0].image_ids
    case_ids = [case.case_id for case in cases]
    lists = [
        [(ids[i], f"among the worst of {names[n]}", {case_ids[n], case_ids[best[i]]}) for i in largest(-of, LISTED)]
        for n, of in enumerate(values)
    ]
    if len(cases) > 1:
        known = np.nan_to_num(values, nan=0.0)
        apart = largest(disagreement(cases, name), LISTED, above=0)
        ends = {i: {case_ids[known[:, i].argmin()], case_ids[known[:, i].argmax()]} for i in apart}
        lists.append([(ids[i], "models disagree", ends[i]) for i in apart])
    for a, b in permutations(range(len(cases)), 2):
        ahead = largest(values[a] - values[b], BEATEN, above=0)
        lists.append([(ids[i], f"{names[a]} beats {names[b]}", {case_ids[a], case_ids[b]}) for i in ahead])
    for turn in zip_longest(*lists):
        yield from filter(None, turn)
