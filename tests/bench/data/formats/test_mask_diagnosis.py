"""Classes are told from masks only where they are certain; otherwise the refusal holds lines that settle it.

Each test rebuilds a kind of folder that people have: smoothed masks, 0/1 beside 0/255, greys with 255, classes
hidden in transparency, palettes in another order, numbered objects.
"""

from __future__ import annotations

import re
import unicodedata

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from bench.datasets.folder import Options, open_dataset
from bench.errors import DatasetError

NAMES = [f"p{number}" for number in range(6)]


def discs(number):
    """Two discs and a square in an image of 40 × 60, as 0, 1, 2 and 3; the third patch has two parts."""
    labels = np.zeros((40, 60), np.uint8)
    cv2.circle(labels, (12, 12 + number), 7, 1, -1)
    cv2.circle(labels, (30, 20), 6, 2, -1)
    labels[4:10, 45:50] = labels[30:36, 48 - number : 56 - number] = 3
    return labels


def folder(root, mask_of, *, names=NAMES, suffix=".png", **save):
    for number, name in enumerate(names):
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        mask = mask_of(number)
        mask = mask if isinstance(mask, Image.Image) else Image.fromarray(np.asarray(mask))
        mask.save(root / "masks" / f"{name}{suffix}", **save)
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def labels_by_id(dataset):
    return {i: dataset.target(i).semantic.labels for split in dataset.splits() for i in dataset.ids(split)}


def refusal(root, **options):
    with pytest.raises(DatasetError) as caught:
        labels_by_id(opened(root, **options))
    return str(caught.value)


def offered_options(message):
    """The options that a refusal offers, as YAML reads them."""
    return [yaml.safe_load(line.split("#")[0])["options"] for line in re.findall(r"options: .*", message)]


def offered_file(message):
    """The classes.yaml that a refusal offers."""
    return message.split("classes.yaml, with your own names:\n")[1]


def binary(number):
    return (discs(number) > 0).astype(np.uint8)


def test_0_and_255_alone_are_background_and_foreground_and_it_is_told(tmp_path):
    dataset = opened(folder(tmp_path, lambda n: binary(n) * 255))
    assert [c.name for c in dataset.classes] == ["background", "foreground"]
    assert dataset.description.inferred[0].startswith(
        "classes inferred from 6 masks, no class file: 0 in 6 of 6 masks ("
    )
    assert all((labels == binary(int(i[1:]))).all() for i, labels in labels_by_id(dataset).items())


def test_0_to_3_are_indices(tmp_path):
    found = labels_by_id(opened(folder(tmp_path, discs)))
    assert all((labels == discs(int(i[1:]))).all() for i, labels in found.items())


