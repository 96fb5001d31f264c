"""Formats that hold a class for each pixel read back as exported: folder, ADE20K, CamVid, Pets, Carvana."""

from __future__ import annotations

import csv
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.detect import detect
from bench.data.exports import ade20k as to_ade20k
from bench.data.exports import camvid as to_camvid
from bench.data.exports import carvana as to_carvana
from bench.data.exports import folder as to_folder
from bench.data.exports import pets as to_pets
from bench.datasets import ade20k, camvid, carvana, pets
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, reopened, scenes

# What each class of shapes becomes, as positions among the format's classes; written out, not computed.
PET_OR_CAR = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]


@pytest.fixture(scope="module")
def source():
    return scenes(train=20, val=30, test=14)


@pytest.fixture(scope="module")
def folders(source, tmp_path_factory):
    base = tmp_path_factory.mktemp("formats")
    writers = {"folder": to_folder, "ade20k": to_ade20k, "camvid": to_camvid, "pets": to_pets, "carvana": to_carvana}
    return {name: module.export(source, base / name) for name, module in writers.items()}


def copied(folders, name, tmp_path):
    return shutil.copytree(folders[name].folder, tmp_path / "copy")


def read_back(source, exported, class_of, *, void=255, exact_images):
    """Compare all ground truth; return the data set that was read."""
    loaded = reopened(exported)
    for old, new in exported.ids.items():
        assert labels(loaded.target(new)) == labels(source.target(old), class_of, void)
        difference = np.abs(source.image(old).astype(int) - loaded.image(new))
        assert difference.max() == 0 if exact_images else difference.mean() < 14
    assert sorted(all_ids(loaded)) == sorted(exported.ids.values())
    return loaded


def test_folder_keeps_images_classes_and_splits(source, folders):
    loaded = read_back(source, folders["folder"], None, exact_images=True)
    assert loaded.classes == source.classes
    assert {s: [folders["folder"].ids[i] for i in source.ids(s)] for s in source.splits()} == {
        s: list(loaded.ids(s)) for s in loaded.splits()
    }


def test_ade20k_keeps_the_classes_of_train_and_val(source, folders):
    # sky 2, earth 13, water 21, ball 119, box 41, flag 149, plate 142, lamp 36, bottle 98, clock 148
    loaded = read_back(source, folders["ade20k"], [2, 13, 21, 119, 41, 149, 142, 36, 98, 148], exact_images=False)
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 30}
    assert loaded.ids("train")[0] == "ADE_train_00000001"
    assert len(loaded.classes) == 150
    with Image.open(folders["ade20k"].folder / "annotations" / "training" / "ADE_train_00000001.png") as image:
        assert image.mode == "L"


def test_camvid_keeps_colours_and_splits(source, folders):
    loaded = read_back(source, folders["camvid"], [21, 17, 19, 5, 16, 20, 2, 9, 27, 25], exact_images=True)
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 30, "test": 14}
    lines = (folders["camvid"].folder / "label_colors.txt").read_text().splitlines()
    assert len(lines) == 32
    assert {"64 128 64\tAnimal", "0 0 0\tVoid", "64 192 0\tWall"} < set(lines)


def test_pets_keep_pet_background_and_void(source, folders):
    loaded = read_back(source, folders["pets"], PET_OR_CAR, exact_images=False)
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 45, "val": 5, "test": 14}
    assert loaded.ids("val") == ("Export_1", "Export_11", "Export_21", "Export_31", "Export_41")


def test_carvana_keeps_cars_and_makes_void_background(source, folders):
    loaded = read_back(source, folders["carvana"], PET_OR_CAR, void=0, exact_images=False)
    cars = {s: {i.split("_")[0] for i in loaded.ids(s)} for s in loaded.splits()}
    # 64 images: two cars from train, two from val, one from test
    assert sum(map(len, cars.values())) == len(set().union(*cars.values())) == 5
    assert all(cars.values())


