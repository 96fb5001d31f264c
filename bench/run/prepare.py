"""Suite file -> planned jobs: the part of a run that `bench check` shows and `bench run` does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from bench.datasets import Dataset
from bench.errors import BenchError, DatasetError, SuiteError
from bench.labels.dataset import open_labelled
from bench.labels.predictions import check_mapping, classes_predicted
from bench.measure.devices import allowed_cores, auto_device, machine_identity
from bench.plugins import adapter_folder, harness_root
from bench.records import Case, ClassSpec, TaskSpec, Timeouts, digest
from bench.run.content_hashes import ContentHashes
from bench.run.environment_variables import worker_environment
from bench.run.fingerprints import Fingerprints
from bench.run.interpreters import Interpreters, source_digest
from bench.store.results import Plan, PlannedCase
from bench.store.runs import utc_now
from bench.suite.expand import expand
from bench.suite.load import load_suite
from bench.suite.plan import CasePlan, Ingredients, plan_case
from bench.suite.schema import Suite


@dataclass(frozen=True)
class Prepared:
    """A suite ready to run.

    Attributes:
        source: The suite's file.
        suite: As loaded.
        cases: Plans in the order of the suite.
        interpreters: Which Python runs which adapter.
        classes: Label space that is scored, by label of the data set.
    """

    source: Path
    suite: Suite
    cases: tuple[CasePlan, ...]
    interpreters: Interpreters
    classes: dict[str, tuple[ClassSpec, ...]]

    @cached_property
    def plan(self) -> Plan:
        """The record of this plan."""
        return Plan(
            suite=self.suite.name,
            title=self.suite.title or self.suite.name,
            source=str(self.source),
            task=self.suite.task,
            metrics=self.suite.metrics,
            cases=tuple(_planned(case, self.classes[case.case.dataset.label]) for case in self.cases),
            planned_at=utc_now(),
            seed=self.suite.seed,
        )


def prepare(source: Path, interpreters: Interpreters) -> Prepared:
    """Load, expand and plan a suite; reads indexes and hashes sources, runs nothing.

    Raises:
        BenchError: For anything the user can mend: the suite, a data set, an interpreter.
    """
    suite = load_suite(source)
    cases = expand(suite, auto_device=auto_device(), source=source)
    opened = _open_datasets(cases, source)
    _check_mappings(cases, opened, suite, source)
    machine = machine_identity()
    fingerprints = Fingerprints(ContentHashes.of_user())
    plans = tuple(_plan(case, opened[case.dataset.label], interpreters, suite, machine, fingerprints) for case in cases)
    return Prepared(source, suite, plans, interpreters, {label: data.classes for label, data in opened.items()})


def timeout_of(kind: str, timeouts: Timeouts) -> float:
    """Wall-clock limit of a kind of job, seconds."""
    return {"train": timeouts.train_s, "predict": timeouts.predict_s, "time": timeouts.time_s}[kind]


def pinned_cores(threads: int | None) -> tuple[int, ...] | None:
    """Cores for a worker with so many threads: the last allowed ones; None = no pinning.

    The first cores serve most interrupts, so a worker that needs fewer cores than there are gets
    the last.
    """
    cores = allowed_cores()
    return cores[-threads:] if threads is not None and threads < len(cores) else None


def _open_datasets(cases: tuple[Case, ...], source: Path) -> dict[str, Dataset]:
    """Open every data set once; returns them by label."""
    opened: dict[str, Dataset] = {}
    for spec in {case.dataset.label: case.dataset for case in cases}.values():
        try:
            dataset = open_labelled(spec)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise SuiteError(f"{source}: options of data set {spec.label!r}: {at}: {first['msg']}.") from None
        except BenchError as error:
            raise DatasetError(f"{source}: data set {spec.label!r}: {error}") from None
        missing = [split for split in (spec.train, spec.val, spec.test) if split not in dataset.splits()]
        if missing:
            raise SuiteError(
                f"{source}: data set {spec.label!r} has no split {missing[0]!r}; it has {', '.join(dataset.splits())}."
            )
        opened[spec.label] = dataset
    return opened


def _check_mappings(cases: tuple[Case, ...], opened: dict[str, Dataset], suite: Suite, source: Path) -> None:
    """Refuse models whose classes do not map to those of their data set."""
    for case in {(case.model.label, case.dataset.label): case for case in cases}.values():
        try:
            check_mapping(case.model, opened[case.dataset.label], suite.task)
        except BenchError as error:
            raise SuiteError(f"{source}: data set {case.dataset.label!r}: {error}") from None


def _plan(
    case: Case,
    dataset: Dataset,
    interpreters: Interpreters,
    suite: Suite,
    machine: str,
    fingerprints: Fingerprints,
) -> CasePlan:
    adapter = case.model.adapter
    spec = case.dataset
    ingredients = Ingredients(
        task=TaskSpec(kind=case.model.task, classes=classes_predicted(case.model, dataset)),
        train_fingerprint=_train_fingerprint(case, dataset, fingerprints),
        test_fingerprint=fingerprints.of(dataset, spec.label, spec.test, spec.max_images),
        adapter_digest=source_digest(adapter),
        versions=interpreters.versions(adapter),
        weights_digest=_weights_digest(case),
        machine=machine,
        environment=worker_environment(case.target, None),
    )
    return plan_case(
        case,
        ingredients,
        seed=suite.seed,
        harness_root=str(harness_root()),
        adapters_root=str(_adapters_root(adapter)),
    )


def _train_fingerprint(case: Case, dataset: Dataset, fingerprints: Fingerprints) -> str:
    """Of the training and the validation split; empty if nothing is trained, so that they need not be read."""
    if case.recipe is None:
        return ""
    spec = case.dataset
    return digest([fingerprints.of(dataset, spec.label, split, None) for split in (spec.train, spec.val)])


def _adapters_root(adapter: str) -> Path:
    """Folder above the adapter's own: where the worker must find it."""
    return adapter_folder(adapter).parent


def _weights_digest(case: Case) -> str | None:
    weights = case.model.weights
    if weights is None or "://" in weights:
        return weights
    path = Path(weights)
    if not path.exists():
        raise BenchError(f"{case.model.label}: there are no weights at {weights}; correct 'weights' in the suite")
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    sha = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()


def _planned(plan: CasePlan, classes: tuple[ClassSpec, ...]) -> PlannedCase:
    return PlannedCase(
        case=plan.case,
        task=TaskSpec(kind=plan.case.model.task, classes=classes),
        train_key=plan.train.key if plan.train else None,
        predict_key=plan.predict.key,
        time_keys=tuple(job.key for job in plan.times),
    )
