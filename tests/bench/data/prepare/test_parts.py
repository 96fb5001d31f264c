"""`bench data prepare` of data sets in several parts: VOC with its augmented training set, and COCO."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from bench.data.opening import opened
from bench.data.prepare.prepare import counted, introduction, planned, report
from bench.datasets import ade20k, coco, pets, voc
from tests.bench.data.local_server import serving
from tests.bench.data.miniatures import refused, written
from tests.bench.data.packing import fetched, packed_tar, packed_zip, plan_of, prepared, serve, told


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


# --- voc, and its augmented training set -------------------------------------------------------


@pytest.fixture
def voc_archives(tmp_path):
    """VOC with train and val; the images of a third split have masks in SBD alone.

    Returns:
        Name -> bytes; names of train, val and SBD's own images; the folder that the VOC archive was made of.
    """
    exported = written("voc", tmp_path / "made" / "VOCdevkit" / "VOC2012")
    root = exported.folder
    sets = root / "ImageSets" / "Segmentation"
    train, val, further = ((sets / f"{split}.txt").read_text().split() for split in ("train", "val", "test"))
    dataset = tmp_path / "made" / "benchmark_RELEASE" / "dataset"
    for folder in ("cls", "img"):
        (dataset / folder).mkdir(parents=True)
    # SBD has masks of some of VOC's images, too, which are not used: they are all background here.
    for name in (*further, train[0], val[0]):
        with Image.open(root / "SegmentationClass" / f"{name}.png") as stored:
            mask = np.array(stored)
        mask = np.where(mask == 255, 0, mask).astype(np.uint8) if name in further else np.zeros_like(mask)
        savemat(dataset / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": mask, "CategoriesPresent": [[1.0]]}})
        (dataset / "img" / f"{name}.jpg").write_bytes(b"not wanted")
    (dataset / "train.txt").write_text("".join(f"{name}\n" for name in (further[0], train[0], val[0])))
    (dataset / "val.txt").write_text("".join(f"{name}\n" for name in further[1:]))
    for name in further:  # VOC gives out no masks of its test
        for folder in ("SegmentationClass", "SegmentationObject"):
            (root / folder / f"{name}.png").unlink()
    (sets / "test.txt").unlink()
    with tarfile.open(tmp_path / "voc.tar", "w") as archive:
        archive.add(tmp_path / "made" / "VOCdevkit", "VOCdevkit")
    archives = {
        "VOCtrainval_11-May-2012.tar": (tmp_path / "voc.tar").read_bytes(),
        "benchmark.tgz": packed_tar(tmp_path / "sbd.tgz", tmp_path / "made", "benchmark_RELEASE"),
    }
    return archives, (train, val, further), root


def pixels(path):
    with Image.open(path) as stored:
        return np.array(stored)


def test_voc_is_opened_where_its_archive_puts_it(server, voc_archives, tmp_path, monkeypatch):
    archives, (train, val, _), root = voc_archives
    monkeypatch.setattr(voc, "EXPECTED", {"train": len(train), "val": len(val)})
    serve(server, archives)
    plan = prepared(plan_of(server, "voc", tmp_path / "voc"))
    assert fetched(server) == ["VOCtrainval_11-May-2012.tar"]
    [result] = counted(plan)
    assert result.choice.options == {"root": f"{tmp_path}/voc/VOCdevkit/VOC2012"}
    assert result.wrong == []
    dataset, original = opened(result.choice), opened(replace(result.choice, options={"root": str(root)}))
    assert [dataset.fingerprint(s) for s in ("train", "val")] == [original.fingerprint(s) for s in ("train", "val")]


def test_the_augmented_set_joins_both_lists_and_takes_voc_s_own_masks_first(
    server, voc_archives, tmp_path, monkeypatch
):
    archives, (train, val, further), root = voc_archives
    monkeypatch.setattr(voc, "EXPECTED_AUGMENTED", {"train": len(train) + len(further), "val": len(val)})
    serve(server, archives)
    plan = prepared(plan_of(server, "voc", tmp_path / "voc", "augmented"))
    assert plan.state.parts == ("voc", "augmented")
    assert not (plan.folder / "benchmark_RELEASE").exists()
    result = counted(plan)[1]
    assert result.choice.options["augmented"] is True
    assert result.wrong == []
    dataset = opened(result.choice)
    assert set(dataset.ids("train")) == {*train, *further}
    assert list(dataset.ids("val")) == val
    masks = plan.root / "SegmentationClassAug"
    for name in (*train, *val):
        assert (pixels(masks / f"{name}.png") == pixels(root / "SegmentationClass" / f"{name}.png")).all()
    made = written("voc", tmp_path / "again")  # which still has the masks of its third split
    for name in further:
        mask = pixels(made.folder / "SegmentationClass" / f"{name}.png")
        assert (pixels(masks / f"{name}.png") == np.where(mask == 255, 0, mask)).all()


def test_the_augmented_set_can_be_added_later_without_fetching_voc_again(server, voc_archives, tmp_path):
    serve(server, voc_archives[0])
    prepared(plan_of(server, "voc", tmp_path / "voc"))
    plan = prepared(plan_of(server, "voc", tmp_path / "voc", "augmented"))
    assert fetched(server) == ["VOCtrainval_11-May-2012.tar", "benchmark.tgz"]
    assert [result.choice.options.get("augmented", False) for result in counted(plan)] == [False, True]


def test_masks_that_are_written_already_are_left_when_the_augmented_set_is_gone_on_with(server, voc_archives, tmp_path):
    archives, (train, _, further), _ = voc_archives
    serve(server, archives)
    prepared(plan_of(server, "voc", tmp_path / "voc", "augmented"), keep_archives=True)
    masks = tmp_path / "voc" / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    before = {path.name: path.stat().st_mtime_ns for path in masks.iterdir()}
    (masks / f"{further[0]}.png").unlink()
    (masks.parent / "ImageSets" / "Segmentation" / "trainaug.txt").unlink()
    (tmp_path / "voc" / "prepare.json").write_text(json.dumps({"dataset": "voc", "parts": ["voc"]}))
    prepared(plan_of(server, "voc", tmp_path / "voc", "augmented"))
    after = {path.name: path.stat().st_mtime_ns for path in masks.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {f"{further[0]}.png"}
    assert len((masks.parent / "ImageSets" / "Segmentation" / "trainaug.txt").read_text().split()) == (
        len(train) + len(further)
    )


def test_a_file_of_sbd_that_is_no_mask_is_named(server, voc_archives, tmp_path):
    archives, (_, _, further), _ = voc_archives
    made = tmp_path / "made"
    (made / "benchmark_RELEASE" / "dataset" / "cls" / f"{further[1]}.mat").write_bytes(b"no MATLAB file")
    archives["benchmark.tgz"] = packed_tar(tmp_path / "sbd.tgz", made, "benchmark_RELEASE")
    serve(server, archives)
    message = told(plan_of(server, "voc", tmp_path / "voc", "augmented"))
    file = tmp_path / "voc" / "benchmark_RELEASE" / "dataset" / "cls" / f"{further[1]}.mat"
    assert message.startswith(f"{file} cannot be read as a mask of the Semantic Boundaries Dataset: ")


# --- coco: parts, and archives within an archive -----------------------------------------------


@pytest.fixture
def coco_archives(tmp_path):
    """The five archives of COCO, as far as a miniature fills them."""
    exported = written("coco", tmp_path / "made")
    root = exported.folder
    for split in ("train", "val"):
        packed = root / "annotations" / f"panoptic_{split}2017.zip"
        packed.write_bytes(packed_zip(tmp_path / "inner.zip", root / "annotations", f"panoptic_{split}2017"))
    (root / "annotations" / "captions_val2017.json").write_text("{}")
    jsons = [f"annotations/{name}_val2017.json" for name in ("instances", "captions")]
    panoptic = [f"annotations/panoptic_{split}2017.{form}" for split in ("train", "val") for form in ("json", "zip")]
    return exported, {
        "val2017.zip": packed_zip(tmp_path / "a.zip", root, "val2017"),
        "train2017.zip": packed_zip(tmp_path / "b.zip", root, "train2017"),
        "annotations_trainval2017.zip": packed_zip(
            tmp_path / "c.zip", root, "annotations/instances_train2017.json", *jsons
        ),
        "panoptic_annotations_trainval2017.zip": packed_zip(tmp_path / "d.zip", root, *panoptic),
    }


def test_coco_s_validation_images_open_alone_and_the_others_are_awaited(server, coco_archives, tmp_path, monkeypatch):
    exported, archives = coco_archives
    val = sum("val" in image_id for image_id in exported.ids)
    monkeypatch.setattr(coco, "EXPECTED", {"train": 118287, "val": val})
    serve(server, archives)
    plan = prepared(plan_of(server, "coco", tmp_path / "coco"))
    assert fetched(server) == ["val2017.zip", "annotations_trainval2017.zip"]
    assert sorted(path.name for path in (plan.folder / "annotations").iterdir()) == [
        "instances_train2017.json",
        "instances_val2017.json",
    ]
    results = counted(plan)
    rows = [line.split() for line in report(plan, results).splitlines()]
    assert ["train", "not", "fetched", "118287"] in rows
    assert ["val", str(val), str(val)] in rows
    assert [result.wrong for result in results] == [[]]


def test_archives_within_an_archive_are_unpacked_where_they_lie(server, coco_archives, tmp_path):
    exported, archives = coco_archives
    serve(server, archives)
    plan = prepared(plan_of(server, "coco", tmp_path / "coco", "train", "val", "panoptic"))
    names = {path.name for path in (plan.folder / "annotations").iterdir()}
    assert names == {f"panoptic_{split}2017{ending}" for split in ("train", "val") for ending in ("", ".json")}
    [result] = counted(plan)
    assert result.choice.options["truth"] == "panoptic"
    dataset = opened(result.choice)
    original = opened(replace(result.choice, options={"root": str(exported.folder), "truth": "panoptic"}))
    assert [dataset.fingerprint(s) for s in ("train", "val")] == [original.fingerprint(s) for s in ("train", "val")]


def test_images_alone_say_which_part_is_lacking(server, coco_archives, tmp_path):
    serve(server, coco_archives[1])
    plan = prepared(plan_of(server, "coco", tmp_path / "coco", "val"))
    assert report(plan, counted(plan)) == (
        "coco: images alone cannot be opened; add their annotations with --part instances or --part panoptic or "
        "--part stuff"
    )


def test_every_archive_has_the_published_checksum_and_a_name_of_its_own():
    for module in (ade20k, coco, pets, voc):
        archives = [archive for part in module.PREPARE.parts for archive in part.archives]
        assert len({archive.file_name for archive in archives}) == len(archives)
        for archive in archives:
            algorithm, _, digest = (archive.checksum or "").partition(":")
            assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
            assert Path(archive.file_name).name == archive.file_name


def test_an_unknown_part_is_refused_with_the_nearest(tmp_path, capsys):
    assert refused(capsys, "prepare", "coco", "--part", "instance", "--out", tmp_path / "new") == (
        "coco has no part 'instance'. Did you mean 'instances'? It has: val, train, instances, panoptic, stuff."
    )
    message = refused(capsys, "prepare", "camvid", "--part", "original", "--out", tmp_path / "new")
    assert "The original variant is not fetched by this command. Fetch 701_StillsRaw_full.zip" in message


def test_the_largest_part_of_coco_is_fetched_only_if_asked_for(tmp_path):
    assert [part.name for part in planned("coco", tmp_path / "new", []).parts] == ["val", "instances"]
    text = introduction(planned("coco", tmp_path / "new", []))
    assert "Not asked for (add it with --part NAME):\n  train: 118,287 images\n" in text
    assert "train2017.zip" not in text
