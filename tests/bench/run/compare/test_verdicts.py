"""Two sides compared: honest where nothing differs, sharp where something does, silent where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.run.compare.gate import parsed_gate
from bench.run.compare.sides import CaseFacts, Side, SideCase, load_baseline, save_baseline
from bench.run.compare.verdicts import compare
from tests.benchmarks.bench_intervals import processes

CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("road", "rider"))
METRIC = load_metric("mean_iou")
HOW = {"machine": "one", "protocol": "1", "target": "cpu", "data": "d"}


def statistics(right: np.ndarray, groups=()) -> Statistics:
    """Images of 1000 pixels, half of each class, of which so many of each are right; right: (images, 2)."""
    counts = np.zeros((len(right), 2, 3), dtype=np.int64)
    for k in (0, 1):
        counts[:, k, k], counts[:, k, 1 - k] = right[:, k], 500 - right[:, k]
    ids = tuple(f"{'night' if i % 4 == 0 else 'day'}_{i}" for i in range(len(right)))
    return Statistics(ids, {"confusion": counts}, groups=tuple(groups))


def side(name: str, *, right=None, ms=(), label="net", peaks=(), **measured) -> Side:
    of = None if right is None else statistics(np.asarray(right))
    scores = () if of is None else (METRIC.score(of.arrays["confusion"], CLASSES, seed=0),)
    facts = CaseFacts(
        case_id=f"{label}@shapes@cpu", model=label, dataset="shapes", target="cpu", classes=CLASSES, scores=scores,
        measured={**HOW, **measured}, peak_host_mib=tuple(peaks),
    )  # fmt: skip
    return Side(name, 0, (SideCase(facts, of, tuple(ms)),))


def many(sides) -> Side:
    """One side of several cases."""
    cases = [replace(one.cases[0], facts=one.cases[0].facts.model_copy(update={"model": f"net {k}"}))
             for k, one in enumerate(sides)]  # fmt: skip
    return Side("many", 0, tuple(cases))


def findings(a: Side, b: Side, gate=None):
    (found,) = compare(a, [b], None if gate is None else parsed_gate(gate, "gate"))
    return {f"{one.quantity} {one.scope}".strip(): one for one in found.findings}


def test_of_two_model_configs_the_options_that_differ_are_told():
    configs = (
        '{"name": "a/b", "options": {"width": 8, "depth": 2}}',
        '{"name": "a/c", "options": {"width": 12, "depth": 2}}',
    )
    a, b = (
        side(name, ms=(), model=config, weights=f"{name}{'0' * 60}") for name, config in zip("ab", configs, strict=True)
    )
    (found,) = compare(a, [b], None)
    assert "model name: a/b → a/c" in found.differences
    assert "model options width: 8 → 12" in found.differences
    assert [line for line in found.differences if "depth" in line] == []
    assert [line for line in found.differences if line.startswith("weights: a000")]


def test_of_code_the_files_that_differ_are_told():
    same = " ".join(f"bench/{name}.py=ab" for name in "abcdefgh")
    a, b = (side(name, ms=(), code=f"{same} bench/z.py={name}") for name in "ab")
    (found,) = compare(a, [b], None)
    assert "code: bench/z.py changed" in found.differences


HARD = np.random.default_rng(0).integers(250, 450, (40, 2))


@pytest.mark.few(2)
@pytest.mark.parametrize(("family", "trials"), [(1, 300), (10, 60), (50, 12)])
@pytest.mark.parametrize("spread", [0.005, 0.03])
def test_a_side_against_itself_is_called_different_in_5_percent_at_most(family, trials, spread):
    random, called = np.random.default_rng(family), 0
    for _ in range(trials):
        a, b = (many([side("x", ms=processes(random, 6, spread, total=120)) for _ in range(family)]) for _ in "ab")
        (found,) = compare(a, [b], None)
        called += any(one.verdict in ("better", "worse") for one in found.findings)
    # nominal 5 %: with so few trials up to three standard errors above
    assert called / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_a_slowdown_of_5_percent_is_found_with_the_processes_that_are_asked_for():
    random, found, trials = np.random.default_rng(4), 0, 60
    for _ in range(trials):
        one = None
        for count in (6, None):
            asked = count or int(one.needed.split()[0])
            a, b = (side("x", ms=processes(random, asked, 0.03, slower=s, total=100 * asked)) for s in (0.0, 0.05))
            one = findings(a, b, {"end_to_end_p50": "5%"})["end_to_end_p50"]
            if not one.needed:
                break
        found += one.verdict == "worse"
    assert found / trials >= 0.83  # 90 %, standard error 4 %


def test_a_lower_score_is_worse_and_a_lower_latency_better():
    random = np.random.default_rng(1)
    a = side("a", right=HARD, ms=processes(random, 6, 0.005, slower=0.2))
    b = side("b", right=HARD - random.integers(10, 30, HARD.shape), ms=processes(random, 6, 0.005))
    found = findings(a, b)
    assert found["mean_iou"].verdict == "worse"
    assert found["mean_iou"].high < 0
    assert found["end_to_end_p50"].verdict == "better"
    assert found["end_to_end_p50"].change == pytest.approx(1 / 1.2 - 1, abs=0.01)
    assert all((one.low > 0 or one.high < 0) == (one.p_holm < 0.05) for one in found.values() if one.p_holm is not None)


def test_the_gate_fails_for_a_regression_that_is_significant_and_larger_than_the_margin_alone():
    random = np.random.default_rng(2)
    worse = HARD - random.integers(10, 30, HARD.shape)  # about 4 points of each class
    found = [
        findings(side("a", right=HARD), side("b", right=right), {"mean_iou": margin})["mean_iou"]
        for right, margin in (
            (worse, "-1pt"),
            (worse, "-20pt"),
            (HARD + random.integers(-60, 60, HARD.shape), "-0.1pt"),
        )
    ]
    assert [one.regressed for one in found] == [True, False, False]
    assert [one.verdict for one in found] == ["worse", "same", "undecided"]
    assert "images" in found[2].needed
    assert found[2].smallest > found[2].margin


def test_identical_predictions_are_the_same_and_no_part_of_the_family():
    random = np.random.default_rng(3)
    slower = [processes(random, 6, 0.004, slower=s) for s in (0.0, 0.03)]
    alone = findings(side("a", ms=slower[0]), side("b", ms=slower[1]))["end_to_end_p50"]
    beside = findings(side("a", right=HARD, ms=slower[0]), side("b", right=HARD, ms=slower[1]))
    assert beside["mean_iou"].verdict == "same"
    assert beside["end_to_end_p50"].p_holm == alone.p_holm


def test_a_class_and_a_slice_have_margins_of_their_own():
    random = np.random.default_rng(5)
    worse = HARD.copy()
    worse[:, 1] -= random.integers(10, 30, len(HARD))  # riders alone
    worse[::4, 0] -= 60  # roads at night
    gate = {
        "classes": {"rider": {"mean_iou": "-1pt"}, "road": {"mean_iou": "-30pt"}, "kite": {"mean_iou": "-1pt"}},
        "slices": {
            "night": {"images": ["night_*"], "mean_iou": "-1pt"},
            "fog": {"images": "fog_*", "mean_iou": "-1pt"},
        },
    }
    found = findings(side("a", right=HARD), side("b", right=worse), gate)
    assert [name for name, one in found.items() if one.regressed] == ["mean_iou class rider", "mean_iou slice night"]
    assert found["mean_iou class kite"].why == "no class 'kite'"
    assert found["mean_iou slice fog"].why == "no image is called fog_*"
    # the score of the slice is that of these images alone
    night = METRIC.score(statistics(HARD).arrays["confusion"][::4], CLASSES, seed=0).value
    assert found["mean_iou slice night"].before == pytest.approx(night)


def test_the_difference_of_a_class_is_paired_over_images():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    metric = load_metric("recall")  # of images of one size the recall of a class is a mean over images
    random = np.random.default_rng(6)
    a, b = HARD, HARD - random.integers(-5, 20, HARD.shape)
    sides = []
    for right in (a, b):
        of = statistics(right)
        score = metric.score(of.arrays["confusion"], CLASSES, seed=0)
        facts = side("x").cases[0].facts.model_copy(update={"scores": (score,)})
        sides.append(Side("x", 0, (SideCase(facts, of, ()),)))
    found = findings(*sides, {"classes": {"rider": {"recall": "-1pt"}}})["recall class rider"]
    expected = stats.ttest_rel(b[:, 1] / 500, a[:, 1] / 500)
    assert found.change == pytest.approx((b[:, 1] - a[:, 1]).mean() / 500)
    # Holm over the class and the mean over classes
    assert found.p_holm in (pytest.approx(expected.pvalue), pytest.approx(2 * expected.pvalue))


@pytest.mark.parametrize(
    ("machines", "compared"),
    [
        (("one", "one 16 GiB"), True),  # a baseline of before memory was a part of what a machine is
        (("two", "one 16 GiB"), False),
        (("one 32 GiB", "one 16 GiB"), False),
    ],
)
def test_machines_are_compared_by_their_memory_where_both_say_it(machines, compared):
    random = np.random.default_rng(7)
    a, b = (side(n, right=HARD, ms=processes(random, 6, 0.0), machine=m) for n, m in zip("ab", machines, strict=True))
    (found,) = compare(a, [b], None)
    by = {one.quantity: one for one in found.findings}
    assert (by["end_to_end_p50"].why != "another machine") is compared
    assert any(line.startswith("machine: ") for line in found.differences) is not compared


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"machine": "two"}, "another machine"),
        ({"protocol": "2"}, "another protocol"),
        ({"target": "gpu"}, "another target"),
    ],
)
def test_what_was_measured_otherwise_is_said_and_its_latency_not_compared(changed, why):
    random = np.random.default_rng(7)
    a, b = (side(n, right=HARD, ms=processes(random, 6, 0.0), **c) for n, c in (("a", {}), ("b", changed)))
    (found,) = compare(a, [b], None)
    by = {one.quantity: one for one in found.findings}
    assert (by["end_to_end_p50"].verdict, by["end_to_end_p50"].why) == ("not compared", why)
    assert by["mean_iou"].verdict == "same"
    (name,) = changed
    assert any(line.startswith(f"{name}: ") for line in found.differences)


def test_other_images_annotations_or_classes_are_not_compared():
    a = side("a", right=HARD)
    assert findings(a, side("b", right=HARD, data="e"))["mean_iou"].why.startswith("images or annotations")
    assert findings(a, side("b", right=HARD[:-1]))["mean_iou"].why == "other images"


def test_one_process_decides_nothing():
    random = np.random.default_rng(8)
    a, b = side("a", ms=processes(random, 1, 0.0)), side("b", ms=processes(random, 6, 0.0))
    one = findings(a, b)["end_to_end_p50"]
    assert (one.verdict, one.low) == ("not compared", None)
    assert "single process" in one.why


def test_peaks_of_memory_are_compared_over_processes():
    random = np.random.default_rng(9)
    a, b = (side(n, ms=processes(random, 3, 0.0), peaks=p) for n, p in (("a", (500, 501, 502)), ("b", (600, 601, 603))))
    one = findings(a, b, {"peak_host_mib": "+5%"})["peak_host_mib"]
    assert (one.regressed, one.change) == (True, pytest.approx(0.2, abs=0.002))


def test_a_training_that_was_disturbed_is_shown_and_not_tested():
    a, b = side("a", right=HARD), side("b", right=HARD - 20)
    facts = b.cases[0].facts.model_copy(update={"doubts": ("training_starved: 2 steps",)})
    b = replace(b, cases=(replace(b.cases[0], facts=facts),))
    one = findings(a, b, {"mean_iou": "1pt"})["mean_iou"]
    assert (one.verdict, one.p_holm, one.regressed) == ("not compared", None, False)
    assert one.change < 0


def test_a_baseline_comes_back_as_it_was_stored(tmp_path):
    random = np.random.default_rng(10)
    a, b = (side(n, right=HARD - k, ms=processes(random, 6, 0.01), peaks=(5.0, 6.0)) for k, n in enumerate("ab"))
    save_baseline(a, tmp_path / "main.zip")
    stored = replace(load_baseline(tmp_path / "main.zip"), name="a")
    assert compare(stored, [b], None) == compare(a, [b], None)


def test_a_slice_may_be_told_by_a_column_of_a_table(tmp_path):
    worse = HARD.copy()
    worse[::4, 0] -= 60  # roads at night
    images = statistics(HARD).image_ids
    table = tmp_path / "images.csv"
    rows = [f"{image},{'night' if n % 4 == 0 else 'day'}" for n, image in enumerate(images)]
    table.write_text("\n".join(["image,time", *rows]))
    gate = {
        "slices": {name: {"column": "time", "value": name, "mean_iou": "-1pt"} for name in ("night", "day", "dusk")},
        "table": str(table),
    }
    found = findings(side("a", right=HARD), side("b", right=worse), gate)
    assert [name for name, one in found.items() if one.regressed] == ["mean_iou slice night"]
    assert found["mean_iou slice dusk"].why == "no image is of time 'dusk'"
    gate["slices"] = {"rain": {"column": "wether", "value": "rain", "mean_iou": "-1pt"}}
    with pytest.raises(BenchError, match="no column 'wether'"):
        findings(side("a", right=HARD), side("b", right=worse), gate)
