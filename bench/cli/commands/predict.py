"""`bench predict`: masks, overlays and JSON of images that belong to no data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of, positive, share
from bench.cli.deprecated import Renamed

if TYPE_CHECKING:
    from bench.run.predict.carry_out import Predicted
    from bench.run.predict.models import Predictor

HELP = "predict your own images, and write masks and overlays"
GROUP, ORDER = "your data", 3


def add_arguments(parser: Parser) -> None:
    words = (
        "a model (see: bench list models) or a run, and images: folders, files, 'globs', .txt lists, videos; "
        "with --case alone the newest run"
    )
    parser.option("words", "[MODEL|RUN] IMAGE", words, nargs="+")
    parser.option("--out", "DIR", "folder for masks, overlays and predictions.json", required=True)
    renamed = "bench predict RUN --case PATTERN IMAGE …"
    parser.add_argument("--run", action=Renamed, const=renamed, help=argparse.SUPPRESS)
    parser.shared("--case")
    parser.option("--weights", "PATH", "weights file; segbench's own files carry class names")
    parser.option("--classes", "FILE.yaml", "class names for other weights, in output order")
    parser.option("--threshold", "T", "threshold for sigmoid heads, 0 to 1", type=float)
    parser.repeated("--set", "KEY=VALUE", "an option of the model, in YAML; repeatable")
    parser.option("--device", "DEVICE", "auto, cpu, cuda, cuda:1 (default: auto, or the case's)")
    precision = "arithmetic (default: fp32, or the case's)"
    parser.add_argument("--precision", choices=("fp32", "tf32", "fp16", "bf16"), help=precision)
    parser.option("--batch-size", "N", "images per batch (default: 1, or the case's)", type=int)
    image_size = "size of the network's input (default: each image's own, or the case's)"
    parser.option("--image-size", "H,W", image_size)
    values = (
        "values of 16-bit or floating-point images that become 0 and 255, for example 0,4095 (default: the "
        "case's, else 0,65535 where the values reach it)"
    )
    parser.option("--range", "LOW,HIGH", values)
    parser.option("--every", "N", "process every Nth video frame (default: 1)", type=int, default=1)
    parser.add_argument("--overlay", choices=("jpg", "png"), default="jpg", help="form of overlays (default: jpg)")
    shown = "overlays show the objects with at least this score (default: 0.5); the JSON has all"
    parser.option("--show-from", "SCORE", shown, type=float, default=0.5)
    parser.switch("--overwrite", "predict images again that are predicted already")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Predict what is not done; 0 if all could be read and predicted, else 1."""
    from bench.errors import BenchError
    from bench.run.predict.carry_out import Writing, predict_files
    from bench.run.predict.inputs import absolute

    predictor, words = _predictor(options)
    interpreters = interpreters_of(options)
    out = absolute(Path(options.out))
    if out.exists() and not out.is_dir():
        raise BenchError(f"--out {options.out} is a file; name a folder for masks and overlays")
    positive(options.every, "--every")
    share(options.show_from, "--show-from")
    writing = Writing(out, options.overlay, options.show_from, options.every, options.overwrite)
    return _describe(predict_files(predictor, words, interpreters, writing), out, options.show_from)


def _predictor(options: Namespace) -> tuple[Predictor, list[str]]:
    """Return the model and the words that name images: the first word is the model unless a run is given."""
    from bench.data.opening import parsed_settings
    from bench.errors import BenchError
    from bench.records.store.runs import is_run
    from bench.run.predict.models import Overrides, from_model_config, from_run

    settings = parsed_settings(options.set)
    if options.threshold is not None:
        if not 0 < options.threshold < 1:
            raise BenchError(f"--threshold {options.threshold:g}: expected a number between 0 and 1")
        settings["threshold"] = options.threshold
    positive(options.batch_size, "--batch-size")
    overrides = Overrides(
        weights=options.weights,
        classes=options.classes,
        options=settings,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        image_size=options.image_size,
        range=options.range,
    )
    words = list(options.words)
    results, run = Path(options.results), options.run
    if run is None and is_run(results, words[0]):
        run, words = words[0], words[1:]
    if run is not None or options.case is not None:
        if not words:
            raise BenchError("no images given; name folders, files, 'globs', .txt lists or videos after the run")
        return from_run(results, run, options.case, overrides), words
    return from_model_config(words[0], overrides), words[1:]


def _describe(predicted: Predicted, out: Path, show_from: float) -> int:
    """Say what was done and what was not; returns the exit code."""
    from bench.errors import BenchError, few
    from bench.records import Status
    from bench.records.store import layout
    from bench.run.predict.manifest import FILE, WORK, medians

    items, skipped, manifest, outcome = predicted.items, predicted.skipped, predicted.manifest, predicted.outcome
    if outcome is not None and outcome.status is not Status.OK:
        written = sum(manifest.done(item) for item in items)
        kept = f" {written} of {len(items)} are done; the same command goes on from there." if written else ""
        if outcome.status in (Status.UNSUPPORTED, Status.ENVIRONMENT_ERROR, Status.USAGE_ERROR):
            manifest.withdraw()
            raise BenchError(f"{outcome.reason}{kept}")
        print(f"bench predict: {outcome.status.value}: {outcome.reason}{kept}", file=sys.stderr)
        print(f"bench predict: more in {out / WORK / layout.WORKER_LOG}", file=sys.stderr)
        return 1
    rows = [manifest.rows[item.source] for item in items]
    unreadable = [row for row in rows if row["status"] == "unreadable"]
    missing = [item.source for item in items if not manifest.done(item)]
    lost = [source for source in missing if manifest.rows[source]["status"] != "unreadable"]
    done = len(items) - len(unreadable) - len(lost)
    print(f"{done} of {len(items)} predicted" + (f", {skipped} of them by an earlier call" if skipped else ""))
    timings = "   ".join(f"{stage} {value:.1f}" for stage, value in medians(rows).items())
    if timings:
        print(f"ms per image, median, without warm-up: {timings}")
    _print_shown(rows, show_from)
    for row in rows:
        if row.get("note"):
            print(f"note: {row['note']}", file=sys.stderr)
    for row in unreadable:
        print(f"unreadable: {row['reason']}", file=sys.stderr)
    if lost:
        print(f"not predicted, or their files are gone: {few(lost)}; the same command predicts them", file=sys.stderr)
    print(out / FILE)
    return 1 if unreadable or lost else 0


def _print_shown(rows: list[dict[str, Any]], show_from: float) -> None:
    """Say how many objects are in the overlays; nothing of models that give no scores."""
    found = [row["found"] for row in rows if "objects_shown" in row.get("found", {})]
    if found:
        shown, of = sum(one["objects_shown"] for one in found), sum(sum(one["objects"].values()) for one in found)
        others = "; --show-from SCORE draws from another score" if shown < of else ""
        print(f"{shown} of {of} objects have a score of {show_from:g} or more and are drawn; the JSON has all{others}")
