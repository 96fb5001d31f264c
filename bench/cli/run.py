"""What each command of `bench` does. Results go to standard output, progress and warnings to standard error."""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from collections import Counter
from functools import partial
from pathlib import Path

from rich.console import Console
from tabulate import tabulate

from bench.adapter import adapter_folders
from bench.data.augmentation_preview import preview
from bench.data.info import DATASET_HEADERS, dataset_rows
from bench.errors import BenchError
from bench.logger import logger_names
from bench.metric import load_metric, metric_names
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.invocation import flags_of
from bench.records.store.runs import locked, new_run, open_run, read_plan, read_run, runs
from bench.records.store.selection import with_cases
from bench.report import render, report_names, write_report
from bench.report.summary.summarise import summarise
from bench.run.console import RunConsole
from bench.run.doctor.checks import examine, is_fit
from bench.run.doctor.lines import as_lines, without_datasets
from bench.run.environments.environment import choose_interpreters
from bench.run.environments.interpreters import Interpreters
from bench.run.loggers import check_loggers, where_trackers_wrote
from bench.run.planning.prepare import Prepared, prepare
from bench.run.runner import Runner, wanted_jobs
from bench.run.session import RunRecorder, run_cases
from bench.run.state import job_state
from bench.run.workers import workers_of
from bench.score.runs import score_planned_case
from bench.suite.model_configs import model_config_files, read_model_config
from bench.suite.schema import Suite

WIDTHS: dict[str | tuple[str, str], int] = {
    "description": 90,
    "definition": 90,
    ("datasets", "label types"): 18,
    ("datasets", "terms"): 40,
    ("datasets", "description"): 50,
}
"""Widest column of a list, in characters, by header or by list and header."""
EXIT_FAILED_CASE = 1


def run_command(options: Namespace) -> int:
    """`bench run`: do what is not done, print the table, write the report."""
    prepared = prepare(Path(options.suite), _interpreters(options))
    check_loggers(prepared.suite.loggers, prepared.source)
    for note in prepared.notes:
        print(f"note: {note}", file=sys.stderr)
    _check_selection(prepared, options)
    results = Path(options.results)
    earlier = runs(results, prepared.suite.name)
    run = new_run(results, prepared.suite.name) if options.new or not earlier else earlier[-1]
    console = Console(stderr=True)
    recorder = RunRecorder(
        run,
        results,
        prepared.plan,
        prepared.source.read_bytes(),
        prepared.interpreters,
        prepared.suite.loggers,
        flags=tuple(flags_of(options)),
        warn=lambda line: console.print(f"warning: {line}", highlight=False, markup=False, soft_wrap=True),
        write_report=lambda view: write_report(view, run.path),
    )
    with locked(run):
        runner = Runner(
            prepared,
            run,
            results,
            narrator_for=lambda total: RunConsole(console, total),
            wanted=wanted_jobs(options.case, tuple(options.kind or ())),
            workers=workers_of(fresh=options.fresh_interpreters),
        )
        summary = run_cases(runner, recorder)
        view = recorder.view()
    console.print(
        f"{summary.done} jobs done, {summary.skipped} were done already"
        + (f", {len(summary.failed)} cases failed" if summary.failed else ""),
        highlight=False,
    )
    print(render("terminal", summarise(view)))
    print(run.path / layout.REPORT)
    for line in where_trackers_wrote(run, prepared.suite.loggers):
        print(line, file=sys.stderr)
    return 1 if summary.failed else 0


def _check_selection(prepared: Prepared, options: Namespace) -> None:
    wanted = wanted_jobs(options.case, ())
    if not any(wanted(plan.predict) for plan in prepared.cases):
        ids = "\n  ".join(plan.case.id for plan in prepared.cases)
        raise BenchError(f"--case {options.case!r} matches no case of {options.suite}. Its cases are:\n  {ids}")


def _interpreters(options: Namespace) -> Interpreters:
    return choose_interpreters(options.python, options.env, options.envs)


def check_command(options: Namespace) -> int:
    """`bench check`: cases, jobs, and which are done, missing or stale and why."""
    prepared = prepare(Path(options.suite), _interpreters(options))
    check_loggers(prepared.suite.loggers, prepared.source)
    for note in prepared.notes:
        print(f"note: {note}", file=sys.stderr)
    results = Path(options.results)
    earlier = runs(results, prepared.suite.name)
    run = earlier[-1] if earlier else None
    rows, states = [], Counter[str]()
    seen: set[str] = set()
    for plan in prepared.cases:
        for job in plan.jobs:
            state = job_state(job, run, results)
            if job.key in seen:
                rows.append([plan.case.id, job.kind, "shared", f"with {job.model.label}"])
                continue
            seen.add(job.key)
            states[state.name] += 1
            kind = f"{job.kind} r{job.replicate}" if job.kind == "time" else job.kind
            rows.append([plan.case.id, kind, state.name, state.why])
    print(tabulate(rows, headers=["case", "job", "state", "why"], tablefmt="simple"))
    print()
    counts = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
    where = f"newest run: {run.path}" if run else f"no run in {results}/ yet"
    print(f"{options.suite} is valid: {len(prepared.cases)} cases, {sum(states.values())} jobs ({counts}); {where}")
    return 0


