"""`bench data detect`: what a folder seems to be."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "recognise the format of a folder, and print how to open it"
ORDER = 1


def add_arguments(parser: Parser) -> None:
    parser.option("folder", "DIR", "folder with images and annotations")


def execute(options: Namespace) -> int:
    """Print what fits, best first; 1 if nothing opens."""
    from bench.data.detect import detect, report

    folder = Path(options.folder)
    found = detect(folder)
    print(report(found, folder))
    return 0 if found and not found[0].trouble else 1
