"""`bench seal`: the hash of every file of a run in one text that can be signed."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "write the hashes of a run's files to a text file, and sign it"
GROUP, ORDER = "compare models", 7


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--suite")
    parser.option("--key", "FILE", "sign with this SSH key (default: only seal)")


def execute(options: Namespace) -> int:
    """Write the seal, and sign it where a key is given."""
    from bench.records.store.runs import locked, open_run
    from bench.run.audit.seal import NAMESPACE, seal

    run = open_run(Path(options.results), options.run, options.suite)
    with locked(run):
        written = seal(run, Path(options.key) if options.key else None)
    for path in written:
        print(path)
    if options.key is None:
        print(f"sign it with: ssh-keygen -Y sign -f KEY -n {NAMESPACE} {written[0]}")
    return 0
