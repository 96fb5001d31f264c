"""`bench env licences`: the packages of an environment with their licences, and their known vulnerabilities."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.env._choice import python_of

HELP = "list packages with licences, and known vulnerabilities by a local database"
ORDER = 6


def add_arguments(parser: Parser) -> None:
    parser.add_argument("adapter", nargs="?", metavar="ADAPTER", help="adapter (default: the interpreter of bench)")
    parser.option("--vulnerabilities", "OSV.json", "OSV entries: a JSON file, a folder, or a ZIP; exit 1 for a match")
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Print one row a package, then one a vulnerability; 1 if there is one."""
    from tabulate import tabulate

    from bench.run.environments.interpreters import inventory, normal_name
    from bench.run.environments.sbom import licences_of
    from bench.run.environments.vulnerabilities import vulnerabilities_of

    found = inventory(python_of(options)[0])
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
        headers, widths = ["package", "version", "vulnerability", "fixed in", "what"], [None] * 4 + [60]
        print(tabulate(table, headers=headers, tablefmt="simple", disable_numparse=True, maxcolwidths=widths))
    return 1 if known else 0
