"""Annotation files with values of other types than expected give a paragraph or a data set, never a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.datasets import coco, yolo
from bench.errors import BenchError

ODD = st.sampled_from(
    [None, True, 0, -1, 7, 1.5, 2.0, 10**400, 2**63, float("inf"), float("nan"), "", "0", "x", "\ud800", "a\0b", "1.0",
     [], [1], [1, 2], [[1, 2], [3, 4], [5, 6]], [[]], [[[1, 2]]], ["a"] * 6, [None], {}, {"a": 1}, {"size": [8, 8]},
     {"size": [8, 8], "counts": [64]}, {"size": 8, "counts": "o"}, {"size": [8, 8], "counts": [10**30]},
     {"size": [8, 8], "counts": ["a"]}, {"size": [8, 8], "counts": [1.5, 62.5]}, "../../etc", "/", ".", "é\n"]
)  # fmt: skip
"""Values of every type, and ranges that overflow."""

INSTANCES = {
    "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [0, 0, 4, 4],
            "segmentation": [[0, 0, 4, 0, 4, 4]],
        },
        {"id": 2, "image_id": 2, "category_id": 2, "iscrowd": 1, "segmentation": {"size": [8, 8], "counts": [0, 64]}},
    ],
    "categories": [{"id": 1, "name": "one", "color": [1, 2, 3]}, {"id": 2, "name": "two", "supercategory": "none"}],
}
PANOPTIC = {
    "images": INSTANCES["images"],
    "annotations": [
        {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 7, "category_id": 1, "iscrowd": 0}]},
        {"image_id": 2, "file_name": "b.png", "segments_info": [{"id": 7, "category_id": 2}]},
    ],
    "categories": [{"id": 1, "name": "one", "isthing": 1}, {"id": 2, "name": "two", "isthing": 0}],
}
DATA_YAML = {"path": ".", "train": "images", "val": ["images"], "names": {0: "one", 1: "two"}, "nc": 2,
             "label_mapping": {1: 0}}  # fmt: skip


def places(value, path=()):
    """Paths of all values within a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def mutated(document):
    """A document in which one or two values are others, or are gone."""

    @st.composite
    def build(draw):
        changed = copy.deepcopy(document)
        for _ in range(draw(st.integers(1, 2))):
            path = draw(st.sampled_from([p for p in places(changed) if p] or [()]))
            if not path:
                return changed
            owner = changed
            for key in path[:-1]:
                owner = owner[key]
            if draw(st.booleans()) or isinstance(owner, list):
                owner[path[-1]] = copy.deepcopy(draw(ODD))
            else:
                del owner[path[-1]]
        return changed

    return build()


QUIET = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_all(dataset):
    for split in dataset.splits():
        for image_id in dataset.ids(split):
            dataset.target(image_id)
        dataset.notes(split)


def tolerant(open_one):
    """Open and read everything; a `BenchError` of one paragraph is an answer."""
    said = "-"
    try:
        read_all(open_one())
    except BenchError as error:
        said = str(error)
    assert said
    assert "\n" not in said  # one paragraph


@pytest.fixture
def root(tmp_path) -> Path:
    for folder in ("train2017", "annotations/panoptic_train2017", "images", "labels"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b"):
        for folder in ("train2017", "images"):
            Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / folder / f"{name}.png")
        ids = np.zeros((8, 8, 3), np.uint8)
        ids[..., 0] = 7
        Image.fromarray(ids).save(tmp_path / "annotations" / "panoptic_train2017" / f"{name}.png")
    return tmp_path


@QUIET
@given(document=mutated(INSTANCES), settle=st.booleans())
def test_instances(root, document, settle):
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(document))
    said = {"without_mask": "box", "crowds": "keep", "missing_images": "leave_out"} if settle else {}
    tolerant(lambda: coco.open_dataset(coco.Options(root=str(root), **said)))


@QUIET
@given(document=mutated(PANOPTIC))
def test_panoptic_maps(root, document):
    (root / "annotations" / "panoptic_train2017.json").write_text(json.dumps(document))
    tolerant(lambda: coco.open_dataset(coco.Options(root=str(root), truth="panoptic")))


@QUIET
@given(document=mutated(INSTANCES))
def test_stuff(root, document):
    (root / "annotations" / "stuff_train2017.json").write_text(json.dumps(document))
    tolerant(lambda: coco.open_dataset(coco.Options(root=str(root), truth="stuff")))


@QUIET
@given(document=mutated(DATA_YAML), ground_truth=st.sampled_from(["polygons", "masks"]))
def test_data_yaml_of_ultralytics(root, document, ground_truth):
    (root / "data.yaml").write_text(yaml.dump(document), encoding="utf-8", errors="surrogatepass")
    (root / "labels" / "a.txt").write_text("0 0 0 0.5 0 0.5 0.5\n")
    tolerant(lambda: yolo.open_dataset(yolo.Options(root=str(root), truth=ground_truth)))


@QUIET
@given(content=st.one_of(st.binary(max_size=40), st.text("0123456789.e+-naif \n\t,", max_size=60).map(str.encode)))
def test_label_files_of_ultralytics(root, content):
    (root / "data.yaml").write_text(yaml.dump(DATA_YAML))
    (root / "labels" / "a.txt").write_bytes(content)
    tolerant(lambda: yolo.open_dataset(yolo.Options(root=str(root))))


@pytest.mark.parametrize(
    "text", ["[" * 100000, '{"images": ' + "[" * 100000, '{"images": [{"id": ' + "9" * 5000 + "}]}"]
)
def test_a_document_too_deep_or_with_a_number_too_long_is_refused(root, text):
    (root / "annotations" / "instances_train2017.json").write_text(text)
    with pytest.raises(BenchError):
        coco.open_dataset(coco.Options(root=str(root)))
