"""A run as tidy tables: one row per case, score, class, image, timed sample or logged step, raw numbers, SI units.

`load_run(path)` is also `bench.load_run`. The same tables are what `bench report --as per_image` and the like write.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import BenchError
from bench.metrics import object_f1
from bench.records.store import layout
from bench.records.store.runs import open_run, read_run
from bench.records.store.samples import DECODE, STAGED, STAGES
from bench.records.store.statistics import load_statistics
from bench.records.store.training_log import read_training_log
from bench.records.store.views import CaseView, RunView
from bench.report.csv import inert, row_fields
from bench.report.summary.per_image import CaseImages, images_of_case, median_latencies
from bench.report.summary.stored import stored_summary
from bench.report.summary.summarise import RunSummary, usable_cases

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("cases", "scores", "per_class", "per_image", "objects", "samples", "training", "slices", "robustness")
"""Tables of a run, by the names of the properties below."""

_NAMES = ["case", "model", "dataset", "target"]


@dataclass(frozen=True)
class RunFrames:
    """A run and its tables, each made when it is asked for.

    Every table begins with `case`, `model`, `dataset` and `target`. What is not known is missing (`NaN` or `None`),
    never 0. A run may be half finished, and jobs of it may have failed.

    Attributes:
        run: The run with its files.
    """

    run: RunView

    @cached_property
    def summary(self) -> RunSummary:
        """Everything that the report says."""
        return stored_summary(self.run)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row per case: status, every score with its interval, latencies, memory, verdict; as `results.csv`."""
        import pandas as pd

        return pd.DataFrame([row_fields(row, self.summary.cost) for row in self.summary.rows])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per case, metric and part of it: value, ends of the 95 % interval, images; parts have no interval."""
        return self._frame(self._scores(), ["metric", "part", "value", "low", "high", "images", "undefined_because"])

    def _scores(self) -> Iterator[dict[str, Any]]:
        for row in self.summary.rows:
            for cell in row.scores:
                score, of = cell.score, {"case": row.case_id, "metric": cell.score.metric}
                told = {name: getattr(score, name) for name in ("value", "low", "high", "images", "undefined_because")}
                yield {**of, "part": None, **told}
                for part, value in score.parts.items():
                    yield {**of, "part": part, "value": value, "images": score.images}

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """One row per case, metric and class: `value` between 0 and 1, missing where the class has none."""
        rows = (
            {"case": row.case_id, "metric": cell.score.metric, "class": name, "value": value}
            for row in self.summary.rows
            for cell in row.scores
            for name, value in cell.score.per_class.items()
        )
        return self._frame(rows, ["metric", "class", "value"])

    @cached_property
    def per_image(self) -> pd.DataFrame:
        """One row per case and image: a column for each metric that one image has a value of, and `latency_ms`."""
        found = (
            {"case": case.case_id, "image": list(case.image_ids), **case.scores, "latency_ms": case.latency_ms}
            for case in self._images
        )
        return self._joined(found, ["image", "latency_ms"])

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per timed batch: `replicate`, `clock` (end_to_end or staged), `image` (the first of the batch),
        `total_ms` and each stage of the batch, `device_ms`, `block`, and whether the block was accepted; nothing is
        removed. A batch has `batch_size` images."""
        found = (part for view in usable_cases(self.run).cases for part in _samples(view.case.id, view.samples()))
        return self._joined(found, ["replicate", "clock", "image", "total_ms"])

    @cached_property
    def training(self) -> pd.DataFrame:
        """One row per logged step and validation: `step`, `images`, `train_s`, `loss`, `learning_rate`, and each
        validated value under its name."""
        return self._frame(self._training(), ["event", "step", "images", "train_s", "loss", "learning_rate"])

    def _training(self) -> Iterator[dict[str, Any]]:
        for view in self.run.cases:
            log = read_training_log(view.train.folder / layout.TRAINING_LOG) if view.train is not None else None
            if log is None:
                continue
            logged: list[tuple[str, Any, Any]] = [
                ("step", one, {"loss": one.loss, "learning_rate": one.learning_rate}) for one in log.steps
            ]
            logged += [("validated", one, one.values) for one in log.validations]
            for event, at, values in logged:
                place = {"step": at.step, "images": at.images, "train_s": at.train_s}
                yield {"case": view.case.id, "event": event, **place, **values}

    @cached_property
    def slices(self) -> pd.DataFrame:
        """One row per case and slice: what it is `by`, its `slice`, `images`, the headline's `value`, `latency_ms`."""
        rows = (
            {
                "case": case_id,
                "by": one.by,
                "slice": one.name,
                "slice_images": one.images,
                "value": value,
                "latency_ms": one.latency_ms.get(case_id),
            }
            for table in self.summary.slices
            for one in table.slices
            for case_id, value in one.values.items()
        )
        return self._frame(rows, ["by", "slice", "slice_images", "value", "latency_ms"])

    @cached_property
    def robustness(self) -> pd.DataFrame:
        """One row per case and shift of its images: `family`, `shift`, `severity`, the headline's `value` with its
        interval; severity 0 is the images as they are."""
        rows = (
            {
                "case": one.case_id,
                "family": shift.family,
                "shift": shift.name,
                **shift.model_dump(include={"severity", "value", "low", "high"}),
            }
            for one in self.summary.robustness
            for shift in one.every
        )
        return self._frame(rows, ["family", "shift", "severity", "value", "low", "high"])

    @cached_property
    def objects(self) -> pd.DataFrame:
        """One row per case, image and object: `what` (ground truth or prediction), `class`, `area` in pixels, `score`,
        and `iou` with its match, 0 without one; of suites with a metric such as `object_f1` that matches objects."""
        found = [_objects(view) for view in usable_cases(self.run).cases]
        return self._frame((row for rows in found for row in rows), ["image", "what", "class", "area", "score", "iou"])

    @cached_property
    def _images(self) -> list[CaseImages]:
        views, metrics = usable_cases(self.run).cases, self.run.plan.metrics
        found = [images_of_case(view, metrics, median_latencies(view.samples())) for view in views]
        return [case for case in found if case is not None]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by its name; raises `BenchError` for another than those of `TABLES`."""
        if name not in TABLES:
            raise BenchError(f"no table {name!r}; a run has {', '.join(TABLES)}")
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def _frame(self, rows: Iterator[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
        import pandas as pd

        found = list(rows)
        return self._named(pd.DataFrame(found) if found else pd.DataFrame(columns=["case", *columns]))

    def _joined(self, parts: Iterator[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
        """Return columns of arrays, part after part."""
        import pandas as pd

        found = [pd.DataFrame(part) for part in parts]
        frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["case", *columns])
        return self._named(frame)

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with the columns that name a case in front."""
        names = {
            view.case.id: (view.case.model.label, view.case.dataset.label, view.case.id.rpartition("@")[2])
            for view in self.run.cases
        }
        for place, column in enumerate(_NAMES[1:]):
            frame[column] = [names[case][place] for case in frame["case"]]
        return frame[[*_NAMES, *(name for name in frame.columns if name not in _NAMES)]]


