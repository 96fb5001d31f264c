"""Content keys: what makes a job another job, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.records import (
    Budget,
    Case,
    ClassSpec,
    DatasetSpec,
    Measurement,
    ModelSpec,
    Profile,
    Recipe,
    Target,
    TaskSpec,
    Throughput,
    Timeouts,
)
from bench.suite.jobs import CasePlan, Ingredients, plan_case, timing_order, why_stale

MODEL = ModelSpec(name="unet/a", label="a", adapter="unet", task="semantic", description="")
RECIPE = Recipe(budget=Budget(steps=3))
CASE = Case(
    id="a@d@cpu",
    model=MODEL,
    dataset=DatasetSpec(name="shapes", label="d"),
    target=Target(),
    recipe=RECIPE,
    measurement=Measurement(),
    timeouts=Timeouts(),
)
INGREDIENTS = Ingredients(
    task=TaskSpec(kind="semantic", classes=(ClassSpec(name="sky", colour=(0, 0, 0)),)),
    train_fingerprint="t",
    test_fingerprint="v",
    adapter_code="s.py=1",
    versions={"torch": "2.5"},
    weights_digest=None,
    machine="m",
    environment={"OMP_NUM_THREADS": "2"},
)


def plan(case: Case = CASE, ingredients: Ingredients = INGREDIENTS, seed: int = 0) -> CasePlan:
    return plan_case(case, ingredients, seed=seed, harness_root="/h", adapters_root="/h/adapters")


def keys(made: CasePlan) -> dict[str, str]:
    return {"train": made.train.key, "predict": made.predict.key, "time": made.times[0].key}


def changed(other: CasePlan) -> set[str]:
    before, after = keys(plan()), keys(other)
    return {kind for kind in before if before[kind] != after[kind]}


EXPORTED = CASE.model_copy(update={"target": Target(runtime="onnxruntime")})


def test_only_a_runtime_that_exports_has_an_export_job_with_a_key_of_its_own():
    assert plan().export is None
    made = plan(EXPORTED)
    assert made.export is not None
    assert [job.kind for job in made.jobs[:3]] == ["train", "export", "predict"]
    # an ONNX file is what the runtime runs
    assert plan(EXPORTED, replace(INGREDIENTS, exports=False)).export is None
    assert len({job.key for job in made.jobs}) == len(made.jobs)


def test_packages_of_a_runtime_make_all_but_the_training_stale():
    before, after = (
        plan(EXPORTED, replace(INGREDIENTS, runtime_versions={"onnxruntime": version})) for version in ("1.20", "1.21")
    )
    assert before.train.key == after.train.key == plan().train.key
    assert before.export.key != after.export.key
    assert before.predict.key != after.predict.key
    why = why_stale(before.predict.key_parts, after.predict.key_parts)
    assert why == "runtime packages: onnxruntime=1.20 -> onnxruntime=1.21"


def test_int8_depends_on_the_training_split_that_calibrates_it():
    def keys_of(precision, fingerprint):
        case = CASE.model_copy(update={"recipe": None, "target": Target(runtime="openvino", precision=precision)})
        return plan(case, replace(INGREDIENTS, train_fingerprint=fingerprint)).predict.key

    assert keys_of("int8", "t") != keys_of("int8", "T")
    assert keys_of("fp32", "t") == keys_of("fp32", "T")


@pytest.mark.parametrize(
    ("other", "stale"),
    [
        (plan(CASE.model_copy(update={"target": Target(threads=1)})), {"predict", "time"}),
        (plan(CASE.model_copy(update={"measurement": Measurement(min_s=7)})), {"time"}),
        (plan(CASE.model_copy(update={"recipe": Recipe(budget=Budget(steps=4))})), {"train", "predict", "time"}),
        (
            plan(CASE.model_copy(update={"model": MODEL.model_copy(update={"options": {"w": 1}})})),
            {"train", "predict", "time"},
        ),
        (plan(ingredients=replace(INGREDIENTS, train_fingerprint="T")), {"train", "predict", "time"}),
        (plan(ingredients=replace(INGREDIENTS, test_fingerprint="V")), {"predict", "time"}),
        (plan(ingredients=replace(INGREDIENTS, adapter_code="s.py=2")), {"train", "predict", "time"}),
        (plan(ingredients=replace(INGREDIENTS, code={"train": "t.py=1"})), {"train", "predict", "time"}),
        (plan(ingredients=replace(INGREDIENTS, code={"predict": "p.py=1"})), {"predict"}),
        (plan(ingredients=replace(INGREDIENTS, code={"time": "m.py=1"})), {"time"}),
        (plan(ingredients=replace(INGREDIENTS, versions={"torch": "2.6"})), {"train", "predict", "time"}),
        (plan(ingredients=replace(INGREDIENTS, machine="M")), {"time"}),
        (plan(ingredients=replace(INGREDIENTS, environment={})), {"time"}),
        (plan(seed=1), {"train", "predict", "time"}),
    ],
)
def test_a_change_makes_exactly_the_jobs_stale_that_it_can_change(other, stale):
    assert changed(other) == stale


@pytest.mark.parametrize(
    "update",
    [
        {"model": MODEL.model_copy(update={"label": "another name", "description": "text"})},
        {"timeouts": Timeouts(train_s=1.0)},
        {"measurement": Measurement(replicates=9)},
        {"id": "another id"},
    ],
)
def test_names_limits_and_more_replicates_leave_what_was_measured_valid(update):
    assert changed(plan(CASE.model_copy(update=update))) == set()


def test_a_pass_takes_the_images_and_the_warm_up_of_the_suite_s_protocol_and_no_more_of_it():
    def passes(measurement: Measurement) -> set[str]:
        case = CASE.model_copy(update={"measurement": measurement, "profile": Profile(), "throughput": Throughput()})
        made = plan(case)
        assert made.profile.measurement == made.throughput.measurement == measurement
        return {made.profile.key, made.throughput.key}

    usual = passes(Measurement())
    assert passes(Measurement(min_s=7, replicates=1)) == usual
    assert not passes(Measurement(images=8)) & usual
    assert not passes(Measurement(warmup_min_s_cpu=0)) & usual


def test_cases_that_differ_only_in_target_share_their_training():
    assert plan(CASE.model_copy(update={"target": Target(precision="bf16")})).train == plan().train


def test_the_replicates_of_a_case_have_keys_of_their_own():
    assert len({job.key for job in plan().times}) == Measurement().replicates


def test_each_block_times_every_case_once_in_an_order_that_changes_and_repeats():
    plans = [
        plan(CASE.model_copy(update={"id": name, "target": Target(batch_size=i + 1)}))
        for i, name in enumerate("abcdef")
    ]
    order = timing_order(plans)
    blocks = [[job.case_id for job in order[i : i + 6]] for i in (0, 6, 12)]
    assert [sorted(block) for block in blocks] == [list("abcdef")] * 3
    assert len({tuple(block) for block in blocks}) > 1
    assert timing_order(plans) == order


def test_a_stale_job_says_what_changed():
    assert why_stale({"machine": "a", "seed": "0"}, {"machine": "b", "seed": "0"}) == "machine changed"
    assert why_stale({"packages": "a=1 b=1"}, {"packages": "a=1 b=2"}) == "packages: b=1 -> b=2"
