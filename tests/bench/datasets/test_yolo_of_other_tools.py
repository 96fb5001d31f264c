"""YOLO folders and VOC folders as other tools write them: read as Ultralytics and CVAT mean them, or refused."""

from __future__ import annotations

import codecs

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.data.detect import detect
from bench.datasets import voc
from bench.datasets.yolo import Options, open_dataset
from bench.errors import DatasetError

SQUARE = "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"


def write(root, *, images="{split}/images", labels="{split}/labels", data=None, text=SQUARE, encoding="utf-8"):
    for split in ("train", "val"):
        for folder in (images, labels):
            (root / folder.format(split=split)).mkdir(parents=True, exist_ok=True)
        for k in range(3):
            Image.new("RGB", (8, 8), (k, 0, 0)).save(root / images.format(split=split) / f"{split}_{k}.png")
            file = root / labels.format(split=split) / f"{split}_{k}.txt"
            file.write_bytes(text.encode(encoding))
    document = {"train": images.format(split="train"), "val": images.format(split="val"), "names": ["cell", "rod"]}
    (root / "data.yaml").write_text(yaml.safe_dump({**document, **(data or {})}))
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def squares(dataset):
    """Whether every image of both splits shows the one square of class 1."""
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    ground_truths = [dataset.target(i).instances for split in dataset.splits() for i in dataset.ids(split)]
    return len(ground_truths) == 6 and all(
        np.array_equal(t.masks, expected[None]) and t.class_ids.tolist() == [1] for t in ground_truths
    )


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"data": {"names": {"0": "cell", "1": "rod"}}}, ["cell", "rod"]),
        ({"data": {"names": None, "nc": 2}}, ["class_0", "class_1"]),
        ({"data": {"nc": "2"}}, ["cell", "rod"]),
        ({"data": {"train": "train\\images", "val": ".\\val\\images"}}, ["cell", "rod"]),
        ({"images": "{split}", "labels": "{split}"}, ["cell", "rod"]),
        ({"encoding": "utf-16"}, ["cell", "rod"]),
        ({"encoding": "utf-8-sig"}, ["cell", "rod"]),
    ],
)
def test_what_ultralytics_reads_is_read(tmp_path, more, names):
    dataset = opened(write(tmp_path, **more))
    assert [spec.name for spec in dataset.classes] == names
    assert squares(dataset)
    assert dataset.notes("train") == ()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\xff", b"1 0.1 \xe9", "1 0.2".encode("utf-16-le"), codecs.BOM_UTF16_LE + b"a"]
)
def test_a_label_file_that_is_no_text_is_named(tmp_path, content):
    root = write(tmp_path)
    file = root / "train" / "labels" / "train_0.txt"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"train_0\.txt .*UTF-8"):
        opened(root).target(opened(root).ids("train")[0])


@pytest.mark.parametrize("word", ["nan", "inf", "1e400", "-1"])
def test_a_class_that_is_no_number_of_the_table_is_named(tmp_path, word):
    root = write(tmp_path, text=SQUARE.replace("1", word, 1))
    with pytest.raises(DatasetError, match=r"train_0\.txt:1 has labels outside the table"):
        opened(root).target(opened(root).ids("train")[0])


def test_label_files_named_after_the_whole_image_are_refused_with_their_right_name(tmp_path):
    root = write(tmp_path)
    (root / "train" / "labels" / "train_1.txt").rename(root / "train" / "labels" / "train_1.png.txt")
    with pytest.raises(DatasetError, match=r"1 label files fit no image, and 1 of 3 images have no label file.*"
                       r"train_1\.png\.txt is most likely train_1\.txt"):  # fmt: skip
        opened(root).ids("train")
    dataset = opened(root, unmatched_labels="leave_out")
    assert len(dataset.ids("train")) == 3
    assert [note.split(" have")[0].split(" fit")[0] for note in dataset.notes("train")] == [
        "1 label files",
        "1 of 3 images",
    ]


def test_a_label_file_without_an_image_is_counted_and_named(tmp_path):
    root = write(tmp_path)
    (root / "train" / "images" / "train_2.png").unlink()
    dataset = opened(root)
    assert len(dataset.ids("train")) == 2
    assert "1 label files fit no image" in dataset.notes("train")[0]
    assert "train_2.txt" in dataset.notes("train")[0]


def test_hidden_folders_and_those_of_archives_hold_no_images(tmp_path):
    root = write(tmp_path)
    for folder in (".ipynb_checkpoints", "__MACOSX"):
        hidden = root / "train" / "images" / folder
        hidden.mkdir()
        Image.new("RGB", (8, 8)).save(hidden / "train_0-checkpoint.png")
    assert len(opened(root).ids("train")) == 3


