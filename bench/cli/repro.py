"""`bench repro`: cases of a finished run once more, and whether they come out as they did."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tabulate import tabulate

from bench.cli.env import telling
from bench.errors import BenchError
from bench.measure.devices import machine_identity
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import open_run, read_run
from bench.records.store.views import RunView
from bench.run.console import RunConsole
from bench.run.environments.environment import choose_interpreters
from bench.run.environments.installers import Sources
from bench.run.repro.compare import CaseAnswer, RepetitionVerdict, Tolerance, answer_for
from bench.run.repro.differences import Difference
from bench.run.repro.repeat import Repetition, chosen_cases, prepare_repetition, recorded_interpreters, repeat
from bench.run.workers import workers_of


def repro_command(options: Namespace) -> int:
    """`bench repro`: 0 if everything that could be compared was reproduced, else 1."""
    results = Path(options.results)
    record = read_run(open_run(results, options.run), results)
    tolerance = _tolerance(options)
    repetition = _prepared(record, options)
    _print_differences(repetition.differences)
    if options.dry_run:
        return _dry(repetition)
    if not repetition.again:
        return _told(_verdict(repetition, None, tolerance))
    console = Console(stderr=True)
    new = repeat(
        repetition, results, lambda total: RunConsole(console, total), workers_of(fresh=options.fresh_interpreters)
    )
    verdict = _verdict(repetition, new, tolerance)
    write_record(new.folder.path / layout.REPRO, verdict)
    code = _told(verdict)
    print(new.folder.path / layout.REPRO)
    return code


def _prepared(record: RunView, options: Namespace) -> Repetition:
    views = chosen_cases(record, options.case)
    interpreters = choose_interpreters(options.python, options.env, options.envs)
    rebuild = Sources(tuple(options.find_links), options.no_index) if options.rebuild else None

    with telling() as tell:
        interpreters, missing = recorded_interpreters(
            record, views, interpreters, None if options.dry_run else rebuild, tell
        )
    repetition = prepare_repetition(record, views, interpreters, retrain=options.retrain, timing=not options.no_timing)
    return replace(repetition, differences=(*missing, *repetition.differences))


def _tolerance(options: Namespace) -> Tolerance:
    for flag, value in (("--pixels", options.pixels), ("--score", options.score)):
        if not 0 <= value <= 1:
            raise BenchError(f"{flag} {value:g}: expected a share between 0 and 1")
    return Tolerance(changed_pixels=options.pixels, score=options.score)


def _verdict(repetition: Repetition, new: RunView | None, tolerance: Tolerance) -> RepetitionVerdict:
    """An answer for every case that was asked for, in the order of the record."""
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
    if not differences:
        print("nothing differs between the record and here\n")
        return
    rows = [[d.subject, d.recorded, d.here, d.put_back or "cannot be put back from here"] for d in differences]
    headers = ["differs", "recorded", "here", "to put it back"]
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


def _told(verdict: RepetitionVerdict) -> int:
    """Print the answers; returns the exit code."""
    for case in verdict.cases:
        print(f"{case.case_id}: {case.answer}" + (f": {case.reason}" if case.reason else ""))
        for finding in case.findings:
            print(f"  {finding.what:<12} {finding.answer:<19} {finding.reason}")
        if case.weights not in ("", "none"):
            print(f"  weights      {case.weights}")
    return 0 if verdict.reproduced else 1
