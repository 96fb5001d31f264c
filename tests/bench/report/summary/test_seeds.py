"""Several seeds of one model are one model: its mean, its spread, and how sure a difference of means is."""

from __future__ import annotations

import statistics

import pytest

from bench.records import Score, Target
from bench.records.store.runs import read_run
from bench.report import markdown, tables, training_tables
from bench.report.conclusion import conclusion
from bench.report.differences import significance
from bench.report.summary.seeds import AcrossSeeds, SeedGroup, across, seed_groups, seed_pairs
from bench.report.summary.summarise import RunSummary, summarise
from tests.bench.builders import make_case, make_model, make_recipe


def seeded(name, seed, **changes):
    label = f"{name} seed {seed}"
    fields = {"model": make_model(name=name, label=label), "recipe": make_recipe(seed=seed)}
    return make_case(id=f"{label}@shapes@cpu fp32 b1", **{**fields, **changes})


def grouped(cases):
    return [[case.id for case in group] for group in seed_groups(cases)]


def test_cases_that_differ_only_in_their_seed_are_one_group_in_the_order_of_the_suite():
    cases = [seeded("a", 0), seeded("b", 0), seeded("a", 3), seeded("b", 3), seeded("a", 1)]
    assert grouped(cases) == [[cases[0].id, cases[2].id, cases[4].id], [cases[1].id, cases[3].id]]


@pytest.mark.parametrize(
    "other",
    [
        seeded("a", 1, target=Target(precision="bf16")),
        seeded("a", 1, recipe=make_recipe(seed=1, learning_rate=0.1)),
        seeded("a", 1, model=make_model(name="a", label="a seed 1", options={"width": 8})),
        seeded("a", 1, model=make_model(name="a", label="another seed 1")),
        seeded("a", 1, recipe=None),
    ],
)
def test_cases_that_differ_in_anything_else_are_not(other):
    assert grouped([seeded("a", 0), other]) == []


def test_one_training_on_two_targets_is_no_group_of_seeds():
    assert grouped([seeded("a", 0), seeded("a", 0)]) == []