def test_polygons_of_more_than_255_classes_do_not_wrap(tmp_path):
    names = [f"c{k}" for k in range(300)]
    root = write(tmp_path, data={"names": names}, text=SQUARE.replace("1", "299", 1))
    labels = opened(root).target(opened(root).ids("train")[0]).semantic.labels
    assert np.unique(labels).tolist() == [299, 65535]


# ------------------------------------------------------------------ VOC's layout


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:250,50,83::\nrod:51,221,255::\n"


def write_voc(root, *, palette=False, labelmap=LABELMAP):
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / "labelmap.txt").write_text(labelmap)
    (root / "ImageSets" / "Segmentation" / "default.txt").write_text("a\nb\n")
    for name in ("a", "b"):
        Image.new("RGB", (6, 4), (9, 9, 9)).save(root / "JPEGImages" / f"{name}.png")
        numbers = np.zeros((4, 6), np.uint8)
        numbers[:2, :2], numbers[2:, 4:], numbers[0, 5] = 1, 2, 3
        for folder, colours in (
            ("SegmentationClass", [(0, 0, 0), (250, 50, 83), (51, 221, 255), (224, 224, 192)]),
            ("SegmentationObject", [(0, 0, 0), (0, 128, 0), (128, 0, 0), (224, 224, 192)]),
        ):
            mask = Image.fromarray(numbers, mode="P")
            mask.putpalette([channel for colour in colours for channel in colour])
            (mask if palette else mask.convert("RGB")).save(root / folder / f"{name}.png")
    return root


@pytest.mark.parametrize("palette", [False, True])
def test_voc_layout_with_a_labelmap_has_its_classes_objects_and_lists(tmp_path, palette):
    dataset = voc.open_dataset(voc.Options(root=str(write_voc(tmp_path, palette=palette))))
    assert [(spec.name, spec.is_thing) for spec in dataset.classes] == [
        ("background", False),
        ("cell", True),
        ("rod", True),
    ]
    assert {split: dataset.ids(split) for split in dataset.splits()} == {"default": ("a", "b")}
    ground_truth = dataset.target("a")
    assert ground_truth.semantic.labels.tolist() == [
        [1, 1, 0, 0, 0, 255],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 2, 2],
    ]
    assert sorted(
        zip(ground_truth.instances.class_ids.tolist(), ground_truth.instances.masks.sum((1, 2)).tolist(), strict=True)
    ) == [
        (1, 4),
        (2, 4),
    ]


@pytest.mark.parametrize(
    ("labelmap", "message"),
    [
        (LABELMAP.replace("51,221,255", "250,50,83"), "'rod' has the name or the colour"),
        (LABELMAP.replace("51,221,255", "51,221"), "expected lines of name:r,g,b::"),
        (
            LABELMAP.replace("rod:51,221,255", "rod:1,2,3"),
            r"has colours outside the table: RGB 51,221,255 \(4 pixels\)",
        ),
    ],
)
def test_a_labelmap_that_does_not_fit_is_refused(tmp_path, labelmap, message):
    root = write_voc(tmp_path, labelmap=labelmap)
    with pytest.raises(DatasetError, match=message):
        voc.open_dataset(voc.Options(root=str(root))).target("a")


