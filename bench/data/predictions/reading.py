"""Files with predictions, opened: their format told, and one reader for all formats."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from bench.data.formats.file_names import files_under
from bench.data.formats.json_stream import JsonStream
from bench.data.predictions import label_maps, probabilities
from bench.data.predictions.coco import CocoResults
from bench.data.predictions.label_maps import LabelMaps
from bench.data.predictions.matching import Reader
from bench.data.predictions.options import KIND_OF, Format, Options, option_errors
from bench.data.predictions.panoptic import PanopticMaps
from bench.data.predictions.probabilities import ProbabilityMaps, read_numbers
from bench.data.predictions.requested import Requested, asked
from bench.data.predictions.yolo import YoloTexts
from bench.dataset import Dataset
from bench.errors import BenchError, DatasetError
from bench.records import DatasetSpec, ModelSpec, Size, TaskKind
from bench.records.probabilities import ClassProbabilities
from bench.records.store.files import file_state

READERS: dict[Format, Callable[[Path, Options, Requested], Reader]] = {
    "labels": LabelMaps,
    "probabilities": ProbabilityMaps,
    "coco": CocoResults,
    "panoptic": PanopticMaps,
    "yolo": YoloTexts,
}

_OPENED: dict[Hashable, Reader] = {}
"""COCO results that were read to check a suite, for the job that comes next: they are one file of many images."""


def kind_of(options: Mapping[str, JsonValue]) -> TaskKind:
    """Return the form of the predictions that options name, told from the files; raises `BenchError` without any."""
    usage_errors = option_errors(options, "predictions/files")
    if usage_errors:
        raise BenchError("; ".join(usage_errors))
    return KIND_OF[format_of(Options.model_validate(dict(options)))]


def open_predictions(model: ModelSpec, spec: DatasetSpec, dataset: Dataset) -> Reader:
    """Open the predictions that a model config names, for the scored split of a data set.

    Raises:
        BenchError: If they do not fit it: nothing matches, images have none, or their classes are others.
    """
    options = Options.model_validate(dict(model.options))
    form, root = format_of(options), Path(options.root)
    # `bench export-predictions` writes the ground truth beside predictions, for its ids.
    beside = (root if root.is_dir() else root.parent) / "ground_truth.json"
    annotations = options.annotations or (str(beside) if beside.is_file() else None)
    wanted = asked(model, dataset, spec.test, spec.max_images, annotations=annotations)
    place = root if KIND_OF[form] == "semantic" or form == "yolo" else _json_of(root, form)
    known = None if wanted.annotations is None else wanted.annotations.state
    key = model.to_json(), spec.to_json(), file_state(place), known, wanted.ids
    reader = _OPENED.pop(key, None)
    if reader is None:
        reader = READERS[form](place, options, wanted)
        _OPENED.clear()
        if form == "coco":
            _OPENED[key] = reader
    return reader


def probabilities_of(reader: Reader, image_id: str, size: Size) -> ClassProbabilities:
    """Return the probabilities of an image; raises `BenchError` if its file holds labels, objects or logits."""
    if not isinstance(reader, ProbabilityMaps):
        raise BenchError(
            "these files are no probability maps, so that no probabilities can be kept: save an array with a number "
            "from 0 to 1 for each class and pixel, or leave 'keep: probabilities' out of the suite"
        )
    return reader.probabilities(image_id, size)


def format_of(options: Options) -> Format:
    """Return the format that is said, or that the files have; raises `BenchError` if it cannot be told."""
    root = Path(options.root)
    if not root.exists():
        raise BenchError(f"there are no predictions at {root}; correct the option root")
    if options.format is not None:
        return options.format
    if root.is_file():
        if root.suffix.lower() != ".json":
            raise BenchError(f"{root}: expected a folder of predictions, or a JSON of COCO results or panoptic maps")
        form = _form_of(root)
        if form is None:
            raise BenchError(
                f"{root} holds neither COCO results, a list of rows with image_id, category_id, segmentation and "
                "score, nor panoptic maps, 'annotations' with segments_info"
            )
        return form
    documents = _documents(root)
    return documents[0][1] if documents else _of_files(root)


def _of_files(root: Path) -> Format:
    suffixes = (*label_maps.SUFFIXES, *probabilities.SUFFIXES, ".gz", ".txt")
    found: dict[str, list[Path]] = {}
    for path in files_under(root, suffixes):
        found.setdefault(path.suffix.lower(), []).append(path)
    if found.keys() & {".png", ".gz", ".nii", ".bmp", ".gif", ".webp"}:
        return "labels"
    for suffix in (".npy", ".npz", ".tif", ".tiff"):
        if suffix in found:
            if suffix == ".npz":
                return "probabilities"
            array = read_numbers(found[suffix][0])
            whole = array.ndim == 2 and not np.issubdtype(array.dtype, np.floating)
            return "labels" if whole or (suffix != ".npy" and array.shape[-1] == 3) else "probabilities"
    if ".txt" in found:
        return "yolo"
    raise BenchError(
        f"{root} holds no predictions: expected PNG, TIFF, NIfTI or .npy label maps, .npy or .npz probabilities, a "
        "JSON of COCO results, panoptic PNGs with their JSON, or YOLO's text files"
    )


def _form_of(file: Path) -> Format | None:
    """Return the format of a JSON file by its first row, without reading the others; None where it is of none."""
    with JsonStream(file) as stream:
        if stream.peek() == "[":
            first = next(stream.elements(), None)
            return "coco" if first is None or (isinstance(first.value, dict) and "image_id" in first.value) else None
        if stream.peek() != "{":
            return None
        for member in stream.members():
            if member == "annotations" and stream.peek() == "[":
                first = next(stream.elements(), None)
                segmented = first is not None and isinstance(first.value, dict) and "segments_info" in first.value
                return "panoptic" if segmented else None
            stream.skip()
    return None


def _documents(root: Path) -> list[tuple[Path, Format]]:
    """Return the JSON files of a folder that hold predictions; others are passed over."""
    found = []
    for file in sorted(root.glob("*.json")):
        try:
            form = _form_of(file)
        except DatasetError:
            continue
        if form is not None and not file.name.startswith("ground_truth"):
            found.append((file, form))
    return found


def _json_of(root: Path, form: Format) -> Path:
    if root.is_file():
        return root
    found = [file for file, kind in _documents(root) if kind == form]
    if len(found) != 1:
        named = ", ".join(file.name for file in found)
        what = f"several: {named}" if found else "none"
        raise BenchError(f"{root}: expected one JSON of {form} predictions, found {what}. Give its path as root")
    return found[0]
