"""`bench env licences`: the packages of an environment with their licences, and their known vulnerabilities."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import add_shared

HELP = "list packages with licences, and known vulnerabilities by a local database"
ORDER = 6


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", nargs="?", metavar="ADAPTER", help="adapter (default: the interpreter of bench)")
    parser.add_argument(
        "--vulnerabilities", metavar="OSV.json", help="OSV entries: a JSON file, a folder, or a ZIP; exit 1 for a match"
    )
    add_shared(parser, "--envs")


def execute(options: Namespace) -> int:
    """Print one row a package, then one a vulnerability; 1 if there is one."""
    from tabulate import tabulate

    from bench.run.environments.environment import environments_folder, known_adapter, usable
    from bench.run.environments.interpreters import inventory, normal_name
    from bench.run.environments.sbom import licences_of
    from bench.run.environments.vulnerabilities import vulnerabilities_of

    python = Path(sys.executable)
    if options.adapter is not None:
        python = usable(environments_folder(options.envs), known_adapter(options.adapter)).python
    found = inventory(python)
    rows = []
    for package in sorted(found.packages, key=lambda one: normal_name(one["name"])):
        licences = licences_of(package["expression"], package["licence"], package["classifiers"])
        names = [one.get("expression") or one["license"]["name"] for one in licences]
        rows.append([package["name"], package["version"], "; ".join(names) or "not stated"])
    print(tabulate(rows, headers=["package", "version", "licence"], tablefmt="simple", disable_numparse=True))
    unstated = sum(row[2] == "not stated" for row in rows)
    print(f"\n{len(rows)} packages, {unstated} of them state no licence")
    if options.vulnerabilities is None:
        return 0
    known = vulnerabilities_of(found, Path(options.vulnerabilities))
    print(f"{len(known)} known vulnerabilities by {options.vulnerabilities}")
    if known:
        table = [[v.package, v.version, v.id, ", ".join(v.fixed_in) or "not known", v.summary] for v in known]
        headers = ["package", "version", "vulnerability", "fixed in", "what"]
        print(
            tabulate(table, headers=headers, tablefmt="simple", disable_numparse=True, maxcolwidths=[None] * 4 + [60])
        )
    return 1 if known else 0
