"""The content of images as files: their own where there are some, else a PNG that decodes to the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bench.data.formats.by_name import open_dataset
from bench.data.formats.encoding import encoded_image
from bench.data.formats.image_files import decode_image
from bench.data.labels.dataset import MappedDataset
from bench.records import DatasetSpec, Labels

SHAPES = {"preset": "easy", "size": [24, 40], "test": 2}


def folder_of_photographs(root):
    """One JPEG with its mask, in the form of the data set `folder`."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in "abcdefghij":
        cv2.imwrite(str(root / "images" / f"{stem}.jpg"), rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
        cv2.imwrite(str(root / "masks" / f"{stem}.png"), rng.integers(0, 2, (20, 30), dtype=np.uint8))
    (root / "classes.yaml").write_text("[sky, disc]\n")
    return open_dataset("folder", {"root": str(root)})


def test_a_data_set_without_files_is_encoded_without_loss():
    dataset = open_dataset("shapes", SHAPES)
    for image_id in dataset.ids("test"):
        content = encoded_image(dataset, image_id)
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert np.array_equal(decode_image(content, Path("x")), dataset.image(image_id))


def test_a_data_set_on_disk_gives_the_content_of_its_files(tmp_path):
    dataset = folder_of_photographs(tmp_path)
    image_id = dataset.ids("test")[0]
    content = encoded_image(dataset, image_id)
    assert content == dataset.entry(image_id).image.read_bytes()
    assert content[:2] == b"\xff\xd8"
    assert np.array_equal(decode_image(content, Path("x")), dataset.image(image_id))


def test_mapped_classes_leave_the_files_as_they_are(tmp_path):
    spec = DatasetSpec(
        name="shapes", label="shapes", options=SHAPES, labels=Labels(classes=("sky", "disc"), rest="ignore")
    )
    dataset = open_dataset(spec.name, spec.options)
    mapped = MappedDataset(dataset, spec.labels)
    image_id = dataset.ids("test")[0]
    assert encoded_image(mapped, image_id) == encoded_image(dataset, image_id)
