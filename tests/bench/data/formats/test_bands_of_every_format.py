"""Images of 16 bits of which few are used, and of bands, in data sets of every form: found, and read as declared."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.data.check import check
from bench.data.formats.by_name import open_dataset
from bench.data.opening import Choice
from bench.errors import DatasetError
from bench.run.planning.data_checks import sampled

RAMP = np.linspace(16, 4080, 20 * 30).reshape(20, 30).astype(np.uint16)


def labelled(root, image, *, times=3):
    """A LabelMe folder, in which nothing but the images is special."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(times):
        shape = {"label": "cell", "points": [[4, 4], [20, 6], [12, 15]], "shape_type": "polygon"}
        document = {"shapes": [shape], "imagePath": f"{number}.png", "imageHeight": 20, "imageWidth": 30}
        (root / f"{number}.json").write_text(json.dumps(document))
        cv2.imwrite(str(root / f"{number}.png"), np.roll(image, number * 7, axis=1))
    return root


def opened(root, **options):
    return open_dataset("labelme", {"root": str(root), "fractions": {"train": 1.0}, **options})


def found(dataset, cache):
    checked = check(Choice("labelme", "x", {}), dataset, ("train",), cache=cache, jobs=1, console=Console(stderr=True))
    return {one.kind: one.message for one in checked.findings}


def test_few_bits_are_wrong_with_the_data_and_read_right_by_a_range(tmp_path):
    root = labelled(tmp_path / "d", RAMP)
    told = found(opened(root), tmp_path / "cache")["range"]
    assert "hold values up to 4080 only (of 3 looked at" in told
    assert "range: [0, 4095]" in told
    assert any("range: [0, 4095]" in fault for fault in sampled(opened(root), ["train"]).faults)
    dataset = opened(root, range=[0, 4095])
    assert "range" not in found(dataset, tmp_path / "other")
    assert np.array_equal(dataset.image("0")[..., 0], np.rint(RAMP * (255 / 4095)))
    assert dataset.fingerprint("train") != opened(root, range=[0, 1023]).fingerprint("train")


def test_full_bits_and_dark_eights_are_left_in_peace(tmp_path):
    assert "range" not in found(opened(labelled(tmp_path / "full", RAMP * 16)), tmp_path / "c1")
    assert "range" not in found(opened(labelled(tmp_path / "dark", (RAMP // 256).astype(np.uint8))), tmp_path / "c2")


def test_percentiles_are_measured_on_the_training_split(tmp_path):
    dataset = opened(labelled(tmp_path, RAMP), range={"percentiles": [0, 100]})
    assert dataset.bands.ranges == ((16.0, 4080.0),)
    assert "16 to 4080 scaled to 0 to 255" in dataset.description.inferred[-1]


def test_bands_are_picked_where_three_are_stored(tmp_path):
    colours = np.zeros((20, 30, 3), np.uint8) + np.array([30, 20, 10], np.uint8)  # blue first, as OpenCV has it
    assert opened(labelled(tmp_path, colours), bands=[3, 1]).image("0")[0, 0].tolist() == [30, 10]


def test_data_sets_without_image_files_have_no_bands():
    with pytest.raises(DatasetError, match="option bands is for data sets of files"):
        open_dataset("shapes", {"bands": [1, 2]})


def test_options_that_belong_to_others_are_refused_alone(tmp_path):
    root = labelled(tmp_path, np.asarray(Image.new("RGB", (30, 20))))
    with pytest.raises(DatasetError, match="rgb and depth belong to bands or range"):
        opened(root, depth="floats")
