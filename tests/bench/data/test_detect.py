"""`bench data detect` prints lines that open what lies there, for every format and every way to name files."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.data.detect import detect, innermost, report
from bench.data.formats.by_name import open_dataset
from bench.data.opening import chosen, opened
from tests.bench.data.miniatures import bench_data, written
from tests.bench.datasets.volume_files import SIZE, scene, write_dicom, write_nifti, write_nrrd

HEADER = "name: x\nmodels: [fake/echo]\n"


def detected(capsys, tmp_path, folder):
    """The data set that the printed lines open, and all that was printed."""
    code, out, _ = bench_data(capsys, "detect", folder)
    assert code == 0, out
    lines = out[out.index("datasets:") :].split("\n\n")[0]
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"{HEADER}{lines}\n")
    entry = yaml.safe_load(lines)["datasets"][0]
    return opened(chosen(None, [], str(suite), None)), entry, out


def total(dataset):
    ids = [image_id for split in dataset.splits() for image_id in dataset.ids(split)]
    assert len(set(ids)) == len(ids)
    for image_id in ids[:3]:
        dataset.target(image_id)
    return len(ids)


@pytest.mark.few(5)
@pytest.mark.parametrize(
    "form",
    [
        "ade20k", "camvid", "carvana", "cityscapes", "coco", "cvat", "detectron2", "folder", "huggingface",
        "label_studio", "labelme", "pets", "supervisely", "voc", "yolo",
    ],
)  # fmt: skip
def test_every_format_that_can_be_written_is_recognised(capsys, tmp_path, form):
    exported = written(form, tmp_path / "data")
    expected = total(open_dataset(exported.dataset, dict(exported.options)))
    (tmp_path / "data" / "export.json").unlink()
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "data")
    assert entry["name"] == exported.dataset
    assert total(dataset) == expected >= 26


def draw(root, image, mask, number, *, objects=1, value=1):
    for path in (root / image, root / mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (number, 0, 0)).save(root / image)
    pixels = np.zeros((12, 16), np.uint8)
    for index in range(objects):
        pixels[4 * index : 4 * index + 3, number % 5 : number % 5 + 4] = value * (index + 1)
    if mask.endswith(".npy"):
        np.save(root / mask, pixels)
    else:
        Image.fromarray(pixels).save(root / mask)
    return int((pixels > 0).sum())


LAYOUTS = {
    "two folders": ("images/p{0}.png", "masks/p{0}.png"),
    "two folders with an ending": ("images/p{0}.jpg", "masks/p{0}_mask.png"),
    "one folder": ("p{0}.jpg", "p{0}_mask.png"),
    "one folder, _seg, PNG": ("p{0}.png", "p{0}_seg.png"),
    "one folder, beginning": ("p{0}.png", "mask_p{0}.png"),
    "one folder, both with endings": ("{0}_sat.jpg", "{0}_mask.png"),
    "one folder, same name": ("p{0}.jpg", "p{0}.png"),
    "split first": ("{split}/images/p{0}.png", "{split}/masks/p{0}.png"),
    "split last": ("images/{split}/p{0}.png", "masks/{split}/p{0}.png"),
    "split in the folder's name": ("{split}_images/p{0}.png", "{split}_masks/p{0}.png"),
    "split, one folder": ("{split}/p{0}.jpg", "{split}/p{0}_mask.png"),
    "beginnings of both": ("images/img_{0}.png", "labels/lbl_{0}.png"),
    "arrays": ("images/p{0}.png", "masks/p{0}.npy"),
    "a folder a patient": ("TCGA_{group}/TCGA_{group}_{0}.tif", "TCGA_{group}/TCGA_{group}_{0}_mask.tif"),
    "a folder a patient, above slices": ("patient_{group}/slice/images/{0}.png", "patient_{group}/slice/masks/{0}.png"),
    "a numbered folder, above all": ("release_2/data/images/{0}.png", "release_2/data/masks/{0}.png"),
    "names with dots and spaces": ("images/p {0}.v1.png", "masks/p {0}.v1.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_way_to_name_images_and_masks_is_found(capsys, tmp_path, layout):
    image, mask = LAYOUTS[layout]
    foreground = 0
    for number in range(12):
        fields = {"split": ("train", "val", "test")[0 if number < 6 else 1 + number % 2], "group": number // 3}
        foreground += draw(tmp_path / "d", *(text.format(number, **fields) for text in (image, mask)), number)
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert entry["name"] == "folder"
    assert total(dataset) == 12
    found = sum(
        int((dataset.target(i).semantic.labels == 1).sum()) for split in dataset.splits() for i in dataset.ids(split)
    )
    assert found == foreground
    if "{split}" in image:
        assert {split: len(dataset.ids(split)) for split in dataset.splits()} == {"train": 6, "val": 3, "test": 3}
    if "{group}" in image:
        assert len({dataset.group(i) for split in dataset.splits() for i in dataset.ids(split)}) == 4


def test_several_masks_of_an_image_are_objects(capsys, tmp_path):
    for number in range(6):
        for ending in ("", "_1", "_2"):
            draw(tmp_path / "d", f"images/b ({number}).png", f"masks/b ({number})_mask{ending}.png", number, value=255)
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert entry["options"]["masks_hold"] == "object"
    assert total(dataset) == 6
    assert len(dataset.target("b (0)").instances.masks) == 3


def test_one_mask_for_each_class_is_recognised_by_the_folders(capsys, tmp_path):
    for number in range(6):
        draw(tmp_path / "d", f"images/{number}a.png", f"masks/road/{number}a.png", number, value=255)
    for number in range(3):
        draw(tmp_path / "d", f"images/{number}a.png", f"masks/car/{number}a.png", number + 4, value=255)
    _, entry, _ = detected_without_reading(capsys, tmp_path / "d")
    assert entry["options"]["masks"] == "masks/{class}/{id}.png"


def detected_without_reading(capsys, folder):
    _, out, _ = bench_data(capsys, "detect", folder)
    return None, yaml.safe_load(out[out.index("datasets:") :].split("\n\n")[0])["datasets"][0], out


def test_numbers_of_objects_are_proposed_as_probable_only(capsys, tmp_path):
    for number in range(8):
        draw(tmp_path / "d", f"images/{number}.png", f"masks/{number}.png", number, objects=2 + number % 2)
    dataset, entry, out = detected(capsys, tmp_path, tmp_path / "d")
    assert entry["options"]["masks_hold"] == "instances"
    assert "this is probably folder" in out
    assert "if the values are classes, leave masks_hold out" in out
    assert "instance" in dataset.tasks


def test_values_that_look_alike_in_all_images_are_classes_and_no_objects(capsys, tmp_path):
    for number in range(8):
        draw(tmp_path / "d", f"images/{number}.png", f"masks/{number}.png", number, objects=2)
        pixels = np.asarray(Image.open(tmp_path / "d" / f"masks/{number}.png"))
        shown = np.array([40, 90, 200], np.uint8)[pixels] + np.uint8(number)
        Image.fromarray(np.stack([shown] * 3, -1)).save(tmp_path / "d" / f"images/{number}.png")
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert "masks_hold" not in entry["options"]
    assert len(dataset.classes) == 3


@pytest.mark.parametrize(
    ("images", "masks"), [("Original Images", "Ground Truth"), ("image_2", "semantic"), ("img_dir", "ann_dir")]
)
def test_folders_of_images_and_masks_are_not_taken_for_each_other(capsys, tmp_path, images, masks):
    for number in range(8):
        draw(tmp_path / "d", f"{images}/{number}.png", f"{masks}/{number}.png", number, value=255)
    dataset, _, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert dataset.entry(dataset.ids("train")[0]).image.parent.name == images


@pytest.mark.parametrize("line", ["images/{0}.png", "./images/{0}.png", "{0}", "images/{0}.png masks/{0}_m.png"])
def test_lists_name_images_by_paths_below_the_root_though_patterns_find_them(tmp_path, line):
    for number in range(6):
        draw(tmp_path, f"images/{number}.png", f"masks/{number}_m.png", number, value=255)
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        (tmp_path / f"{split}.txt").write_bytes("\r\n".join(line.format(n) for n in numbers).encode("utf-8-sig"))
    options = {"root": str(tmp_path), "images": "images/{id}.*", "masks": "masks/{id}_m.png"}
    dataset = open_dataset("folder", options)
    assert {split: len(dataset.ids(split)) for split in dataset.splits()} == {"train": 4, "test": 2}
    (tmp_path / "test.txt").unlink()
    plain = {"root": str(tmp_path), "mask_suffix": "_m"}
    for notes in (open_dataset("folder", one).description.notes for one in (options, plain)):
        assert notes == ("2 of 6 images are in no list and left out, for example 4.png",)


def test_roboflows_classes_are_named(capsys, tmp_path):
    for number in range(8):
        split = "train" if number < 4 else "valid"
        draw(
            tmp_path / "d",
            f"{split}/p{number}_jpg.rf.{number}.jpg",
            f"{split}/p{number}_jpg.rf.{number}_mask.png",
            number,
        )
    for split in ("train", "valid"):
        (tmp_path / "d" / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, crack\n")
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert [c.name for c in dataset.classes] == ["background", "crack"]
    assert (entry["val"], entry["test"]) == ("valid", "valid")


def test_one_coco_json_is_split_by_fractions(capsys, tmp_path):
    exported = written("coco", tmp_path / "whole")
    source = next((tmp_path / "whole" / "annotations").glob("instances_train*.json"))
    document = json.loads(source.read_text())
    (tmp_path / "d" / "annotations").mkdir(parents=True)
    shutil.copytree(next((tmp_path / "whole").glob("train*")), tmp_path / "d" / "default")
    (tmp_path / "d" / "annotations" / "instances_default.json").write_text(json.dumps(document))
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "d")
    assert (entry["name"], entry["options"]["split_by"]) == (exported.dataset, "fraction")
    assert dataset.splits() == ("train", "val", "test")
    assert total(dataset) == 20


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.json": "{", "b.json": "[]", "c.json": '{"images": 3, "annotations": 4, "categories": null}'},
        {"a.json": '{"images": [1], "annotations": [], "categories": [2]}'},
        {"meta.json": "[]", "ds/ann/a.json": "7"},
        {"a.json": '{"shapes": [3]}'},
        {"a.json": '{"shapes": []}'},
        {"data.yaml": "names: 3\ntrain: [4]\n", "classes.yaml": "\x00"},
        {"images/a.png": "no picture", "masks/a.png": "none either"},
        {"images/a.png": "no picture", "masks/a.npy": "none either"},
        {"leftImg8bit/x": "", "gtFine/x": ""},
        {"JPEGImages/x": "", "SegmentationClass/y": "", "ImageSets/Segmentation/train.txt": "q\n"},
        {"{id}_mask.png": "", "{id}.png": "", "[a-.png": "", "*.jpg": ""},
        {"train.json": "[]", "metadata.json": "{}"},
    ],
)
def test_odd_folders_are_told_of_and_nothing_crashes(capsys, tmp_path, files):
    for name, text in files.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(text)
    (tmp_path / "d").mkdir(exist_ok=True)
    code, out, err = bench_data(capsys, "detect", tmp_path / "d")
    assert (code, err) == (1, "")
    assert "like no format that is known" in out or "It cannot be used yet" in out


def test_a_folder_that_is_not_there_is_a_usage_error(capsys, tmp_path):
    code, _, err = bench_data(capsys, "detect", tmp_path / "none")
    assert code == 2
    assert "is no folder" in err


def roboflow(root, number, split):
    base = f"{split}/pic{number}_jpg.rf.{number:032x}"
    draw(root, f"{base}.jpg", f"{base}_mask.png", number, objects=2)
    (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")


def cell_tracking(root, number, split):
    for film in ("01", "02", "03"):
        draw(
            root, f"{film}/t{number:03d}.tif", f"{film}_GT/SEG/man_seg{number:03d}.tif", number, objects=1 + number % 3
        )


def plain(image, mask, **drawn):
    def make(root, number, split):
        draw(root, image.format(number, split=split), mask.format(number, split=split), number, **drawn)

    return make


def unlabelled_test(root, number, split):
    draw(root, f"train/images/austin{number}.tif", f"train/gt/austin{number}.tif", number, value=255)
    (root / "test/images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (number, 9, 0)).save(root / f"test/images/bloom{number}.tif")


def folders_as_names(root, number, split):
    for name in ("benign", "malignant"):
        draw(root, f"{name}/{name} ({number}).png", f"{name}/{name} ({number})_mask.png", number, value=255)
        if number == 3:
            shutil.copy(root / f"{name}/{name} (3)_mask.png", root / f"{name}/{name} (3)_mask_1.png")


TWO = ["background", "foreground"]
ISIC = ("ISIC2018_Task1-2_Input/ISIC_{0:07d}.jpg", "ISIC2018_Task1_GroundTruth/ISIC_{0:07d}_segmentation.png")
PUBLISHED = {
    "Roboflow, semantic": (roboflow, 9, ["background", "cat", "dog"], {"train", "valid", "test"}),
    "train and train_mask": (plain("train/{0}.jpg", "train_mask/{0}.png", value=255), 9, TWO, None),
    "ISIC": (plain(*ISIC, value=255), 9, TWO, None),
    "Kvasir, JPEG masks": (plain("images/cju{0}.jpg", "masks/cju{0}.jpg", value=255), 9, TWO, None),
    "BUSI": (folders_as_names, 18, ["background", "object"], None),
    "INRIA": (unlabelled_test, 9, TWO, None),
    "Cell Tracking Challenge": (cell_tracking, 27, ["background", "object"], None),
}
"""Name -> maker of an image and its mask, images with a mask, classes, splits (None: dealt out)."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_layouts_of_published_data_sets_are_read_as_they_are_meant(capsys, tmp_path, name):
    make, count, classes, splits = PUBLISHED[name]
    for number in range(9):
        make(
            tmp_path / "data",
            number,
            (*["train"] * 5, "valid", "valid", "test", "test")[number],
        )
    dataset, _entry, _ = detected(capsys, tmp_path, tmp_path / "data")
    assert total(dataset) == count
    assert [spec.name for spec in dataset.classes] == classes
    used = {split for split in dataset.splits() if dataset.ids(split)}
    assert used == splits if splits else len(used) > 1


