"""Cross-validation: one case for each fold, a pooled score of all their images, and the spread over folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.cli.main import main
from bench.data.exports.folder import export as export_folder
from bench.data.formats.by_name import open_dataset
from bench.errors import SuiteError
from bench.metric import load_metric
from bench.records import ClassSpec, Score
from bench.records.store.runs import newest_run, read_run
from bench.records.store.statistics import Statistics
from bench.report import latex
from bench.report.summary.folds import across_folds, fold_of, pooled_statistic, summarise_folds
from bench.report.summary.summarise import summarise
from bench.suite.expand import expand
from bench.suite.schema import Suite
from tests.bench.builders import make_case

HERE = Path("suite.yaml")


def suite(**entry):
    return Suite.model_validate({"models": ["fake/perfect"], "datasets": [{"name": "folder", **entry}]}, strict=False)


def test_a_data_set_with_folds_is_one_case_for_each_fold():
    cases = expand(suite(folds=3, options={"group": "^(p.)"}), auto_device="cpu", source=HERE)
    assert [case.dataset.label for case in cases] == ["folder fold 1", "folder fold 2", "folder fold 3"]
    assert [(case.dataset.options["folds"], case.dataset.options["fold"]) for case in cases] == [(3, 1), (3, 2), (3, 3)]
    assert all(case.dataset.options["group"] == "^(p.)" for case in cases)
    assert [fold_of(case) for case in cases] == [1, 2, 3]


def test_a_case_without_folds_has_none():
    assert fold_of(make_case()) is None


@pytest.mark.parametrize(("entry", "named"), [({"test": "train"}, "'test'"), ({"options": {"fold": 1}}, "'fold'")])
def test_splits_are_not_said_twice(entry, named):
    with pytest.raises(SuiteError, match=named):
        expand(suite(folds=3, **entry), auto_device="cpu", source=HERE)


def confusion(ids, *rows):
    """Statistics of mean IoU: counts (2, 3) of each image."""
    counts = np.array(rows, dtype=np.int64).reshape(len(ids), 2, 3)
    return Statistics(tuple(ids), {load_metric("mean_iou").statistic: counts})


def test_the_pooled_score_is_that_of_all_images_and_not_the_mean_of_the_folds():
    classes = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("background", "cell"))
    # Fold 1, 100 pixels: background 80/100, cell 0/20. Fold 2, 10 pixels, all right.
    one = confusion(["a"], [[80, 0, 0], [20, 0, 0]])
    two = confusion(["b"], [[5, 0, 0], [0, 5, 0]])
    scores = [Score(metric="mean_iou", version=1, value=v, images=1, definition="") for v in (0.4, 1.0)]

    found = across_folds(scores, [one, two], classes, 0, complete=True)
    assert found.mean == pytest.approx(0.7)
    assert found.sd == pytest.approx(0.6 / 2**0.5)
    # Together: background 85/105, cell 5/25.
    assert found.pooled.value == pytest.approx((85 / 105 + 5 / 25) / 2)
    assert across_folds(scores, [one, two], classes, 0, complete=False).pooled is None


def test_rows_of_objects_keep_their_image_when_folds_are_pooled():
    tables = [
        Statistics(("a", "b"), {"t": np.array([[0, 5.0], [1, 6.0]])}, frozenset({"t"})),
        Statistics(("c",), {"t": np.array([[0, 7.0], [0, 8.0]])}, frozenset({"t"})),
    ]
    assert pooled_statistic(tables, "t").tolist() == [[0, 5], [1, 6], [2, 7], [2, 8]]
    assert tables[1].arrays["t"][0, 0] == 0


@pytest.mark.slow
def test_models_are_compared_on_the_images_of_all_folds(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    scenes = {"size": [48, 64], "train": 1, "val": 1, "test": 9}
    exported = export_folder(open_dataset("shapes", scenes), tmp_path / "d")
    document = {
        "task": "semantic",
        "models": [{"name": name, "options": {"dataset": scenes}} for name in ("fake/perfect", "fake/noisy")],
        "datasets": [{"name": "folder", "folds": 3, "options": {**exported.options, "pool": ["test"]}}],
        "targets": [{"device": "cpu", "threads": 1}],
        "metrics": ["mean_iou"],
        "measurement": "none",
    }
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(document))
    assert main(["run", str(tmp_path / "suite.yaml")]) == 0
    run = newest_run(tmp_path / "results")
    perfect, noisy = summarise_folds(read_run(run))
    (apart,) = perfect.differences
    assert (apart.other, apart.images, apart.higher, apart.folds) == ("fake/noisy", 9, 3, 3)
    assert noisy.differences == ()
    pooled = [group.metrics[0].pooled.value for group in (perfect, noisy)]
    assert apart.difference == pytest.approx(pooled[0] - pooled[1])
    assert 0 < apart.low <= apart.difference <= apart.high
    capsys.readouterr()
    assert main(["report"]) == 0
    assert f"of all 9 images: {apart.difference:+.3f}, 95 % interval" in " ".join(capsys.readouterr().out.split())
    text = latex.render(summarise(read_run(run)))
    assert [text.count(name) for name in ("fake/perfect", "fake/noisy")] == [1, 1]
    assert "all folds' images together" in text
    line = next(line for line in text.splitlines() if "fake/noisy" in line)
    assert float(line.split("&")[1].split("$")[0]) == pytest.approx(pooled[1], abs=0.006)


def test_the_latency_of_folds_has_the_interval_of_students_t_over_them():
    # Logarithms 0, 0.1 and 0.2 have the mean 0.1 and the standard error 0.1 / sqrt(3); t of 2 degrees is 4.3027.
    found = latex._over_folds([1.0, float(np.exp(0.1)), float(np.exp(0.2))])
    half = 4.3027 * 0.1 / np.sqrt(3)
    assert found == pytest.approx((np.exp(0.1), np.exp(0.1 - half), np.exp(0.1 + half)), rel=1e-4)
    assert latex._over_folds([2.0]) == (2.0, None, None)
    assert latex._over_folds([]) is None
