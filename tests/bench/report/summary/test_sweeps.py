"""Tests that what lists in a recipe multiplied is put together again, in tables and pictures, over seeds and folds."""

from __future__ import annotations

import itertools
from statistics import mean, stdev

import pytest
import yaml

from bench.records import DatasetSpec, Measurement
from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import write_report
from bench.report.summary.summarise import summarise
from bench.report.summary.sweeps import coordinates_of, heat_map_of
from bench.suite.expand import expand
from bench.suite.load import load_suite
from tests.bench.builders import make_model, make_recipe

RATES, LOSSES = (0.01, 1.0), ("cross_entropy", "dice")
WRONG = {0.01: 0.05, 1.0: 0.5, "cross_entropy": 0.1, "dice": 0.0}
"""Share of pixels that each value spoils."""


def swept(synthetic, flips=(True,), seeds=(1, 2)):
    """Score a network by every combination, as the suite's lists would have made the cases."""
    planned = []
    for rate, loss, flip, seed in itertools.product(RATES, LOSSES, flips, seeds):
        words = f"learning_rate={rate:g} loss={loss}" + (f" flip={'yes' if flip else 'no'}" if len(flips) > 1 else "")
        label = f"net {words} seed {seed}"
        recipe = make_recipe(learning_rate=rate, loss=loss, flip=flip, seed=seed)
        one = synthetic.add(
            label,
            model=make_model(name="unet/transposed", label=label, adapter="unet"),
            recipe=recipe,
            measurement=Measurement(replicates=0),
        )
        planned.append((one, WRONG[rate] + WRONG[loss] + 0.01 * seed + 0.02 * flip, seed))
    plan = synthetic.write_plan()
    for one, wrong, seed in planned:
        synthetic.predict(one, wrong, seed)
        synthetic.score(plan, one)
    return read_run(synthetic.run)


def test_a_sweep_of_two_fields_is_a_heat_map_of_means_over_seeds_in_every_report(synthetic, tmp_path):
    run = swept(synthetic)
    [sweep] = summarise(run).sweeps
    assert (sweep.model, sweep.fields) == ("net", ("learning_rate", "loss"))
    assert sweep.levels == (("0.01", "1"), LOSSES)
    scores: dict[tuple[float, str], list[float]] = {}
    for case in run.cases:
        key = case.case.recipe.learning_rate, case.case.recipe.loss
        scores.setdefault(key, []).append(case.scores.scores[0].value)
    assert heat_map_of(sweep) == [[pytest.approx(mean(scores[rate, loss])) for loss in LOSSES] for rate in RATES]
    assert [len(point.scores) for point in sweep.points] == [2] * 4
    assert [point.sd for point in sweep.points] == pytest.approx([stdev(s) for s in scores.values()])
    assert sweep.words(sweep.points[sweep.best]) == ("0.01", "dice")
    assert coordinates_of(sweep, "mIoU", higher_is_better=True) is None

    folder = tmp_path / "report"
    write_report(run, folder)
    text, page = (folder / layout.REPORT).read_text(), (folder / layout.PAGE).read_text()
    assert "Sweep of net on shapes" in text
    assert "Sweep of net on shapes" in page
    assert '<table class="heat">' in page
    assert len(list(folder.glob("sweep_heat_map@*.png"))) == 1
    assert "| learning_rate" in text


def test_a_sweep_of_three_fields_is_drawn_as_parallel_coordinates(synthetic, tmp_path):
    run = swept(synthetic, flips=(True, False), seeds=(1,))
    [sweep] = summarise(run).sweeps
    assert heat_map_of(sweep) is None
    plot = coordinates_of(sweep, "mIoU", higher_is_better=True)
    assert [axis.name for axis in plot.axes] == ["learning_rate", "loss", "flip", "mIoU"]
    assert len(plot.lines) == 8
    assert plot.lines[-1].name == "learning_rate=0.01, loss=dice, flip=no"
    assert plot.lines[-1].places == (0.0, 1.0, 1.0, 1.0)
    write_report(run, tmp_path / "report")
    assert len(list((tmp_path / "report").glob("sweep_coordinates@*.png"))) == 1


def test_folds_times_sweeps_times_seeds_are_all_cases_and_each_fold_has_each_recipe(tmp_path):
    document = {
        "models": ["fake/trains"],
        "datasets": [{"name": "folder", "folds": 3, "options": {"root": str(tmp_path)}}],
        "recipe": {"budget": {"steps": 3}, "learning_rate": [0.1, 0.01], "loss": ["dice", "cross_entropy"]},
        "seeds": [1, 2],
    }
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(document))
    cases = expand(load_suite(path), auto_device="cpu", source=path)
    found = {(c.dataset.options["fold"], c.recipe.learning_rate, c.recipe.loss, c.recipe.seed) for c in cases}
    assert len(cases) == len(found) == 3 * 4 * 2
    assert len({case.id for case in cases}) == 24


def test_models_with_recipes_of_their_own_are_no_sweep(synthetic):
    for label, rate in (("slow", 0.1), ("fast", 0.2)):
        synthetic.add(label, recipe=make_recipe(learning_rate=rate))
    synthetic.write_plan()
    assert summarise(read_run(synthetic.run)).sweeps == ()


def test_a_fold_counts_for_the_mean_of_its_recipe(synthetic):
    for fold, rate in itertools.product((1, 2), (0.1, 0.2)):
        label = f"net learning_rate={rate}"
        options = {**synthetic.options, "folds": 2, "fold": fold}
        synthetic.add(
            label,
            id=f"{label}@shapes fold {fold}@cpu fp32 b1",
            model=make_model(name="unet/transposed", label=label, adapter="unet"),
            dataset=DatasetSpec(name="shapes", label=f"shapes fold {fold}", options=options),
            recipe=make_recipe(learning_rate=rate),
        )
    synthetic.write_plan()
    [sweep] = summarise(read_run(synthetic.run)).sweeps
    assert (sweep.dataset, [len(point.case_ids) for point in sweep.points]) == ("shapes", [2, 2])