def through_jpeg(number):
    encoded = cv2.imencode(".jpg", binary(number) * 255, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def smoothed(number):
    return cv2.GaussianBlur(binary(number) * 255, (3, 3), 0)


@pytest.mark.parametrize("mask_of", [through_jpeg, smoothed])
def test_masks_with_greys_of_smoothing_are_refused_and_the_offered_threshold_reads_them(tmp_path, mask_of):
    folder(tmp_path, mask_of)
    message = refusal(tmp_path)
    assert "masks of two classes that were smoothed or stored as JPEG look like this" in message
    assert offered_options(message) == [{"binary": {"threshold": 128}}]
    for image_id, labels in labels_by_id(opened(tmp_path, binary={"threshold": 128})).items():
        assert (labels != binary(int(image_id[1:]))).mean() < 0.01


def test_jpeg_masks_are_read_by_a_threshold_and_by_nothing_else(tmp_path):
    folder(tmp_path, lambda n: binary(n) * 255, suffix=".jpg", quality=75)
    assert "binary: {threshold: 128}" in refusal(tmp_path)
    for image_id, labels in labels_by_id(opened(tmp_path, binary={"threshold": 128})).items():
        assert (labels != binary(int(image_id[1:]))).mean() < 0.01


def test_0_1_beside_0_255_is_refused_and_the_offered_threshold_reads_both(tmp_path):
    folder(tmp_path, lambda n: binary(n) * (255 if n % 2 else 1))
    message = refusal(tmp_path)
    assert "the masks disagree: 3 hold 255 and none of 1" in message
    assert {"binary": {"threshold": 1}} in offered_options(message)
    found = labels_by_id(opened(tmp_path, binary={"threshold": 1}))
    assert all((labels == binary(int(i[1:]))).all() for i, labels in found.items())
    assert "holds 0 and 1 alone, all below the threshold 128" in refusal(tmp_path, binary={"threshold": 128})


def test_one_bit_beside_0_255_is_refused_and_any_threshold_reads_both(tmp_path):
    folder(tmp_path, lambda n: Image.fromarray(binary(n) * 255).convert("1" if n % 2 else "L"))
    assert "the masks disagree" in refusal(tmp_path)
    found = labels_by_id(opened(tmp_path, binary={"threshold": 128}))
    assert all((labels == binary(int(i[1:]))).all() for i, labels in found.items())


def test_names_by_position_do_not_make_a_foreground_of_255_void(tmp_path):
    folder(tmp_path, lambda n: binary(n) * 255)
    (tmp_path / "classes.yaml").write_text("[rest, cell]")
    message = refusal(tmp_path)
    assert "255 seems to be a class: 6 of 6 masks looked at hold 255" in message
    assert offered_options(message) == [{"binary": {"threshold": 1}}, {"void": 255}]
    dataset = opened(tmp_path, binary={"threshold": 1})
    assert [c.name for c in dataset.classes] == ["rest", "cell"]
    assert (labels_by_id(dataset)["p0"] == binary(0)).all()


def test_four_greys_up_to_255_are_refused_and_each_offered_reading_works(tmp_path):
    folder(tmp_path, lambda n: discs(n) * 85)
    message = refusal(tmp_path)
    assert "255 may be void or a class" in message
    assert offered_options(message) == [{"binary": {"threshold": 1}}, {"void": 255}, {"void": "none"}]
    assert (labels_by_id(opened(tmp_path, void="none"))["p1"] == discs(1)).all()
    with_void = np.where(discs(1) == 3, 255, discs(1))
    assert (labels_by_id(opened(tmp_path, void=255))["p1"] == with_void).all()
    (tmp_path / "classes.yaml").write_text(offered_file(message))
    assert (labels_by_id(opened(tmp_path))["p1"] == discs(1)).all()


def test_values_with_gaps_are_refused_with_a_class_file_that_reads_them(tmp_path):
    folder(tmp_path, lambda n: np.array([0, 3, 7, 9], np.uint8)[discs(n)])
    message = refusal(tmp_path)
    assert "the values are not 0 to K − 1 without a gap" in message
    (tmp_path / "classes.yaml").write_text(offered_file(message))
    assert (labels_by_id(opened(tmp_path))["p1"] == discs(1)).all()


def with_alpha(number):
    white = np.full((40, 60, 4), 255, np.uint8)
    white[..., 3] = binary(number) * 255
    return white


def test_a_class_in_the_alpha_channel_is_refused_with_and_without_a_class_file(tmp_path):
    folder(tmp_path, with_alpha)
    assert "has an alpha channel that varies (2 values from 0 to 255)" in refusal(tmp_path)
    found = labels_by_id(opened(tmp_path, binary={"threshold": 128, "channel": "alpha"}))
    assert all((labels == binary(int(i[1:]))).all() for i, labels in found.items())
    (tmp_path / "classes.yaml").write_text("classes: [{name: a, value: 0}, {name: b, value: 255}]")
    assert "has an alpha channel that varies" in refusal(tmp_path)


def in_palette(number):
    """Black and red, in this order in even files and the other way round in odd ones."""
    image = Image.fromarray(binary(number) if number % 2 == 0 else 1 - binary(number)).convert("P")
    image.putpalette([0, 0, 0, 200, 0, 0] if number % 2 == 0 else [200, 0, 0, 0, 0, 0])
    return image


@pytest.mark.parametrize("class_file", [None, "[rest, cell]"])
def test_palettes_in_another_order_are_refused_and_the_offered_colours_read_them(tmp_path, class_file):
    folder(tmp_path, in_palette)
    if class_file:
        (tmp_path / "classes.yaml").write_text(class_file)
    message = refusal(tmp_path)
    assert "the palettes of the masks differ in order: the colour " in message
    (tmp_path / "classes.yaml").write_text(offered_file(message))
    found = labels_by_id(opened(tmp_path))
    assert all((labels == binary(int(i[1:]))).all() for i, labels in found.items())


def test_masks_that_number_objects_are_not_taken_for_classes(tmp_path):
    def numbered(number):
        labels = np.zeros((40, 60), np.uint8)
        for which in range(3 + number % 2):
            cv2.circle(labels, (8 + 14 * which, 15 + number), 5, which + 1, -1)
        return labels

    folder(tmp_path, numbered)
    assert "the values seem to number objects and not classes" in refusal(tmp_path)


def test_rare_colours_near_common_ones_are_refused(tmp_path):
    def coloured(number):
        rgb = np.zeros((40, 60, 3), np.uint8)
        rgb[binary(number) > 0] = (200, 0, 0)
        rgb[0, 0] = (10, 2, 0)
        return rgb

    message = refusal(folder(tmp_path, coloured))
    assert "1 of 3 colours are rare and close to a common one, for example RGB 10,2,0" in message


def test_tiff_of_several_pages_is_refused_with_their_number(tmp_path):
    pages = [Image.fromarray(discs(1)), Image.fromarray(discs(2)), Image.fromarray(discs(3))]
    folder(tmp_path, discs, suffix=".tif", save_all=True, append_images=pages[1:])
    assert "p0.tif holds 3 pages of one TIFF file" in refusal(tmp_path)


# ------------------------------------------------------------------ names and leftovers


def test_names_in_either_form_of_unicode_belong_together(tmp_path):
    folder(tmp_path, discs, names=[unicodedata.normalize("NFC", f"für_{n}") for n in range(6)])
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    assert len(labels_by_id(opened(tmp_path))) == 6


def test_hidden_folders_are_never_read_and_are_told(tmp_path):
    folder(tmp_path, discs)
    for kind in ("images", "masks"):
        copies = tmp_path / kind / ".ipynb_checkpoints"
        copies.mkdir()
        (copies / "p0-checkpoint.png").write_bytes((tmp_path / kind / "p0.png").read_bytes())
    dataset = opened(tmp_path)
    assert len(labels_by_id(dataset)) == 6
    assert sum("1 hidden .png file in " in note for note in dataset.description.notes) == 2


def test_masks_without_an_image_and_files_that_are_not_read_are_counted(tmp_path):
    folder(tmp_path, discs)
    (tmp_path / "images" / "p5.png").rename(tmp_path / "images" / "p5.npy")
    notes = opened(tmp_path).description.notes
    assert f"1 of 6 masks have no image and are not read, for example {tmp_path / 'masks' / 'p5.png'}" in notes
    assert f"1 .npy file in {tmp_path / 'images'} is not read, for example p5.npy" in notes


def test_further_masks_of_one_image_are_refused(tmp_path):
    folder(tmp_path, discs)
    (tmp_path / "masks" / "p2_1.png").write_bytes((tmp_path / "masks" / "p2.png").read_bytes())
    assert "1 masks seem to be further masks of images that have one already" in refusal(tmp_path)


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".jp2", ".avif"])
def test_further_suffixes_of_images_are_read(tmp_path, suffix):
    folder(tmp_path, discs)
    image = Image.open(tmp_path / "images" / "p1.png").convert("RGB")
    form = {".jp2": "JPEG2000", ".avif": "AVIF"}.get(suffix, "JPEG")
    image.save(tmp_path / "images" / f"p1{suffix}", format=form)
    (tmp_path / "images" / "p1.png").unlink()
    dataset = opened(tmp_path)
    assert len(labels_by_id(dataset)) == 6
    with Image.open(tmp_path / "images" / f"p1{suffix}") as stored:
        expected = np.asarray(stored.convert("RGB")).astype(int)
    assert np.abs(dataset.image("p1").astype(int) - expected).max() <= 3  # JPEG decoders round differently