def test_the_mean_has_the_interval_of_students_t():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    values = [0.81, 0.84, 0.80, 0.86]
    found = across(scores_of(values))
    low, high = stats.t.interval(0.95, 3, loc=statistics.mean(values), scale=stats.sem(values))
    assert (found.mean, found.sd) == (pytest.approx(0.8275), pytest.approx(statistics.stdev(values)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_value_has_a_mean_without_spread_and_none_has_nothing():
    assert across(scores_of([0.5])) == AcrossSeeds(metric="mean_iou", values=(0.5,), mean=0.5)
    assert across(scores_of([None])) == AcrossSeeds(metric="mean_iou", values=())


def test_an_interval_ends_where_the_values_of_the_metric_do():
    # sd 0.1836 of three values: the half width is 4.3027 * 0.1836 / sqrt(3) = 0.456
    found = across(scores_of([0.4, 0.7, 0.73]))
    assert (found.low, found.high) == (pytest.approx(0.61 - 0.4533, abs=1e-3), 1.0)
    assert across(scores_of([0.0, 0.1, 0.0])).low == 0.0
    # a distance in pixels has no upper end
    far = across(scores_of([4.0, 7.0, 7.3], bounds=(0.0, None)))
    assert far.high > 7.3 + 3
    (pair,) = seed_pairs([group("a", [0.9, 0.1, 0.9]), group("b", [0.0, 0.6, 0.0])])
    assert (pair.low, pair.high) == (
        pytest.approx(0.4333 - 2.8653 / 3, abs=1e-3),
        1.0,
    )  # Welch's 3.67 degrees of freedom, error 1/3


def scores_of(values, **more):
    return [Score(metric="mean_iou", version=1, value=value, images=4, definition="", **more) for value in values]


def group(name, values, dataset="shapes"):
    ids = tuple(f"{name}{i}" for i in range(len(values)))
    return SeedGroup(
        model=name, dataset=dataset, target="cpu", seeds=tuple(range(len(values))), case_ids=ids,
        metrics=(across(scores_of(values)),),
    )  # fmt: skip


def test_two_groups_are_compared_by_welchs_test():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    a, b = [0.80, 0.82, 0.81, 0.83], [0.75, 0.79, 0.77, 0.78]
    (pair,) = seed_pairs([group("a", a), group("b", b)])
    exact = stats.ttest_ind(a, b, equal_var=False)
    assert pair.p_holm == pytest.approx(exact.pvalue)
    assert pair.difference == pytest.approx(0.0425)
    assert (pair.low, pair.high) == pytest.approx(tuple(exact.confidence_interval()))
    assert pair.significant


def test_pairs_are_corrected_for_their_number_within_a_data_set():
    groups = [group("a", [0.80, 0.82, 0.81]), group("b", [0.77, 0.79, 0.78]), group("c", [0.78, 0.83, 0.80])]
    alone = seed_pairs(groups[:2])[0].p_holm
    assert seed_pairs(groups)[0].p_holm == pytest.approx(3 * alone)  # the smallest of three
    apart = [groups[0], groups[1].model_copy(update={"dataset": "other"})]
    assert seed_pairs(apart) == ()


@pytest.fixture
def trained_thrice(synthetic) -> RunSummary:
    """Two models, three seeds each: wrong pixels of one 5, 6 and 7 %, of the other 30, 31 and 32 %."""
    for model, wrong in (("good", 0.05), ("bad", 0.30)):
        for seed in (0, 1, 2):
            label = f"{model} seed {seed}"
            config = make_model(name=f"unet/{model}", label=label, adapter="unet")
            planned = synthetic.add(label, model=config, recipe=make_recipe(seed=seed))
            plan = synthetic.write_plan()
            synthetic.train(planned)
            synthetic.predict(planned, wrong + 0.01 * seed, seed)
            synthetic.score(plan, planned)
    return summarise(read_run(synthetic.run))


def test_the_table_over_seeds_has_a_row_per_model_and_every_metric(trained_thrice):
    frame = training_tables.seeds_table(trained_thrice)
    assert frame["model"] == ["good", "bad"]
    assert frame["seeds"] == ["0, 1, 2"] * 2
    values = [row.headline.value for row in trained_thrice.rows[:3]]
    assert frame["mIoU, mean"][0].startswith(f"{statistics.mean(values):.3f}")
    assert frame["mIoU, sd"][0] == f"{statistics.stdev(values):.4f}"
    assert frame.columns[4:] == ["mIoU, error of images", "aAcc, mean", "aAcc, sd", "aAcc, error of images"]
    assert "## Across seeds" in markdown.render(trained_thrice)


def test_with_several_seeds_the_conclusion_is_about_means_over_seeds(trained_thrice):
    (text,) = significance(trained_thrice)
    assert text.startswith("**good** has the best mean mIoU over its training seeds, 0.9")
    assert "the models with several seeds are compared, 3 each" in text
    assert "significantly better than bad by 0." in text
    assert "so few seeds show only large differences" in text
    assert "trained only once" not in text


def test_a_report_of_several_seeds_does_not_open_with_the_luckiest_training(trained_thrice):
    lines = conclusion(trained_thrice)
    assert lines[0].startswith("**good** has the best mean mIoU over its training seeds")
    assert not any("has the best mIoU" in line for line in lines)


def test_a_seed_that_is_not_scored_yet_is_not_counted(synthetic, trained_thrice):
    synthetic.run.scores(synthetic.planned[2].case.id).unlink()
    groups = summarise(read_run(synthetic.run)).seed_groups
    assert [one.seeds for one in groups] == [(0, 1), (0, 1, 2)]


def test_a_model_trained_once_beside_others_is_told_as_not_compared(synthetic, trained_thrice):
    planned = synthetic.add("once")
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 0)
    synthetic.score(plan, planned)
    (text,) = significance(summarise(read_run(synthetic.run)))
    assert text.endswith("Not compared here, because they were trained with one seed: once.")


def test_without_seeds_there_is_no_table_over_them(finished):
    summary = summarise(read_run(finished.run))
    assert summary.seed_groups == ()
    assert "Across seeds" not in markdown.render(summary)


def test_the_headline_table_has_a_row_of_means_above_the_seeds_of_each_model(trained_thrice):
    frame = tables.results_table(trained_thrice)
    assert len(frame) == 8
    assert frame["model"][0] == "good, mean ± sd of 3 seeds"
    assert frame["model"][4] == "bad, mean ± sd of 3 seeds"
    values = [row.headline.value for row in trained_thrice.rows[:3]]
    assert frame["mIoU (0–1)"][0] == f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def test_seeds_of_one_model_are_not_tested_against_each_other(trained_thrice):
    seeds = {row.case_id: row.model.partition(" seed ")[0] for row in trained_thrice.rows}
    for pair in trained_thrice.pairs:
        assert (pair.significant is None) == (seeds[pair.a] == seeds[pair.b])


def test_the_spread_of_seeds_stands_beside_that_of_images(trained_thrice):
    (good, _) = trained_thrice.seed_groups
    errors = [row.headline.error for row in trained_thrice.rows[:3]]
    assert good.metrics[0].error_of_images == pytest.approx((sum(e * e for e in errors) / 3) ** 0.5)
