"""Tests what a user reads about each kind of bad input, word for word.

Where the words are tested in full elsewhere, only there: unreadable and truncated images, empty
masks, repeated ids, leaks between splits in `test_check.py`; masks of another size in
`tests/bench/datasets/test_folder.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.formats.image_headers import image_size
from bench.data.labels.predictions import check_mapping
from bench.data.opening import Choice
from bench.errors import BenchError, DatasetError
from bench.records import ClassSpec, ModelSpec, Size
from tests.bench.data.miniatures import bench_data, copied, entries, words_for, written


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return written("voc", tmp_path_factory.mktemp("voc") / "voc")


@pytest.fixture
def damaged(voc, tmp_path, monkeypatch):
    """A copy of the VOC miniature, in a folder of its own where results go too."""
    monkeypatch.chdir(tmp_path)
    return copied(voc, tmp_path / "copy")


def said(capsys, choice):
    """What `bench data check` says is wrong, without the notes."""
    code, out, _ = bench_data(capsys, "check", *words_for(choice), "--show", 0)
    assert code == 1
    return out.split("\n\n")[0]


def test_a_truncated_mask(damaged, capsys):
    mask = entries(damaged, "train")[0].ground_truths[0]
    mask.write_bytes(mask.read_bytes()[:900])
    assert said(capsys, damaged) == (
        "wrong: masks that cannot be read: 1\n"
        f"  {mask} cannot be read: it is truncated after 900 bytes. Restore the file from its source, or remove it "
        "together with its mask."
    )


def test_a_label_outside_the_table(damaged, capsys):
    mask = entries(damaged, "train")[5].ground_truths[0]
    with Image.open(mask) as stored:
        stored.putpixel((3, 4), 77)
        stored.putpixel((4, 4), 77)
        stored.putpixel((5, 5), 90)
        stored.save(mask)
    assert said(capsys, damaged) == (
        "wrong: labels outside the table, or that contradict each other: 1\n"
        f"  {mask} has labels outside the table: 77 (2 pixels), 90 (1 pixels). VOC has the indices 0 to 20 and 255 for "
        "borders. Restore the file from its source."
    )


def test_a_palette_image_that_was_read_as_rgb(damaged, capsys):
    mask = entries(damaged, "test")[1].ground_truths[0]
    cv2.imwrite(str(mask), cv2.imread(str(mask)))
    assert said(capsys, damaged) == (
        "wrong: colours outside the table, or in place of indices: 1\n"
        f"  {mask} holds colours, not palette indices; it was probably converted to RGB (OpenCV and .convert('RGB') do "
        "that). Restore the original, a PNG of mode P."
    )


def test_masks_in_the_colours_of_another_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written("camvid", tmp_path / "camvid")
    choice = Choice("camvid", "camvid", dict(exported.options))
    mask = entries(choice, "train")[0].ground_truths[0]
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:, :60], colours[0, 60:] = (128, 64, 128), (70, 130, 180)  # CamVid's road, and the sky of Cityscapes
    Image.fromarray(colours).save(mask)
    assert said(capsys, choice) == (
        "wrong: colours outside the table, or in place of indices: 1\n"
        f"  {mask} has colours outside the table: RGB 70,130,180 (4 pixels). CamVid has the 32 colours of "
        "label_colors.txt. Restore the file from LabeledApproved_full.zip."
    )


def test_classes_that_only_the_model_and_only_the_suite_have():
    class Pets:
        classes = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("cat", "cattles", "dog"))

    model = ModelSpec(
        name="unet/classic",
        label="mine",
        adapter="unet",
        task="semantic",
        description="",
        trained_on=("cat", "cattle", "sheep"),
    )
    with pytest.raises(BenchError) as caught:
        check_mapping(model, Pets(), "semantic")
    assert str(caught.value) == (
        "mine was trained on its own list, 3 classes, and is to be scored on 3: the suite's 'cattles' (nearest: "
        "'cattle'), 'dog' cannot be predicted by the model; the model's 'cattle' (nearest: 'cattles'), 'sheep' have no "
        "place in the suite. Add synonyms, as {model's class: suite's class}, or say unmapped: ignore (they name no "
        "class, and a suite's class that is never predicted scores 0) or unmapped: background."
    )


def claiming(path, side):
    """A bitmap whose header claims so many pixels a side, and holds one."""
    Image.new("RGB", (1, 1)).save(path)
    head = bytearray(path.read_bytes())
    head[18:26] = side.to_bytes(4, "little") * 2
    path.write_bytes(head)
    return path


def test_an_image_of_20000_pixels_a_side_is_no_usage_error_and_one_of_40000_is(tmp_path):
    assert image_size(claiming(tmp_path / "large.bmp", 20_000)) == Size(20_000, 20_000)
    huge = claiming(tmp_path / "huge.bmp", 40_000)
    with pytest.raises(DatasetError) as caught:
        image_size(huge)
    assert str(caught.value) == (
        f"{huge} has 40000 × 40000 pixels, more than the 1073741824 that can be decoded; cut it into tiles."
    )
