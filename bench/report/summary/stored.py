"""A run's summary, kept beside the run by what it follows from, so that a second report does not compute it again.

Reading the run has compared every fact with the manifest before; a summary is taken from the file only if facts, code,
data set and table of columns are what they were. It is no fact itself: `bench audit` computes it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue, ValidationError

from bench.data.formats.home import expanded
from bench.errors import BenchError
from bench.metric import metric_module
from bench.records import DatasetSpec, as_json_dict
from bench.records.damage import content_of
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import file_state, write_atomically
from bench.records.store.views import CaseView, RunView
from bench.report.summary.columns import Columns
from bench.report.summary.summarise import RunSummary, summarise

FILES = (
    layout.JOB,
    layout.OUTCOME,
    layout.SAMPLES,
    layout.TRAINING_LOG,
    layout.PROFILE,
    layout.THROUGHPUT,
    layout.LATENCIES,
    layout.DAMAGED,
    f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}",
    f"{layout.AUDIT}/{layout.PREDICTION_INDEX}",
)
"""Files of a job that a summary may follow from."""


def stored_summary(run: RunView, columns: Mapping[str, Columns] | None = None) -> RunSummary:
    """Return `summarise(run, columns)`, computed or as it was kept; one of some of the cases is not kept."""
    if len(run.cases) < len(run.plan.cases):
        return summarise(run, columns)
    file, key = run.folder.path / layout.SUMMARY, summary_key(run, columns)
    found = _kept(file, key)
    if found is not None:
        return found
    summary = summarise(run, columns)
    text = summary.model_dump_json().encode()
    with contextlib.suppress(OSError):  # a folder that may be read only
        write_atomically(file, b"%s\n%s\n" % (_head(key, text), text))
    return summary


def _kept(file: Path, key: str) -> RunSummary | None:
    """The summary in a file; None if it is of other facts, cut off or changed."""
    try:
        head, _, text = content_of(file).removesuffix(b"\n").partition(b"\n")
        return RunSummary.model_validate_json(text) if head == _head(key, text) else None
    except (OSError, ValidationError):
        return None


def _head(key: str, text: bytes) -> bytes:
    return f"{key} {hashlib.sha256(text).hexdigest()}".encode()


def summary_key(run: RunView, columns: Mapping[str, Columns] | None = None) -> str:
    """Return the digest of everything that a run's summary follows from."""
    sha = hashlib.sha256()
    for part in _parts(run, columns):
        sha.update(json.dumps(part, sort_keys=True, default=str).encode())
        sha.update(b"\n")
    return sha.hexdigest()


def _parts(run: RunView, columns: Mapping[str, Columns] | None) -> Iterator[JsonValue]:
    yield _code(run)
    yield run.folder.name
    yield run.plan.to_json()
    yield [run.environment, {name: dict(of) for name, of in run.environments.items()}]
    yield [[d.case_id, d.kind, d.replicate, d.file, d.reason] for d in run.damages]
    yield {label: {name: dict(of) for name, of in of_data.items()} for label, of_data in (columns or {}).items()}
    for path in sorted(set(run.plan.columns.values())):
        yield [path, _state(Path(path))]
    for view in run.cases:
        yield _of_case(view)
    if (run.folder.path / layout.TUNING).is_dir():  # what the trials of searches came to stands in further facts
        yield _state(run.folder.manifest)
    for spec in {view.case.dataset.label: view.case.dataset for view in run.cases}.values():
        yield [as_json_dict(spec), _place(spec)]


def _state(file: Path) -> JsonValue:
    return [*(file_state(file) or ())]


def _code(run: RunView) -> JsonValue:
    """The state of the harness's files, and of metrics from outside of it."""
    own = sorted((harness_root() / "bench").rglob("*.py"))
    modules = (sys.modules.get(metric_module(name)) for name in run.plan.metrics)
    further = [Path(module.__file__) for module in modules if module is not None and module.__file__]
    return [[str(file), _state(file)] for file in (*own, *further)]


def _of_case(view: CaseView) -> JsonValue:
    jobs: list[JsonValue] = [
        [str(job.folder), job.damage, [_state(job.folder / name) for name in FILES]] for job in view.jobs
    ]
    scores = None if view.scores is None else view.scores.model_dump_json()
    statistics = None if view.statistics is None else _state(view.statistics)
    damages: list[JsonValue] = [[d.kind, d.replicate, d.file, d.reason] for d in view.damages]
    return [view.case.id, jobs, scores, statistics, damages]


def _place(spec: DatasetSpec) -> JsonValue:
    """Return whether the files of a data set are here: they tell the slices by size and group."""
    from bench.dataset import default_root

    root = spec.options.get("root", default_root(spec.name))
    try:
        found = expanded(str(root)).stat() if root is not None else None
    except (OSError, BenchError):
        return None
    return None if found is None else [found.st_mtime_ns, found.st_ino]
