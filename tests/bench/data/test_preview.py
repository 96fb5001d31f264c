"""`bench data preview`: which images are drawn, and what of their ground truth is seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.data.formats.by_name import open_dataset
from bench.data.opening import Choice, opened
from bench.data.preview import preview, spread
from bench.data.scan import Listed
from tests.bench.data.miniatures import bench_data, entries, refused, words_for, written


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def colours(path):
    """The colours that a picture has, as a set of RGB triples."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.int32)
    packed = np.unique(pixels @ (65536, 256, 1))
    return {(int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in packed}


def test_images_come_from_all_splits_at_even_distances():
    ids = {"train": [f"t{n}" for n in range(100)], "val": ["v0"], "test": [f"e{n}" for n in range(9)]}
    assert spread(ids, 7) == [
        *(Listed("train", name) for name in ("t0", "t33", "t66")),
        Listed("val", "v0"),
        *(Listed("test", name) for name in ("e0", "e3", "e6")),
    ]


def test_no_image_is_drawn_twice_where_there_are_fewer_than_asked_for():
    assert [one.image_id for one in spread({"train": ["a", "b"]}, 9)] == ["a", "b"]


@pytest.mark.slow
def test_every_class_that_occurs_is_seen_in_its_own_colour(tmp_path):
    dataset = open_dataset("shapes", {"size": [64, 96], "train": 12, "val": 1, "test": 1})
    path = tmp_path / "sheet.png"
    preview(dataset, ("train",), path, images=12)
    present = {v for i in dataset.ids("train") for v in np.unique(dataset.target(i).semantic.labels)} - {255}
    assert {dataset.classes[v].colour for v in present} <= colours(path)
    assert dataset.classes[9].name == "hexagon"
    assert dataset.classes[9].colour not in colours(path)


def test_large_images_are_shortened_and_keep_their_classes(tmp_path):
    dataset = open_dataset("shapes", {"size": [300, 1500], "train": 1, "val": 1, "test": 1})
    path = tmp_path / "sheet.png"
    preview(dataset, ("train",), path, images=1)
    assert dataset.classes[0].colour in colours(path)


@pytest.mark.few(1)
@pytest.mark.parametrize("form", ["voc", "coco", "folder"])
def test_the_sheet_is_written_for_every_form_of_ground_truth(form, tmp_path, capsys):
    exported = written(form, tmp_path / form)
    choice = Choice(form, form, dict(exported.options))
    code, out, err = bench_data(capsys, "preview", *words_for(choice), "--images", 2)
    assert (code, out) == (0, f"results/data/{form}-preview.png\n")
    first = {split: opened(choice).ids(split)[0] for split in ("train", "val")}
    assert err == f"from the top: train/{first['train']}, val/{first['val']}\n"
    assert len(colours(out.strip())) > 50


def test_an_image_that_cannot_be_read_is_told(tmp_path, capsys):
    exported = written("voc", tmp_path / "voc")
    choice = Choice("voc", "voc", dict(exported.options))
    image = entries(choice, "train")[0].image
    image.write_bytes(b"")
    message = refused(capsys, "preview", *words_for(choice))
    assert message == (
        f"{image} cannot be read: it is no image of a known format. Restore the file from its source, or remove it "
        "together with its mask."
    )


def test_no_image_is_no_number_of_images(capsys):
    assert refused(capsys, "preview", "shapes", "--images", 0) == ("--images 0: expected a whole number from 1 upwards")