def preview_command(options: Namespace) -> int:
    """`bench preview`: what the suite's recipes make of its training images, as pictures."""
    prepared = prepare(Path(options.suite), _interpreters(options))
    for sheet in preview(prepared, Path(options.out), images=options.images):
        if not sheet.changes:
            print(f"{sheet.path}: 'flip' is off and 'augmentation' is empty: all copies are alike", file=sys.stderr)
        print(f"{sheet.path.name} is how these are trained: {', '.join(sheet.models)}", file=sys.stderr)
        print(sheet.path)
    return 0


def report_command(options: Namespace) -> int:
    """`bench report`: one run in one form."""
    run = open_run(Path(options.results), options.run, options.suite)
    if options.form not in report_names():
        from bench.errors import did_you_mean

        raise BenchError(
            f"no report form {options.form!r}.{did_you_mean(options.form, report_names())} "
            f"Forms: {', '.join(report_names())}"
        )
    view = with_cases(read_run(run, Path(options.results)), options.case)
    if options.out and (Path(options.out).is_dir() or options.out.endswith("/")):
        for path in write_report(view, Path(options.out)):
            print(path)
        return 0
    text = render(options.form, summarise(view))
    if options.out:
        write_atomically(Path(options.out), text)
        print(options.out)
    else:
        print(text.rstrip("\n"))
    return 0


def score_command(options: Namespace) -> int:
    """`bench score`: the stored predictions of a run, scored again, and its report written anew."""
    results = Path(options.results)
    run = open_run(results, options.run, options.suite)
    plan = read_plan(run)
    console = Console(stderr=True)
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
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
    return EXIT_FAILED_CASE if failed else 0


def list_command(options: Namespace) -> int:
    """`bench list`: names a suite can use, one line each."""
    headers, rows = _listing(options.what)
    if options.form == "markdown":
        cells = [[f"`{row[0]}`", *(cell.replace("|", "\\|") for cell in row[1:])] for row in rows]
        print(tabulate(cells, headers=headers, tablefmt="github"))
    else:
        width = [WIDTHS.get((options.what, header), WIDTHS.get(header)) for header in headers]
        print(tabulate(rows, headers=headers, tablefmt="simple", maxcolwidths=width))
    return 0


def _listing(what: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of what a suite can name, names first."""
    if what == "models":
        cards = [(name, read_model_config(name)) for name in model_config_files()]
        return ["model", "task", "description"], [[name, card.task, card.description] for name, card in cards]
    if what == "metrics":
        metrics = [load_metric(name) for name in metric_names()]
        return ["metric", "label", "tasks", "definition"], [
            [m.name, m.label, ", ".join(m.tasks), m.definition] for m in metrics
        ]
    if what == "datasets":
        return list(DATASET_HEADERS), dataset_rows()
    if what == "adapters":
        return ["adapter", "folder"], [[name, str(folder)] for name, folder in adapter_folders().items()]
    if what == "loggers":
        return ["logger", "description"], [
            [name, _first_line(f"bench.report.loggers.{name}")] for name in logger_names()
        ]
    return ["report"], [[name] for name in report_names()]


def _first_line(module: str) -> str:
    return (importlib.import_module(module).__doc__ or "").strip().splitlines()[0]


def data_command(options: Namespace) -> int:
    """`bench data …`: see `data_commands.py`."""
    from bench.cli import data as data_commands

    return data_commands.data_command(options)


def predict_command(options: Namespace) -> int:
    """`bench predict`: see `predict_command.py`."""
    from bench.cli import predict as command

    return command.predict_command(options)


def env_command(options: Namespace) -> int:
    """`bench env …`: see `env_commands.py`."""
    from bench.cli import env as env_commands

    return env_commands.env_command(options)


def repro_command(options: Namespace) -> int:
    """`bench repro`: see `repro_command.py`."""
    from bench.cli import repro as command

    return command.repro_command(options)


def schema_command(options: Namespace) -> int:
    """`bench schema`: JSON Schema of a suite."""
    print(suite_schema(), end="")
    return 0


def suite_schema() -> str:
    """The JSON Schema of a suite as text; `suites/suite.schema.json` holds the same."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def doctor_command(options: Namespace) -> int:
    """`bench doctor`: what is ready, what is missing, and the command that fixes it."""
    findings = examine(_interpreters(options), Path(options.results))
    shown = findings if options.data else without_datasets(findings)
    print("\n".join(as_lines(shown)))
    sys.stdout.flush()
    return 1 if options.strict and not is_fit(findings) else 0
