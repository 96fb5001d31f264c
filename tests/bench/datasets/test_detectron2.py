"""Dataset dicts as exported read back as the ground truth, and configs name the data sets that Detectron2 registers."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from bench.data.exports.cityscapes import export as export_cityscapes
from bench.data.exports.coco import export as export_coco
from bench.data.exports.detectron2 import export
from bench.data.formats.by_name import open_dataset as open_by_name
from bench.data.formats.detectron2_config import builtin, config_names
from bench.datasets.detectron2 import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes, segments


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("detectron2") / "dicts")


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def rewritten(exported, tmp_path, change=None, metadata=None):
    """A copy in which the first dict of val, or the metadata, was changed."""
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    for name, edit in (("val.json", change), ("metadata.json", metadata)):
        if edit is not None:
            document = json.loads((copy / name).read_text())
            edit(document[0] if name == "val.json" else document)
            (copy / name).write_text(json.dumps(document))
    return copy


def refusal(call, *arguments, **options):
    with pytest.raises(DatasetError) as error:
        call(*arguments, **options)
    return str(error.value)


def first_of_val(root, **options):
    dataset = opened(root, **options)
    return dataset.target(dataset.ids("val")[0])


# ------------------------------------------------------------------ round trip


def test_panoptic_dicts_read_back_as_all_three_ground_truths(source, exported):
    loaded = reopened(exported)
    assert loaded.classes == source.classes
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth)
        assert segments(read.panoptic) == segments(ground_truth.panoptic)
        assert objects(read.instances) == objects(ground_truth.instances)
        assert np.array_equal(source.image(image_id), loaded.image(exported.ids[image_id]))


def test_instance_dicts_read_back_as_objects_and_crowds_and_maps_as_classes(source, exported):
    instances, maps = (opened(exported.folder, truth=ground_truth) for ground_truth in ("instances", "semantic"))
    assert (instances.tasks, maps.tasks) == (("instance",), ("semantic",))
    for image_id in all_ids(source):
        ground_truth = source.target(image_id)
        assert objects(instances.target(exported.ids[image_id]).instances) == objects(ground_truth.instances)
        assert labels(maps.target(exported.ids[image_id])) == labels(ground_truth)


def test_a_background_makes_instances_a_semantic_data_set(source, exported):
    loaded = opened(exported.folder, truth="instances", background="nothing")
    assert (loaded.tasks, loaded.classes[-1].name) == (("semantic", "instance"), "nothing")
    for image_id in source.ids("val"):
        covered = source.target(image_id).instances.masks.any(axis=0)
        read = np.array(labels(loaded.target(exported.ids[image_id])))
        assert np.array_equal(read == 10, ~covered)


def test_detectron2s_own_box_and_mask_code_reads_the_dicts(exported):
    masks = pytest.importorskip("detectron2.structures.masks", reason="detectron2 is not installed")
    from detectron2.structures import BoxMode
    from pycocotools.mask import decode

    loaded = opened(exported.folder, truth="instances")
    for row, image_id in zip(json.loads((exported.folder / "val.json").read_text()), loaded.ids("val"), strict=True):
        ground_truth = loaded.target(image_id).instances
        for annotation, mask in zip(row["annotations"], ground_truth.masks, strict=True):
            drawn = annotation["segmentation"]
            if isinstance(drawn, list):
                drawn = masks.polygons_to_bitmask([np.array(p, float) for p in drawn], row["height"], row["width"])
            else:
                drawn = decode(drawn)
            assert np.array_equal(np.asarray(drawn).astype(bool), mask)
            left, top, right, bottom = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
            assert mask[top:bottom, left:right].sum() == mask.sum()


# ------------------------------------------------------------------ label spaces


def separate(document):
    """Metadata of things and stuff apart, as a data set of its own would have it."""
    names = document["thing_classes"]
    document.clear()
    document |= {"thing_classes": names[3:], "stuff_classes": names[:3]}


def test_things_and_stuff_of_two_lists_are_told_apart_by_isthing(source, exported, tmp_path):
    copy = rewritten(exported, tmp_path, metadata=separate)
    for split in ("train", "val", "test"):
        records = json.loads((copy / f"{split}.json").read_text())
        for segment in (s for record in records for s in record["segments_info"]):
            segment["category_id"] -= 3 if segment["isthing"] else 0
        (copy / f"{split}.json").write_text(json.dumps(records))
    loaded = opened(copy)
    assert [spec.name for spec in loaded.classes] == [spec.name for spec in (*source.classes[3:], *source.classes[:3])]
    assert [spec.is_thing for spec in loaded.classes] == [True] * 7 + [False] * 3
    for image_id in all_ids(source):
        read = loaded.target(exported.ids[image_id])
        assert labels(read) == labels(source.target(image_id), [7, 8, 9, *range(7)])


def test_metadata_may_be_yaml_and_give_another_value_for_void(source, exported, tmp_path):
    copy = rewritten(exported, tmp_path)
    names = [spec.name for spec in source.classes]
    (copy / "m.yaml").write_text(f"stuff_classes: [{', '.join(names)}]\nignore_label: 200\n")
    loaded = opened(copy, truth="semantic", metadata="m.yaml")
    entry = loaded.entry(loaded.ids("val")[0])
    cv2.imwrite(
        str(entry.ground_truths[1]), np.where(np.arange(48)[:, None] < 9, np.full((48, 64), 200), 4).astype(np.uint8)
    )
    assert np.unique(loaded.target(entry.image_id).semantic.labels).tolist() == [4, 255]
    assert not any(spec.is_thing for spec in loaded.classes)


# ------------------------------------------------------------------ configs


@pytest.fixture(scope="module")
def datasets(source, tmp_path_factory):
    """A folder as Detectron2 expects it."""
    base = tmp_path_factory.mktemp("datasets")
    export_coco(source, base / "coco")
    for split in ("train", "val"):
        (base / "coco" / "annotations" / f"panoptic_{split}2017").rename(base / "coco" / f"panoptic_{split}2017")
    export_cityscapes(source, base / "cityscapes")
    return base


def config(folder, text, name="config.yaml"):
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("names", "splits", "tasks"),
    [
        ('TRAIN: ("coco_2017_train",)\n  TEST: ("coco_2017_val",)', ("train", "val"), ("instance",)),
        ("TEST: [coco_2017_val_panoptic_separated]", ("val",), ("semantic", "instance", "panoptic")),
        ("TEST: cityscapes_fine_sem_seg_val", ("train", "val", "test"), ("semantic", "instance", "panoptic")),
    ],
)
def test_builtin_names_of_a_config_open_our_data_sets(datasets, tmp_path, monkeypatch, names, splits, tasks):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    dataset = opened("nowhere", config=config(tmp_path, f"MODEL: {{WEIGHTS: x}}\nDATASETS:\n  {names}\n"))
    assert (dataset.splits(), dataset.tasks) == (splits, tasks)
    assert len(dataset.ids("val")) == 6
    dataset.target(dataset.ids("val")[0])


def test_every_name_that_is_said_to_be_known_is_one_that_detectron2_registers():
    catalog = pytest.importorskip("detectron2.data", reason="detectron2 is not installed").DatasetCatalog
    read = {name for name in catalog.list() if builtin(name, "datasets") is not None}
    coco = {f"coco_2014_{part}" for part in ("train", "val", "minival", "valminusminival")}
    for part in ("train", "val", "val_100"):
        coco |= {f"coco_2017_{part}{kind}" for kind in ("", "_panoptic", "_panoptic_separated")}
    cityscapes = {
        f"cityscapes_fine_{kind}_{split}"
        for kind in ("sem_seg", "instance_seg", "panoptic")
        for split in ("train", "val", "test")
        if (kind, split) != ("panoptic", "test")  # which Detectron2 has not
    }
    assert read == coco | cityscapes | {"ade20k_sem_seg_train", "ade20k_sem_seg_val"}


def test_builtin_coco_lies_where_detectron2_looks_for_it():
    catalog = pytest.importorskip("detectron2.data", reason="detectron2 is not installed").MetadataCatalog
    for name in (
        "coco_2014_minival",
        "coco_2014_val",
        "coco_2017_val_100",
        "coco_2017_train",
        "coco_2017_val_100_panoptic",
    ):
        options = builtin(name, "datasets").options
        split = builtin(name, "datasets").split
        place = {
            key: f"{options['root']}/{options[key]}".replace("{split}", split).replace("{truth}", options["truth"])
            for key in ("images", "annotations", "maps")
        }
        theirs = catalog.get(name)
        assert place["images"] == theirs.image_root
        assert place["annotations"] == (theirs.panoptic_json if "panoptic" in name else theirs.json_file)
        assert "panoptic" not in name or place["maps"] == theirs.panoptic_root


def test_a_config_goes_before_those_that_it_builds_on(tmp_path):
    config(tmp_path, 'DATASETS:\n  TRAIN: ("a", "b")\n  TEST: ("c",)', "base.yaml")
    config(tmp_path, "_BASE_: base.yaml\nSOLVER: {IMS_PER_BATCH: 2}", "middle.yaml")
    config(tmp_path, "_BASE_: ./middle.yaml\nDATASETS: {TEST: [d, a]}")
    assert config_names(tmp_path / "config.yaml") == ("a", "b", "d")


def test_names_of_ones_own_are_files_of_dicts(source, exported, tmp_path):
    copy = rewritten(exported, tmp_path)
    (copy / "val.json").rename(copy / "shapes_val.json")
    file = config(tmp_path, "DATASETS: {TEST: [shapes_val]}")
    dataset = open_by_name("detectron2", {"root": str(copy), "config": file})
    assert dataset.splits() == ("shapes_val",)
    assert len(dataset.ids("shapes_val")) == 6


def test_a_name_that_only_code_knows_is_told_with_what_can_be_done(tmp_path):
    file = config(tmp_path, "DATASETS: {TRAIN: [coco_2017_train], TEST: [my_val]}")
    assert refusal(opened, tmp_path, config=file).startswith(
        f"{file} names the data set 'my_val', which code registers that is not run here. Write its dicts as JSON to "
        f"{tmp_path}/my_val.json, or name one of those that Detectron2 registers itself and this reads: coco_2014_"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "DATASETS: {TRAIN: [coco_2017_train], TEST: [ade20k_sem_seg_val]}",
            "{file} names data sets of different kinds: coco_2017_train, ade20k_sem_seg_val. A suite takes one at a "
            "time; "
            "give a config that names one kind, or the data set itself.",
        ),
        (
            "MODEL: {}",
            "{file} names no data set under DATASETS.TRAIN and DATASETS.TEST. Name one there.",
        ),
        ("- 1", "{file} is no Detectron2 config: it must hold keys such as DATASETS."),
        (
            "DATASETS: {TEST: (a b)}",
            "{file}: DATASETS.TEST is '(a b)', which is no tuple of names.",
        ),
        (
            "_BASE_: config.yaml",
            "{file}: more than 16 configs build on each other by _BASE_; probably in a circle.",
        ),
    ],
)
def test_a_config_that_cannot_be_used_says_why(tmp_path, text, message):
    file = config(tmp_path, text)
    assert refusal(opened, tmp_path, config=file) == message.replace("{file}", file)


# ------------------------------------------------------------------ usage errors


def test_missing_dicts_and_metadata_say_where_they_were_sought(exported, tmp_path):
    assert refusal(opened, tmp_path) == (
        f"detectron2: nothing at {tmp_path}/train.json. Expected: a list of dataset dicts for a split of train, val, "
        "test. "
        "Write the list of dicts of each split there, and metadata.json beside them. If it lies elsewhere, set the "
        "data "
        "set's option root."
    )
    copy = rewritten(exported, tmp_path)
    (copy / "metadata.json").unlink()
    assert refusal(opened, copy).startswith(
        f"detectron2: nothing at {copy}/metadata.json. Expected: metadata with thing_classes or stuff_classes. Write "
    )


@pytest.mark.parametrize(
    ("ground_truth", "change", "message"),
    [
        (
            "instances",
            lambda d: d["annotations"][0].update(category_id=10),
            "category_id 10 is outside the table; metadata.json has thing_classes 0 to 9. Dataset dicts count classes "
            "from "
            "0, unlike COCO's own files. Fix the dict, or the metadata.",
        ),
        (
            "instances",
            lambda d: d["annotations"][0].update(segmentation={"size": [9, 9], "counts": [81]}),
            "annotation 1 cannot be drawn: its segmentation is neither polygons nor run lengths of an image of (48, "
            "64). "
            "Fix or remove it.",
        ),
        (
            "panoptic",
            lambda d: d["segments_info"][0].update(category_id=-1),
            "category_id -1 is outside the table; metadata.json has thing_classes 0 to 9. Dataset dicts count classes "
            "from "
            "0, unlike COCO's own files. Fix the dict, or the metadata.",
        ),
    ],
)
def test_what_a_dict_has_wrong_is_named_with_its_image(source, exported, tmp_path, ground_truth, change, message):
    copy = rewritten(exported, tmp_path, change)
    image = f"images/val/{source.ids('val')[0]}.png"
    assert refusal(first_of_val, copy, truth=ground_truth) == f"{copy}/val.json: image {image}: {message}"


def test_a_dict_without_segments_info_or_isthing_is_named(source, exported, tmp_path):
    image = f"images/val/{source.ids('val')[0]}.png"
    copy = rewritten(exported, tmp_path / "1", lambda d: d.pop("segments_info"))
    assert refusal(first_of_val, copy) == (
        f"{copy}/val.json: image {image} has no segments_info, which panoptic ground truth need. Add it."
    )
    copy = rewritten(exported, tmp_path / "2", lambda d: d["segments_info"][0].pop("isthing"), separate)
    number = json.loads((copy / "val.json").read_text())[0]["segments_info"][0]["id"]
    assert refusal(first_of_val, copy) == (
        f"{copy}/val.json: image {image}: segment {number} has no isthing, so that its category_id may count "
        "thing_classes or stuff_classes. Add it."
    )


def test_a_dict_without_the_file_that_a_ground_truth_needs_is_named(exported, tmp_path):
    copy = rewritten(exported, tmp_path, lambda d: d.pop("pan_seg_file_name"))
    assert refusal(first_of_val, copy) == (
        f"{copy}/val.json: dict 0 has no pan_seg_file_name, which panoptic ground truth needs. Add it, or ask "
        "for another ground truth."
    )
    (copy / "val.json").write_text('[{"height": 3}]')
    assert refusal(first_of_val, copy) == f"{copy}/val.json: dict 0 has no file_name. Every dataset dict needs it."


def test_a_coco_file_in_the_place_of_dicts_is_refused(exported, tmp_path):
    copy = rewritten(exported, tmp_path)
    (copy / "val.json").write_text('{"images": []}')
    assert refusal(first_of_val, copy) == (
        f"{copy}/val.json holds no list of dataset dicts. A file of COCO's is read by the data set coco; otherwise "
        "write "
        "json.dump(DatasetCatalog.get(name), file)."
    )


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            lambda d: d.pop("thing_dataset_id_to_contiguous_id"),
            ": thing_classes and stuff_classes are one list, so that thing_dataset_id_to_contiguous_id must tell which "
            "of "
            "them are things. Add it.",
        ),
        (
            lambda d: (d.pop("thing_classes"), d.pop("stuff_classes")),
            ": panoptic dicts need a list of different names in thing_classes, stuff_classes, fewer than 255.",
        ),
        (lambda d: d.update(thing_classes="disc"), ": thing_classes must be a list of names."),
    ],
)
def test_metadata_that_do_not_name_the_classes_are_refused(exported, tmp_path, metadata, message):
    copy = rewritten(exported, tmp_path, metadata=metadata)
    assert refusal(opened, copy) == f"{copy}/metadata.json{message}"
