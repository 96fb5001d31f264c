"""Lists what is asked of files with predictions: the images of a split, under all their names, and the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.data.formats.coco_index import CocoIndex, coco_index
from bench.data.formats.documents import read_json_object
from bench.data.formats.file_names import same_text, stem_of
from bench.data.formats.typed import VALUES, as_typed
from bench.data.labels.dataset import on_disk
from bench.data.labels.predictions import classes_predicted, place_of, places_of
from bench.dataset import Dataset
from bench.errors import BenchError, DatasetError, did_you_mean
from bench.records import ClassSpec, ModelSpec


@dataclass(frozen=True)
class Requested:
    """The images and classes that predictions are wanted of.

    Attributes:
        ids: Ids of the images that are scored, in order.
        others: Ids of the data set's images that are not scored: of other splits, or beyond `max_images`.
        names: Another name of an image, in Unicode's composed form -> its id, for all images of the data set.
        classes: The label space that is predicted.
        places: Class name -> class id, or void, for every name that a class may be called by.
        annotations: Index of the COCO file whose ids predictions use; None where there is none.
        numbers: Id of an image in that file -> the image, of those that are scored.
    """

    ids: tuple[str, ...]
    others: frozenset[str]
    names: Mapping[str, str]
    classes: tuple[ClassSpec, ...]
    places: Mapping[str, int]
    annotations: CocoIndex | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, name: str) -> str | None:
        """Return the image that goes by a name, None if there is none."""
        return self.names.get(same_text(name))

    def class_of(self, name: str) -> int | None:
        """Return the class id of a name, without case and by synonyms; None if no class is called so."""
        return place_of(name, self.places)


def asked(
    model: ModelSpec, dataset: Dataset, split: str, max_images: int | None, *, annotations: str | None
) -> Requested:
    """Return what a case asks of its predictions.

    Args:
        model: Model whose `trained_on` is the label space of the predictions, if it is not the data set's.
        max_images: Largest number of its images; None for all.
        annotations: COCO file with the ids of images and categories; None for the data set's own.

    Raises:
        BenchError: If that file is not there.
    """
    ids = tuple(dataset.ids(split))[:max_images]
    everything = [image_id for name in dataset.splits() for image_id in _listed(dataset, name)]
    index, classes = _index(dataset, ids, annotations), classes_predicted(model, dataset)
    files = on_disk(dataset)
    every = dict.fromkeys([*ids, *everything])
    entries = {} if files is None else {i: _Known((it := files.entry(i)).key, it.image.stem) for i in every}
    by_file = {} if index is None else _keys_by_stem(index)
    return Requested(
        ids=ids,
        others=frozenset(everything) - set(ids),
        names=_names(ids, everything, entries, by_file),
        classes=classes,
        places=places_of(dataset) if model.trained_on is None else {c.name: i for i, c in enumerate(classes)},
        annotations=index,
        numbers={} if index is None else _numbers(ids, entries, by_file, own=annotations is None),
    )


def _listed(dataset: Dataset, split: str) -> Sequence[str]:
    """Return ids of a split; none where its files are not here, as of splits that are not scored."""
    try:
        return dataset.ids(split)
    except BenchError:
        return ()


def _index(dataset: Dataset, ids: Sequence[str], annotations: str | None) -> CocoIndex | None:
    if annotations is not None:
        if not Path(annotations).is_file():
            raise BenchError(f"there is no annotation file at {annotations}; correct the option annotations")
        return coco_index(Path(annotations))
    files = on_disk(dataset)
    if files is None or files.name != "coco" or not ids:
        return None
    first = next(iter(files.entry(ids[0]).ground_truths), None)
    return coco_index(first) if first is not None and first.suffix == ".json" else None


class _Known(NamedTuple):
    """Two names of an image: that in the annotation file of its data set, and its file's without suffix."""

    key: str
    stem: str


def _keys_by_stem(index: CocoIndex) -> dict[str, str]:
    """Return the name of each image's file without folders and suffix -> its id in an annotation file."""
    names = (name.decode().rpartition("/")[2] for name in index.names.tolist())
    return {stem_of(name): key.decode().lstrip() for name, key in zip(names, index.keys.tolist(), strict=True)}


