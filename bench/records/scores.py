"""One number with its definition and its support."""

from __future__ import annotations

from math import inf

from pydantic import model_validator

from bench.records.base import RECORDS_VERSION, Record, SparseRecord
from bench.records.flag import Flag

_OLD_ORACLE = "best_tau_oracle"


class OracleScore(Record):
    """The score at the threshold that is best for a model, found with the ground truth in hand: an upper bound.

    Attributes:
        tau: Score from which an instance counts.
        value: The metric at that threshold.
    """

    tau: float
    value: float


class Score(SparseRecord):
    """One number with its definition and its support.

    Attributes:
        metric: Name of the metric's module.
        version: Version of the metric's definition.
        value: The number, or None where it is undefined.
        undefined_because: The reason for None.
        low, high: 95 % interval over images or groups; None where it is undefined.
        error: Standard error over images or groups, behind that interval.
        per_class: Class name -> value, None where that class is undefined.
        classes_scored: Number of classes that entered a mean.
        images: Number of images that were scored.
        groups: Number of groups (patients, scenes, films) of these, over which the interval is; None where it is over
            images.
        pixels: Number of pixels that were scored.
        dialects: Named variants of the same quantity, name -> value.
        parts: Companion figures from the same statistics, name -> value: AP50 of an AP, SQ and RQ of a PQ.
        counts: Numbers that are counted beside it, name -> number: objects that were missed, and the like.
        unit: Unit of the value, its parts and dialects: mm, px, objects; None for a share of 0 to 1.
        oracle: The score at the threshold that is best for the model; None where no threshold is chosen.
        taus: Class name -> the probability from which it is called, where thresholds were chosen; `taus_from` says on
            what.
        definition: The definition in one line.
        bounds: The smallest and the largest value that it can take, None = no limit; intervals end there.
        flags: Doubts about the number that its own statistics give, such as detections that were not counted.
    """

    left_out = frozenset({"counts", "unit", "taus", "taus_from"})

    metric: str
    version: int
    value: float | None
    undefined_because: str | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    per_class: dict[str, float | None] = {}
    classes_scored: int | None = None
    images: int
    groups: int | None = None
    pixels: int | None = None
    dialects: dict[str, float | None] = {}
    parts: dict[str, float | None] = {}
    counts: dict[str, int] = {}
    unit: str | None = None
    oracle: OracleScore | None = None
    taus: dict[str, float] = {}
    taus_from: str = ""
    definition: str
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    flags: tuple[Flag, ...] = ()

    def within_bounds(self, value: float) -> float:
        """Return the value, or the bound that it lies beyond."""
        low, high = self.bounds
        return max(value if high is None else min(value, high), -inf if low is None else low)

    @property
    def widest_difference(self) -> float:
        """The largest difference between two values; infinite without limits."""
        low, high = self.bounds
        return inf if low is None or high is None else high - low

    @model_validator(mode="before")
    @classmethod
    def _oracle_was_a_dialect(cls, found: object) -> object:
        """Read records of 0.1, which kept the oracle's score among the dialects and its threshold among the parts."""
        if not isinstance(found, dict):
            return found
        # Behind this validator JSON is no longer told from Python.
        lists = {key: tuple(found[key]) for key in ("bounds", "flags") if isinstance(found.get(key), list)}
        found = {**found, **lists}
        dialects, parts = found.get("dialects"), found.get("parts") or {}
        if not isinstance(dialects, dict) or not isinstance(parts, dict) or _OLD_ORACLE not in dialects:
            return found
        dialects, parts = dict(dialects), dict(parts)
        oracle = {"tau": parts.pop(f"tau_of_{_OLD_ORACLE}", None), "value": dialects.pop(_OLD_ORACLE)}
        return {**found, "dialects": dialects, "parts": parts, "oracle": oracle}


class CaseScores(Record):
    """All scores of one case; `scores/<case>.json`.

    `mapping` is the digest of the table by which predictions became the suite's classes, empty where
    the model predicts these. `statistics_sha256` is that of the file that the scores were computed from,
    `predictions_sha256` that of the index of the predictions; both empty in files of older versions.
    `few_images` are the classes that fewer than 10 images, or groups, truly hold, with how many do. `code` is
    that of the harness which can change a score: path -> first digits of its SHA-256. `groups` is the number of
    patients, scenes or films that the scored images are of, None where the data set knows none; `federated` that of the
    images that were looked through for some classes only.
    """

    records_version: int = RECORDS_VERSION
    case_id: str
    predict_key: str
    scored_at: str
    scores: tuple[Score, ...]
    mapping: str = ""
    statistics_sha256: str = ""
    predictions_sha256: str = ""
    few_images: dict[str, int] = {}
    code: dict[str, str] = {}
    groups: int | None = None
    federated: int = 0
