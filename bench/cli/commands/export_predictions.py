"""`bench export-predictions`: the predictions of a run as files that other programs read."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import add_shared

HELP = "write the predictions of a run as COCO, panoptic, PNG or YOLO files"
GROUP, ORDER = "compare models", 6
FORMATS = ("coco", "panoptic", "png", "yolo")
"""These are those of `bench.data.predictions.writing`, which takes too long to import for `bench --help`."""


def add_arguments(parser: ArgumentParser) -> None:
    add_shared(parser, "run", "--case")
    parser.add_argument("--format", required=True, choices=FORMATS, help="form of the files")
    parser.add_argument("--out", required=True, metavar="DIR", help="new or empty folder; one below it for each case")


def execute(options: Namespace) -> int:
    """Write them, and say what the format could not hold."""
    from bench.data.predictions.writing.export import export_predictions
    from bench.records.store.runs import open_run, read_run
    from bench.records.store.selection import with_cases

    results = Path(options.results)
    run = with_cases(read_run(open_run(results, options.run), results), options.case)
    for written in export_predictions(run, options.format, Path(options.out)):
        print(f"{written.case_id}: {written.images} images", file=sys.stderr)
        for loss in written.loss:
            print(f"{written.case_id}: {loss}", file=sys.stderr)
        print(written.folder)
    return 0
