"""`bench run`: do what is not done, print the table, write the report."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of, remote_results
from bench.cli.deprecated import Renamed
from bench.measure.phases import PHASES, during

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records.store.layout import RunFolder
    from bench.records.store.views import RunView
    from bench.run.console import RunConsole
    from bench.run.executor import Executor
    from bench.run.planning.prepare import Prepared
    from bench.run.runner import Summary

HELP = "run a suite; finished jobs are skipped"
GROUP, ORDER = "compare models", 1
RESULTS_AT_URL = True
JOB_KINDS = ("train", "export", "predict", "time", "profile", "throughput")
"""These are those of `bench.records`, which takes too long to import for `bench --help`."""


def add_arguments(parser: Parser) -> None:
    parser.shared("suite")
    parser.switch("--new", "start a new run instead of resuming the latest")
    parser.shared("--case")
    parser.add_argument("--only", dest="case", action=Renamed, const="--case PATTERN", help=argparse.SUPPRESS)
    parser.add_argument("--kind", action="append", choices=JOB_KINDS, help="only jobs of this kind; repeatable")
    parser.shared("--fresh-interpreters")
    where = "where jobs are carried out: on this machine, a Ray cluster, a SLURM queue (default: local)"
    parser.add_argument("--executor", choices=("local", "ray", "slurm"), default="local", help=where)
    devices = "parts of this machine that work at the same time: GPUs (0,1,2,3) or sets of cores (cpu:0-3,cpu:4-7)"
    parser.option("--devices", "LIST", devices)
    alone = "jobs that measure have only their device to themselves, not the whole node; flagged in the report"
    parser.switch("--share-node", alone)
    beside = "predict one case after the other, too, instead of two at a time beside what the next framework imports"
    parser.switch("--one-at-a-time", beside)
    head = "head of the Ray cluster (default: RAY_ADDRESS, else this machine alone)"
    parser.option("--address", "HOST:PORT", head)
    queue = "parameter of every SLURM job, such as partition=gpu or constraint=a100; repeatable"
    parser.repeated("--slurm", "NAME=VALUE", queue)
    add_interpreters(parser)
    parser.shared("--rehash", "--accept-code")
    parser.switch("--json-progress", "progress as JSON lines on standard error, for programs")


def execute(options: Namespace) -> int:
    """Do what is not done; 1 if a case failed."""
    began_s = time.monotonic()
    PHASES.seconds.clear()
    with during("plan"):
        from bench.run.planning.code_keys import code_accepted_as
        from bench.run.planning.prepare import prepare

    console_for = _consoles(options)
    with code_accepted_as(options.accept_code) as accepted:
        executor = _executor(options, console_for(0).note)
        try:
            with during("plan"):
                prepared = prepare(Path(options.suite), interpreters_of(options), executor.machine)
            return _carry_out(replace(prepared, accepted_code=accepted), executor, options, console_for, began_s)
        finally:
            executor.close()


def _consoles(options: Namespace) -> Callable[[int], RunConsole]:
    """Return what makes a console for so many jobs, on standard error in the form that was asked for."""
    from rich.console import Console

    from bench.run.console import RunConsole
    from bench.run.json_console import JsonConsole

    return partial(JsonConsole, sys.stderr) if options.json_progress else partial(RunConsole, Console(stderr=True))


def _executor(options: Namespace, tell: Callable[[str], None]) -> Executor:
    """Return where jobs are carried out, as the flags say; `tell` gets a line while a cluster is waited for."""
    from bench.run.executors.choose import executor_of
    from bench.run.remote.working import results_folder

    return executor_of(
        options.executor,
        fresh=options.fresh_interpreters,
        devices=options.devices,
        share_node=options.share_node,
        beside=not options.one_at_a_time,
        address=options.address,
        slurm=options.slurm,
        results=results_folder(options.results),
        tell=tell,
    )


def _carry_out(
    prepared: Prepared,
    executor: Executor,
    options: Namespace,
    console_for: Callable[[int], RunConsole],
    began_s: float,
) -> int:
    from bench.records.store import layout
    from bench.records.store.runs import locked, new_run, runs
    from bench.report import render
    from bench.report.summary.stored import stored_summary
    from bench.run.loggers import where_trackers_wrote

    note = console_for(0).note
    for line in prepared.notes:
        note(f"note: {line}")
    _check_selection(prepared, options)
    remote = remote_results(options, note)
    results = Path(options.results) if remote is None else remote.folder
    if remote is not None and not options.new:
        remote.fetch(prepared.suite.name)
    earlier = runs(results, prepared.suite.name)
    for jobs in sorted((results / prepared.suite.name).glob("*/jobs")):
        if not (jobs.parent / layout.PLAN).exists():
            note(f"note: {jobs.parent} has jobs but no {layout.PLAN}, so that it is neither read nor gone on with")
    run = new_run(results, prepared.suite.name) if options.new or not earlier else earlier[-1]
    with locked(run):
        if remote is None:
            summary, view = _done(prepared, executor, options, run, results, console_for, note)
        else:
            with remote.writing(run) as upload:
                summary, view = _done(
                    prepared, executor, options, run, results, lambda total: upload.console(console_for(total)), note
                )
            note(f"{options.results} is complete; the working copy is {run.path}")
    _print_end(summary, run.path / layout.PAGE, console_for(0))
    with during("report"):
        print(render("terminal", stored_summary(view)))
    print(run.path / layout.REPORT)
    print(run.path / layout.PAGE)
    for line in where_trackers_wrote(run, prepared.suite.loggers):
        note(line)
    if summary.done:
        _print_time(view, summary.counted_s, began_s, note)
    return 1 if summary.failed else 0


def _print_time(view: RunView, counted_s: dict[str, float], began_s: float, note: Callable[[str], None]) -> None:
    """Write down how long this command took, and say where the time of the run went."""
    from bench.errors import BenchError, in_one_line
    from bench.records.store import layout
    from bench.records.store.run_times import CommandTime, add_command_time, command_times
    from bench.records.store.runs import utc_now
    from bench.report.run_time import as_sentence, run_time

    took_s = time.monotonic() - began_s
    try:
        took = CommandTime(ended_at=utc_now(), wall_s=took_s, phases_s=dict(PHASES.seconds), counted_s=counted_s)
        add_command_time(view.folder, took)
    except (OSError, BenchError) as error:  # the run is done all the same
        note(
            f"note: {layout.TIMES} cannot be written ({in_one_line(error)}), so that this command is not counted there"
        )
    times = command_times(view.folder)
    if times.damage is not None:
        note(f"note: {times.damage}")
    with contextlib.suppress(BenchError):  # jobs of an earlier version, which did not count
        note(f"{as_sentence(run_time(view, times.commands))} (bench explain --run-time says more)")


def _done(
    prepared: Prepared,
    executor: Executor,
    options: Namespace,
    run: RunFolder,
    results: Path,
    console_for: Callable[[int], RunConsole],
    note: Callable[[str], None],
) -> tuple[Summary, RunView]:
    """Search what is to be searched, and do the jobs that are not done; returns what it came to, and the run."""
    from bench.records.store.invocation import flags_of
    from bench.report import write_report
    from bench.run.planning.prepare import with_measured_before
    from bench.run.runner import Runner, wanted_jobs
    from bench.run.session import RunRecorder, run_cases
    from bench.run.tuning.search import search

    prepared = with_measured_before(prepared, run)
    wanted = wanted_jobs(options.case, tuple(options.kind or ()), prepared.cases)
    recorder = RunRecorder(
        run,
        results,
        prepared.plan,
        prepared.source.read_bytes(),
        prepared.interpreters,
        prepared.suite.loggers,
        flags=tuple(flags_of(options)),
        warn=lambda line: note(f"warning: {line}"),
        write_report=lambda view: write_report(view, run.path),
    )
    failed: tuple[str, ...] = ()
    if prepared.searches:
        recorder.write_plan()
        found, wanted, failed = search(
            prepared, run, results, console_for=console_for, wanted=wanted, executor=executor
        )
        prepared = with_measured_before(found, run)
        recorder = replace(recorder, plan=prepared.plan)
    runner = Runner(prepared.cases, prepared.interpreters, run, results, console_for, wanted, executor)
    summary = run_cases(runner, recorder)
    return replace(summary, failed=(*failed, *summary.failed)), recorder.view()


def _print_end(summary: Summary, page: Path, console: RunConsole) -> None:
    """Say what the run came to."""
    from bench.run.json_console import JsonConsole

    if isinstance(console, JsonConsole):
        failed = list(summary.failed)
        console.finished(done=summary.done, skipped=summary.skipped, failed=failed, report=str(page))
        return
    failures = f", {len(summary.failed)} case{'s' * (len(summary.failed) > 1)} failed" if summary.failed else ""
    console.note(f"{summary.done} jobs done, {summary.skipped} were done already{failures}")


def _check_selection(prepared: Prepared, options: Namespace) -> None:
    from bench.errors import BenchError
    from bench.run.runner import wanted_jobs

    wanted = wanted_jobs(options.case, (), prepared.cases)
    if not any(wanted(plan.predict) for plan in prepared.cases):
        ids = "\n  ".join(plan.case.id for plan in prepared.cases)
        raise BenchError(f"--case {options.case!r} matches no case of {options.suite}. Its cases are:\n  {ids}")
