"""`bench predict`: masks, overlays and JSON of images that belong to no data set."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.adapter import adapter_folder
from bench.data.opening import parsed_settings
from bench.errors import BenchError
from bench.records import DatasetSpec, Job, Outcome, Status, as_json_dict, digest
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import weights_digest, write_record
from bench.records.store.runs import is_run, utc_now
from bench.run.console import RunConsole
from bench.run.environments.environment import choose_interpreters
from bench.run.environments.interpreters import Interpreters
from bench.run.outcome import settle
from bench.run.planning.prepare import pinned_cores
from bench.run.predict.inputs import absolute, find_sources, named_items, output_suffixes
from bench.run.predict.manifest import FILE, WORK, Manifest, medians
from bench.run.predict.models import Predictor, Wishes, from_model_config, from_run
from bench.run.predict.worker.request import REQUEST, FilesRequest, Item

NO_LIMIT_S = 30 * 24 * 3600.0
MENDABLE = (Status.UNSUPPORTED, Status.ENVIRONMENT_ERROR, Status.USAGE_ERROR)


def predict_command(options: Namespace) -> int:
    """Predict what is not done; 0 if all could be read and predicted, else 1."""
    predictor, words = _predictor(options)
    interpreters = choose_interpreters(options.python, options.env, options.envs)
    out = _out_folder(options.out)
    if options.every < 1:
        raise BenchError(f"--every {options.every}: expected a whole number from 1 upwards")
    manifest = Manifest(out, _identity(predictor, options), overwrite=options.overwrite)
    sources = find_sources(words, out=out, own=manifest.own_files())
    earlier = manifest.items()
    items = named_items(sources, earlier, output_suffixes(predictor.task.kind, options.overlay))
    to_do = items if options.overwrite else [item for item in items if not manifest.settled(item)]
    _refuse_collisions(to_do, earlier, out, predictor, options)
    for item in (item for item in items if item not in to_do and manifest.changed(item)):
        print(f"{item.source} has changed since it was predicted; --overwrite predicts it again", file=sys.stderr)
    skipped = len(items) - len(to_do)
    outcome = _carry_out(to_do, manifest, predictor, interpreters, out, options) if to_do else None
    return _told(items, skipped, manifest, outcome, out)


def _predictor(options: Namespace) -> tuple[Predictor, list[str]]:
    """The model and the words that name images: the first word is the model unless a run is given."""
    settings = parsed_settings(options.set)
    if options.threshold is not None:
        if not 0 < options.threshold < 1:
            raise BenchError(f"--threshold {options.threshold:g}: expected a number between 0 and 1")
        settings["threshold"] = options.threshold
    if options.batch_size is not None and options.batch_size < 1:
        raise BenchError(f"--batch-size {options.batch_size}: expected a whole number from 1 upwards")
    wishes = Wishes(
        weights=options.weights,
        classes=options.classes,
        options=settings,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        image_size=options.image_size,
    )
    words = list(options.words)
    results, run = Path(options.results), options.run
    if run is None and is_run(results, words[0]):
        run, words = words[0], words[1:]
    if run is not None or options.case is not None:
        if not words:
            raise BenchError("no images given; name folders, files, 'globs', .txt lists or videos after the run")
        return from_run(results, run, options.case, wishes), words
    return from_model_config(words[0], wishes), words[1:]


def _out_folder(name: str) -> Path:
    out = absolute(Path(name))
    if out.exists() and not out.is_dir():
        raise BenchError(f"--out {name} is a file; name a folder for masks and overlays")
    return out


def _identity(predictor: Predictor, options: Namespace) -> dict[str, Any]:
    """What decides the outputs; the folder holds those of one identity."""
    target = as_json_dict(predictor.target)
    return {
        "model": predictor.model.name,
        "options": predictor.model.options,
        "task": predictor.task.kind,
        "classes": [as_json_dict(spec) for spec in predictor.classes],
        "weights_sha256": weights_digest(predictor.weights),
        "target": {key: value for key, value in target.items() if key not in ("threads", "batch_size")},
        "overlay": options.overlay,
        "every": options.every,
        **({} if predictor.mapping is None else {"class_ids": list(predictor.mapping.ids)}),
    }


def _refuse_collisions(
    items: list[Item], earlier: dict[str, Item], out: Path, predictor: Predictor, options: Namespace
) -> None:
    """Nothing is overwritten that an earlier call did not write, and no input ever is."""
    suffixes = output_suffixes(predictor.task.kind, options.overlay)
    sources = {Path(item.source) for item in items}
    for item in items:
        for suffix in suffixes:
            path = out / f"{item.name}{suffix}"
            if path in sources or (path.exists() and item.source not in earlier and not options.overwrite):
                what = "is one of the images" if path in sources else "is there already, and not by bench predict"
                raise BenchError(f"{path} {what}; name another folder with --out, so that nothing is lost.")


def _carry_out(
    items: list[Item],
    manifest: Manifest,
    predictor: Predictor,
    interpreters: Interpreters,
    out: Path,
    options: Namespace,
) -> Outcome:
    """Run the worker, and keep what it has done, however it ends."""
    work = out / WORK
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise BenchError(f"--out {out}: cannot be made a folder: {error.strerror}; name another") from None
    manifest.plan(items)
    job = _job(predictor)
    write_record(work / layout.JOB, job)
    write_record(
        work / REQUEST,
        FilesRequest(
            out=str(out),
            items=tuple(items),
            overlay=options.overlay,
            every=options.every,
            classes=predictor.classes,
            class_ids=None if predictor.mapping is None else predictor.mapping.ids,
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


def _job(predictor: Predictor) -> Job:
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
    from bench.run.process import run_worker
    from bench.run.worker.environment import inherited_environment

    started_at = utc_now()
    end = run_worker(
        [str(python), "-m", "bench.run.predict.worker.process", str(work)],
        environment=inherited_environment(job),
        log=work / layout.WORKER_LOG,
        timeout_s=NO_LIMIT_S,
        cwd=harness_root(),
    )
    return settle(work, end, started_at=started_at, timeout_s=NO_LIMIT_S)


def _told(items: list[Item], skipped: int, manifest: Manifest, outcome: Outcome | None, out: Path) -> int:
    """Say what was done and what was not; returns the exit code."""
    if outcome is not None and outcome.status is not Status.OK:
        written = sum(manifest.done(item) for item in items)
        kept = f" {written} of {len(items)} are done; the same command goes on from there." if written else ""
        if outcome.status in MENDABLE:
            manifest.withdraw()
            raise BenchError(f"{outcome.reason}{kept}")
        print(f"bench predict: {outcome.status.value}: {outcome.reason}{kept}", file=sys.stderr)
        print(f"bench predict: more in {out / WORK / layout.WORKER_LOG}", file=sys.stderr)
        return 1
    unreadable = [row for item in items if (row := manifest.rows[item.source])["status"] == "unreadable"]
    rows = [manifest.rows[item.source] for item in items]
    done = len(items) - len(unreadable)
    print(f"{done} of {len(items)} predicted" + (f", {skipped} of them by an earlier call" if skipped else ""))
    timings = "   ".join(f"{stage} {value:.1f}" for stage, value in medians(rows).items())
    if timings:
        print(f"ms per image, median, without warm-up: {timings}")
    for row in rows:
        if row.get("note"):
            print(f"note: {row['note']}", file=sys.stderr)
    for row in unreadable:
        print(f"unreadable: {row['reason']}", file=sys.stderr)
    print(out / FILE)
    return 1 if unreadable else 0
