"""`bench score`: the stored predictions of a run scored again, or predictions in files without a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

from bench.cli.arguments import add_run_choice
from bench.cli.commands import _scored_files

HELP = "score the predictions of a run again, or files of predictions without a model"
GROUP, ORDER = "compare models", 4


def add_arguments(parser: ArgumentParser) -> None:
    """Add the flags that say which run, and which of its cases; or which files."""
    add_run_choice(parser)
    parser.add_argument("--suite", help="newest run of this suite")
    _scored_files.add_arguments(parser)


def execute(options: Namespace) -> int:
    """Score without a model; 1 if predictions are damaged or could not be scored."""
    if options.predictions:
        return _scored_files.execute(options)
    from rich.console import Console

    from bench.errors import BenchError
    from bench.records.store import layout
    from bench.records.store.runs import locked, open_run, read_plan, read_run
    from bench.records.store.selection import with_cases
    from bench.report import render, write_report
    from bench.report.summary.summarise import summarise
    from bench.score.runs import score_planned_case

    results = Path(options.results)
    run = open_run(results, options.run, options.suite)
    plan = read_plan(run)
    say = partial(Console(stderr=True).print, highlight=False, markup=False, soft_wrap=True)
    failed = False
    with locked(run):
        for case in with_cases(read_run(run, results), options.case).cases:
            if case.predict is None or not case.predict.ok:
                damage = f": {case.predict.damage}" if case.predict is not None and case.predict.damage else ""
                say(f"{case.case.id}: has no predictions, not scored{damage}")
                failed = failed or bool(damage)
                continue
            planned = next(p for p in plan.cases if p.case.id == case.case.id)
            try:
                score_planned_case(run, plan, planned, case.predict.folder / layout.PREDICTIONS, again=True)
            except BenchError as error:
                say(f"{case.case.id}: could not be scored: {error}")
                failed = True
            else:
                say(f"{case.case.id}: scored")
        view = read_run(run, results)
        write_report(view, run.path)
    print(render("terminal", summarise(view)))
    return 1 if failed else 0