def test_a_split_without_any_mask_is_left_out_and_told_but_a_single_missing_mask_is_refused(capsys, tmp_path):
    for number in range(9):
        unlabelled_test(tmp_path / "data", number, "")
    dataset, *_ = detected(capsys, tmp_path, tmp_path / "data")
    assert "test: none of its 9 images has a mask; the split is left out" in dataset.description.notes
    (tmp_path / "data/train/gt/austin4.tif").unlink()
    code, out, _ = bench_data(capsys, "detect", tmp_path / "data")
    assert code == 1
    assert "1 of 9 images have no mask" in out


VOLUMES = {
    "two folders": ("images/c{0}.nii.gz", "masks/c{0}.nii.gz", {}),
    "nnU-Net's names without dataset.json": ("imagesTr/c{0}_0000.nii.gz", "labelsTr/c{0}.nii.gz", {}),
    "a folder a patient, channels": ("P{0}/P{0}_{c}.nii.gz", "P{0}/P{0}_seg.nii.gz", {"channels": ["flair", "t1"]}),
    "one folder, NRRD": ("c{0}.nrrd", "c{0}_label.nrrd", {}),
    "DICOM series": ("images/c{0}", "masks/c{0}.nii.gz", {}),
    "split first": ("{split}/images/c{0}.nii", "{split}/masks/c{0}.nii", {}),
}


