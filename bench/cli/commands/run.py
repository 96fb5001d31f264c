"""`bench run`: do what is not done, print the table, write the report."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import (
    add_executor,
    add_interpreters,
    add_selection,
    add_shared,
    executor_of_flags,
    interpreters_of,
)
from bench.measure.phases import PHASES, during

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records.store.layout import RunFolder
    from bench.records.store.views import RunView
    from bench.run.console import RunConsole
    from bench.run.executor import Executor
    from bench.run.json_console import JsonConsole
    from bench.run.planning.prepare import Prepared
    from bench.run.remote.working import RemoteResults
    from bench.run.runner import Summary

HELP = "run a suite; finished jobs are skipped"
GROUP, ORDER = "compare models", 1
RESULTS_AT_URL = True


def add_arguments(parser: ArgumentParser) -> None:
    add_shared(parser, "suite")
    parser.add_argument("--new", action="store_true", help="start a new run instead of resuming the latest")
    add_selection(parser)
    add_shared(parser, "--fresh-interpreters")
    add_executor(parser)
    add_interpreters(parser)
    add_shared(parser, "--rehash", "--accept-code")
    parser.add_argument(
        "--json-progress", action="store_true", help="progress as JSON lines on standard error, for programs"
    )


def execute(options: Namespace) -> int:
    """Do what is not done; 1 if a case failed."""
    began_s = time.monotonic()
    PHASES.seconds.clear()
    with during("plan"):
        from bench.run.planning.code_keys import code_accepted_as
        from bench.run.planning.prepare import prepare

    with code_accepted_as(options.accept_code) as accepted:
        executor = executor_of_flags(options, _note(options))
        try:
            with during("plan"):
                prepared = prepare(Path(options.suite), interpreters_of(options), executor.machine)
            return _carry_out(replace(prepared, accepted_code=accepted), executor, options, began_s)
        finally:
            executor.close()


def _note(options: Namespace) -> Callable[[str], None]:
    """Return what says a line on standard error in the form that was asked for."""
    from rich.console import Console

    from bench.run.console import RunConsole
    from bench.run.json_console import JsonConsole

    return (JsonConsole(sys.stderr, 0) if options.json_progress else RunConsole(Console(stderr=True), 0)).note


def _carry_out(prepared: Prepared, executor: Executor, options: Namespace, began_s: float) -> int:
    from rich.console import Console

    from bench.records.store import layout
    from bench.records.store.runs import locked, new_run, runs
    from bench.report import render
    from bench.report.summary.stored import stored_summary
    from bench.run.console import RunConsole
    from bench.run.json_console import JsonConsole
    from bench.run.loggers import where_trackers_wrote

    machine = JsonConsole(sys.stderr, 0) if options.json_progress else None
    console = Console(stderr=True)
    note = machine.note if machine is not None else RunConsole(console, 0).note
    for line in prepared.notes:
        note(f"note: {line}")
    _check_selection(prepared, options)
    remote = _remote(options, note)
    results = Path(options.results) if remote is None else remote.folder
    if remote is not None and not options.new:
        remote.fetch(prepared.suite.name)
    earlier = runs(results, prepared.suite.name)
    for jobs in sorted((results / prepared.suite.name).glob("*/jobs")):
        if not (jobs.parent / layout.PLAN).exists():
            note(f"note: {jobs.parent} has jobs but no {layout.PLAN}, so that it is neither read nor gone on with")
    run = new_run(results, prepared.suite.name) if options.new or not earlier else earlier[-1]

    def console_for(total: int) -> RunConsole:
        return RunConsole(console, total) if machine is None else JsonConsole(sys.stderr, total)

    with locked(run):
        if remote is None:
            summary, view = _done(prepared, executor, options, run, results, console_for, note)
        else:
            with remote.writing(run) as upload:
                summary, view = _done(
                    prepared, executor, options, run, results, lambda total: upload.console(console_for(total)), note
                )
            note(f"{options.results} is complete; the working copy is {run.path}")
    _print_end(summary, run.path / layout.PAGE, machine, note)
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
        found = search(prepared, run, results, console_for=console_for, wanted=wanted, executor=executor)
        prepared, wanted, failed = with_measured_before(found.prepared, run), found.wanted, found.failed
        recorder = replace(recorder, plan=prepared.plan)
    runner = Runner(prepared, run, results, console_for=console_for, wanted=wanted, executor=executor)
    summary = run_cases(runner, recorder)
    return replace(summary, failed=(*failed, *summary.failed)), recorder.view()


def _remote(options: Namespace, note: Callable[[str], None]) -> RemoteResults | None:
    """Return the results behind a URL; None where `--results` is a folder."""
    from bench.run.remote.stores import is_url
    from bench.run.remote.working import RemoteResults

    return RemoteResults(options.results, note) if is_url(options.results) else None


def _print_end(summary: Summary, page: Path, machine: JsonConsole | None, note: Callable[[str], None]) -> None:
    """Say what the run came to."""
    if machine is not None:
        failed = list(summary.failed)
        machine.finished(done=summary.done, skipped=summary.skipped, failed=failed, report=str(page))
        return
    failures = f", {len(summary.failed)} case{'s' * (len(summary.failed) > 1)} failed" if summary.failed else ""
    note(f"{summary.done} jobs done, {summary.skipped} were done already{failures}")


def _check_selection(prepared: Prepared, options: Namespace) -> None:
    from bench.errors import BenchError
    from bench.run.runner import wanted_jobs

    wanted = wanted_jobs(options.case, (), prepared.cases)
    if not any(wanted(plan.predict) for plan in prepared.cases):
        ids = "\n  ".join(plan.case.id for plan in prepared.cases)
        raise BenchError(f"--case {options.case!r} matches no case of {options.suite}. Its cases are:\n  {ids}")
