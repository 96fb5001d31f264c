"""Refusals of data sets that no other test comes by: each file is one that somebody could have."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from bench.data.formats.dicom_series import read_series
from bench.data.formats.documents import read_text
from bench.data.formats.folder_classes import read_classes
from bench.data.formats.volume_slices import CACHE_MIB
from bench.data.formats.yolo_yaml import read_data_yaml
from bench.data.opening import Choice, opened
from bench.datasets import quokka
from bench.datasets.huggingface import mask_pixels
from bench.errors import DatasetError
from tests.bench.data.miniatures import copied, written
from tests.bench.datasets.volume_files import scene, write_dicom, write_nifti


def read_all(choice: Choice) -> None:
    dataset = opened(choice)
    for split in dataset.splits():
        for image_id in dataset.ids(split):
            dataset.target(image_id)


def refusal(choice: Choice) -> str:
    with pytest.raises(DatasetError) as refused:
        read_all(choice)
    return str(refused.value)


def replaced(name: str, old: bytes, new: bytes):
    """Change the first file of a name: all of it where `old` is empty."""

    def change(root: Path) -> None:
        file = min(root.rglob(name))
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, new, 1) if old else new)

    return change


def without(name: str, key: str):
    """Leave a key out of the first JSON file of a name."""

    def change(root: Path) -> None:
        file = min(root.glob(name))
        document = json.loads(file.read_text())
        del document[key]
        file.write_text(json.dumps(document))

    return change


def without_id_of_a_segment(root: Path) -> None:
    for file in root.glob("*.json"):
        records = json.loads(file.read_text())
        for row in records if isinstance(records, list) else ():
            row["segments_info"][0].pop("id")
        file.write_text(json.dumps(records))


def without_images(root: Path) -> None:
    file = root / "annotations.xml"
    file.write_text(re.sub(r"<image .*?</image>", "", file.read_text(), flags=re.DOTALL))


def drawn(name: str, colours: np.ndarray):
    def change(root: Path) -> None:
        Image.fromarray(colours).save(min(root.rglob(name)))

    return change


COLOURS = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
CASES = [
    ("cvat", without_images, "names no images"),
    ("labelme", without("train/*.json", "imageHeight"), "has no imageHeight and imageWidth"),
    ("nnunet", replaced("dataset.json", b'"labels"', b'"names"'), "has no labels. Add them"),
    ("nnunet", replaced("dataset.json", b'"background": 0', b'"background": 1.5'), "labels: background"),
    ("nnunet", replaced("dataset.json", b'"background": 0', b'"background": "x"'), "Each label has a number"),
    ("nnunet", replaced("dataset.json", b'".nii.gz"', b'".png"'), "files, no volumes. Read them as a folder"),
    ("voc", drawn("SegmentationClass/*.png", COLOURS), "colours"),
    ("open_images", replaced("*segmentation.csv", b"MaskPath", b"Path"), "has no columns MaskPath, ImageID and"),
    ("open_images", replaced("*segmentation.csv", b"\n", b"\nx\n"), "columns, 3 are expected. Fetch it again"),
    ("yolo", replaced("data.yaml", b"names:", b"nc: 99999\nnames:"), "nc is"),
    ("detectron2", replaced("train.json", b'"file_name": "', b'"file_name": "\\ud800'), "is not text in Unicode. Fix"),
    ("detectron2", without_id_of_a_segment, "a segment has no id. Add it"),
]


@pytest.mark.few(4)
@pytest.mark.parametrize(("form", "change", "told"), CASES, ids=[f"{form}-{told[:20]}" for form, _, told in CASES])
def test_an_export_that_was_changed(tmp_path, whole, form, change, told):
    choice = copied(whole(form), tmp_path / "copy")
    change(tmp_path / "copy")
    assert told in refusal(choice)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = {}

    def export(form):
        if form not in made:
            made[form] = written(form, tmp_path_factory.mktemp(form) / "whole")
        return made[form]

    return export


@pytest.mark.parametrize("confidence", ["2", "", "x", "0.5"])
def test_what_people_verified_is_one_or_nought(tmp_path, whole, confidence):
    choice = copied(whole("open_images"), tmp_path / "copy")
    objects = min((tmp_path / "copy").glob("*-annotations-object-segmentation.csv"))
    image, label = objects.read_text().splitlines()[1].split(",")[1:3]
    labels = objects.with_name(objects.name.replace("object-segmentation", "human-imagelabels"))
    labels.write_text(f"ImageID,Source,LabelName,Confidence\n{image},v,{label},{confidence}\n")
    assert f"Confidence is {confidence!r}, where people say 1 or 0" in refusal(choice)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "c.csv",
            "Pixel Value, Class\n²,cell\n",
            "expected lines of pixel value and class, such as 1,cell; found '²,cell'",
        ),
        ("c.csv", f"1,a\n{'9' * 4000},b\n", "expected lines of pixel value and class"),
        ("c.csv", "1,a\n70000,b\n", "expected lines of pixel value and class"),
        ("c.txt", "a:1,2,300::\n", "expected lines of name:r,g,b:: such as cell:128,0,0::"),
    ],
)
def test_lists_of_classes(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError) as refused:
        read_classes(tmp_path / name)
    assert told in str(refused.value)


@pytest.mark.parametrize("mapping", ["{1: 1.5}", "{1: .inf}", "{1: x}", "[1]", "{1: true}", "{1: [2]}", "{'²': 1}"])
def test_a_mapping_of_labels_holds_whole_numbers(tmp_path, mapping):
    (tmp_path / "data.yaml").write_text(f"names: [a, b]\ntrain: images\nlabel_mapping: {mapping}\n")
    with pytest.raises(DatasetError, match="label_mapping must be a table from values in the masks to numbers"):
        read_data_yaml(tmp_path / "data.yaml", tmp_path)


def test_more_classes_than_masks_hold(tmp_path):
    (tmp_path / "data.yaml").write_text("nc: 300\ntrain: images\n")
    said = refusal(Choice("yolo", "yolo", {"root": str(tmp_path), "truth": "masks"}))
    assert "names 300 classes; masks of 8 bits hold 254" in said


def test_a_mapping_of_labels_as_others_write_it(tmp_path):
    (tmp_path / "data.yaml").write_text(
        "names: [a, b]\ntrain: images\nlabel_mapping: {-1: ignore_label, '0': 1, 7: null}\n"
    )
    assert read_data_yaml(tmp_path / "data.yaml", tmp_path).mapping == {-1: 255, 0: 1, 7: 255}


def test_text_with_a_nul_is_none(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    with pytest.raises(DatasetError, match="holds the character NUL; it is no text file in UTF-8"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ([[0.5]], "a mask is float64 of shape"),
        ([1, 2], r"a mask is int64 of shape \(2,\); whole numbers, \(H, W\), from 0"),
        ([[-1]], "whole numbers"),
    ],
)
def test_masks_in_tables_are_whole_numbers(tmp_path, cell, told):
    with pytest.raises(DatasetError, match=told):
        mask_pixels(cell, tmp_path, tmp_path)


def test_a_mask_of_colours_in_a_table(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="holds masks of colours; values of classes are expected"):
        mask_pixels({"bytes": (tmp_path / "a.png").read_bytes(), "path": None}, tmp_path, tmp_path)


@pytest.mark.parametrize("module", ["pupils"])
def test_a_list_of_frames_that_is_none(tmp_path, module):
    (tmp_path / "labeled_frames").mkdir()
    listed = tmp_path / "training_data_split.json"
    opens = importlib.import_module(f"bench.datasets.{module}")
    for document, told in (({"images": 7}, "expected the frames under 'images'"), ({"images": [{}]}, "a frame has no")):
        listed.write_text(json.dumps(document))
        with pytest.raises(DatasetError, match=told):
            opens.open_dataset(opens.Options(root=str(tmp_path)))


# ------------------------------------------------------------------ DICOM and volumes


def retagged(folder: Path, number: int, **tags: object) -> None:
    file = sorted(folder.iterdir())[number]
    document = pydicom.dcmread(file)
    for name, value in tags.items():
        if value is None:
            delattr(document, name)
        else:
            setattr(document, name, value)
    document.save_as(file)


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"SeriesInstanceUID": "1.2.3"}, "holds 2 series.*One folder holds one; put each into its own"),
        ({"Rows": 3}, "its slices differ in size"),
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "its slices lie in 2 planes"),
        ({"SamplesPerPixel": 3}, "holds colours; a series of grey values is expected"),
    ],
)
def test_slices_of_dicom_that_are_no_series(tmp_path, tags, told):
    write_dicom(tmp_path / "s", scene()[0])
    retagged(tmp_path / "s", 1, **tags)
    with pytest.raises(DatasetError, match=told):
        read_series(tmp_path / "s", pixels=False)


def test_slices_of_dicom_without_an_order(tmp_path):
    write_dicom(tmp_path / "s", scene()[0])
    for number in range(len(list((tmp_path / "s").iterdir()))):
        retagged(tmp_path / "s", number, ImagePositionPatient=None, InstanceNumber=1)
    with pytest.raises(DatasetError, match="its slices have neither positions nor numbers"):
        read_series(tmp_path / "s", pixels=True)


def test_a_cache_of_no_size(tmp_path, monkeypatch):
    values, labels = scene()
    for name, volume in (("images", values), ("masks", labels)):
        write_nifti(tmp_path / name / "a.nii.gz", volume)
    monkeypatch.setenv(CACHE_MIB, "much")
    options = {"root": str(tmp_path), "images": "images/{id}.nii.gz", "masks": "masks/{id}.nii.gz",
               "classes": {"background": 0, "one": 1, "two": 2}, "fractions": {"test": 1.0}}  # fmt: skip
    assert "BENCH_VOLUME_CACHE_MIB=much: expected a whole number of MiB" in refusal(
        Choice("volumes", "volumes", options)
    )


def test_volumes_of_one_and_of_two_channels(tmp_path):
    values, labels = scene()
    for name, volume in (("a", values), ("b", np.stack([values, values], axis=-1))):
        write_nifti(tmp_path / "images" / f"{name}.nii.gz", volume)
        write_nifti(tmp_path / "masks" / f"{name}.nii.gz", labels)
    options = {"root": str(tmp_path), "images": "images/{id}.nii.gz", "masks": "masks/{id}.nii.gz",
               "classes": {"background": 0, "one": 1, "two": 2}, "fractions": {"test": 1.0}, "axis": "stored",
               "window": [0, 100]}  # fmt: skip
    said = refusal(Choice("volumes", "volumes", options))
    assert "the volumes differ in channels: 1 of 1, 1 of 2 channels. All need the same" in said


@pytest.mark.parametrize("document", ["{}", '{"polygons": []}', '{"polygons": [{"keypoints": [{"x": "left"}]}]}'])
def test_an_outline_that_is_none(tmp_path, document):
    (tmp_path / "a.json").write_text(document)
    with pytest.raises(DatasetError, match="expected a polygon with keypoints"):
        quokka._corners(tmp_path / "a.json")


def test_a_column_that_came_to_hold_no_objects(tmp_path):
    pytest.importorskip("datasets")
    choice = copied(written("huggingface", tmp_path / "whole"), tmp_path / "copy")
    dataset = opened(Choice(choice.name, choice.label, {**choice.options, "objects": "objects"}))
    split = dataset.splits()[0]
    reader = dataset._read_ground_truth.__self__
    reader.tables.features[reader.columns.objects] = {"_type": "Value", "dtype": "string"}
    with pytest.raises(DatasetError, match="holds no objects with a ClassLabel and a geometry"):
        dataset.target(dataset.ids(split)[0])
