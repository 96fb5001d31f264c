"""Data YAMLs of Ultralytics as they stand: where they lead, their masks, and what is wrong with them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from bench.data.formats.yolo_yaml import read_data_yaml
from bench.datasets.yolo import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, scenes

YAML_WITH_DOWNLOAD = """\
path: coco8-seg # dataset root dir
train: images/train
val: images/val
test: # optional
names: {0: person, 1: bicycle}
download: |
  from pathlib import Path
  Path('ran').touch()
"""


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def refusal(call, *arguments, **options):
    with pytest.raises(DatasetError) as error:
        call(*arguments, **options)
    return str(error.value)


def labelled(folder, *splits, images="images", ground_truths="labels"):
    """Images of 4 × 8 pixels, each with one polygon."""
    for split in splits:
        for name in (images, ground_truths):
            (folder / name / split).mkdir(parents=True)
        Image.new("RGB", (8, 4)).save(folder / images / split / "a.jpg")
        (folder / ground_truths / split / "a.txt").write_text("1 0 0 1 0 1 1")


# ------------------------------------------------------------------ where a YAML leads


@pytest.mark.parametrize("place", ["beside the YAML", "in root", "in the working folder"])
def test_a_relative_path_is_sought_beside_the_yaml_in_root_and_in_the_working_folder(tmp_path, monkeypatch, place):
    for name in ("yamls", "datasets", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    base = {"beside the YAML": "yamls", "in root": "datasets", "in the working folder": "work"}[place]
    labelled(tmp_path / base / "coco8-seg", "train", "val")
    file = tmp_path / "yamls" / "coco8-seg.yaml"
    file.write_text(YAML_WITH_DOWNLOAD)
    dataset = opened(tmp_path / "datasets", data=str(file))
    assert dataset.splits() == ("train", "val")
    assert dataset.ids("val") == ("val__a",)
    assert [spec.name for spec in dataset.classes] == ["person", "bicycle"]
    assert dataset.target("val__a").instances.class_ids.tolist() == [1]
    assert dataset.entry("val__a").image.parent.samefile(tmp_path / base / "coco8-seg" / "images" / "val")


def test_download_is_never_run_and_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(YAML_WITH_DOWNLOAD)
    assert refusal(opened(tmp_path).ids, "train") == (
        f"yolo: nothing at {tmp_path}/images/train. Expected: a folder of images or a .txt list of them. Put your "
        "data.yaml "
        "there, with images/ and labels/ beside it. What the YAML says under download is never run here: fetch the "
        "data by "
        "hand. If it lies elsewhere, set the data set's option root."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["data.yaml"]


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        ({"train": ["images/a", "images/b"]}, ("a__a", "b__a")),
        ({"train": "list.txt"}, ("b__a", "a__a")),
        ({"train": "../images/a"}, ("a__a",)),
        ({"train": "images/a", "validation": "images/b"}, ("a__a",)),
    ],
)
def test_a_split_is_a_folder_folders_or_a_list_and_may_begin_above_the_yaml(tmp_path, document, ids):
    root = tmp_path / "project"
    labelled(root, "a", "b")
    (root / "list.txt").write_text("./images/b/a.jpg\n" + str(root / "images" / "a" / "a.jpg") + "\n")
    (root / "data.yaml").write_text(yaml.safe_dump({"names": ["cat", "dog"], "nc": 2, **document}))
    dataset = opened(root)
    assert dataset.ids("train") == ids
    assert dataset.splits() == (("train", "val") if "validation" in document else ("train",))


def test_every_segmentation_yaml_that_ultralytics_ships_is_read_as_it_stands():
    package = importlib.util.find_spec("ultralytics")  # found, not imported, which would take seconds
    if package is None:
        pytest.skip("ultralytics is not installed")
    folder = Path(package.origin).parent / "cfg" / "datasets"
    for name in ("coco8-seg", "coco128-seg", "carparts-seg", "crack-seg", "package-seg", "ade20k", "cityscapes8"):
        file = folder / f"{name}.yaml"
        stated = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = read_data_yaml(file, Path("nowhere"))
        assert found.names == tuple(stated["names"].values())
        assert found.masks == stated.get("masks_dir")
        assert set(found.splits) == {split for split in ("train", "val", "test") if stated.get(split)}
        assert found.base == folder


# ------------------------------------------------------------------ masks


@pytest.fixture(scope="module")
def source():
    return scenes()


def masked(source, folder, names, value_of=None, *, images="images", masks="masks", **document):
    """The scenes as a semantic data set of Ultralytics: values of the classes in the order of `names`."""
    table = np.full(256, 255, np.uint8)
    table[: len(source.classes)] = range(len(source.classes)) if value_of is None else value_of
    for split in ("train", "val"):
        for image_id in source.ids(split):
            for name, pixels in (
                (images, source.image(image_id)[..., ::-1]),
                (masks, table[source.target(image_id).semantic.labels]),
            ):
                file = folder / name / split / f"{image_id}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), pixels)
    document = {"train": f"{images}/train", "val": f"{images}/val", "names": names, **document}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_masks_read_back_as_the_classes_they_were_written_with(source, tmp_path):
    names = [spec.name for spec in source.classes]
    loaded = opened(masked(source, tmp_path, names, masks_dir="masks"))
    assert loaded.tasks == ("semantic",)
    assert [spec.name for spec in loaded.classes] == names
    for image_id in all_ids(loaded):
        assert labels(loaded.target(image_id)) == labels(source.target(image_id.partition("__")[2]))


def test_a_mapping_turns_values_into_classes_and_void(source, tmp_path):
    # Stored: 10, 20, 30 for stuff, 40 for every thing. Water is to be void.
    root = masked(
        source,
        tmp_path,
        ["sky", "ground", "thing"],
        [10, 20, 30, *[40] * 7],
        masks="annotations/fine",
        masks_dir="annotations/fine",
        label_mapping={-1: "ignore_label", 10: 0, 20: "1", 30: None, 40: 2},
    )
    loaded = opened(root)
    for image_id in all_ids(loaded):
        ground_truth = source.target(image_id.partition("__")[2])
        assert labels(loaded.target(image_id)) == labels(ground_truth, [0, 1, 255, *[2] * 7])


def test_masks_of_one_class_are_binary(source, tmp_path):
    loaded = opened(masked(source, tmp_path, ["thing"], [0, 0, 0, *[1] * 7]), truth="masks")
    assert [spec.name for spec in loaded.classes] == ["background", "thing"]
    for image_id in all_ids(loaded):
        ground_truth = source.target(image_id.partition("__")[2])
        assert labels(loaded.target(image_id)) == labels(ground_truth, [0, 0, 0, *[1] * 7])


def test_a_value_without_a_name_and_a_missing_mask_are_told(source, tmp_path):
    root = masked(source, tmp_path, ["a", "b"], [0, 1, *[1] * 8], masks_dir="masks")
    loaded = opened(root)
    image_id = loaded.ids("val")[0]
    file = loaded.entry(image_id).ground_truths[0]
    cv2.imwrite(str(file), np.full((48, 64), 2, np.uint8))
    assert refusal(loaded.target, image_id) == (
        f"{file} has labels outside the table: 2 (3072 pixels). data.yaml knows 0, 1, 255. Add its name or its "
        "label_mapping, or fix the mask."
    )
    file.unlink()
    assert refusal(opened(root).ids, "val").startswith(
        f"yolo: nothing at {file}. Expected: a mask for 6 images, of whose files 1 are missing. Put "
    )


# ------------------------------------------------------------------ usage errors


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"names": None},
            " has no names. Give the classes as a list, names: [cat, dog], or as a table, names: {0: cat, 1: dog}.",
        ),
        ({"nc": 3}, ": nc is 3, but names has 2: cat, dog. Fix the one that is wrong."),
        ({"names": {0: "a", "x": "b"}}, ": names must be a list of different names, or a table from 0, 1, … to names."),
        ({"train": 3}, ": train must be a folder, a .txt list, or a list of these, not 3."),
        (
            {"label_mapping": {"7": "road"}},
            ": label_mapping must be a table from values in the masks to numbers of classes or ignore_label, for "
            "example "
            "{0: ignore_label, 7: 0}.",
        ),
    ],
)
def test_a_yaml_that_contradicts_itself_is_refused(tmp_path, document, message):
    file = tmp_path / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images/train", "names": ["cat", "dog"], **document}, sort_keys=False))
    assert refusal(opened, tmp_path) == f"{file}{message}"


def test_a_number_that_stands_twice_in_names(tmp_path):
    (tmp_path / "data.yaml").write_text("train: images\nnames: {0: cat, 1: dog, '1': cow}\n")
    assert "names has a number twice, once in quotes" in refusal(read_data_yaml, tmp_path / "data.yaml", tmp_path)
