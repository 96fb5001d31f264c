"""`bench score --predictions`: files of predictions against a data set, by a suite that is written for them and run."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.arguments import Namespace, Parser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

METRICS = {
    "semantic": ["mean_iou", "pixel_accuracy"],
    "instance": ["mask_ap"],
    "panoptic": ["panoptic_quality"],
}
"""Task -> metrics, where none are asked for."""


def add_arguments(parser: Parser) -> None:
    files = parser.add_argument_group("predictions in files, without a model")
    repeated = partial(files.add_argument, action="append", default=[])
    predictions = (
        "folder of label maps, probabilities, panoptic PNGs or YOLO texts, or a JSON of COCO results; repeatable, "
        "to compare"
    )
    repeated("--predictions", metavar="PATH", help=predictions)
    files.add_argument("--dataset", metavar="NAME|DIR", help="data set (see: bench list datasets), or its folder")
    repeated("--set", metavar="KEY=VALUE", help="an option of the data set, in YAML; repeatable")
    option = "how the predictions are read, in YAML, for example --option 'pattern={id}_pred.png'; repeatable"
    repeated("--option", metavar="KEY=VALUE", help=option)
    split = "split of the data set (default: test, else the only one, else val)"
    files.add_argument("--split", metavar="SPLIT", help=split)
    repeated("--metric", metavar="NAME", help="metric to compute; repeatable, the first is the headline")
    files.add_argument("--task", choices=tuple(METRICS), help="task that is scored (default: that of the predictions)")


def execute(options: Namespace) -> int:
    """Write the suite and run it; 2 if the predictions cannot be scored."""
    import yaml

    from bench.cli.commands import run
    from bench.errors import BenchError

    if options.dataset is None:
        raise BenchError("--predictions needs --dataset NAME or DIR, whose ground truth they are scored against")
    if options.run is not None or options.suite is not None:
        raise BenchError("--predictions scores files; leave RUN and --suite out, which choose a run")
    suite = _suite(options)
    path = Path(options.results) / f"{suite['name']}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(suite, sort_keys=False, allow_unicode=True)
    path.write_text(
        f"# Written by bench score --predictions. Run it again with: bench run {path}\n{text}", encoding="utf-8"
    )
    print(f"suite: {path}", file=sys.stderr)
    parser = Parser()
    run.add_arguments(parser)
    running = vars(parser.parse_args([str(path)]))
    code = run.execute(Namespace(**{**vars(options), **running, "case": options.case, "command": "run"}))
    return 2 if code else 0


def _suite(options: Namespace) -> dict[str, Any]:
    """Return the suite, as it would be written by hand."""
    from bench.data.formats.home import expanded
    from bench.data.opening import Choice, opened, parsed_settings
    from bench.data.predictions.reading import kind_of
    from bench.records.store.layout import slug

    dataset, data_options = _dataset(options.dataset, parsed_settings(options.set))
    split = _split(opened(Choice(dataset, dataset, dict(data_options))).splits(), options.split)
    settings = _settings(options.option)
    roots = [expanded(text).absolute() for text in options.predictions]
    labels = [_label(root, roots) for root in roots]
    task = options.task or kind_of({**settings, "root": str(roots[0])})
    return {
        "name": slug(f"predictions {' '.join(labels)}")[:60],
        "title": f"Predictions of {', '.join(labels)} on {dataset}",
        "task": task,
        "models": [
            {"name": "predictions/files", "label": label, "options": {**settings, "root": str(root)}}
            for root, label in zip(roots, labels, strict=True)
        ],
        "datasets": [{"name": dataset, "options": dict(data_options), "test": split}],
        "metrics": options.metric or METRICS[task],
        **({"keep": "probabilities"} if _from_probabilities(options.metric or []) else {}),
        "measurement": "none",
    }


def _from_probabilities(names: list[str]) -> bool:
    """Return whether any of the metrics needs the probabilities that the files hold."""
    from bench.metric import FromProbabilities, load_metric, metric_error

    return any(isinstance(load_metric(name), FromProbabilities) for name in names if metric_error(name) is None)


def _settings(words: list[str]) -> dict[str, JsonValue]:
    """Return options of the predictions; a pattern is taken as it stands, as YAML reads braces as a mapping."""
    from bench.data.formats.home import expanded
    from bench.data.opening import parsed_settings

    patterns = [word for word in words if word.startswith("pattern=")]
    settings = parsed_settings([word for word in words if word not in patterns])
    annotations = settings.get("annotations")
    if isinstance(annotations, str):
        settings["annotations"] = str(expanded(annotations).absolute())
    return {**settings, **({"pattern": patterns[-1].partition("=")[2]} if patterns else {})}


def _dataset(text: str, settings: Mapping[str, JsonValue]) -> tuple[str, dict[str, JsonValue]]:
    """Return the name and options: of a data set by its name, or of a folder by what it is."""
    from bench.data.formats.home import expanded
    from bench.dataset import dataset_names
    from bench.errors import BenchError, did_you_mean

    if text in dataset_names():
        root = settings.get("root")
        return text, {
            **settings,
            **({"root": str(expanded(root).absolute())} if isinstance(root, str) else {}),
        }
    if not expanded(text).is_dir():
        raise BenchError(
            f"--dataset {text}: no data set of this name and no folder.{did_you_mean(text, dataset_names())} List "
            "them with: bench list datasets"
        )
    from bench.data.detect import detect

    found = [one for one in detect(Path(text)) if not one.trouble]
    if not found:
        raise BenchError(f"--dataset {text}: nothing in it opens as a data set; see: bench data detect {text}")
    guess = found[0].guess
    # A folder with one split is scored whole, not divided.
    kept = {key: value for key, value in guess.options.items() if key != "split_by"}
    print(f"data set: {guess.name}, as bench data detect tells it", file=sys.stderr)
    return guess.name, {"root": str(expanded(text).absolute()), **kept, **settings}


def _split(splits: tuple[str, ...], asked: str | None) -> str:
    from bench.errors import BenchError, did_you_mean

    if asked is not None:
        if asked not in splits:
            raise BenchError(
                f"--split {asked}: there is none.{did_you_mean(asked, splits)} It has: {', '.join(splits)}"
            )
        return asked
    found = splits if len(splits) == 1 else [name for name in ("test", "val") if name in splits] or splits
    return found[0]


def _label(root: Path, roots: list[Path]) -> str:
    """Return the shortest end of the path that tells it from the others."""
    name = root.stem if root.suffix else root.name
    twins = [other for other in roots if (other.stem if other.suffix else other.name) == name]
    return name if len(twins) == 1 else f"{root.parent.name}/{name}"
