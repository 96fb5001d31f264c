"""What each command of `bench data` does. Results go to standard output, progress to standard error."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.data.check import check, report
from bench.data.detect import detect
from bench.data.detect import report as detect_report
from bench.data.export import export
from bench.data.export import report as export_report
from bench.data.info import info
from bench.data.opening import Choice, chosen, opened, wanted_splits
from bench.data.prepare.download import Patience
from bench.data.prepare.prepare import carry_out, counted, introduction, planned
from bench.data.prepare.prepare import report as prepare_report
from bench.data.preview import preview
from bench.data.stats import measure, table
from bench.data.stats import plot as plot_stats
from bench.errors import BenchError
from bench.records.store.files import write_atomically
from bench.records.store.layout import slug
from bench.run.planning.data_checks import remember

FOLDER = "data"
"""Where, below the results, a check or a count remembers what it saw and pictures go by default."""


def data_command(options: Namespace) -> int:
    """`bench data …`."""
    actions = {
        "detect": detect_command,
        "info": info_command,
        "check": check_command,
        "stats": stats_command,
        "preview": preview_command,
        "export": export_command,
        "prepare": prepare_command,
    }
    return actions[options.action](options)


def detect_command(options: Namespace) -> int:
    """`bench data detect`: what a folder seems to be; 1 if nothing opens."""
    folder = Path(options.folder)
    found = detect(folder)
    print(detect_report(found, folder))
    return 0 if found and not found[0].trouble else 1


def info_command(options: Namespace) -> int:
    """`bench data info`: what a data set is and what of it is here."""
    print(info(_choice(options)))
    return 0


def check_command(options: Namespace) -> int:
    """`bench data check`: what is wrong; 1 if anything is."""
    choice = _choice(options)
    dataset = opened(choice)
    splits = wanted_splits(dataset, choice, options.split)
    checked = check(
        choice, dataset, splits, cache=_cache(options), jobs=_positive(options.jobs, "--jobs"), console=_console()
    )
    if sum(checked.counts.values()):
        remember(dataset, [split for split in splits if checked.counts.get(split)], wrong=checked.wrong)
    if checked.remembered:
        total = sum(checked.counts.values())
        print(f"{checked.remembered} of {total} images are as they were when last looked at", file=sys.stderr)
    if options.out:
        write_atomically(Path(options.out), json.dumps(asdict(checked), indent=2, ensure_ascii=False) + "\n")
    print(report(checked, show=options.show))
    return 1 if checked.wrong or (options.strict and checked.findings) else 0


def stats_command(options: Namespace) -> int:
    """`bench data stats`: what is in a data set, as a table and a picture."""
    choice = _choice(options)
    dataset = opened(choice)
    splits = wanted_splits(dataset, choice, options.split)
    counted = measure(
        choice, dataset, splits, cache=_cache(options), jobs=_positive(options.jobs, "--jobs"), console=_console()
    )
    print(table(counted))
    print()
    print(plot_stats(counted, _picture(options, choice, "stats")))
    return 0


def preview_command(options: Namespace) -> int:
    """`bench data preview`: a contact sheet with overlays."""
    choice = _choice(options)
    dataset = opened(choice)
    splits = wanted_splits(dataset, choice, options.split)
    count = _positive(options.images, "--images") or 1
    path = _picture(options, choice, "preview")
    drawn = preview(dataset, splits, path, images=count)
    # Beside the rows there is not always room for the whole id.
    print(f"from the top: {', '.join(f'{one.split}/{one.image_id}' for one in drawn)}", file=sys.stderr)
    print(path)
    return 0


def export_command(options: Namespace) -> int:
    """`bench data export`: the data set in another format."""
    choice = _choice(options)
    written = export(choice, opened(choice), options.form, Path(options.out), rename=options.rename, console=_console())
    print(export_report(written, choice.label))
    return 0


def prepare_command(options: Namespace) -> int:
    """`bench data prepare`: fetch and unpack it; 1 if it has not as many images as published."""
    plan = planned(options.name, Path(options.out), options.part)
    print(f"{introduction(plan)}\n", flush=True)
    plan = carry_out(plan, keep_archives=options.keep_archives, console=_console(), patience=Patience())
    results = counted(plan)
    print(prepare_report(plan, results))
    return 1 if any(result.wrong for result in results) else 0


def _choice(options: Namespace) -> Choice:
    return chosen(options.name, options.set, options.suite, options.dataset)


def _cache(options: Namespace) -> Path:
    return Path(options.cache) if options.cache else Path(options.results) / FOLDER


def _picture(options: Namespace, choice: Choice, kind: str) -> Path:
    """Where a picture goes: `--out`, or a file named after data set and command."""
    if options.out is None:
        return Path(options.results) / FOLDER / f"{slug(choice.label)}-{kind}.png"
    if Path(options.out).suffix.lower() != ".png":
        raise BenchError(f"--out {options.out}: the picture is a PNG; give a name that ends in .png")
    return Path(options.out)


def _console() -> Console:
    return Console(stderr=True)


def _positive(value: int | None, flag: str) -> int | None:
    if value is not None and value < 1:
        raise BenchError(f"{flag} {value}: expected a whole number from 1 upwards")
    return value
