"""`bench score`: the stored predictions of a run scored again, or predictions in files without a model."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

from bench.cli.arguments import Namespace, Parser, selected_cases
from bench.cli.commands import _scored_files

HELP = "score the predictions of a run again, or files of predictions without a model"
GROUP, ORDER = "compare models", 4


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--case", "--suite")
    dialects = "print what other libraries would have printed from the same counts, and why; nothing is scored again"
    parser.switch("--dialects", dialects)
    _scored_files.add_arguments(parser)


def execute(options: Namespace) -> int:
    """Score without a model; 1 if predictions are damaged or could not be scored."""
    if options.predictions:
        return _scored_files.execute(options)
    if options.dialects:
        return _print_dialects(options)
    from rich.console import Console

    from bench.errors import BenchError
    from bench.records.store import layout
    from bench.records.store.runs import locked, open_run, read_plan, read_run
    from bench.records.store.selection import with_cases
    from bench.report import render, write_report
    from bench.report.summary.stored import stored_summary
    from bench.run.executors.choose import this_machine_only
    from bench.run.scorer import Scorer
    from bench.score.runs import scoring_of

    results = Path(options.results)
    run = open_run(results, options.run, options.suite)
    plan = read_plan(run)
    say = partial(Console(stderr=True).print, highlight=False, markup=False, soft_wrap=True)
    failed = False

    def tell(case_id: str, error: BenchError | None) -> None:
        nonlocal failed
        failed = failed or error is not None
        say(f"{case_id}: scored" if error is None else f"{case_id}: could not be scored: {error}")

    with locked(run), closing(this_machine_only(fresh=True)) as executor:
        cases = with_cases(read_run(run, results), options.case).cases
        scorer = Scorer(executor, len(cases), say)
        for case in cases:
            if case.predict is None or not case.predict.ok:
                damage = f": {case.predict.damage}" if case.predict is not None and case.predict.damage else ""
                say(f"{case.case.id}: has no predictions, not scored{damage}")
                failed = failed or bool(damage)
                continue
            predictions = case.predict.folder / layout.PREDICTIONS
            scoring = scoring_of(run, plan, plan.by_id[case.case.id], predictions, again=True)
            if scoring is not None:
                scorer.add(scoring, partial(tell, case.case.id))
        with closing(scorer):
            scorer.drain()
        view = read_run(run, results)
        write_report(view, run.path)
    print(render("terminal", stored_summary(view)))
    return 1 if failed else 0


def _print_dialects(options: Namespace) -> int:
    """Print a table for each scored case; 1 if none is scored."""
    import shutil
    import textwrap

    from tabulate import tabulate

    from bench.records.store.statistics import load_statistics
    from bench.score.dialects import dialects

    width = max(24, shutil.get_terminal_size((140, 40)).columns - 64)
    printed = False
    for case in selected_cases(options).cases:
        found = dialects(load_statistics(case.statistics), case.task.classes) if case.statistics is not None else []
        if not found:
            continue
        ours = ", ".join(
            f"{one.metric} {'undefined' if one.value is None else f'{one.value:.4f}'}"
            for one in (case.scores.scores if case.scores is not None else ())
        )
        rows = [
            [d.library, d.quantity, "nan" if d.value is None else f"{d.value:.4f}", textwrap.fill(d.why, width)]
            for d in found
        ]
        print(f"{case.case.id}\nours: {ours}\n")
        print(tabulate(rows, headers=["library", "prints", "value", "how"], tablefmt="simple", disable_numparse=True))
        print()
        printed = True
    if not printed:
        print("no case of this run has counts of pixels by class or matches of masks yet")
    return 0 if printed else 1
