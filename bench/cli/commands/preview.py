"""`bench preview`: what the suite's recipes make of its training images, as pictures."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of

HELP = "draw a suite's training images as its recipes augment them"
GROUP, ORDER = "your data", 2


def add_arguments(parser: Parser) -> None:
    parser.shared("suite")
    parser.option("--out", "DIR", "folder for the contact sheets", required=True)
    parser.option("--images", "N", "images a sheet (default: 4)", type=int, default=4)
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Draw a sheet for each way of training; their paths are the answer."""
    from bench.data.augmentation_preview import preview
    from bench.run.planning.prepare import prepare

    prepared = prepare(Path(options.suite), interpreters_of(options))
    for sheet in preview(prepared, Path(options.out), images=options.images):
        if not sheet.changes:
            nothing = "'flip' is off and 'augmentation' changes nothing: all copies are alike"
            print(f"{sheet.path}: {nothing}", file=sys.stderr)
        print(f"{sheet.path.name} is how these are trained: {', '.join(sheet.models)}", file=sys.stderr)
        print(sheet.path)
    return 0
