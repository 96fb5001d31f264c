"""Tests that COCO files of other tools and machines are read as they were meant, or refused with the way out."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.data.check import check
from bench.data.formats.by_name import open_dataset as open_dataset_by_name
from bench.data.opening import Choice
from bench.errors import DatasetError
from bench.records.predictions import Instances
from bench.run.planning.data_checks import sampled
from tests.bench.datasets.coco_projects import (
    LAYOUT,
    SIZE,
    average_precision,
    each_annotation,
    each_image,
    official_precision,
    opened,
    project,
    rectangle,
    same_objects,
    sound,
)

mask_codes = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")
from pycocotools.coco import COCO


def by_name(root, **options):
    return open_dataset_by_name("coco", {"root": str(root), **LAYOUT, **options})


# ------------------------------------------------------------------ types and forms that differ


def flat(row):
    row["segmentation"] = row["segmentation"][0]


def paired(row):
    numbers = row["segmentation"][0]
    row["segmentation"] = [numbers[k : k + 2] for k in range(0, len(numbers), 2)]


def paired_parts(row):
    numbers = row["segmentation"][0]
    row["segmentation"] = [[numbers[k : k + 2] for k in range(0, len(numbers), 2)]]


def with_a_line(row):
    row["segmentation"].append([5.0, 5.0, 7.0, 7.0])


def float_ids(row):
    row["category_id"] = float(row["category_id"])
    row["image_id"] = float(row["image_id"])


def text_ids(row):
    row["category_id"], row["image_id"] = str(row["category_id"]), f"{row['image_id']}.0"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (flat, "COCO nests a list for each polygon"),
        (paired, "COCO nests a list for each polygon"),
        (paired_parts, "COCO nests a list for each polygon"),
        (with_a_line, "parts of fewer than three points, left out"),
        (lambda row: row.update(iscrowd="0"), "iscrowd as text"),
        (float_ids, ""),
        (text_ids, ""),
        (lambda row: row.pop("iscrowd"), ""),
        (lambda row: row.update(iscrowd=False), ""),
    ],
)
def test_annotations_in_another_form_give_the_same_objects_and_conversions_are_told(tmp_path, change, note):
    dataset = opened(project(tmp_path / "other", each_annotation(change)))
    assert same_objects(dataset, sound(tmp_path))
    assert note in " ".join(dataset.notes("test"))
    assert bool(note) == bool(dataset.notes("test"))


def test_a_class_that_is_chosen_is_found_where_its_ids_are_floats(tmp_path):
    dataset = opened(project(tmp_path, each_annotation(float_ids)), classes=("rod",))
    assert [dataset.target(i).instances.class_ids.tolist() for i in dataset.ids("test")] == [[0]] * 3


# ------------------------------------------------------------------ annotations without a mask, crowds


def boxes_alone(document):
    for row in document["annotations"][::2]:
        row["segmentation"] = []


@pytest.mark.parametrize("empty", [[], None, [[1, 2, 3, 4]]])
def test_annotations_without_a_mask_are_refused_with_the_options_that_settle_it(tmp_path, empty):
    root = project(tmp_path, lambda document: document["annotations"][0].update(segmentation=empty))
    with pytest.raises(DatasetError, match=r"test\.json: 1 of 6 annotations have no mask .* annotation 3000 of image "
                       r"test_0\.png.*without_mask: leave_out .* without_mask: box"):  # fmt: skip
        opened(root).ids("test")


def test_a_detection_on_a_box_without_a_mask_is_wrong_or_not_scored_as_the_option_says(tmp_path):
    complete, root = sound(tmp_path), project(tmp_path / "boxes", boxes_alone)

    def all_objects(image_ids):
        answers = iter([complete.target(i).instances for i in image_ids])
        return lambda _: next(answers)

    ids = complete.ids("test")
    # `cell` has boxes alone: without objects it has no AP; `rod` is perfect either way.
    box = opened(root, without_mask="box")
    assert average_precision(box, all_objects(ids)) == pytest.approx(1.0)
    assert [t.crowd.tolist() for t in (box.target(i).instances for i in ids)] == [[True, False]] * 3
    left_out = opened(root, without_mask="leave_out")
    assert [len(left_out.target(i).instances.masks) for i in ids] == [1, 1, 1]
    assert "3 annotations without a mask are left out" in left_out.notes("test")[0]
    assert left_out.fingerprint("test") != box.fingerprint("test")


def test_files_in_which_most_objects_are_crowds_are_refused_until_an_option_says_what_they_are(tmp_path):
    root = project(tmp_path / "cvat", each_annotation(lambda row: row.update(iscrowd=1)))
    with pytest.raises(
        DatasetError, match=r"6 of 6 annotations are marked iscrowd: 1, .*crowds: objects .* crowds: keep"
    ):
        opened(root).ids("test")
    assert same_objects(opened(root, crowds="objects"), sound(tmp_path))
    kept = opened(root, crowds="keep")
    assert all(kept.target(i).instances.crowd.all() for i in kept.ids("test"))


def test_groups_of_objects_in_open_images_words_are_crowds(tmp_path):
    dataset = opened(project(tmp_path, lambda d: d["annotations"][0].update(isgroupof=1)))
    assert dataset.target("test_0").instances.crowd.tolist() == [True, False]


def test_a_part_of_two_points_changes_nothing_for_pycocotools_either(tmp_path):
    root = project(tmp_path, each_annotation(with_a_line))
    dataset, file = opened(root), root / "annotations" / "test.json"
    answers = []
    for image_id, row in zip(dataset.ids("test"), COCO(str(file)).dataset["images"], strict=True):
        ground_truth = dataset.target(image_id).instances
        for mask, class_id in zip(ground_truth.masks, ground_truth.class_ids.tolist(), strict=True):
            answers.append((row["id"], class_id + 1, np.roll(mask, 2, axis=1), 0.9))

    def shifted(ground_truth):
        return Instances(
            np.roll(ground_truth.masks, 2, axis=2), ground_truth.class_ids, np.full(2, 0.9), ground_truth.crowd
        )

    expected = official_precision(file, answers)
    assert 0.1 < expected < 0.9
    assert average_precision(dataset, shifted) == pytest.approx(expected, abs=1e-12)


# ------------------------------------------------------------------ where images lie


def test_images_of_one_name_in_two_splits_are_told_apart(tmp_path):
    root = project(tmp_path)
    for split in ("train", "val", "test"):
        file = root / "annotations" / f"{split}.json"
        file.write_text(file.read_text().replace(f"{split}_", "same_"))
        for image in (root / split).iterdir():
            image.rename(image.with_name(image.name.replace(split, "same")))
    dataset = opened(root)
    assert dataset.ids("val") == ("val__same_0", "val__same_1", "val__same_2")
    assert len({image_id for split in dataset.splits() for image_id in dataset.ids(split)}) == 9


def renamed(pattern):
    def change(row):
        split = row["file_name"].partition("_")[0]
        row["file_name"] = pattern.format(split=split, name=row["file_name"])

    return each_image(change)


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("{split}\\{name}", "by reading backslashes as slashes"),
        ("C:\\data\\{split}\\{name}", "without the folders"),
        ("/home/someone/{split}/{name}", "without the folders"),
        ("./{name}", ""),
        ("{split}/{name}", "below the root"),
    ],
)
def test_paths_of_another_machine_lead_to_the_images(tmp_path, pattern, how):
    dataset = opened(project(tmp_path / "other", renamed(pattern)))
    assert same_objects(dataset, sound(tmp_path))
    assert how in " ".join(dataset.notes("test"))


def test_a_name_in_another_unicode_form_or_case_is_found(tmp_path):
    root = project(tmp_path, each_image(lambda row: row.update(file_name=row["file_name"].replace("_", "_für_"))))
    for split in ("train", "val", "test"):
        for image in list((root / split).iterdir()):
            name = unicodedata.normalize("NFD", image.name.replace("_", "_für_"))
            image.rename(image.with_name(name.replace(".png", ".PNG")))
    dataset = opened(root)
    assert [dataset.image(i).shape for i in dataset.ids("test")] == [(*SIZE, 3)] * 3
    assert "composed otherwise, or differ in case" in dataset.notes("test")[0]


def test_every_missing_image_is_found_when_the_split_is_listed(tmp_path):
    root = project(tmp_path)
    (root / "test" / "test_2.png").unlink()
    with pytest.raises(DatasetError, match=r"of which 1 are missing: test_2\.png.*missing_images: leave_out") as error:
        opened(root).ids("test")
    assert "bench data prepare" not in str(error.value)  # these are no files of COCO's
    dataset = opened(root, missing_images="leave_out")
    assert dataset.ids("test") == ("test_0", "test_1")
    assert "1 of 3 images are not on disk and left out" in dataset.notes("test")[0]


def test_a_root_with_one_json_is_told_what_to_write(tmp_path):
    root = project(tmp_path)
    for split in ("val", "test"):
        (root / "annotations" / f"{split}.json").unlink()
    (root / "annotations" / "train.json").rename(root / "annotations" / "instances_default.json")
    with pytest.raises(
        DatasetError, match=r"annotations/instances_default\.json.*one file of all images has to be split"
    ):
        opened(root)


# ------------------------------------------------------------------ images that EXIF turns


def turned_images(root, orientation):
    for file in root.glob("t*/*.png"):
        if file.parent.name == "test":
            with Image.open(file) as image:
                exif = image.getexif()
                exif[0x0112] = orientation
                image.save(file, exif=exif)
    return root


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_annotations_of_a_turned_image_are_refused_until_it_is_said_what_they_fit(tmp_path, orientation):
    root = turned_images(project(tmp_path), orientation)
    with pytest.raises(
        DatasetError, match=f"EXIF orientation {orientation}.*orientation: shown or orientation: stored"
    ):
        opened(root).target("test_0")
    ground_truth, stored = by_name(root, orientation="stored").target("test_0"), np.zeros(SIZE, np.uint8)
    stored[4:13, 3:15] = 1
    # Pillow turns by the same tag.
    picture = Image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]
    methods = [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_90,
               Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270, Image.Transpose.TRANSPOSE,
               Image.Transpose.TRANSVERSE]  # fmt: skip
    assert np.array_equal(ground_truth.instances.masks[0], np.asarray(picture.transpose(methods[turn])) > 0)


def test_polygons_are_rectangles_of_the_size_that_the_tests_rely_on():
    assert rectangle(1, 2, 3, 4) == [[1, 2, 4, 2, 4, 6, 1, 6]]


# ------------------------------------------------------------------ objects that no model can find, or finds twice


def checked_findings(root, tmp_path):
    choice = Choice("coco", "coco", {"root": str(root), **LAYOUT})
    dataset = open_dataset_by_name("coco", choice.options)
    found = check(choice, dataset, dataset.splits(), cache=tmp_path / "cache", jobs=1, console=Console(quiet=True))
    return {(one.kind, one.split): one.message for one in found.findings if not one.image_id or one.kind == "twice"}


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        (rectangle(200, 200, 12, 9), "lie for the most part outside the image"),
        (rectangle(-30, -30, 12, 9), "lie for the most part outside the image"),
        ([[0.1, 0.1, 0.5, 0.1, 0.5, 0.4]], "have coordinates from 0 to 1"),
        (rectangle(3.6, 4.6, 0.7, 0.7), "cover no pixel"),
    ],
    ids=["outside", "negative", "shares of the size", "between the centres of pixels"],
)
def test_objects_that_no_model_can_find_are_wrong(tmp_path, polygon, words):
    root = project(tmp_path / "d", each_annotation(lambda row: row.update(segmentation=polygon)))
    assert "test: 6 of 6 objects cover no pixel" in checked_findings(root, tmp_path)["lost", "test"]
    (fault,) = sampled(opened(root), ["test"]).faults
    assert f"in its 3 images 6 of 6 objects {words}" in fault


def test_an_object_that_is_annotated_twice_is_told(tmp_path):
    def twice(document):
        document["annotations"].append({**document["annotations"][0], "id": 99999})

    assert (
        "1 of 3 objects cover the pixels of another"
        in checked_findings(project(tmp_path / "d", twice), tmp_path)["twice", "test"]
    )


def test_classes_that_differ_by_case_or_spaces_are_told(tmp_path):
    def more(document):
        document["categories"] += [{"id": 3, "name": "Cell "}, {"id": 4, "name": "celli"}]

    told = checked_findings(project(tmp_path / "d", more), tmp_path)["alike", ""]
    assert told.startswith("classes 'cell', 'Cell ' differ by case, spaces or signs alone")


def test_run_lengths_may_be_whole_floats_and_nothing_else(tmp_path):
    runs = [4.0, 9.0, 32.0 * 48 - 13]
    whole = project(
        tmp_path / "a", each_annotation(lambda row: row.update(segmentation={"size": list(SIZE), "counts": runs}))
    )
    assert opened(whole).target("test_0").instances.masks[0].sum() == 9
    part = project(
        tmp_path / "b",
        each_annotation(lambda row: row.update(segmentation={"size": list(SIZE), "counts": [0.5, *runs[1:]]})),
    )
    with pytest.raises(DatasetError, match="no whole numbers"):
        opened(part).target("test_0")
