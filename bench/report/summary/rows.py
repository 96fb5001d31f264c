"""A case in the tables, and how it stands to the best of its data set."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydantic import AliasChoices, Field, JsonValue

from bench.records import Interference, ProfileResult, PromptKind, Recipe, Record, Score
from bench.records.throughput import Loads
from bench.report.summary.audit import Verdict
from bench.report.summary.latency import LatencySummary, Timing
from bench.report.summary.training_progress import TrainingProgress


class ScoreCell(Record):
    """A score with the heading it stands under."""

    label: str
    score: Score


class Row(Record):
    """One case in the tables.

    Attributes:
        case_id, model, dataset, target: Id of the case, and its names in the tables.
        status: `ok`, how its first failed job ended, or `unfinished`.
        parameters, weights_bytes: Number of the network's parameters, and the size of its weights.
        scores: Scores in the order of the suite's metrics; empty until it is scored.
        few_images: Classes that fewer than 10 images, or groups, hold, with how many do.
        latency: Latency of the case; None until it is timed.
        host_rss_peak_bytes: Largest over its timing processes.
        peak_device_bytes: Largest over its timing processes; None on a CPU.
        recipe: Recipe by which this run trained it; None for models that bring their weights.
        trained_s, trained_steps, trained_images: Cost of its training: seconds, steps and images seen.
        trained_data_wait_s: Seconds that the training waited for batches; None = not known.
        course: Progress of the training so far, by its log; None without one.
        scored_only: True if it is not to be timed, by the suite or because it is predictions without a model.
        verdict: Verdict on its timing, or, where it is only scored, on its predictions; None until they are there.
        pareto_optimal: True if no other model of its data set and device is better and as fast; None without score and
            latency, and where the verdict is `invalid`.
        pareto_probability: Share of joint resamples in which it is on that front.
        self_reported: The framework's own scores.
        not_honoured: Recipe fields the framework could not honour.
        fused_stages: Stages the framework cannot separate, each for example `preprocess+infer`.
        threads: Library -> threads in effect while it was timed, read back.
        prompt: Prompt that tells a prompted model each object.
        random_weights: True if a prompted network had no weights but random ones.
        weights_read: Account of what was made of the weights that it started with, see `bench.records.JobFacts`; empty
            where it was trained from random ones, or its adapter tells nothing.
        input_contract: Its preprocessing, and where each part of it comes from; see `bench.records.JobFacts`.
        profile: Its memory, energy and operations; None until they are measured.
        loads: Results under load; None unless that was measured.
        timing_interference, training_interference: Interference of other processes with the jobs that timed and trained
            it.
        origins: Kind of job -> names of the origins of its jobs, see `RunSummary.origins`.
    """

    case_id: str
    model: str
    dataset: str
    target: str
    status: str
    parameters: int | None = None
    weights_bytes: int | None = None
    scores: tuple[ScoreCell, ...] = ()
    few_images: dict[str, int] = {}
    latency: LatencySummary | None = None
    host_rss_peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    recipe: Recipe | None = None
    trained_s: float | None = None
    trained_steps: int | None = None
    trained_images: int | None = None
    trained_data_wait_s: float | None = None
    course: TrainingProgress | None = None
    scored_only: bool = False
    verdict: Verdict | None = None
    # The second names are those of results.json before 0.3.
    pareto_optimal: bool | None = Field(default=None, validation_alias=AliasChoices("pareto_optimal", "on_front"))
    pareto_probability: float | None = Field(
        default=None, validation_alias=AliasChoices("pareto_probability", "front_probability")
    )
    self_reported: dict[str, float] = {}
    not_honoured: dict[str, str] = {}
    fused_stages: tuple[str, ...] = ()
    threads: dict[str, int] = {}
    prompt: PromptKind | None = None
    random_weights: bool = False
    weights_read: dict[str, JsonValue] = {}
    input_contract: dict[str, JsonValue] = {}
    profile: ProfileResult | None = None
    loads: Loads | None = None
    timing_interference: tuple[Interference, ...] = ()
    training_interference: tuple[Interference, ...] = ()
    origins: dict[str, tuple[str, ...]] = {}

    @property
    def headline(self) -> Score | None:
        """The first score of the suite."""
        return self.scores[0].score if self.scores else None

    def timing(self, percent: float = 50.0) -> Timing | None:
        """Return an end-to-end percentile; None where nothing was timed, or the protocol did not ask for it."""
        return self.latency.end_to_end_at(percent) if self.latency else None

    @property
    def comparable_ms(self) -> float | None:
        """End-to-end median per image, None without it and where the verdict forbids its use."""
        timing = self.timing()
        invalid = self.verdict is not None and self.verdict.state == "invalid"
        return None if invalid or timing is None else timing.ms_per_image


class Comparison(Record):
    """A model against the best of its data set, on the same images.

    Attributes:
        dataset: Data set of both.
        best, other: Case ids of the two rows.
        difference, low, high: Headline of the best minus the other's, with the interval of `Pair`.
        p_holm: p-value of that difference after the correction for all pairs of the data set: `Pair.p_holm`.
        significant: True if that p-value is below 5 %: `Pair.significant`.
        slower, slower_low, slower_high: End-to-end median of the other over the best's, with the interval that goes
            with Holm's verdict.
        slower_p_holm: p-value of no difference, after the correction for all comparisons with this best.
        slower_significant: True if it is below 5 %: then the interval leaves out one; None where one
            process gives no interval.
    """

    dataset: str
    best: str
    other: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    significant: bool | None = None
    slower: float | None = None
    slower_low: float | None = None
    slower_high: float | None = None
    slower_p_holm: float | None = None
    slower_significant: bool | None = None


def value_of(row: Row) -> float:
    """Return the headline score of a row that has one."""
    assert row.headline is not None
    assert row.headline.value is not None
    return row.headline.value


def best_cases(rows: Iterable[Row], most: int | None, *, higher_is_better: bool) -> set[str]:
    """Return the ids of the rows with the best headline, `most` of them or all; those without one come last."""
    sign = -1 if higher_is_better else 1

    def key(row: Row) -> float:
        value = row.headline.value if row.headline is not None else None
        return math.inf if value is None else sign * value

    return {row.case_id for row in sorted(rows, key=key)[:most]}
