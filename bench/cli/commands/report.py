"""`bench report`: one run in one form."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, opened_run, share
from bench.cli.deprecated import Renamed

if TYPE_CHECKING:
    from bench.records.store.views import RunView
    from bench.report.summary.columns import Columns

HELP = "print the report of a run"
GROUP, ORDER = "compare models", 3
RESULTS_AT_URL = True


def add_arguments(parser: Parser) -> None:
    parser.shared("run", "--case")
    parser.add_argument("--run", dest="old_run", action=Renamed, const="bench report RUN", help=argparse.SUPPRESS)
    parser.shared("--suite")
    form = (
        "markdown, html, latex, csv … (see: bench list reports), or a table of raw facts, as CSV or, into a file "
        "that ends in .parquet, as Parquet: cases, scores, per_class, per_image, samples, training, slices"
    )
    parser.add_argument("--as", "--form", dest="form", default="markdown", metavar="FORM", help=form)
    shown = "contact sheets show objects with at least this score (default: the best one of each model)"
    parser.option("--show-from", "SCORE", shown, type=float)
    slices = "also slice the images by the columns of this table; its column image has their ids or file names"
    parser.option("--slices", "FILE.csv", slices)
    parser.switch("--inline", "html: embed the pictures of images, so that the page is one file")
    plots = "with --out FOLDER: also write plots in this form, for papers; repeatable"
    parser.add_argument("--plots", action="append", default=[], choices=("svg", "pdf"), help=plots)
    parser.option("--out", "PATH", "file to write, or a folder for the whole report with its pictures")


def execute(options: Namespace) -> int:
    """Print or write the report."""
    from bench.errors import BenchError, did_you_mean
    from bench.records.store.files import write_atomically
    from bench.records.store.runs import read_run
    from bench.records.store.selection import with_cases
    from bench.report import render, report_names, write_report
    from bench.report.compact.reading import is_compacted
    from bench.report.frames import TABLES, RunFrames, as_csv, as_parquet
    from bench.report.summary.stored import stored_summary

    if options.run is not None and is_compacted(Path(options.run)):
        return _of_compacted(Path(options.run), options)
    run, results = opened_run(options)
    known = [*report_names(), *TABLES]
    if options.form not in known:
        raise BenchError(
            f"no report form {options.form!r}.{did_you_mean(options.form, known)} Forms: {', '.join(known)}"
        )
    into_folder = bool(options.out) and (Path(options.out).is_dir() or options.out.endswith("/"))
    if options.plots and not into_folder:
        raise BenchError("--plots needs --out FOLDER/, where the plots go")
    view = with_cases(read_run(run, results), options.case)
    columns = _columns(view, options.slices)
    if into_folder:
        shown, out = share(options.show_from, "--show-from"), Path(options.out)
        for path in write_report(view, out, shown, inline=options.inline, columns=columns, plots=options.plots):
            print(path)
        return 0
    if options.form == "html":
        from bench.report.html import text_of, write_html

        if options.out:
            print(write_html(view, stored_summary(view, columns), Path(options.out), inline=options.inline)[0])
        else:
            print(text_of(view, stored_summary(view, columns), inline=options.inline))
        return 0
    content: str | bytes
    if options.form in TABLES:
        frame = RunFrames(view).table(options.form)
        content = as_parquet(frame) if str(options.out or "").endswith(".parquet") else as_csv(frame)
    else:
        content = render(options.form, stored_summary(view, columns))
    if options.out:
        write_atomically(Path(options.out), content)
        print(options.out)
    else:
        assert isinstance(content, str)
        print(content.rstrip("\n"))
    return 0


def _of_compacted(folder: Path, options: Namespace) -> int:
    """Print or write the report of a compacted run: its best cases, or as CSV every one."""
    from contextlib import ExitStack

    from bench.errors import BenchError
    from bench.report.compact.reading import markdown, write_csv

    if options.form not in ("markdown", "csv"):
        raise BenchError(
            f"{folder} is a compacted run, whose report is markdown or csv, not {options.form!r}; the run itself has "
            "the other forms"
        )
    if options.case is not None or options.slices is not None or options.suite is not None:
        raise BenchError(f"{folder} is a compacted run: --case, --slices and --suite go with the run itself")
    with ExitStack() as stack:
        stream = sys.stdout
        if options.out:
            stream = stack.enter_context(Path(options.out).open("w", encoding="utf-8", newline=""))
        if options.form == "csv":
            write_csv(folder, stream)
        else:
            stream.write(markdown(folder))
    if options.out:
        print(options.out)
    return 0


def _columns(view: RunView, file: str | None) -> dict[str, Columns] | None:
    """Columns of the user's table, for the images of every scored case."""
    from bench.records.store.statistics import load_statistics
    from bench.report.summary.columns import read_columns

    if file is None:
        return None
    scored = [one.statistics for one in view.cases if one.statistics is not None]
    ids = dict.fromkeys(image_id for statistics in scored for image_id in load_statistics(statistics).image_ids)
    return {"": dict(read_columns(Path(file), list(ids)))} if ids else None
