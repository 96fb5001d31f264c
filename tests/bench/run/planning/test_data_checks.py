"""Tests that what would fail a run after training is found when a suite is checked; complete checks are remembered."""

from __future__ import annotations

import os

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from bench.run.planning.data_checks import sampled
from tests.bench.datasets.coco_projects import LAYOUT, each_annotation, project, rectangle
from tests.bench.suites import BRIEF


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def suite_of(tmp_path, root, metrics=("mask_ap",), **options):
    document = {
        "task": "instance",
        "models": ["fake/perfect_instances"],
        "datasets": [{"name": "coco", "options": {"root": str(root), **LAYOUT, **options}}],
        "targets": [{"device": "cpu", "threads": 1}],
        "metrics": list(metrics),
        "measurement": BRIEF,
    }
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_semantic_metric_on_objects_alone_is_refused_with_the_option_that_settles_it(tmp_path, capsys):
    root = project(tmp_path / "data")
    assert main(["check", suite_of(tmp_path, root, ("mask_ap", "mean_iou", "thing_mean_iou"))]) == 2
    said = capsys.readouterr().err
    assert "mean_iou, thing_mean_iou would let every false positive go" in said
    assert "background: outside" in said
    assert main(["check", suite_of(tmp_path, root, ("mask_ap", "mean_iou"), background="outside")]) == 0


def test_an_annotation_that_cannot_be_drawn_is_found_by_the_sample(tmp_path, capsys):
    root = project(tmp_path / "data", each_annotation(lambda row: row.update(segmentation=[[1, 2, 3, 4, 5, 6, 7]])))
    assert main(["check", suite_of(tmp_path, root)]) == 2
    assert "cannot be drawn: a polygon needs three or more pairs" in capsys.readouterr().err


def test_a_split_without_an_object_is_refused(tmp_path, capsys):
    root = project(tmp_path / "data", lambda document: document.update(annotations=[]))
    assert main(["check", suite_of(tmp_path, root)]) == 2
    assert "none of its 3 images has any object" in capsys.readouterr().err


def test_data_that_were_never_checked_completely_are_told_until_they_are_and_again_when_they_change(tmp_path, capsys):
    root = project(tmp_path / "data")
    suite = suite_of(tmp_path, root)
    recommended = f"Do it once before anything is trained: bench data check --suite {suite}"
    assert main(["check", suite]) == 0
    assert recommended in capsys.readouterr().err
    assert main(["data", "check", "--suite", suite]) == 0
    capsys.readouterr()
    assert main(["check", suite]) == 0
    assert "never checked" not in capsys.readouterr().err
    file = root / "annotations" / "test.json"
    file.write_text(file.read_text() + "\n")
    assert main(["check", suite]) == 0
    assert recommended in capsys.readouterr().err


def test_a_check_that_found_something_wrong_is_remembered_as_such(tmp_path, capsys):
    root = project(tmp_path / "data")
    suite = suite_of(tmp_path, root)
    (root / "test" / "test_1.png").write_bytes((root / "test" / "test_1.png").read_bytes()[:90])
    assert main(["data", "check", "--suite", suite]) == 1
    capsys.readouterr()
    main(["check", suite])
    said = capsys.readouterr().err
    assert "never checked" not in said
    # The sampled read tells of it too; with more images than it reads it would not.
    inside = each_annotation(lambda row: row.update(segmentation=rectangle(30, 18, 12, 9), bbox=[30, 18, 12, 9]))
    many = project(tmp_path / "many", inside, images=40)
    broken = many / "test" / "test_1.png"
    broken.write_bytes(broken.read_bytes()[:90])
    suite = suite_of(tmp_path, many)
    assert main(["check", suite]) == 0
    assert main(["data", "check", "--suite", suite]) == 1
    capsys.readouterr()
    assert main(["check", suite]) == 0
    said = capsys.readouterr().err
    assert "1 thing was wrong with it, and its files have not changed since" in said
    assert str(broken) in said


def test_a_file_with_its_old_time_and_size_but_other_content_is_not_taken_for_the_checked_one(tmp_path, capsys):
    root = project(tmp_path / "data")
    suite = suite_of(tmp_path, root)
    assert main(["data", "check", "--suite", suite]) == 0
    file = root / "annotations" / "test.json"
    state, text = file.stat(), file.read_text()
    file.write_text(text.replace('"area": 108', '"area": 107'))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    capsys.readouterr()
    main(["check", suite])
    assert "test never checked completely" in capsys.readouterr().err


def masks(root, values, **more):
    """A folder of images and masks, split by folders; each mask has one value of its own in a corner."""
    for split, of_split in values.items():
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number, value in enumerate(of_split):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 4 if more else 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / split / f"{split}{number}.png")
            labels = np.full((20, 30), 255 if value is None else 0, np.uint8)
            labels[:8, :8] = 255 if value is None else value
            Image.fromarray(labels).save(root / "masks" / split / f"{split}{number}.png")
    (root / "classes.yaml").write_text("[background, cell, rod]\n")
    return open_dataset("folder", {"root": str(root), "void": 255})


def test_a_class_that_only_other_splits_have_is_told_where_all_of_the_first_were_read(tmp_path):
    dataset = masks(tmp_path / "few", {"train": [1, 1, 1], "test": [1, 2]})
    assert sampled(dataset, ["train", "test"]).notes == ("train: none of its 3 images has rod; other splits do",)
    many = masks(tmp_path / "many", {"train": [1] * 40, "test": [1, 2]})
    assert sampled(many, ["train", "test"]).notes == ()


def test_masks_that_are_all_void_are_told_and_a_split_of_them_is_wrong(tmp_path):
    dataset = masks(tmp_path, {"train": [1, None, 2], "test": [None, None]})
    seen = sampled(dataset, ["train", "test"])
    assert seen.notes == ("train: 1 of its 3 images have no labelled pixel",)
    assert seen.faults == (
        "split 'test': none of its 2 images has any labelled pixel. Look at them with bench data preview.",
    )


def test_transparency_that_is_lost_is_told(tmp_path):
    dataset = masks(tmp_path, {"train": [1, 2], "test": [1, 2]}, alpha=True)
    seen = sampled(dataset, ["train"]).notes
    assert len(seen) == 1
    assert "2 of its 2 images have transparency that is lost" in seen[0]
