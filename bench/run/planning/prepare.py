"""Suite file -> planned jobs: the part of a run that `bench check` shows and `bench run` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from bench.adapter import adapter_folder, load_light
from bench.data.corruptions.dataset import corrupted_fingerprint
from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import classes_predicted
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.dataset import Dataset, has_validation
from bench.errors import BenchError
from bench.measure.devices import Machine, allowed_cores, this_machine
from bench.records import Case, ClassSpec, Job, ModelSpec, TaskSpec, digest
from bench.records.base import first_fault
from bench.records.names import harness_root
from bench.records.provenance import has_memory, same_machine, without_memory
from bench.records.store.code import as_key_part
from bench.records.store.files import weights_digest
from bench.records.store.job_folders import JobFolders
from bench.records.store.layout import RunFolder
from bench.records.store.runs import find_job, is_final, utc_now
from bench.records.store.views import AcceptedCode, Plan, PlannedCase
from bench.run.environments.environment import with_choices_of_suite
from bench.run.environments.interpreters import Interpreters, adapter_code
from bench.run.planning.check import checked, tables_of
from bench.run.planning.checking import channels_of
from bench.run.planning.fingerprints import Fingerprints
from bench.run.worker.environment import worker_environment
from bench.suite.jobs import CasePlan, Ingredients, plan_case
from bench.suite.load import load_suite
from bench.suite.schema import Suite
from bench.suite.tuning import PlannedSearch, searches_of


@dataclass(frozen=True)
class Prepared:
    """A suite ready to run.

    Attributes:
        source: The suite's file.
        suite: Suite as loaded.
        cases: Plans in the order of the suite.
        interpreters: Pythons that run the adapters.
        classes: Label space that is scored, by label of the data set.
        plan_case: Plans a further case, of a search.
        notes: Sentences on what is to be known of the data sets' files.
        data_notes: Label of a data set -> sentences on what was inferred, converted or passed over in it.
        accepted_code: Code that stands in the keys in place of the present one.
        searches: Searches of recipes, whose best ones take the place of those in `cases`.
    """

    source: Path
    suite: Suite
    cases: tuple[CasePlan, ...]
    interpreters: Interpreters
    classes: dict[str, tuple[ClassSpec, ...]]
    plan_case: Callable[[Case], CasePlan]
    notes: tuple[str, ...] = ()
    data_notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    accepted_code: AcceptedCode | None = None
    searches: tuple[PlannedSearch, ...] = ()

    @cached_property
    def plan(self) -> Plan:
        """The record of this plan."""
        return Plan(
            suite=self.suite.name,
            title=self.suite.title or self.suite.name,
            source=str(self.source),
            task=self.suite.task,
            metrics=self.suite.metrics,
            cases=tuple(map(self.planned, self.cases)),
            planned_at=utc_now(),
            seed=self.suite.seed,
            cost=self.suite.cost,
            data_notes=self.data_notes,
            accepted_code=self.accepted_code,
            columns=tables_of(self.suite, self.source, [case.case.dataset.label for case in self.cases]),
        )

    def planned(self, plan: CasePlan) -> PlannedCase:
        """Return a planned case as the record of a plan holds it."""
        return plan.planned(TaskSpec(kind=plan.case.model.task, classes=self.classes[plan.case.dataset.label]))


def prepare(source: Path, interpreters: Interpreters, machine: Machine | None = None) -> Prepared:
    """Load, expand and plan a suite for a machine (this one if left out); hashes sources, runs nothing.

    Raises:
        BenchError: For anything the user can fix: the suite, a data set, an interpreter.
    """
    suite = load_suite(source)
    machine = machine or this_machine()
    found = checked(suite, source, machine)
    used = {case.model.adapter for case in found.cases}
    interpreters = with_choices_of_suite(interpreters, suite.environments, used, source)
    planner = _Planner(interpreters, Fingerprints(), machine, suite.seed)

    def plan_case(case: Case) -> CasePlan:
        return planner.plan(case, found.opened[case.dataset.label], found.opened[case.made_for.label])

    plans = tuple(map(plan_case, found.cases))
    classes = {label: dataset.classes for label, dataset in found.opened.items()}
    return Prepared(
        source,
        suite,
        plans,
        interpreters,
        classes,
        plan_case,
        tuple(found.notes),
        found.data_notes,
        searches=searches_of(suite, found.cases),
    )


def plan_again(case: Case, interpreters: Interpreters, fingerprints: Fingerprints, *, seed: int) -> CasePlan:
    """Plan a case of an earlier run as it would run now.

    Raises:
        BenchError: If its data, its weights or its interpreter are not here.
    """
    try:
        # What corruptions make of its images is added to its fingerprint below.
        dataset = open_labelled(case.dataset.model_copy(update={"corruption": None}))
        made_for = dataset if case.shift is None else open_labelled(case.made_for)
    except ValidationError as error:
        told = f"data set {case.dataset.name!r} no longer takes these options: {first_fault(error)}"
        raise BenchError(told) from None
    weights = case.model.weights
    if weights is not None and "://" not in weights and not Path(weights).exists():
        raise BenchError(f"there are no weights at {weights} any more")
    return _Planner(interpreters, fingerprints, this_machine(), seed).plan(case, dataset, made_for)


def pinned_cores(threads: int | None, among: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """Return the last `threads` cores, to pin a worker to; None = no pinning.

    The first cores serve most interrupts, so a worker that needs fewer cores than there are gets
    the last.

    Args:
        threads: Threads that the worker takes; None = one for each core.
        among: The cores that it may have; all that are allowed if left out.
    """
    cores = allowed_cores() if among is None else among
    return cores[-threads:] if threads is not None and threads < len(cores) else among


class _Installed(NamedTuple):
    """An adapter as it is here: its code, packages, whether its models are exported, and the folder above its own."""

    code: str
    versions: dict[str, str]
    exports: bool
    root: str


class _Planner:
    """Plans cases; what thousands of them have in common is looked up once."""

    def __init__(self, interpreters: Interpreters, fingerprints: Fingerprints, machine: Machine, seed: int) -> None:
        self._interpreters, self._fingerprints = interpreters, fingerprints
        self._machine, self._seed = machine, seed
        self._installed = cache(self._look_up)
        self._runtime_versions = cache(interpreters.runtime_versions)
        self._tasks: dict[tuple[object, ...], TaskSpec] = {}

    def plan(self, case: Case, dataset: Dataset, made_for: Dataset) -> CasePlan:
        """Plan a case; `dataset` is its own, uncorrupted, `made_for` the one that its model is trained on."""
        fingerprints, adapter = self._fingerprints, self._installed(case.model.adapter)
        spec, clean = case.dataset, case.made_for
        scored = fingerprints.of(dataset, spec.label, spec.test, spec.max_images)
        ingredients = Ingredients(
            task=self._task(case.model, clean.label, made_for),
            train_fingerprint=_train_fingerprint(case, made_for, fingerprints),
            test_fingerprint=scored if spec.corruption is None else corrupted_fingerprint(scored, spec.corruption),
            clean_fingerprint=fingerprints.of(made_for, clean.label, clean.test, clean.max_images),
            val_fingerprint=_val_fingerprint(case, dataset, fingerprints),
            adapter_code=adapter.code,
            code=fingerprints.of_code(spec.name),
            versions=adapter.versions,
            runtime_versions=self._runtime_versions(case.model.adapter, case.target.runtime),
            weights_digest=_weights_digest(case),
            machine=self._machine.identity,
            environment=worker_environment(case.target, None, self._machine.cores),
            exports=adapter.exports,
        )
        root = str(harness_root())
        return plan_case(case, ingredients, seed=self._seed, harness_root=root, adapters_root=adapter.root)

    def _look_up(self, adapter: str) -> _Installed:
        return _Installed(
            code=as_key_part(adapter_code(adapter)),
            versions=self._interpreters.versions(adapter),
            exports=getattr(load_light(adapter, "options"), "EXPORTS", True),
            root=str(adapter_folder(adapter).parent),
        )

    def _task(self, model: ModelSpec, label: str, made_for: Dataset) -> TaskSpec:
        key = model.task, model.trained_on, label
        if key not in self._tasks:
            classes = classes_predicted(model, made_for)
            self._tasks[key] = TaskSpec(kind=model.task, classes=classes, channels=channels_of(made_for))
        return self._tasks[key]


def _weights_digest(case: Case) -> str | None:
    """Return the hash of the weights; of predictions in files with that of the annotations their ids are from."""
    found = weights_digest(case.model.weights)
    annotations = case.model.options.get("annotations")
    if case.model.adapter != FROM_FILES or not isinstance(annotations, str):
        return found
    return digest([found, weights_digest(annotations)])


def _train_fingerprint(case: Case, dataset: Dataset, fingerprints: Fingerprints) -> str:
    """Return the fingerprints of the training and the validation split; empty if nothing is trained or calibrated."""
    if case.recipe is None and case.target.precision != "int8":
        return ""
    spec = case.made_for
    return digest([fingerprints.of(dataset, spec.label, split, None) for split in (spec.train, spec.val)])


def _val_fingerprint(case: Case, dataset: Dataset, fingerprints: Fingerprints) -> str:
    """Return the fingerprint of the validation split; empty if its probabilities are not kept, or it has none."""
    spec = case.dataset
    if "validation" not in case.keep or not has_validation(spec, dataset):
        return ""
    return fingerprints.of(dataset, spec.label, spec.val, None)


def with_measured_before(prepared: Prepared, run: RunFolder) -> Prepared:
    """Return a suite in which jobs that were measured on a machine like this one have the keys that they had then.

    Before memory was a part of a machine's identity keys were others; a run of then is not done again. A job without a
    record of its machine's memory, as on systems that tell none, counts as measured on this one.
    """
    folders = JobFolders(run)
    cases = tuple(_measured(plan, run, folders) for plan in prepared.cases)
    same = all(now is then for now, then in zip(cases, prepared.cases, strict=True))
    return prepared if same else replace(prepared, cases=cases)


def _measured(plan: CasePlan, run: RunFolder, folders: JobFolders) -> CasePlan:
    times = tuple(_known(job, run, folders) for job in plan.times)
    profile = None if plan.profile is None else _known(plan.profile, run, folders)
    throughput = None if plan.throughput is None else _known(plan.throughput, run, folders)
    now, then = (*times, profile, throughput), (*plan.times, plan.profile, plan.throughput)
    if all(one is other for one, other in zip(now, then, strict=True)):
        return plan
    return replace(plan, times=times, profile=profile, throughput=throughput)


def _known(job: Job, run: RunFolder, folders: JobFolders) -> Job:
    machine = job.key_parts["machine"]
    if not has_memory(machine) or folders.of_key(job.kind, job.key):
        return job
    key = digest({"kind": job.kind, **job.key_parts, "machine": without_memory(machine)})
    view = find_job(run, job.kind, key, folders)
    if view is None or view.damage is not None or not is_final(view.outcome):
        return job
    return job.model_copy(update={"key": key}) if same_machine(view.job.key_parts["machine"], machine) else job