@pytest.mark.parametrize("layout", VOLUMES)
def test_volumes_are_recognised_with_channels_classes_and_a_window(capsys, tmp_path, layout):
    image, mask, expected = VOLUMES[layout]
    values, labels = scene()
    for number in range(4):
        split = "train" if number < 2 else "test"
        for channel in expected.get("channels", ["-"]):
            path = tmp_path / "data" / image.format(number, c=channel, split=split)
            writer = write_nifti if ".nii" in image else write_nrrd if ".nrrd" in image else write_dicom
            writer(path, values, **({"patient": f"p{number}"} if writer is write_dicom else {}))
        (write_nrrd if ".nrrd" in mask else write_nifti)(tmp_path / "data" / mask.format(number, split=split), labels)
    dataset, entry, _ = detected(capsys, tmp_path, tmp_path / "data")
    assert entry["name"] == "volumes"
    assert total(dataset) == 4 * SIZE[2]
    assert entry["options"].get("channels") == expected.get("channels")
    assert entry["options"]["classes"] == {"background": 0, "class 1": 1, "class 2": 2}
    assert entry["options"]["window"] == {"percentiles": [0.5, 99.5]}


@pytest.mark.parametrize("names", ["classes.txt", "obj.names"])
def test_label_files_without_a_yaml_are_told_with_the_lines_to_write(tmp_path, names):
    for split in ("train", "val"):
        for number in range(3):
            (tmp_path / "data" / split).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 12)).save(tmp_path / "data" / split / f"{number}.jpg")
            (tmp_path / "data" / split / f"{number}.txt").write_text(f"{number % 2} 0.1 0.1 0.9 0.1 0.5 0.8\n")
    (tmp_path / "data" / names).write_text("cell\nrod\n")
    found = detect(tmp_path)
    said = report(found, tmp_path)
    lines = said.partition("the names in the order of their numbers:\n")[2].partition("\n\n")[0]
    assert yaml.safe_load(lines) == {"train": "train", "val": "val", "names": ["cell", "rod"]}
    (tmp_path / "data" / "data.yaml").write_text(lines)
    first = detect(tmp_path)[0]  # the folder holds nothing but `data`, so that this is looked into
    assert (first.guess.name, first.trouble, first.counts) == ("yolo", "", {"train": 3, "val": 3})


def test_a_folder_that_holds_nothing_but_one_other_is_entered_but_no_split(tmp_path):
    for number in range(4):
        draw(tmp_path / "set" / "inner", f"images/{number}.png", f"masks/{number}.png", number)
    assert innermost(tmp_path) == tmp_path / "set" / "inner"
    assert detect(tmp_path)[0].trouble == ""
    (tmp_path / "one" / "train" / "images").mkdir(parents=True)
    assert innermost(tmp_path / "one") == tmp_path / "one"
