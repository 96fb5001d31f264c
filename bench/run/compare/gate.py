"""The gate: how much worse each number may get, globally, for a model, a class or a slice of the images.

    mean_iou: -0.5pt            # points of 100; a metric by its name
    end_to_end_p50: +3%         # end_to_end_pNN: a percentile of the latency
    peak_host_mib: +5%
    models:
      unet/transposed: {end_to_end_p50: +10%}     # by label; instead of the global margin
    classes:
      rider: {mean_iou: -2pt}
    slices:
      night: {images: ["night_*"], mean_iou: -1pt}
      rain: {column: weather, value: rain, mean_iou: -1pt}
    table: images.csv           # a row for each image, beside the gate; else the table that the suite names

A margin in points is of a score, one in % relative to the reference. It is how far a number may move for the worse;
a sign is taken as it is meant: `-0.5pt`, `0.5pt` and `+0.5pt` of a score are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from bench.data.formats.documents import read_limited
from bench.data.formats.home import expanded
from bench.errors import BenchError, did_you_mean
from bench.metric import metric_names
from bench.records.damage import content_of
from bench.report.summary.columns import Columns

PEAK = "peak_host_mib"
_LATENCY = re.compile(r"end_to_end_p(\d+(?:\.\d+)?)")
_MARGIN = re.compile(r"\s*[+-]?\s*(\d+(?:\.\d+)?|\.\d+)\s*(pt|%)\s*")


@dataclass(frozen=True)
class Margin:
    """Amount by which a number may get worse: in points of 100 of a score, or relative to the reference."""

    amount: float
    relative: bool

    def of(self, reference: float) -> float:
        """Return the margin in the unit of the number."""
        return self.amount * abs(reference) if self.relative else self.amount

    def __str__(self) -> str:
        """Return it as it is written in a gate."""
        return f"{100 * self.amount:g}{'%' if self.relative else 'pt'}"


USUAL: dict[str, Margin] = {
    "score": Margin(0.005, relative=False),
    "distance": Margin(0.05, relative=True),
    "latency": Margin(0.03, relative=True),
    "memory": Margin(0.05, relative=True),
}
"""Within these two numbers count as the same, where no gate says otherwise; a score with a unit is a distance."""


@dataclass(frozen=True)
class Slice:
    """Some of the images, with margins of their own.

    Attributes:
        images: Patterns of their ids (`*` and `?`); empty where a column tells them.
        margins: Metric -> margin.
        column, value: Column of the table, and what stands there for these images.
    """

    images: tuple[str, ...]
    margins: dict[str, Margin]
    column: str = ""
    value: str = ""

    def chosen(self, image_ids: Sequence[str], columns: Columns) -> list[str]:
        """Return which images are meant; raises `BenchError` if the table has no such column."""
        if not self.column:
            return [i for i in image_ids if any(fnmatchcase(i, pattern) for pattern in self.images)]
        if self.column not in columns:
            raise BenchError(
                f"slices: there is no column {self.column!r}.{did_you_mean(self.column, list(columns))} Columns: "
                f"{', '.join(columns) or 'none; say where the table is: table: FILE.csv'}"
            )
        return [i for i in image_ids if columns[self.column].get(i, "") == self.value]

    def __str__(self) -> str:
        """Return what it is about, in words."""
        if self.column:
            return f"of {self.column} {self.value!r}"
        return f"called {' or '.join(self.images)}"


@dataclass(frozen=True)
class Gate:
    """All margins.

    Attributes:
        margins: Quantity -> margin of all cases.
        models: Label of a model -> quantity -> margin, instead of the global one.
        classes: Name of a class -> metric -> margin.
        slices: Name -> some of the images.
        table: CSV file whose columns the slices name; None leaves it to the suite of the run.
    """

    margins: dict[str, Margin] = field(default_factory=dict)
    models: dict[str, dict[str, Margin]] = field(default_factory=dict)
    classes: dict[str, dict[str, Margin]] = field(default_factory=dict)
    slices: dict[str, Slice] = field(default_factory=dict)
    table: Path | None = None

    def margin(self, quantity: str, model: str) -> Margin | None:
        """Return the margin of a number of a model; None where the gate has none."""
        return self.models.get(model, {}).get(quantity, self.margins.get(quantity))


def kind_of(quantity: str) -> str:
    """`latency`, `memory` or `score`."""
    return "memory" if quantity == PEAK else "latency" if _LATENCY.fullmatch(quantity) else "score"


def percent_of(quantity: str) -> float:
    """Return the percentile that `end_to_end_pNN` names."""
    found = _LATENCY.fullmatch(quantity)
    assert found is not None
    return float(found[1])


def load_gate(path: Path) -> Gate:
    """Read a gate; raises `BenchError` with every usage error in it."""
    try:
        content = read_limited(content_of(path).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BenchError(f"{path} cannot be read as YAML ({error}); see docs/compare.md for a gate to copy") from None
    gate = parsed_gate(content, str(path))
    return gate if gate.table is None else replace(gate, table=path.parent / expanded(str(gate.table)))


def parsed_gate(content: object, where: str) -> Gate:
    """Return the gate of a YAML document; raises as `load_gate`."""
    usage_errors: list[str] = []
    if not isinstance(content, Mapping) or not content:
        raise BenchError(f"{where}: expected lines such as `mean_iou: -0.5pt`, found {_shown(content)}")
    parts = {name: content.get(name) or {} for name in ("models", "classes", "slices")}
    for name, part in parts.items():
        if not isinstance(part, Mapping) or not all(isinstance(entry, Mapping) for entry in part.values()):
            usage_errors.append(f"{name}: expected NAME: {{quantity: margin}}, found {_shown(part)}")
            parts[name] = {}
    gate = Gate(
        margins=_margins({k: v for k, v in content.items() if k not in (*parts, "table")}, "", usage_errors),
        models={str(n): _margins(entry, f"models.{n}.", usage_errors) for n, entry in parts["models"].items()},
        classes={
            str(n): _margins(entry, f"classes.{n}.", usage_errors, scores_only=True)
            for n, entry in parts["classes"].items()
        },
        slices={str(n): _slice(entry, f"slices.{n}.", usage_errors) for n, entry in parts["slices"].items()},
        table=_table(content.get("table"), usage_errors),
    )
    if usage_errors:
        raise BenchError(f"{where}: " + "; ".join(usage_errors))
    return gate


def _table(value: object, usage_errors: list[str]) -> Path | None:
    if value is not None and not isinstance(value, str):
        usage_errors.append(f"table: expected a CSV file, found {_shown(value)}")
        return None
    return None if value is None else Path(value)


def _slice(entry: Mapping[str, Any], where: str, usage_errors: list[str]) -> Slice:
    images = entry.get("images")
    if "column" in entry or "value" in entry:
        return _by_column(entry, where, usage_errors)
    patterns = [images] if isinstance(images, str) else images
    if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) for one in patterns):
        usage_errors.append(
            f"{where}images: expected patterns of image ids such as ['night_*'], found {_shown(images)}"
        )
        patterns = []
    rest = {name: value for name, value in entry.items() if name != "images"}
    return Slice(tuple(patterns), _margins(rest, where, usage_errors, scores_only=True))


def _by_column(entry: Mapping[str, Any], where: str, usage_errors: list[str]) -> Slice:
    column, value = entry.get("column"), entry.get("value")
    if not isinstance(column, str) or not column or value is None or isinstance(value, list | Mapping):
        usage_errors.append(f"{where}column: expected column: NAME and value: TEXT, found {_shown(dict(entry))}")
    if "images" in entry:
        usage_errors.append(f"{where}images: a slice is of images or of a column, not of both")
    rest = {name: margin for name, margin in entry.items() if name not in ("column", "value", "images")}
    return Slice((), _margins(rest, where, usage_errors, scores_only=True), str(column), str(value))


def _margins(
    entry: Mapping[str, Any], where: str, usage_errors: list[str], *, scores_only: bool = False
) -> dict[str, Margin]:
    found = {}
    for name, value in entry.items():
        quantity = str(name)
        usage_error = _unknown(quantity, scores_only=scores_only)
        margin = None if usage_error else _margin(value, quantity)
        if usage_error is None and margin is None:
            unit = (
                "points or per cent, such as -0.5pt or -2%" if kind_of(quantity) == "score" else "per cent, such as +3%"
            )
            usage_error = f"expected a margin in {unit}, found {_shown(value)}"
        if margin is None or usage_error is not None:
            usage_errors.append(f"{where}{quantity}: {usage_error}")
        else:
            found[quantity] = margin
    return found


def _unknown(quantity: str, *, scores_only: bool) -> str | None:
    if kind_of(quantity) != "score":
        return "only scores have classes and slices" if scores_only else None
    metrics = metric_names()
    if quantity.partition("@")[0] in metrics:
        return None
    names = [*metrics, "end_to_end_p50", "end_to_end_p95", PEAK, "models", "classes", "slices", "table"]
    return f"no such quantity.{did_you_mean(quantity, names)} Expected a metric, end_to_end_pNN or {PEAK}"


def _margin(value: object, quantity: str) -> Margin | None:
    found = _MARGIN.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[2] == "pt" and kind_of(quantity) != "score"):
        return None
    return Margin(float(found[1]) / 100, found[2] == "%")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