def labelled(root, rows, *, name="a", label=None):
    """One image of 4 × 8 pixels, and a label file that may be called otherwise."""
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 4)).save(root / "images" / "train" / f"{name}.jpg")
    (root / "labels" / "train" / (label or f"{name}.txt")).write_text(rows)
    (root / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    return root


BOX_AND_POLYGON = "0 0.75 0.5 0.5 1\n1 0.0 0.0 0.25 0.0 0.25 1.0 0.0 1.0\n"  # columns 4 to 7, and 0 to 1


def test_a_box_among_polygons_is_refused_with_the_choices(tmp_path):
    labelled(tmp_path, BOX_AND_POLYGON)
    with pytest.raises(DatasetError, match=r"a\.txt:1 has five numbers.*1 of 2 objects .*two corners of an outline.*"):
        opened(tmp_path).target("train__a")
    with pytest.raises(DatasetError, match=r"without_mask: leave_out .* or without_mask: box"):
        opened(tmp_path).target("train__a")


def test_a_box_is_left_out_or_a_crowd_of_its_size_and_said(tmp_path):
    labelled(tmp_path, BOX_AND_POLYGON)
    out, crowd = (opened(tmp_path, without_mask=how, background="none") for how in ("leave_out", "box"))
    assert out.target("train__a").instances.class_ids.tolist() == [1]
    ground_truth = crowd.target("train__a")
    assert ground_truth.instances.class_ids.tolist() == [0, 1]
    assert ground_truth.instances.crowd.tolist() == [True, False]
    assert ground_truth.instances.masks[0].tolist() == [[False] * 4 + [True] * 4] * 4
    # What of a box is the object nobody knows: its pixels are void, and background elsewhere.
    assert ground_truth.semantic.labels[0].tolist() == [1, 1, 2, 2, 255, 255, 255, 255]
    (doubt,) = crowd.doubts("train__a")
    assert doubt.describe().startswith(
        "1 of 2 objects are boxes without an outline and are crowds of the size of their box"
    )
    assert out.fingerprint("train") != crowd.fingerprint("train")


@pytest.mark.parametrize(
    ("name", "label"),
    [("fu\u0308r", "f\u00fcr.txt"), ("f\u00fcr", "fu\u0308r.txt"), ("IMG_1", "img_1.txt"), ("a", "a.TXT")],
)
def test_a_label_file_spelt_otherwise_is_found_and_told(tmp_path, name, label):
    labelled(tmp_path, BOX_AND_POLYGON.split("\n")[1], name=name, label=label)
    dataset = opened(tmp_path)
    (image_id,) = dataset.ids("train")
    assert len(dataset.target(image_id).instances.class_ids) == 1
    assert dataset.notes("train")[0].startswith("1 label files were found under a name whose letters are composed")


def test_of_two_label_files_alike_none_is_guessed(tmp_path):
    labelled(tmp_path, "", name="A", label="a.txt")
    labelled(tmp_path, "", name="b", label="a.TXT")
    labelled(tmp_path, "0 0 0 1 0 1 1", name="c")
    with pytest.raises(DatasetError, match="2 label files fit no image, and 2 of 3 images have no label file"):
        opened(tmp_path).ids("train")


def test_images_of_a_list_that_are_not_there_are_counted(tmp_path):
    labelled(tmp_path, "0 0 0 1 0 1 1")
    (tmp_path / "train.txt").write_text("images/train/a.jpg\n./images/train/b.jpg\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [cat, dog]\n")
    with pytest.raises(
        DatasetError, match=r"b\.jpg\. Expected: the 2 images that train\.txt names, of which 1 are miss"
    ):
        opened(tmp_path).ids("train")


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ("images", "images", "train and val both name 'images'"),
        ("images", "./images/", r"train names 'images', val './images/'"),
        ("images", "images/val", r"train names 'images', val 'images/val'"),
        (["images/a", "images/val"], "images/val", "train and val both name 'images/val'"),
    ],
)
def test_splits_that_name_the_same_images_are_refused_with_the_lines_and_dealt_out_by_them(tmp_path, train, val, said):
    write(tmp_path, images="images/{split}", labels="labels/{split}", data={"train": train, "val": val})
    (tmp_path / "images" / "train").rename(tmp_path / "images" / "a")
    (tmp_path / "labels" / "train").rename(tmp_path / "labels" / "a")
    with pytest.raises(DatasetError, match=rf"{said}.*split_by: fraction and pool: \[train\]"):
        opened(tmp_path).ids("val")
    first = detect(tmp_path)[0]
    assert (first.trouble, first.guess.options["pool"]) == ("", ["train"])
    assert first.counts == {"train": 4, "val": 1, "test": 1}


def test_key_points_of_ultralytics_are_no_outlines(tmp_path):
    with pytest.raises(DatasetError, match="has kpt_shape: its labels are key points and boxes"):
        opened(write(tmp_path, data={"kpt_shape": [4, 3]}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "1 0,25 0,25 0,75 0,25 0,75 0,75\n",
            r"no number: '0,25'.*Numbers are written with a point and parted by spaces",
        ),
        ("1 0.25 0.25 0.75 0.25 0.75 0.75 # cell\n", r"no number: '#'"),
    ],
)
def test_a_word_that_is_no_number_is_quoted(tmp_path, text, said):
    with pytest.raises(DatasetError, match=said):
        opened(write(tmp_path, text=text)).target("train__train_0")


def test_a_folder_of_labels_under_another_name_is_found_and_told(tmp_path):
    root = write(tmp_path, images="images/{split}", labels="annotations/{split}")
    with pytest.raises(DatasetError, match=r"annotations/train has files of their names: .* must be called labels"):
        opened(root).ids("train")


def test_names_that_begin_at_one_are_told_as_that(tmp_path):
    with pytest.raises(DatasetError, match="It begins at 1: the numbers in the label files begin at 0"):
        opened(write(tmp_path, data={"names": {1: "cell", 2: "rod"}}))