def load_run(path: str | Path | None = None, *, results: str | Path = "results") -> RunFrames:
    """Read a run and return its tables.

    Args:
        path: Folder of a run, its name, or `suite/name`; None takes the newest.
        results: Folder of all results.

    Raises:
        StoreError: If there is no such run, or its plan cannot be read.
    """
    folder = Path(results)
    run = open_run(folder, None if path is None else str(path))
    return RunFrames(read_run(run, folder if run.path.is_relative_to(folder) else None))


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV text: no cell of it is a formula to a spreadsheet."""
    safe = frame.copy()
    for name in safe.columns:
        if safe[name].dtype == object:
            safe[name] = safe[name].map(inert)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def as_parquet(frame: pd.DataFrame) -> bytes:
    """Return a table as the content of a Parquet file; raises `BenchError` without pyarrow."""
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, index=False)
    except ImportError:
        raise BenchError(
            "Parquet needs the package pyarrow; install it with: pip install 'segbench[huggingface]', or name a file "
            "that ends in .csv"
        ) from None
    return buffer.getvalue()


def _objects(view: CaseView) -> Iterator[dict[str, Any]]:
    if view.scores is None or view.statistics is None:
        return
    statistics = load_statistics(view.statistics)
    rows = statistics.arrays.get(object_f1.METRIC.statistic)
    if rows is None:
        return
    for number, found in object_f1.objects(rows, view.task.classes):
        yield {"case": view.case.id, "image": statistics.image_ids[number], **found}


def _samples(case_id: str, replicates: list[Any]) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(replicates):
        columns: dict[str, Any] = {
            "case": case_id,
            "replicate": number,
            "clock": np.where(one.clock == STAGED, "staged", "end_to_end"),
            "image": one.image_ids[one.image_index],
            "batch_size": int(one.batch_size),
            "total_ms": one.total_ns / 1e6,
        }
        staged = one.clock == STAGED
        if one.from_file:
            columns[f"{DECODE}_ms"] = np.where(staged, one.stage_decode_ns / 1e6, np.nan)
        for place, stage in enumerate(STAGES):
            columns[f"{stage}_ms"] = np.where(staged, one.stage_ns[:, place] / 1e6, np.nan)
        columns["device_ms"] = np.where(one.device_ns >= 0, one.device_ns / 1e6, np.nan)
        yield columns | {
            "block": one.block,
            "accepted": one.block_accepted[one.block],
            "foreign_share": one.block_foreign_share[one.block],
            "steal_share": one.block_steal_share[one.block],
            "involuntary_switches": one.involuntary_switches,
            "major_faults": one.major_faults,
        }