def _numbers(
    ids: Sequence[str], entries: Mapping[str, _Known], by_file: Mapping[str, str], *, own: bool
) -> dict[str, str]:
    """Return the number of each scored image in a file, which its `own` entries hold, or else file names tell."""
    if own and entries:
        return {entries[image_id].key: image_id for image_id in ids}
    stems = {image_id: entries[image_id].stem if entries else image_id for image_id in ids}
    found = {image_id: by_file.get(stem) or by_file.get(image_id) for image_id, stem in stems.items()}
    return {number: image_id for image_id, number in found.items() if number is not None}


def _names(
    ids: Sequence[str], everything: Sequence[str], entries: Mapping[str, _Known], by_file: Mapping[str, str]
) -> dict[str, str]:
    """Return every name by which an image may be called -> its id; names of two images are left out, ids stay.

    Numbers in annotation files often begin anew in each split: one of a scored image is no other's.
    """
    found: dict[str, set[str]] = {}
    scored = set(ids)
    of_scored = [entries[image_id] for image_id in ids] if entries else []
    stems = {one.stem for one in of_scored}
    numbers = {by_file.get(stem, "") for stem in stems} | {one.key for one in of_scored}
    for image_id in dict.fromkeys([*ids, *everything]):
        names = {image_id.replace("__", "/"), image_id.rpartition("__")[2], image_id.partition("__")[2]}
        if entries:
            known = entries[image_id]
            own = {known.key}
            if image_id in scored or known.stem not in stems:
                own |= {by_file.get(known.stem, ""), by_file.get(image_id, "")}
            names |= {known.stem, *(own if image_id in scored else own - numbers)}
        else:
            names.add(by_file.get(image_id, ""))
        if image_id.isdecimal():
            names.add(str(int(image_id)))
        for name in names - {""}:
            found.setdefault(same_text(name), set()).add(image_id)
    unique = {name: next(iter(owners)) for name, owners in found.items() if len(owners) == 1}
    return {**unique, **{same_text(image_id): image_id for image_id in (*everything, *ids)}}


def numbered(
    classes: Sequence[str] | Mapping[str, int] | None, asked: Requested, *, offset: int, where: str
) -> dict[int, int]:
    """Return number -> class id, or void, from what is said of the classes.

    Args:
        classes: Names from `offset` on, or name -> number; None takes the classes asked for in their order.
        asked: Images and classes that predictions are wanted of.
        offset: Number of the first name.
        where: Source of the statement, for the message.

    Raises:
        BenchError: If a name is none of the classes, with both sides.
    """
    if classes is None:
        return {offset + class_id: class_id for class_id in range(len(asked.classes))}
    numbers = classes if isinstance(classes, Mapping) else {name: offset + i for i, name in enumerate(classes)}
    known = [spec.name for spec in asked.classes]
    places = {name: asked.class_of(name) for name in numbers}
    strange = [name for name, place in places.items() if place is None]
    if strange:
        told = ", ".join(f"{name!r}{did_you_mean(name, known)}" for name in strange[:5])
        raise BenchError(
            f"{where}: {len(strange)} of {len(numbers)} names are no class of the data set: {told}. Its classes are "
            f"{', '.join(map(repr, known[:12]))}{' …' if len(known) > 12 else ''}. Rename them by the option classes, "
            "or say the label space of the predictions by trained_on with synonyms."
        )
    found: dict[int, int] = {}
    for name, place in places.items():
        if place is not None and found.setdefault(numbers[name], place) != place:
            raise BenchError(f"{where}: {numbers[name]} is the number of {name!r} and of another class. Correct one.")
    return found


def labels_beside(root: Path) -> Mapping[str, int] | None:
    """Return name -> value of the `dataset.json` that nnU-Net writes beside its predictions; None without one.

    Raises:
        BenchError: If it has regions, which share values.
    """
    file = root / "dataset.json"
    try:
        labels = read_json_object(file).get("labels")
    except DatasetError:
        return None
    if not isinstance(labels, dict):
        return None
    if any(isinstance(value, list) for value in labels.values()):
        raise BenchError(
            f"{file} has regions, of which several share a value. Say what the values of the predictions mean: "
            "classes: {background: 0, NAME: 1}"
        )
    if all(str(name).isdigit() for name in labels):  # value: name, as nnU-Net wrote it before version 2
        labels = {str(name): value for value, name in labels.items()}
    return as_typed(
        VALUES, labels, f"{file}: labels", "It should say the value of each name. Correct it, or remove the file."
    )
