"""Cases -> jobs with content keys: what has to be done, in which order, and why a job is stale.

A key is made of everything that can change a job's result and of nothing else, so that two jobs
with equal keys are interchangeable. Pure: what must be read from disk or asked of an interpreter
comes in as `Ingredients`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import JsonValue

from bench.records import (
    EXPORTED_RUNTIMES,
    RECORDS_VERSION,
    Case,
    Job,
    JobKind,
    Measurement,
    ModelSpec,
    Recipe,
    Record,
    Target,
    TaskSpec,
    as_json_dict,
    digest,
)
from bench.records.prompts import PROMPT_RULES
from bench.records.store.code import changed_files
from bench.records.store.views import PlannedCase


@dataclass(frozen=True)
class Ingredients:
    """Hold what the keys of one case need beyond the case itself.

    Attributes:
        task: Task with the data set's classes.
        train_fingerprint: Fingerprint of the splits used for training and validation.
        test_fingerprint: Fingerprint of the scored split.
        clean_fingerprint: Fingerprint of the scored split of the data set that the model was made for, where its images
            are shifted; else as `test_fingerprint`.
        val_fingerprint: Fingerprint of the validation split, where probabilities of it are kept; else empty.
        adapter_code: Digests of the adapter's source files and those of `_torch` if it uses them, `path=digits …`.
        code: Kind of job -> code of the harness that can change its numbers, `path=digits …`.
        versions: Package -> version in the adapter's interpreter.
        weights_digest: Digest of the weight file that the model brings, or None.
        machine: Stable identity of the hardware; timings of another machine are another result.
        environment: Variables the worker gets before it starts.
        runtime_versions: Package -> version of what makes the target's runtime, beyond `versions`; a training does
            without.
        exports: True if the target's runtime runs an export of the model; not where its weights are what it runs.
    """

    task: TaskSpec
    train_fingerprint: str
    test_fingerprint: str
    adapter_code: str
    versions: dict[str, str]
    weights_digest: str | None
    machine: str
    environment: dict[str, str]
    runtime_versions: dict[str, str] = field(default_factory=dict)
    code: Mapping[JobKind, str] = field(default_factory=dict)
    exports: bool = True
    val_fingerprint: str = ""
    clean_fingerprint: str | None = None


@dataclass(frozen=True)
class CasePlan:
    """A case with its jobs, complete but for where their weights lie."""

    case: Case
    train: Job | None
    export: Job | None
    predict: Job
    times: tuple[Job, ...]
    profile: Job | None
    throughput: Job | None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs of the case, each after those that it needs."""
        jobs = (self.train, self.export, self.predict, *self.times, self.profile, self.throughput)
        return tuple(job for job in jobs if job is not None)

    def planned(self, task: TaskSpec) -> PlannedCase:
        """Return the case as the record of a plan holds it; `task` has the classes that are scored."""
        return PlannedCase(
            case=self.case,
            task=task,
            train_key=self.train.key if self.train else None,
            export_key=self.export.key if self.export else None,
            predict_key=self.predict.key,
            time_keys=tuple(job.key for job in self.times),
            profile_key=self.profile.key if self.profile else None,
            throughput_key=self.throughput.key if self.throughput else None,
        )


