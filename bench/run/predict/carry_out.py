"""`bench predict` carried out: what is done already is kept, and the worker does the rest."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.adapter import adapter_folder
from bench.errors import BenchError
from bench.records import DatasetSpec, Job, Outcome, Status, as_json_dict, digest
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import weights_digest, write_record
from bench.records.store.runs import utc_now
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.outcome import settle
from bench.run.planning.prepare import pinned_cores
from bench.run.predict.inputs import find_sources, named_items, output_suffixes, passed_over
from bench.run.predict.manifest import WORK, Manifest
from bench.run.predict.models import Predictor
from bench.run.predict.worker.request import REQUEST, SHOW_FROM, FilesRequest, Item, OverlayForm
from bench.run.process import run_worker
from bench.run.worker.environment import inherited_environment

NO_LIMIT_S = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Writing:
    """Hold what is written of each image, and where, as `FilesRequest` does; `overwrite` predicts all again."""

    out: Path
    overlay: OverlayForm
    show_from: float
    every: int
    overwrite: bool


@dataclass(frozen=True)
class Predicted:
    """Hold what came of it: all images that were named, and how many of them an earlier call had done.

    There is no outcome of a worker where nothing was left to do.
    """

    items: list[Item]
    skipped: int
    manifest: Manifest
    outcome: Outcome | None


def predict_files(predictor: Predictor, words: list[str], interpreters: Interpreters, writing: Writing) -> Predicted:
    """Predict what is not done of the images that words name; a line on standard error for each that has changed.

    Raises:
        BenchError: If a word names no image, the folder holds outputs of another identity, or something would be lost.
    """
    manifest = Manifest(writing.out, _identity(predictor, writing), overwrite=writing.overwrite)
    sources = find_sources(words, out=writing.out, own=manifest.own_files())
    for sentence in passed_over(words, out=writing.out, own=manifest.own_files()):
        print(sentence, file=sys.stderr)
    earlier = manifest.items()
    items = named_items(sources, earlier, output_suffixes(predictor.task.kind, writing.overlay))
    to_do = items if writing.overwrite else [item for item in items if not manifest.settled(item)]
    _refuse_collisions(to_do, earlier, predictor, writing)
    for item in (item for item in items if item not in to_do and manifest.changed(item)):
        print(f"{item.source} has changed since it was predicted; --overwrite predicts it again", file=sys.stderr)
    outcome = _carry_out(to_do, manifest, predictor, interpreters, writing) if to_do else None
    return Predicted(items, len(items) - len(to_do), manifest, outcome)


def _identity(predictor: Predictor, writing: Writing) -> dict[str, Any]:
    """Return what decides the outputs; the folder holds those of one identity."""
    target = as_json_dict(predictor.target)
    return {
        "model": predictor.model.name,
        "options": predictor.model.options,
        "task": predictor.task.kind,
        "classes": [as_json_dict(spec) for spec in predictor.classes],
        "weights_sha256": weights_digest(predictor.weights),
        "target": {key: value for key, value in target.items() if key not in ("threads", "batch_size")},
        "overlay": writing.overlay,
        "every": writing.every,
        **({} if writing.show_from == SHOW_FROM else {"show_from": writing.show_from}),
        **({} if predictor.mapping is None else {"class_ids": list(predictor.mapping.ids)}),
        **({} if predictor.reading is None else {"reading": as_json_dict(predictor.reading)}),
    }


def _refuse_collisions(items: list[Item], earlier: dict[str, Item], predictor: Predictor, writing: Writing) -> None:
    """Nothing is overwritten that an earlier call did not write, and no input ever is."""
    suffixes = output_suffixes(predictor.task.kind, writing.overlay)
    sources = {Path(item.source) for item in items}
    for item in items:
        for suffix in suffixes:
            path = writing.out / f"{item.name}{suffix}"
            if path in sources or (path.exists() and item.source not in earlier and not writing.overwrite):
                what = "is one of the images" if path in sources else "is there already, and not by bench predict"
                raise BenchError(f"{path} {what}; name another folder with --out, so that nothing is lost.")


def _carry_out(
    items: list[Item],
    manifest: Manifest,
    predictor: Predictor,
    interpreters: Interpreters,
    writing: Writing,
) -> Outcome:
    """Run the worker, and keep what it has done, however it ends."""
    out = writing.out
    work = out / WORK
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise BenchError(f"--out {out}: cannot be made a folder: {error.strerror}; name another") from None
    manifest.plan(items)
    job = job_of(predictor)
    write_record(work / layout.JOB, job)
    write_record(
        work / REQUEST,
        FilesRequest(
            out=str(out),
            items=tuple(items),
            overlay=writing.overlay,
            show_from=writing.show_from,
            every=writing.every,
            classes=predictor.classes,
            class_ids=None if predictor.mapping is None else predictor.mapping.ids,
            reading=predictor.reading,
        ),
    )
    origin = {"origin": predictor.origin, "weights": predictor.weights, "started_at": utc_now()}
    try:
        with RunConsole(Console(stderr=True), 1).watching(job, work):
            outcome = _run(job, interpreters.python(job.model.adapter), work)
    finally:
        manifest.settle()
        manifest.save({"run": origin})
    facts = as_json_dict(outcome.facts)
    manifest.save(
        {
            "run": {
                **origin,
                "status": outcome.status.value,
                "reason": outcome.reason,
                "batch_size": predictor.target.batch_size,
                **facts,
            }
        }
    )
    if outcome.status is Status.OK:
        shutil.rmtree(work)
    return outcome


def job_of(predictor: Predictor) -> Job:
    """Return the job of a predictor, as a worker or this process builds its model from it."""
    return Job(
        kind="predict",
        key=digest(as_json_dict(predictor.model)),
        key_parts={},
        case_id=predictor.model.label,
        model=predictor.model,
        dataset=DatasetSpec(name="files", label="files"),
        task=predictor.task,
        target=predictor.target,
        dataset_fingerprint="",
        weights=predictor.weights,
        harness_root=str(harness_root()),
        adapters_root=str(adapter_folder(predictor.model.adapter).parent),
        cpu_affinity=pinned_cores(predictor.target.threads),
    )


def _run(job: Job, python: Path, work: Path) -> Outcome:
    started_at = utc_now()
    end = run_worker(
        [str(python), "-m", "bench.run.predict.worker.process", str(work)],
        environment=inherited_environment(job),
        log=work / layout.WORKER_LOG,
        timeout_s=NO_LIMIT_S,
        cwd=harness_root(),
    )
    return settle(work, end, started_at=started_at, timeout_s=NO_LIMIT_S)
