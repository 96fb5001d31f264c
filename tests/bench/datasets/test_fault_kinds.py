"""Tests that faults in the files of an image are told by the kind of the error, wherever it is raised."""

from __future__ import annotations

import pytest
from PIL import Image

from bench.data.opening import Choice, opened
from bench.errors import DatasetError
from tests.bench.data.miniatures import copied, entries, written


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return written("voc", tmp_path_factory.mktemp("voc") / "voc")


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def cut_image(entry):
    cut(entry.image)


def cut_mask(entry):
    cut(entry.ground_truths[0])


def shrink_masks(entry):
    for path in entry.ground_truths:
        with Image.open(path) as mask:
            mask.resize((32, 24), Image.Resampling.NEAREST).save(path)


def shrink_objects(entry):
    with Image.open(entry.ground_truths[1]) as mask:
        mask.resize((32, 24), Image.Resampling.NEAREST).save(entry.ground_truths[1])


def write_an_unknown_label(entry):
    with Image.open(entry.ground_truths[0]) as mask:
        mask.putpixel((3, 4), 77)
        mask.save(entry.ground_truths[0])


def write_colours(entry):
    with Image.open(entry.ground_truths[0]) as mask:
        mask.convert("RGB").save(entry.ground_truths[0])


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (cut_image, "image"),
        (cut_mask, "mask"),
        (shrink_masks, "size"),
        (shrink_objects, "size"),
        (write_an_unknown_label, "labels"),
        (write_colours, "colours"),
    ],
)
def test_an_error_has_the_kind_of_the_fault(damage, kind, voc, tmp_path):
    choice = copied(voc, tmp_path / "copy")
    entry = entries(choice, "val")[0]
    damage(entry)
    dataset = opened(choice)
    with pytest.raises(DatasetError) as told:
        (dataset.image if kind == "image" else dataset.target)(entry.image_id)
    assert told.value.kind == kind


def test_an_error_about_no_image_has_no_kind(tmp_path):
    with pytest.raises(DatasetError) as told:
        opened(Choice("voc", "voc", {"root": str(tmp_path / "nothing")}))
    assert told.value.kind is None
