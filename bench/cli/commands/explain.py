"""`bench explain`: a paragraph a model."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "explain where each model's time goes and where its errors lie"
GROUP, ORDER = "compare models", 5


def add_arguments(parser: Parser) -> None:
    parser.shared("run")
    parser.option("model", "MODEL", "only this model, like --case; * and ? allowed", nargs="?")
    parser.shared("--case", "--suite")
    parser.switch("--run-time", "instead: where the wall time of the run itself went")


def execute(options: Namespace) -> int:
    """Print the paragraphs."""
    import textwrap

    from bench.records.store.run_times import command_times
    from bench.records.store.runs import is_run, open_run, read_run
    from bench.records.store.selection import with_cases
    from bench.report.explain import as_text, explain
    from bench.report.facts import facts_of
    from bench.report.run_time import as_sentence, as_table, run_time
    from bench.report.summary.stored import stored_summary

    results, run, model = Path(options.results), options.run, options.model
    if run is not None and model is None and not is_run(results, run):
        run, model = None, run  # `bench explain MODEL`: of the newest run
    whole = read_run(open_run(results, run, options.suite), results)
    if options.run_time:
        times = command_times(whole.folder)
        time = run_time(whole, times.commands)
        print(f"{as_table(time)}\n{whole.folder.path} {as_sentence(time)}")
        if times.damage is not None:
            print(f"note: {times.damage}")
        return 0
    asked = with_cases(whole, options.case or model)
    # Ranks and differences are those of the whole run.
    found = explain(facts_of(asked, stored_summary(whole), most=None), {view.case.id for view in asked.cases})
    for line in as_text(found).split("\n"):
        print(textwrap.fill(line, 110, subsequent_indent="  ", break_on_hyphens=False) if line else "")
    return 0