def plan_case(case: Case, ingredients: Ingredients, *, seed: int, harness_root: str, adapters_root: str) -> CasePlan:
    """Return the jobs of a case with their content keys."""

    trained, address = case.recipe is not None, "://" in (case.model.weights or "")

    def job(kind: JobKind, parts: dict[str, str], fingerprint: str, replicate: int = 0) -> Job:
        """Return a job of this case."""
        parts = {**parts, "code": ingredients.code[kind]} if kind in ingredients.code else parts
        return Job(
            kind=kind,
            key=digest({"kind": kind, **parts}),
            key_parts=parts,
            case_id=case.id,
            replicate=replicate,
            model=case.model,
            dataset=case.made_for if kind in ("train", "export") else case.dataset,
            made_for=None if case.shift is None or kind in ("train", "export") else case.made_for,
            task=ingredients.task,
            target=training_target(case.recipe) if kind == "train" and case.recipe else case.target,
            recipe=case.recipe if kind == "train" else None,
            measurement=case.measurement if kind in ("time", "profile", "throughput") else None,
            profile=case.profile if kind == "profile" else None,
            throughput=case.throughput if kind == "throughput" else None,
            keep=case.keep if kind == "predict" else (),
            dataset_fingerprint=fingerprint,
            weights=case.model.weights,
            weights_sha256=None if kind == "train" or trained or address else ingredients.weights_digest,
            seed=seed,
            harness_root=harness_root,
            adapters_root=adapters_root,
        )

    common = _common_parts(case.model, ingredients, seed)
    train = None
    if case.recipe is not None:
        parts = {**common, "data": ingredients.train_fingerprint, "recipe": _canonical(case.recipe)}
        train = job("train", parts, ingredients.train_fingerprint)
    running = _running_parts(case, ingredients, common, trained_by=train)
    test = ingredients.test_fingerprint
    # An export does not depend on what its images look like: cases of shifts share that of the clean one.
    clean = test if ingredients.clean_fingerprint is None else ingredients.clean_fingerprint
    exporting = {**running, "data": digest([clean, case.made_for.max_images])}
    predicting = {**running, "keep": " ".join([*case.keep, ingredients.val_fingerprint])} if case.keep else running
    on_machine = {**running, "machine": ingredients.machine, "environment": _readable(dict(ingredients.environment))}
    timing = {**on_machine, "protocol": _protocol(case.measurement)}
    loaded = {**on_machine, **_unusual(case.measurement)}
    return CasePlan(
        case=case,
        train=train,
        export=job("export", exporting, clean)
        if ingredients.exports and case.target.runtime in EXPORTED_RUNTIMES
        else None,
        predict=job("predict", predicting, test),
        times=tuple(job("time", {**timing, "replicate": str(r)}, test, r) for r in range(case.measurement.replicates)),
        profile=job("profile", {**loaded, "profile": _canonical(case.profile)}, test) if case.profile else None,
        throughput=job("throughput", {**loaded, "throughput": _canonical(case.throughput)}, test)
        if case.throughput
        else None,
    )


def _running_parts(
    case: Case, ingredients: Ingredients, common: Mapping[str, str], *, trained_by: Job | None
) -> dict[str, str]:
    """Return what the key of every job that runs the model is made of."""
    running = {
        **common,
        "data": digest([ingredients.test_fingerprint, case.dataset.max_images]),
        "target": _canonical(case.target),
        "weights": trained_by.key if trained_by else ingredients.weights_digest or "untrained",
    }
    if ingredients.runtime_versions:
        running["runtime packages"] = _packages(ingredients.runtime_versions)
    if case.target.precision == "int8":
        running["calibration"] = ingredients.train_fingerprint
    return running


def training_target(recipe: Recipe) -> Target:
    """Return where a recipe trains; cases on other targets share the same training."""
    return Target(
        device=recipe.device,
        precision=recipe.precision,
        batch_size=recipe.batch_size,
        threads=recipe.threads,
        image_size=recipe.image_size,
        channels_last=recipe.channels_last,
    )


def _common_parts(model: ModelSpec, ingredients: Ingredients, seed: int) -> dict[str, str]:
    # The label and the description of a model do not change what it computes.
    built_from: JsonValue = {"name": model.name, "adapter": model.adapter, "options": model.options}
    return {
        "records": str(RECORDS_VERSION),
        "model": _readable(built_from),
        "task": _digest_of(ingredients.task),
        "adapter source": ingredients.adapter_code,
        "packages": _packages(ingredients.versions),
        "seed": str(seed),
        **({} if model.prompt is None else {"prompt": f"{model.prompt}, rules {PROMPT_RULES}"}),
    }


