"""`bench audit`: every published number of a run derived once more from raw facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, opened_run, print_progress

if TYPE_CHECKING:
    from bench.records.store.layout import RunFolder

HELP = "recompute every number of a run from its raw results, and list the differences"
GROUP, ORDER = "compare models", 6
RESULTS_AT_URL = True
SHOWN = 20
"""Most differences of a check that are shown."""


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--suite")
    signers = "fail unless one of the signers in this file signed the seal (see ssh-keygen -Y)"
    parser.option("--allowed-signers", "FILE", signers)


def execute(options: Namespace) -> int:
    """Print a row for each check; 1 if anything differs."""
    from tabulate import tabulate

    from bench.errors import BenchError
    from bench.run.audit.checks import Finding, audit_run
    from bench.run.audit.seal import SEAL, seal_differences, signer_of

    run, results = opened_run(options)
    if options.allowed_signers and not (run.path / SEAL).is_file():
        raise BenchError(f"{run.path} is not sealed; seal and sign it with: bench seal {run.path} --key FILE")
    findings = audit_run(run, results, tell=lambda name: print_progress(f"checking {name}"))
    if (run.path / SEAL).is_file():
        findings.append(Finding("files against the seal", *seal_differences(run)))
    if options.allowed_signers:
        try:
            findings.append(Finding(f"signature of {signer_of(run, Path(options.allowed_signers))}", 1))
        except BenchError as error:
            findings.append(Finding("signature", 1, [str(error)]))
    rows = [[found.name, found.compared, len(found.differences) or "none"] for found in findings]
    print(tabulate(rows, headers=["check", "compared", "differences"], tablefmt="simple"))
    for found in findings:
        for line in found.differences[:SHOWN]:
            print(f"{found.name}: {line}")
        if len(found.differences) > SHOWN:
            print(f"{found.name}: and {len(found.differences) - SHOWN} more")
        for line in found.tolerated[:SHOWN]:
            print(f"{found.name}, within its tolerance: {line}")
    differences = sum(len(found.differences) for found in findings)
    if differences and (note := _other_code(run)):
        print(note)
    told = "nothing differs" if not differences else f"{differences} difference{'s' if differences > 1 else ''}"
    print(f"{run.path}: {told}")
    return 1 if differences else 0


def _other_code(run: RunFolder) -> str:
    """Say that a run was made by another state of the code, whose reports may be laid out otherwise; empty if not."""
    from bench.measure.environment import git_state
    from bench.records.names import harness_root
    from bench.records.store import layout
    from bench.records.store.environments import read_environment

    def in_words(git: object) -> str:
        found = git if isinstance(git, dict) else {}
        return f"commit {str(found.get('commit'))[:12]}{' with uncommitted changes' if found.get('dirty') else ''}"

    theirs, here = read_environment(run, run.path / layout.ENVIRONMENT)[0].get("git"), git_state(harness_root())
    if theirs == here and not here["dirty"]:
        return ""
    return f"note: the run was made with {in_words(theirs)}, this is {in_words(here)}; reports differ between versions"
