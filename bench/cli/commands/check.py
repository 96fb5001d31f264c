"""`bench check`: cases, jobs, and which are done, missing or stale and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of, print_progress, remote_results

if TYPE_CHECKING:
    from bench.records.store.layout import RunFolder
    from bench.records.store.views import JobView
    from bench.run.planning.prepare import Prepared

HELP = "validate a suite and show what would run"
GROUP, ORDER = "compare models", 2
RESULTS_AT_URL = True


def add_arguments(parser: Parser) -> None:
    parser.shared("suite")
    add_interpreters(parser)
    parser.shared("--rehash", "--accept-code")


def execute(options: Namespace) -> int:
    """Print a row for each job; nothing runs and nothing is written."""
    from bench.run.planning.code_keys import code_accepted_as

    with code_accepted_as(options.accept_code):
        return _print_states(options)


def _print_states(options: Namespace) -> int:
    from tabulate import tabulate

    from bench.records.store.runs import runs
    from bench.run.planning.prepare import prepare, with_measured_before
    from bench.run.state import JobState, job_state
    from bench.run.tuning.search import with_best

    prepared = prepare(Path(options.suite), interpreters_of(options))
    told = {note.rstrip(".") for note in prepared.notes}
    of_data = [f"{label}: {note}" for label, notes in prepared.data_notes.items() for note in notes]
    for note in (*prepared.notes, *(note for note in of_data if note not in told)):
        print_progress(f"note: {note}")
    remote = remote_results(options, print_progress)
    results = Path(options.results) if remote is None else remote.folder
    if remote is not None:
        remote.fetch(prepared.suite.name)
    earlier = runs(results, prepared.suite.name)
    run = earlier[-1] if earlier else None
    prepared, without = with_best(prepared, run)
    if run is not None:
        prepared = with_measured_before(prepared, run)
    rows, states, shifted = _searches(prepared, run), Counter[str](), Counter[str]()
    seen: set[str] = set()
    for plan in prepared.cases:
        for job in plan.jobs:
            state = job_state(job, run, results)
            if plan.case.id in without:
                state = JobState("missing", "after its search", None)
            if job.key in seen and plan.case.shift is not None:
                continue
            if job.key in seen:
                rows.append([plan.case.id, job.kind, "shared", f"with {job.model.label}"])
                continue
            seen.add(job.key)
            states[state.name] += 1
            if plan.case.shift is not None and job.kind == "predict":
                shifted[state.name] += 1
                continue
            kind = f"{job.kind} r{job.replicate}" if job.kind == "time" else job.kind
            rows.append([plan.case.id, kind, state.name, state.why])
            if job.kind == "predict" and run is not None and state.view is not None and state.view.ok:
                rows.append([plan.case.id, "score", *_state_of_scores(prepared, run, plan.case.id, state.view)])
    print(tabulate(rows, headers=["case", "job", "state", "why"], tablefmt="simple"))
    print()
    if shifted:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(shifted.items()))
        print(f"and {sum(shifted.values())} predict jobs on shifted images ({listed})\n")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
    where = f"newest run: {run.path}" if run else f"no run in {results}/ yet"
    print(f"{options.suite} is valid: {len(prepared.cases)} cases, {sum(states.values())} jobs ({counts}); {where}")
    return 0


def _searches(prepared: Prepared, run: RunFolder | None) -> list[list[str]]:
    """Return a row for each search: how far it is, and its best trial."""
    from bench.run.tuning.search import over, study_of

    rows = []
    for planned in prepared.searches:
        view = None if run is None else study_of(prepared, planned, run)
        if view is None:
            rows.append([planned.name, "search", "missing", ""])
            continue
        why, best = over(prepared, view), view.best
        told = (
            "" if best is None else f"; best {planned.metric} {best.value or 0.0:.4f} (trial {best.trial.number + 1})"
        )
        rows.append([planned.name, "search", "unfinished" if why is None else "done", f"{view.counts}{told}"])
    return rows


def _state_of_scores(prepared: Prepared, run: RunFolder, case_id: str, predicted: JobView) -> tuple[str, str]:
    """Return whether the next run scores the predictions of a case, and why."""
    from bench.records.store import layout
    from bench.score.runs import why_score_again

    planned = prepared.plan.by_id[case_id]
    why = why_score_again(run, prepared.plan, planned, predicted.folder / layout.PREDICTIONS)
    return ("done", "") if why is None else ("missing", "") if why == "no scores yet" else ("stale", why)
