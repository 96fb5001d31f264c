"""`bench repro`: cases of a finished run once more, and whether they come out as they did."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, add_interpreters, add_sources, interpreters_of, search_adapters_of

if TYPE_CHECKING:
    from bench.records.store.views import RunView
    from bench.run.repro.compare import RepetitionVerdict, Tolerance
    from bench.run.repro.differences import Difference
    from bench.run.repro.repeat import Repetition

HELP = "run cases of a finished run again, and compare the results"
GROUP, ORDER = "compare models", 5


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--case")
    parser.add_argument("old_case", nargs="?", help=argparse.SUPPRESS)
    parser.switch("--dry-run", "show what differs and what would run; run nothing")
    parser.switch("--retrain", "train again, instead of taking the weights of the run")
    parser.switch("--no-timing", "do not time again")
    parser.switch("--rebuild", "create missing environments from the locks of the run")
    pixels = "fraction of pixels allowed to change on a GPU (default: 0.001)"
    parser.option("--pixels", "SHARE", pixels, type=float, default=0.001)
    score = "allowed score change on a GPU (default: 0.001)"
    parser.option("--score", "CHANGE", score, type=float, default=0.001)
    add_sources(parser)
    parser.shared("--fresh-interpreters")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Run them again; 0 if everything that could be compared was reproduced, else 1."""
    from rich.console import Console

    from bench.records.store import layout
    from bench.records.store.files import write_record
    from bench.records.store.invocation import flags_of
    from bench.records.store.runs import open_run, read_run
    from bench.run.console import RunConsole
    from bench.run.executors.choose import this_machine_only
    from bench.run.repro.repeat import repeat

    results = Path(options.results)
    record = read_run(open_run(results, options.run), results)
    tolerance = _tolerance(options)
    repetition = _prepared(record, options)
    _print_differences(repetition.differences)
    if options.dry_run:
        return _dry(repetition)
    if not repetition.again:
        return _describe(_verdict(repetition, None, tolerance))
    console = Console(stderr=True)
    executor = this_machine_only(fresh=options.fresh_interpreters)
    new = repeat(repetition, results, lambda total: RunConsole(console, total), executor, flags_of(options))
    verdict = _verdict(repetition, new, tolerance)
    write_record(new.folder.path / layout.REPRO, verdict)
    code = _describe(verdict)
    print(new.folder.path / layout.REPRO)
    return code


def _prepared(record: RunView, options: Namespace) -> Repetition:
    from bench.run.environments.uv import Sources, telling
    from bench.run.repro.repeat import chosen_cases, prepare_repetition, recorded_interpreters

    views = chosen_cases(record, options.case)
    search_adapters_of(record, {view.case.model.adapter for view in views})
    interpreters = interpreters_of(options)
    rebuild = Sources(tuple(options.find_links), options.no_index) if options.rebuild else None
    with telling() as tell:
        interpreters, missing = recorded_interpreters(
            record, views, interpreters, None if options.dry_run else rebuild, tell
        )
    repetition = prepare_repetition(record, views, interpreters, retrain=options.retrain, timing=not options.no_timing)
    return replace(repetition, differences=(*missing, *repetition.differences))


def _tolerance(options: Namespace) -> Tolerance:
    from bench.errors import BenchError
    from bench.run.repro.compare import Tolerance

    for flag, value in (("--pixels", options.pixels), ("--score", options.score)):
        if not 0 <= value <= 1:
            raise BenchError(f"{flag} {value:g}: expected a share between 0 and 1")
    return Tolerance(changed_pixels=options.pixels, score=options.score)


def _verdict(repetition: Repetition, new: RunView | None, tolerance: Tolerance) -> RepetitionVerdict:
    """Return an answer for every case that was asked for, in the order of the record."""
    from bench.measure.devices import machine_identity
    from bench.run.repro.compare import CaseAnswer, RepetitionVerdict, answer_for

    found = {view.case.id: view for view in new.cases} if new is not None else {}
    answers = {}
    machine = machine_identity()
    for one in repetition.again:
        new_view = found[one.view.case.id]
        answer = answer_for(one.view, new_view, tolerance, machine=machine, retrained=one.retrained)
        answers[one.view.case.id] = answer.model_copy(update={"weights": one.weights})
    for case_id, reason in repetition.refused.items():
        answers[case_id] = CaseAnswer(case_id=case_id, answer="cannot be compared", reason=reason)
    ordered = [answers[view.case.id] for view in repetition.record.cases if view.case.id in answers]
    return RepetitionVerdict(
        record=str(repetition.record.folder.path),
        tolerance=tolerance,
        differences=repetition.differences,
        cases=tuple(ordered),
    )


def _print_differences(differences: tuple[Difference, ...]) -> None:
    from tabulate import tabulate

    if not differences:
        print("nothing differs between the record and this machine\n")
        return
    rows = [[d.subject, d.recorded, d.here, d.put_back or "cannot be restored here"] for d in differences]
    headers = ["differs", "recorded", "here", "how to restore it"]
    print(tabulate(rows, headers=headers, tablefmt="simple", maxcolwidths=[34, 44, 44, 44]))
    print()


def _dry(repetition: Repetition) -> int:
    """Say what would run and with which weights; nothing does."""
    for one in repetition.again:
        jobs = ", ".join(dict.fromkeys(job.kind for job in one.plan.jobs))
        print(f"{one.view.case.id}: would run {jobs}; weights: {one.weights}")
    for case_id, reason in repetition.refused.items():
        print(f"{case_id}: cannot be compared: {reason}")
    return 0


def _describe(verdict: RepetitionVerdict) -> int:
    """Print the answers; returns the exit code."""
    for case in verdict.cases:
        print(f"{case.case_id}: {case.answer}" + (f": {case.reason}" if case.reason else ""))
        for finding in case.findings:
            print(f"  {finding.what:<12} {finding.answer:<19} {finding.reason}")
        if case.weights not in ("", "none"):
            print(f"  weights      {case.weights}")
    return 0 if verdict.reproduced else 1