def test_carvana_masks_are_gifs_of_indices_and_the_csv_says_the_same(folders):
    root = folders["carvana"].folder
    with (root / "train_masks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64
    for row in rows:
        with Image.open(root / "train_masks" / row["img"].replace(".jpg", "_mask.gif")) as image:
            assert image.format == "GIF"
            stored = np.asarray(image)
        # Decoded as the public solutions do: starts from 1, row by row.
        flat = np.zeros(stored.size, int)
        numbers = list(map(int, row["rle_mask"].split()))
        for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = 1
        assert np.array_equal(flat.reshape(stored.shape), stored)


# ------------------------------------------------------------------ variants


def test_the_segnet_variant_of_camvid_has_11_classes_and_11_is_void(tmp_path):
    for split in ("train", "val", "test"):
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / split / f"{split}_1.png"), np.zeros((2, 2, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"{split}annot" / f"{split}_1.png"), np.array([[0, 10], [11, 8]], np.uint8))
    with pytest.raises(
        DatasetError, match=r"camvid: none of 1 images has a name as camvid's, 0006R0_f00930.*renamed: true"
    ):
        camvid.open_dataset(camvid.Options(root=str(tmp_path), variant="segnet")).ids("val")
    dataset = camvid.open_dataset(camvid.Options(root=str(tmp_path), variant="segnet", renamed=True))
    assert [c.name for c in dataset.classes][:11:5] == ["sky", "tree", "bicyclist"]
    assert dataset.target("val_1").semantic.labels.tolist() == [[0, 10], [255, 8]]
    with pytest.raises(DatasetError, match="701_StillsRaw_full"):
        camvid.open_dataset(camvid.Options(root=str(tmp_path)))


def test_images_of_ones_own_in_the_layout_of_ade20k_are_refused_and_read_as_a_folder(tmp_path):
    for split in ("training", "validation"):
        for number in range(4):
            for folder in ("images", "annotations"):
                (tmp_path / folder / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(tmp_path / "images" / split / f"{split}{number}.jpg"), np.full((20, 30, 3), number, np.uint8)
            )
            mask = np.zeros((20, 30), np.uint8)
            mask[2:9, number : number + 9], mask[12:17, 3:20] = 1, 2
            cv2.imwrite(str(tmp_path / "annotations" / split / f"{split}{number}.png"), mask)
    with pytest.raises(
        DatasetError, match=r"other classes than wall, building.*masks: \"annotations/\{split\}/\{id\}\.png"
    ):
        ade20k.open_dataset(ade20k.Options(root=str(tmp_path))).ids("train")
    assert ade20k.open_dataset(ade20k.Options(root=str(tmp_path), renamed=True)).ids("val")
    first = detect(tmp_path)[0]
    assert (first.guess.name, first.trouble) == ("folder", "")
    assert {split: len(first.dataset.ids(split)) for split in first.dataset.splits()} == {
        "training": 4,
        "validation": 4,
    }


def test_camvid_without_lists_keeps_drives_together(tmp_path):
    for name in ("0001TP_006690", "0006R0_f00930", "0016E5_00390", "Seq05VD_f00000"):
        for path, pixels in (("701_StillsRaw_full", name), ("LabeledApproved_full", f"{name}_L")):
            (tmp_path / path).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / path / f"{pixels}.png"), np.zeros((2, 2, 3), np.uint8))
    dataset = camvid.open_dataset(camvid.Options(root=str(tmp_path)))
    assert {s: dataset.ids(s) for s in dataset.splits()} == {
        "train": ("0006R0_f00930", "0016E5_00390"), "val": ("0001TP_006690",), "test": ("Seq05VD_f00000",)
    }  # fmt: skip
    assert (dataset.target("0001TP_006690").semantic.labels == 255).all()
    (tmp_path / "701_StillsRaw_full" / "holiday.png").write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"holiday\.png\. Expected: frames of the drives 0006R0, .* or the lists train\.txt"
    ):
        camvid.open_dataset(camvid.Options(root=str(tmp_path)))


def test_pets_can_be_cats_and_dogs_and_the_border_part_of_the_pet(source, folders, tmp_path):
    root = copied(folders, "pets", tmp_path)
    file = root / "annotations" / "test.txt"
    file.write_text(file.read_text().replace(" 1 1 1", " 2 2 1"))
    dataset = pets.open_dataset(pets.Options(root=str(root), labels="species", border="pet"))
    assert [c.name for c in dataset.classes] == ["background", "cat", "dog"]
    for split, pet in (("train", 1), ("test", 2)):
        for image_id in dataset.ids(split):
            old = next(o for o, new in folders["pets"].ids.items() if new == image_id)
            expected = np.where(np.array(labels(source.target(old), PET_OR_CAR)) > 0, pet, 0)
            assert dataset.target(image_id).semantic.labels.tolist() == expected.tolist()


def test_pet_images_that_are_png_or_gif_under_a_jpeg_name_are_read(folders, tmp_path):
    root = copied(folders, "pets", tmp_path)
    dataset = pets.open_dataset(pets.Options(root=str(root)))
    for image_id, form in zip(dataset.ids("test"), ("PNG", "GIF"), strict=False):
        Image.new("L", (64, 48), 9).save(dataset.entry(image_id).image, format=form)
        assert (dataset.image(image_id) == 9).all()


