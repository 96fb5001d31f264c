"""Tests that what a data set states twice and differently is found, counted and named; what agrees is left alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.data.check import check
from bench.data.formats.by_name import open_dataset
from bench.data.formats.doubts import Doubt, together
from bench.data.opening import Choice
from bench.errors import DatasetError
from bench.records.mask_runs import run_lengths
from bench.run.planning.data_checks import sampled
from tests.bench.datasets.coco_projects import LAYOUT, SIZE, each_annotation, each_image, project, rectangle

SHAPE = np.zeros(SIZE, dtype=np.bool_)


def coco(root, **options):
    return open_dataset("coco", {"root": str(root), **LAYOUT, **options})


def findings(dataset, cache, name="coco"):
    """{kind: messages} of a complete check."""
    checked = check(
        Choice(name, name, {}), dataset, dataset.splits(), cache=cache, jobs=1, console=Console(stderr=True)
    )
    found: dict[str, list[str]] = {}
    for one in checked.findings:
        found.setdefault(one.kind, []).append(one.message)
    return found


def mask_of(row):
    """The rectangle of an annotation of `project`."""
    left, top, width, height = row["bbox"]
    mask = SHAPE.copy()
    mask[top : top + height, left : left + width] = True
    return mask


def by_columns(row):
    row["segmentation"] = {"size": [*SIZE], "counts": run_lengths(mask_of(row))}


def by_rows(row):
    """Run lengths along the rows, with the size that COCO wants."""
    row["segmentation"] = {"size": [*SIZE], "counts": run_lengths(np.ascontiguousarray(mask_of(row).T))}


def by_rows_without_a_box(row):
    by_rows(row)
    del row["bbox"], row["area"]


def by_rows_with_the_box_of_the_wrong_mask(row):
    by_rows(row)
    wrong = np.zeros(SIZE[0] * SIZE[1], dtype=np.bool_)
    ends = np.cumsum(row["segmentation"]["counts"])
    for start, stop in zip(ends[0::2], ends[1::2], strict=False):
        wrong[start:stop] = True
    rows, columns = np.nonzero(wrong.reshape(SIZE[1], SIZE[0]).T)
    row["bbox"] = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]


@pytest.mark.parametrize("change", [by_rows, by_rows_without_a_box, by_rows_with_the_box_of_the_wrong_mask])
def test_run_lengths_along_rows_are_refused_found_completely_and_read_by_an_option(tmp_path, change):
    sound = coco(project(tmp_path / "sound"))
    root = project(tmp_path / "rows", each_annotation(change))
    (fault,) = sampled(coco(root), ["test"]).faults
    assert "6 of 6 objects are what they seem only if their run lengths are read row by row" in fault
    assert "run_lengths: rows" in fault
    assert len(findings(coco(root), tmp_path)["order"]) == 9  # each image of three splits
    said = coco(root, run_lengths="rows")
    for image_id in said.ids("test"):
        assert np.array_equal(said.target(image_id).instances.masks, sound.target(image_id).instances.masks)
    assert not sampled(said, ["test"]).faults
    assert "order" not in findings(said, tmp_path)
    assert said.fingerprint("test") != coco(root).fingerprint("test")


def test_run_lengths_down_columns_are_left_in_peace(tmp_path):
    root = project(tmp_path / "columns", each_annotation(by_columns))
    assert not {"order", "box", "area", "scale"} & set(findings(coco(root), tmp_path))


def test_rows_can_be_said_to_be_columns(tmp_path):
    root = project(tmp_path / "rows", each_annotation(by_rows))
    assert not sampled(coco(root, run_lengths="columns"), ["test"]).faults


def test_a_size_of_width_and_height_is_named_as_that(tmp_path):
    def turn(row):
        by_columns(row)
        row["segmentation"]["size"].reverse()

    with pytest.raises(DatasetError, match=r"written as width and height; run lengths have .* \[32, 48\]"):
        coco(root := project(tmp_path / "turned", each_annotation(turn))).target("test_0")
    assert root.is_dir()


def test_run_lengths_as_python_shows_bytes_are_named_as_that(tmp_path):
    def shown(row):
        row["segmentation"] = {"size": [*SIZE], "counts": "b'PP1'"}

    with pytest.raises(DatasetError, match=r"written as Python shows bytes.* write counts\.decode\(\) instead"):
        coco(project(tmp_path / "shown", each_annotation(shown))).target("test_0")


def test_addresses_for_names_are_found_by_their_last_parts_and_other_suffixes_are_told(tmp_path):
    def addressed(row):
        row["file_name"] = f"https://example.org/bucket/{row['file_name'].replace('_', '%5F')}?size=1"

    dataset = coco(project(tmp_path / "urls", each_image(addressed)))
    assert dataset.ids("test") == ("bucket__test_0", "bucket__test_1", "bucket__test_2")
    assert dataset.image("bucket__test_1").shape == (*SIZE, 3)
    renamed = project(tmp_path / "suffix", each_image(lambda row: row.update(file_name=row["file_name"][:-3] + "jpg")))
    with pytest.raises(DatasetError, match=r"There is test_0\.png, of another suffix"):
        coco(renamed).ids("test")


def moved_box(row):
    row["bbox"][0] += 15


def box_of_corners(row):
    left, top, width, height = row["bbox"]
    row["bbox"] = [left, top, left + width, top + height]


def area_of_nothing(row):
    row["area"] = 1


def triangle_with_the_area_of_its_box(row):
    left, top, width, height = row["bbox"]
    row["segmentation"] = [[left, top, left + width, top, left, top + height]]


def shares(row):
    row["segmentation"] = [[x / SIZE[1 - k % 2] for k, x in enumerate(row["segmentation"][0])]]


def swapped(row):
    points = row["segmentation"][0]
    row["segmentation"] = [[points[k + 1 - 2 * (k % 2)] for k in range(len(points))]]


def half_size(row):
    row["segmentation"] = [[x / 2 for x in row["segmentation"][0]]]


def beyond(row):
    left, top, width, height = row["bbox"]
    row["segmentation"] = rectangle(left, -3, width, top + height + 3)
    row["bbox"] = [left, -3, width, top + height + 3]
    row["area"] = width * (top + height)


def of_a_larger_image(row):
    row["segmentation"] = [[5 * x + 10 for x in row["segmentation"][0]]]
    row["bbox"] = [5 * x + 10 * (k < 2) for k, x in enumerate(row["bbox"])]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (moved_box, "box", "have a box that is elsewhere than their mask"),
        (box_of_corners, "corners", "have a box of two corners"),
        (area_of_nothing, "area", "have an area that is not their mask's"),
        (triangle_with_the_area_of_its_box, "area", "have the area of their box"),
        (shares, "scale", "have coordinates from 0 to 1"),
        (swapped, "scale", "only with x and y in each other's place"),
        (half_size, "scale", "are drawn in another resolution than their box"),
        (beyond, "cut", "reach beyond the image and are cut at its edge"),
        (of_a_larger_image, "scale", "lie for the most part outside the image"),
    ],
)
def test_an_annotation_that_contradicts_itself_is_counted_and_named(tmp_path, change, kind, words):
    root = project(tmp_path / "odd", each_annotation(change))
    found = findings(coco(root), tmp_path)
    told = [message for message in found[kind] if words in message]
    assert sum(int(message.split(" of ")[0]) for message in told) >= 9  # at least one object of each of 9 images
    assert "annotation 3000 of image test_0.png" in " ".join(told) or kind == "scale"
    looked = sampled(coco(root), ["test"])
    assert any(words in sentence for sentence in (*looked.notes, *looked.faults))


def test_nothing_is_doubted_of_a_sound_project(tmp_path):
    looked = sampled(coco(project(tmp_path / "sound")), ["train", "val", "test"])
    assert (looked.faults, looked.notes) == ((), ())


def test_one_annotation_of_many_is_a_note_and_no_refusal(tmp_path):
    def the_second_alone(document):
        swapped(document["annotations"][1])

    looked = sampled(coco(project(tmp_path / "odd", the_second_alone)), ["test"])
    assert not looked.faults
    (note,) = [one for one in looked.notes if "each other's place" in one]
    assert "1 of 6 objects" in note


def test_annotations_of_one_id_are_read_and_told(tmp_path):
    def again(document):
        for row in document["annotations"][3:]:
            row["id"] = document["annotations"][0]["id"]

    dataset = coco(project(tmp_path / "again", again))
    assert len(dataset.target("test_2").instances.masks) == 2
    (note,) = [one for one in dataset.notes("test") if "have the id of an earlier one" in one]
    assert note.startswith("test.json: 3 annotations")


def test_ids_that_are_texts_or_missing_are_no_ids_given_twice(tmp_path):
    def texts(document):
        for row in document["annotations"]:
            row["id"] = f"a{row['id']}"
        del document["annotations"][0]["id"], document["annotations"][1]["id"]

    assert not coco(project(tmp_path / "texts", texts)).notes("test")


@pytest.mark.parametrize(("change", "advice"), [(-1, "add 1 to each"), (1, "take 1 from each")])
def test_categories_counted_from_another_number_are_told_as_that(tmp_path, change, advice):
    root = project(tmp_path / "odd", each_annotation(lambda row: row.update(category_id=row["category_id"] + change)))
    with pytest.raises(DatasetError, match=advice):
        coco(root).ids("test")


def scenes(root, *, change=lambda labels: labels, images=12, size=(64, 80)):
    """A folder of images of two bright rectangles each, away from the middle, and their masks, changed."""
    random = np.random.default_rng(3)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(images):
        labels = np.zeros(size, dtype=np.uint8)
        for value, column in ((1, 4), (2, 40)):
            top, left = (int(random.integers(2, 30)), column + int(random.integers(0, 20)))
            labels[top : top + 12 + 4 * value, left : left + 14] = value
        pixels = (60 + 70 * labels)[..., None] + random.integers(0, 20, (*size, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"{number:02d}.png")
        Image.fromarray(np.ascontiguousarray(change(labels))).save(root / "masks" / f"{number:02d}.png")
    (root / "classes.yaml").write_text(
        "classes: [{name: background, value: 0}, {name: low, value: 1}, {name: high, value: 2}]\n"
    )
    return open_dataset("folder", {"root": str(root), "fractions": {"train": 0.5, "test": 0.5}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda labels: labels[:, ::-1], "mirrored left to right"),
        (lambda labels: labels[::-1], "mirrored top to bottom"),
        (lambda labels: labels[::-1, ::-1], "turned by half"),
    ],
)
def test_labels_that_lie_on_edges_only_in_another_pose_are_found(tmp_path, change, told):
    dataset = scenes(tmp_path / "odd", change=change)
    assert all(told in message for message in findings(dataset, tmp_path, "folder")["pose"])
    assert any(told in note for note in sampled(dataset, ["test"]).notes)


def test_square_masks_with_x_for_y_are_found(tmp_path):
    dataset = scenes(tmp_path / "odd", change=lambda labels: labels.T, size=(80, 80))
    assert "x and y in each other's place" in findings(dataset, tmp_path, "folder")["pose"][0]


def test_labels_that_fit_are_in_no_other_pose(tmp_path):
    found = findings(scenes(tmp_path / "sound"), tmp_path, "folder")
    assert not {"pose", "scale", "swapped"} & set(found)


def test_labels_that_all_end_in_the_middle_are_found(tmp_path):
    def smaller(labels):
        small = np.zeros_like(labels)
        small[: labels.shape[0] // 2, : labels.shape[1] // 2] = labels[::2, ::2]
        return small

    (message,) = findings(scenes(tmp_path / "odd", change=smaller), tmp_path, "folder")["scale"]
    assert "drawn on smaller copies of the images" in message


def test_classes_that_change_places_between_splits_are_found(tmp_path):
    dataset = scenes(tmp_path / "odd", images=24)
    for image_id in dataset.ids("test"):
        file = dataset.entry(image_id).ground_truths[0]
        Image.fromarray(np.array([0, 2, 1], dtype=np.uint8)[np.asarray(Image.open(file))]).save(file)
    (message,) = findings(dataset, tmp_path, "folder")["swapped"]
    assert message.startswith("low and high cover such shares of the images of test as in train the other one covers")


def test_a_patient_in_two_splits_is_found(tmp_path):
    scenes(tmp_path / "odd", images=4)
    (tmp_path / "odd" / "train.txt").write_text("00\n01\n")
    (tmp_path / "odd" / "test.txt").write_text("02\n03\n")
    grouped = open_dataset("folder", {"root": str(tmp_path / "odd"), "group": "^(0)"})
    assert findings(grouped, tmp_path, "folder")["group"] == ["0: 2 in train, 2 in test"]


def test_objects_that_are_all_boxes_are_noted(tmp_path):
    root = project(tmp_path / "boxes", images=12)
    assert "boxes for detection" in findings(coco(root), tmp_path)["rectangles"][0]


def test_every_class_that_a_split_lacks_is_told_and_remembered(tmp_path):
    def without_rods(document):
        document["categories"].append({"id": 3, "name": "ghost"})
        if document["images"][0]["id"] >= 200:
            document["annotations"] = [row for row in document["annotations"] if row["category_id"] == 1]

    dataset = coco(project(tmp_path / "odd", without_rods))
    assert findings(dataset, tmp_path)["absent"] == [
        "val: no image has rod; other splits do",
        "test: no image has rod; other splits do",
        "no image of any split has ghost",
    ]


def test_two_label_files_of_one_image_are_refused(tmp_path):
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    document = {
        "imagePath": "a.png",
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
        "shapes": [{"label": "cell", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}],
    }
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=r"1 JSON files name an image that another one names.*b\.json and .*a\.json"):
        open_dataset("labelme", {"root": str(tmp_path), "fractions": {"test": 1.0}})


def test_shapes_beyond_the_image_are_told_of_other_tools_too(tmp_path):
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    shape = {"label": "cell", "points": [[-5, 1], [20, 1], [20, 9]], "shape_type": "polygon"}
    document = {"imagePath": "a.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": [shape]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    dataset = open_dataset("labelme", {"root": str(tmp_path), "fractions": {"test": 1.0}})
    (message,) = findings(dataset, tmp_path / "cache", "labelme")["cut"]
    assert message.startswith("1 of 1 objects reach beyond the image")


def test_a_palette_in_another_order_than_vocs_is_refused(tmp_path):
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(tmp_path / "JPEGImages" / "a.jpg")
    mask = Image.fromarray(np.eye(*SIZE, dtype=np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 192, 128, 128])  # index 1 in the colour of person, index 15
    mask.save(tmp_path / "SegmentationClass" / "a.png")
    for split, name in (("train", "a"), ("val", "b")):
        (tmp_path / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"{name}\n")
    dataset = open_dataset("voc", {"root": str(tmp_path), "classes": "voc"})
    with pytest.raises(DatasetError, match="its index 1 has the colour of 15, person"):
        dataset.target(dataset.ids("train")[0])


def test_doubts_of_many_images_are_counted_together():
    one, other = Doubt("box", 2, 3, "are odd", "annotation 1"), Doubt("box", 1, 4, "are odd", "annotation 9")
    (both,) = together([one, other], 7)
    assert both.describe() == "3 of 7 objects are odd, for example annotation 1"


def test_outlines_that_lie_on_edges_at_twice_their_size_are_found_in_a_few_images(tmp_path):
    def smaller(labels):
        small = np.zeros_like(labels)
        small[: labels.shape[0] // 2, : labels.shape[1] // 2] = labels[::2, ::2]
        return small

    dataset = scenes(tmp_path / "odd", change=smaller)
    (message, *_) = findings(dataset, tmp_path, "folder")["pose"]
    assert "lie clearly better on edges of the image at twice their size" in message


def test_turned_boxes_written_as_outlines_are_noted_and_other_shapes_are_not(tmp_path):
    for kind in ("boxes", "ellipses"):
        for number in range(7):
            angles = np.arange(4) * 90 if kind == "boxes" else np.arange(24) * 15
            lines = []
            for at in range(3):
                turn = np.radians(angles + 45 + 10 * number)
                x, y = 0.18 + 0.3 * at + 0.12 * np.cos(turn), 0.5 + 0.2 * np.sin(turn)
                lines.append("0 " + " ".join(f"{v:.4f}" for v in np.stack([x, y], 1).ravel()))
            for folder in ("images", "labels"):
                (tmp_path / kind / folder).mkdir(parents=True, exist_ok=True)
            image = np.random.default_rng(number).integers(0, 255, (60, 100, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / kind / "images" / f"{number}.png")
            (tmp_path / kind / "labels" / f"{number}.txt").write_text("\n".join(lines))
        (tmp_path / kind / "data.yaml").write_text("train: images\nnames: [cell]\n")
        found = findings(open_dataset("yolo", {"root": str(tmp_path / kind)}), tmp_path / "cache", "yolo")
        told = found.get("rectangles", [""])[0]
        assert ("21 of 21 objects are rectangles, along the sides of the image or turned" in told) == (kind == "boxes")
