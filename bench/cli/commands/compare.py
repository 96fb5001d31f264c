"""`bench compare`: runs, cases or stored baselines against each other, with a gate."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of

HELP = "compare runs, cases or a stored baseline, and gate a change"
GROUP, ORDER = "compare models", 4

FORMS = ("terminal", "markdown", "json", "junit")


def add_arguments(parser: Parser) -> None:
    sides = (
        "the reference, then the sides to compare with it: a run (folder or name), RUN:CASE, a baseline (.zip), "
        "or a case of the newest run; a case by its id or the label of its model"
    )
    parser.option("sides", "SIDE", sides, nargs="+")
    gate = "file of allowed margins; exit code 1 if a number is significantly worse than its margin"
    parser.option("--gate", "GATE.yaml", gate)
    parser.switch("--interleave", "first time both sides again on this machine, in alternating processes")
    replicates = "processes per side, with --interleave (default: as in the runs)"
    parser.option("--replicates", "N", replicates, type=int)
    parser.add_argument(
        "--as", dest="form", choices=FORMS, default="terminal", help="form of the output (default: terminal)"
    )
    parser.repeated("--out", "FILE", "also write the comparison to this file, .md, .json or .xml; repeatable")
    parser.option("--save-baseline", "FILE.zip", "store the last side as a baseline, for later comparisons")
    parser.shared("--fresh-interpreters")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Compare; 0 unless the gate fails, then 1."""
    from bench.errors import BenchError
    from bench.records.store.files import write_atomically
    from bench.run.compare.forms import FORMS as WRITERS
    from bench.run.compare.gate import load_gate
    from bench.run.compare.sides import BASELINE_SUFFIX, open_side, save_baseline
    from bench.run.compare.verdicts import compare

    written = {"md": "markdown", "json": "json", "xml": "junit"}
    wrong = [file for file in options.out if Path(file).suffix[1:] not in written]
    if wrong:
        raise BenchError(f"--out {wrong[0]}: expected a name that ends with .md, .json or .xml, which says the form")
    if len(options.sides) < 2 and not options.save_baseline:
        raise BenchError(
            f"{options.sides[0]}: there is nothing to compare it with; name a second side: a run, "
            "RUN:CASE, or a baseline file. To store this one as a baseline: --save-baseline FILE.zip"
        )
    if options.save_baseline and not options.save_baseline.endswith(BASELINE_SUFFIX):
        raise BenchError(f"--save-baseline {options.save_baseline}: expected a name that ends with {BASELINE_SUFFIX}")
    if options.replicates is not None and (not options.interleave or options.replicates < 2):
        raise BenchError(f"--replicates {options.replicates}: goes with --interleave, and takes 2 or more")
    results = Path(options.results)
    gate = load_gate(Path(options.gate)) if options.gate else None
    sides = [open_side(asked, results) for asked in options.sides]
    if options.interleave:
        from rich.console import Console

        from bench.run.compare.interleave import timed_again
        from bench.run.console import RunConsole
        from bench.run.executors.choose import this_machine_only

        console = Console(stderr=True)
        sides = timed_again(
            sides,
            results,
            interpreters_of(options),
            lambda total: RunConsole(console, total),
            executor=this_machine_only(fresh=options.fresh_interpreters),
            replicates=options.replicates,
        )
    if options.save_baseline:
        save_baseline(sides[-1], Path(options.save_baseline))
    if len(sides) < 2:
        print(options.save_baseline)
        return 0
    found = compare(sides[0], sides[1:], gate)
    if not any(one.findings for one in found):
        names = [sorted({case.facts.case_id for case in side.cases}) for side in sides]
        raise BenchError(
            f"{options.sides[0]} and {options.sides[1]} share no case (model, data set and target): "
            f"{', '.join(names[0][:4])} and {', '.join(names[1][:4])}. To compare two models name a case of "
            "each: RUN:CASE"
        )
    gated = gate is not None
    for file in options.out:
        write_atomically(Path(file), WRITERS[written[Path(file).suffix[1:]]](found, gated=gated))
    print(WRITERS[options.form](found, gated=gated).rstrip("\n"))
    return 1 if any(one.regressions for one in found) else 0