def test_carvana_masks_may_be_pngs_of_0_and_255(folders, tmp_path):
    root = copied(folders, "carvana", tmp_path)
    dataset = carvana.open_dataset(carvana.Options(root=str(root)))
    before = {i: labels(dataset.target(i)) for i in all_ids(dataset)}
    for path in (root / "train_masks").glob("*.gif"):
        with Image.open(path) as image:
            Image.fromarray(np.asarray(image) * np.uint8(255)).save(path.with_suffix(".png"))
        path.unlink()
    dataset = carvana.open_dataset(carvana.Options(root=str(root)))
    assert {i: labels(dataset.target(i)) for i in all_ids(dataset)} == before


# ------------------------------------------------------------------ usage errors

OPENERS = {"ade20k": ade20k, "camvid": camvid, "pets": pets, "carvana": carvana}
ADDRESSES = {
    "ade20k": "ADEChallengeData2016.zip",
    "camvid": "LabeledApproved_full.zip",
    "pets": "annotations.tar.gz",
    "carvana": "kaggle competitions download",
}


@pytest.mark.parametrize("name", OPENERS)
def test_a_missing_data_set_says_where_it_looked_and_how_to_get_it(tmp_path, name):
    module = OPENERS[name]
    with pytest.raises(DatasetError) as caught:
        module.open_dataset(module.Options(root=str(tmp_path)))
    message = str(caught.value)
    assert message.startswith(f"{name}: nothing at {tmp_path}/")
    assert ADDRESSES[name] in message
    assert message.endswith("If it lies elsewhere, set the data set's option root.")


@pytest.mark.parametrize("name", OPENERS)
def test_missing_masks_are_counted(folders, tmp_path, name):
    module, root = OPENERS[name], copied(folders, name, tmp_path)
    dataset = module.open_dataset(module.Options(root=str(root)))
    entry = dataset.entry(dataset.ids("val")[0])
    entry.ground_truths[0].unlink()
    with pytest.raises(
        DatasetError, match=rf"^{name}: nothing at .*{entry.ground_truths[0].name}\. Expected: .* files 1 are missing"
    ):
        module.open_dataset(module.Options(root=str(root))).ids("val")


@pytest.mark.parametrize("name", ["ade20k", "pets", "carvana"])
def test_a_label_outside_the_table_and_a_mask_made_rgb_are_told(folders, tmp_path, name):
    module, root = OPENERS[name], copied(folders, name, tmp_path)
    dataset = module.open_dataset(module.Options(root=str(root)))
    entry = dataset.entry(dataset.ids("val")[0])
    file = entry.ground_truths[0]
    Image.fromarray(np.full((48, 64), 200, np.uint8)).save(file, format="PNG")
    with pytest.raises(
        DatasetError, match=r"has labels outside the table: 200 \(3072 pixels\)\. .* Restore the file from"
    ):
        dataset.target(entry.image_id)
    Image.new("RGB", (64, 48), (1, 2, 3)).save(file, format="PNG")
    with pytest.raises(DatasetError, match=r"holds colours"):
        dataset.target(entry.image_id)


def test_a_colour_that_camvid_does_not_know_and_a_grey_mask_are_told(folders, tmp_path):
    dataset = camvid.open_dataset(camvid.Options(root=str(copied(folders, "camvid", tmp_path))))
    entry = dataset.entry(dataset.ids("val")[0])
    Image.new("RGB", (64, 48), (1, 2, 3)).save(entry.ground_truths[0])
    with pytest.raises(
        DatasetError, match=r"colours outside the table: RGB 1,2,3 \(3072 pixels\)\. CamVid has the 32 colours"
    ):
        dataset.target(entry.image_id)
    Image.new("L", (64, 48), 3).save(entry.ground_truths[0])
    with pytest.raises(DatasetError, match=r"holds values; the original CamVid has colours\. .* variant: segnet"):
        dataset.target(entry.image_id)


def test_a_damaged_list_of_pets_and_names_that_are_no_cars_are_told(folders, tmp_path):
    root = copied(folders, "pets", tmp_path)
    (root / "annotations" / "test.txt").write_text("Abyssinian_1 1 3 1\n")
    with pytest.raises(DatasetError, match=r"test\.txt: 'Abyssinian_1 1 3 1' is not name, breed, species"):
        pets.open_dataset(pets.Options(root=str(root))).ids("test")
    shutil.rmtree(root)
    root = copied(folders, "carvana", tmp_path)
    (root / "train" / "my car.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"^carvana: 1 of 65 names do not match .* for example 'my car\.jpg'"):
        carvana.open_dataset(carvana.Options(root=str(root)))
