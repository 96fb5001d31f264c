"""Files with predictions that are something else, or contradict themselves, are refused with a reason."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from bench.errors import BenchError
from tests.bench.data.predictions.scenes import reader, scenes

DATASET, IDS = scenes()
SIZE = DATASET.target(IDS[0]).semantic.size
NAMES = [spec.name for spec in DATASET.classes]
POLYGON = [[2, 2, 12, 2, 12, 10]]
ROW = {"image_id": IDS[0], "category_id": 1, "segmentation": POLYGON, "score": 0.5}


def read_all(root, **options):
    found = reader(root, DATASET, **options)
    for image_id in IDS:
        found.read(image_id, SIZE)


def refusal(root, **options):
    with pytest.raises(BenchError) as refused:
        read_all(root, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"a": 1}, "holds neither COCO results, a list of rows"),
        ([{**ROW, "segmentation": [[0, 0, 1]]}], "a mask of image"),
        ([{**ROW, "category_id": "²"}], "values of category_id are no class: ²"),
        ([{**ROW, "score": 7}], "have no score within 0 and 1, for example 7"),
    ],
)
def test_results_of_coco(tmp_path, document, told):
    (tmp_path / "r.json").write_text(json.dumps(document))
    said = refusal(tmp_path / "r.json", classes={name: number for number, name in enumerate(NAMES)})
    assert told in said


def test_numbers_of_categories_that_nothing_explains_are_listed(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps([ROW, {**ROW, "category_id": "²"}]))
    assert "nothing says which classes its category_id 1 are" in refusal(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"annotations": [{"image_id": 1}]}, "is no panoptic JSON: it needs 'annotations' with image_id, file_name"),
        ({"categories": 7}, "categories is 7, where a list is expected"),
        ({"annotations": 2}, "two rows are of image"),
        ({}, "lie neither in"),
    ],
)
def test_panoptic_json(tmp_path, change, told):
    rows = [{"image_id": name, "file_name": f"{name}.png", "segments_info": []} for name in IDS]
    document = {"annotations": rows, "categories": [{"id": 1, "name": NAMES[1]}], **change}
    if change.get("annotations") == 2:
        document["annotations"] = [*rows, rows[0]]
    (tmp_path / "p.json").write_text(json.dumps(document))
    assert told in refusal(tmp_path / "p.json", format="panoptic")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.1 0.1 0.5 0.5", "is a box of a detector; masks are scored here"),
        ("77 0.1 0.1 0.5 0.1 0.5 0.5 0.9", "is of class 77; known are 0, 1"),
        ("0 0.1 0.1 x 0.1 0.5 0.5 0.9", "holds something that is no number"),
    ],
)
def test_lines_of_yolo(tmp_path, line, told):
    (tmp_path / f"{IDS[0]}.txt").write_text(line)
    assert told in refusal(tmp_path, format="yolo")


def test_text_of_yolo_that_is_not_utf_8(tmp_path):
    (tmp_path / f"{IDS[0]}.txt").write_bytes(b"0 0.1 \xff")
    assert "cannot be read" in refusal(tmp_path, format="yolo")


@pytest.mark.parametrize(
    ("names", "told"),
    [("{a: x}", "It should say a number for each name"), ("[", "cannot be read as YAML"), ("&a [*a]", "stands within")],
)
def test_the_names_beside_texts_of_yolo(tmp_path, names, told):
    (tmp_path / f"{IDS[0]}.txt").write_text("")
    (tmp_path / "data.yaml").write_text(f"names: {names}\n")
    assert told in refusal(tmp_path, format="yolo")


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"a": np.zeros(3), "b": np.zeros(3)}, "holds a, b; expected one array, or one called probabilities"),
        ({"a": np.zeros(3)}, "a map has two axes, or one more for classes"),
        ({"a": np.full(SIZE, np.nan)}, "holds numbers that are not finite"),
    ],
)
def test_probability_maps(tmp_path, arrays, told):
    for name in IDS:
        np.savez(tmp_path / f"{name}.npz", **arrays)
    assert told in refusal(tmp_path, format="probabilities")


def test_an_archive_in_the_place_of_an_array(tmp_path):
    for name in IDS:
        np.savez(tmp_path / f"{name}.npz", np.zeros(SIZE))
        (tmp_path / f"{name}.npz").rename(tmp_path / f"{name}.npy")
    assert "cannot be read as an array" in refusal(tmp_path, format="probabilities")


def test_a_folder_of_nothing_that_is_known(tmp_path):
    (tmp_path / "a.doc").write_text("")
    assert "holds no predictions" in refusal(tmp_path)
    assert "correct the option root, pattern or format" in refusal(tmp_path, format="labels")


@pytest.mark.parametrize("classes", [{"a": "cat", "1": "dog"}, {"0": "cat", "1": "cat"}])
def test_a_table_of_classes_that_leaves_some_out(tmp_path, classes):
    (tmp_path / "a.png").write_bytes(b"")
    assert "expected names in order, or a table of name: number" in refusal(tmp_path, format="labels", classes=classes)


def test_one_number_for_two_classes(tmp_path):
    for name in IDS:
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / f"{name}.png")
    said = refusal(tmp_path, format="labels", classes={NAMES[0]: 0, NAMES[1]: 0})
    assert f"0 is the number of {NAMES[1]!r} and of another class" in said
