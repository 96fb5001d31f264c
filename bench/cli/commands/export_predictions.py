"""`bench export-predictions`: the predictions of a run as files that other programs read."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.arguments import Namespace, Parser, selected_cases

HELP = "write the predictions of a run as COCO, panoptic, PNG or YOLO files"
GROUP, ORDER = "compare models", 6
FORMATS = ("coco", "panoptic", "png", "yolo")
"""These are those of `bench.data.predictions.writing.formats`, which takes too long to import for `bench --help`."""


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--case")
    parser.add_argument("--format", required=True, choices=FORMATS, help="form of the files")
    parser.option("--out", "DIR", "new or empty folder; one below it for each case", required=True)


def execute(options: Namespace) -> int:
    """Write them, and say what the format could not hold."""
    from bench.data.predictions.writing.export import export_predictions

    for written in export_predictions(selected_cases(options), options.format, Path(options.out)):
        print(f"{written.case_id}: {written.images} images", file=sys.stderr)
        for loss in written.loss:
            print(f"{written.case_id}: {loss}", file=sys.stderr)
        print(written.folder)
    return 0
