"""What would make a run fail after training is found when the suite is checked; complete checks are remembered."""

from __future__ import annotations

import pytest
import yaml

from bench.cli.main import main
from tests.bench.datasets.coco_projects import LAYOUT, each_annotation, project
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