def test_names_with_a_hash_in_a_list_are_images_and_other_such_lines_are_comments(tmp_path):
    folder(tmp_path, discs, names=[f"#p{n}" for n in range(6)])
    (tmp_path / "train.txt").write_text("# those of the first day\n#p0.png\n#p1\n")
    (tmp_path / "test.txt").write_text("#p5.png\n")
    dataset = opened(tmp_path)
    assert {split: dataset.ids(split) for split in dataset.splits()} == {"train": ("#p0", "#p1"), "test": ("#p5",)}


def test_a_list_without_images_is_refused(tmp_path):
    folder(tmp_path, discs)
    (tmp_path / "train.txt").write_text("# nothing yet\n")
    assert "train.txt names no image" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["[no, yes]", "classes: [{name: no, value: 0}, {name: yes, value: 1}]"])
def test_names_that_yaml_takes_for_truth_values_are_names(tmp_path, text):
    folder(tmp_path, binary)
    (tmp_path / "classes.yaml").write_text(text)
    assert [c.name for c in opened(tmp_path).classes] == ["no", "yes"]


def test_a_list_of_numbers_is_no_list_of_names(tmp_path):
    folder(tmp_path, lambda n: binary(n) * 255)
    (tmp_path / "classes.yaml").write_text("[0, 255]")
    assert "a list of names is expected, but it holds the numbers ['0', '255']" in refusal(tmp_path)


@pytest.mark.parametrize("form", ["numbers", "wide numbers", "colours"])
def test_objects_numbered_on_and_on_are_refused_with_the_lines_that_read_them(tmp_path, form):
    colours = np.random.default_rng(0).integers(30, 256, (40, 3)).astype(np.uint8)
    for number in range(6):
        ids = np.zeros((24, 32), np.uint16)
        for k in range(3):
            ids[4 : 4 + 3 * (k + 1), 3 + 9 * k : 9 + 9 * k] = 3 * number + k + 2
        mask = {
            "numbers": ids.astype(np.uint8),
            "wide numbers": ids * 100,
            "colours": colours[ids] * (ids > 0)[..., None],
        }
        for folder, pixels in (("images", np.zeros((24, 32, 3), np.uint8)), ("masks", mask[form])):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), pixels)
    with pytest.raises(DatasetError) as error:
        open_dataset(Options(root=str(tmp_path)))
    line = next(line for line in str(error.value).splitlines() if "masks_hold: instances" in line)
    options = yaml.safe_load(line)["options"]
    dataset = open_dataset(Options(root=str(tmp_path), **options))
    for split in dataset.splits():
        assert {len(dataset.target(i).instances.masks) for i in dataset.ids(split)} == {3}