def _packages(versions: Mapping[str, str]) -> str:
    return " ".join(f"{name}={version}" for name, version in sorted(versions.items()))


@lru_cache(maxsize=64)
def _unusual(measurement: Measurement) -> dict[str, str]:
    """Return what a profile or a throughput pass takes from the timing protocol, where that is not the usual."""
    fields = {"images", "warmup_min_s_cpu", "warmup_min_s_cuda"}
    asked, usual = (as_json_dict(one) for one in (measurement, Measurement()))
    chosen = {name: value for name, value in asked.items() if name in fields and value != usual[name]}
    return {"protocol": _readable(chosen)} if chosen else {}


@lru_cache(maxsize=64)
def _protocol(measurement: Measurement) -> str:
    # More replicates add jobs; they do not make the ones that are there another measurement.
    return _readable({k: v for k, v in as_json_dict(measurement).items() if k != "replicates"})


def _readable(value: JsonValue) -> str:
    """Canonical JSON: as good a part of a key as its digest, and `why_stale` can say what changed in it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _canonical(record: Record) -> str:
    """Canonical JSON of a record that thousands of cases share; worked out once."""
    return _readable(as_json_dict(record))


@lru_cache(maxsize=64)
def _digest_of(task: TaskSpec) -> str:
    return digest(as_json_dict(task))


def unmeasured(case: Case, **changes: object) -> Case:
    """Return a case with some fields changed, of which nothing is timed, profiled or put under load."""
    measurement = case.measurement.model_copy(update={"replicates": 0})
    return case.model_copy(update={**changes, "measurement": measurement, "profile": None, "throughput": None})


def timing_order(plans: Sequence[CasePlan]) -> list[Job]:
    """Return all `time` jobs in randomised blocks.

    Each block runs every case once, in an order drawn from the measurement's `order_seed`, so that
    drift of the machine affects every case alike.
    """
    replicates = max((len(plan.times) for plan in plans), default=0)
    ordered: list[Job] = []
    for replicate in range(replicates):
        block = [plan.times[replicate] for plan in plans if replicate < len(plan.times)]
        order_seed = plans[0].case.measurement.order_seed
        random.Random(f"{order_seed}/{replicate}").shuffle(block)
        ordered += block
    return ordered


def why_stale(old: dict[str, str], new: dict[str, str]) -> str:
    """Return which parts of a key differ, for `bench check`.

    >>> why_stale({"seed": "0", "packages": "torch=2.4"}, {"seed": "0", "packages": "torch=2.5"})
    'packages: torch=2.4 -> torch=2.5'
    >>> why_stale({"recipe": '{"budget":{"seconds":18}}'}, {"recipe": '{"budget":{"seconds":17}}'})
    'recipe: budget.seconds 18 -> 17'
    >>> why_stale({"code": "a.py=1 b.py=2"}, {"code": "a.py=1 b.py=3 c.py=4"})
    'code: b.py changed, c.py came'
    """
    reasons = []
    for part in sorted({*old, *new}):
        before, after = old.get(part), new.get(part)
        if before == after:
            continue
        if part in ("code", "adapter source"):
            reasons.append(f"{part}: {changed_files(before or '', after or '')}")
        elif before is None or after is None:
            reasons.append(f"{part} changed")
        elif part.endswith("packages"):
            gone, come = sorted({*before.split()} - {*after.split()}), sorted({*after.split()} - {*before.split()})
            reasons.append(f"{part}: {' '.join(gone) or 'none'} -> {' '.join(come) or 'none'}")
        elif before.startswith("{") and after.startswith("{"):
            reasons.append(f"{part}: {_changed_leaves(json.loads(before), json.loads(after))}")
        else:
            reasons.append(f"{part} changed")
    return ", ".join(reasons)


def _changed_leaves(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> str:
    """`path old -> new` for every leaf that differs between two nested mappings."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changed = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
    return ", ".join(f"{path} {json.dumps(old.get(path))} -> {json.dumps(new.get(path))}" for path in changed)


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value
