"""Folders for segmenting people, as they are passed around, are the data set `folder` with a few options."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.datasets.folder import Options, open_dataset


def write(root, images, masks, suffix, *, values=(0, 255), mode="L"):
    """Twelve photographs of four people; the right half of each shows the person."""
    for folder in (images, masks):
        (root / folder).mkdir(parents=True)
    for person in range(4):
        for shot in range(3):
            name = f"person{person}_{shot}"
            Image.new("RGB", (8, 4), (person, shot, 0)).save(root / images / f"{name}.jpg")
            mask = np.full((4, 8), values[0], np.uint8)
            mask[:, 4:] = values[1]
            Image.fromarray(mask).convert(mode).save(root / masks / f"{name}{suffix}.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
def test_masks_of_black_and_white_are_background_and_foreground(tmp_path, mode):
    write(tmp_path, "images", "masks", "", mode=mode)
    dataset = open_dataset(Options(root=str(tmp_path)))
    image_id = dataset.ids("train")[0]
    assert len(dataset.classes) == 2
    assert dataset.target(image_id).semantic.labels.tolist() == [[0] * 4 + [1] * 4] * 4


def test_classes_yaml_names_the_person_and_a_group_keeps_shots_of_one_person_together(tmp_path):
    write(tmp_path, "imgs", "matting", "_matte")
    (tmp_path / "classes.yaml").write_text("classes: [{name: background, value: 0}, {name: person, value: 255}]")
    options = {"images": "imgs", "masks": "matting", "mask_suffix": "_matte", "group": r"^(person\d+)_"}
    dataset = open_dataset(Options(root=str(tmp_path), fractions={"train": 0.5, "test": 0.5}, **options))
    assert [spec.name for spec in dataset.classes] == ["background", "person"]
    people = [{image_id.split("_")[0] for image_id in dataset.ids(split)} for split in ("train", "test")]
    assert [len(found) for found in people] == [2, 2]
    assert not people[0] & people[1]


def test_lists_of_images_make_the_splits(tmp_path):
    write(tmp_path, "images", "masks", "", values=(0, 1))
    (tmp_path / "train.txt").write_text("images/person0_0.jpg\nperson1_0\n")
    (tmp_path / "val.txt").write_text("person2_0.jpg\n")
    (tmp_path / "classes.yaml").write_text("[background, person]")
    dataset = open_dataset(Options(root=str(tmp_path)))
    assert {s: dataset.ids(s) for s in dataset.splits()} == {"train": ("person0_0", "person1_0"), "val": ("person2_0",)}
