"""Measures how often intervals and verdicts are right, on simulated latencies and scores whose true values are known.

    python -m tests.benchmarks.bench_intervals [latency] [drift] [scores] [groups] [comparisons] [--trials N]
        [--into docs/statistics.md] [--only TEXT]

Prints the tables of docs/statistics.md, in Markdown, and writes rows of scores into that page as they are computed. A
share of N trials has a standard error of at most 0.5 / sqrt(N).

Latencies: each process has a median of its own (log-normal, standard deviation as in the first column), its samples
vary by 2 % and resemble their neighbours (autocorrelation 0.5). All rows have the same number of samples in total.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.holm import holm
from bench.score.stats.pareto import pareto_probability
from bench.score.stats.processes import (
    as_ratio,
    compare_processes,
    latency_draws,
    latency_interval,
    processes_to_find,
)
from bench.score.stats.student import LEVEL
from bench.score.stats.trend import drift
from tests.benchmarks.simulated_scores import METRICS, Scene, called_different, covered, covered_in_groups, ground_truth

SPREADS = (0.0, 0.005, 0.01, 0.03)
"""Standard deviations between processes, relative."""
WITHIN = 0.02
TOTAL = 600
"""Samples of all processes of a model together."""
TRUE_MS = 10.0


def processes(
    random: np.random.Generator, count: int, spread: float, *, slower: float = 0.0, total: int = TOTAL
) -> list[NDArray[np.float64]]:
    """Simulate the samples of the processes of one model, ms."""
    offsets = random.normal(0, spread, count)
    noise = autocorrelated(random, count, total // count, 0.5) * WITHIN
    return list(TRUE_MS * (1 + slower) * np.exp(offsets[:, None] + noise))


def autocorrelated(random: np.random.Generator, series: int, length: int, phi: float) -> NDArray[np.float64]:
    """Return stationary AR(1) series of variance 1, shape (series, length)."""
    steps = random.normal(0, sqrt(1 - phi * phi), (series, length))
    steps[:, 0] /= sqrt(1 - phi * phi)
    for k in range(1, length):
        steps[:, k] += phi * steps[:, k - 1]
    return steps


@dataclass(frozen=True)
class LatencyRates:
    """Shares of trials.

    Attributes:
        p50, p95: In which the interval covers the percentile of all requests.
        ratio: In which the interval of a ratio covers the true one, 1.05.
        same: In which two equal models are called different.
        misled: In which the probability to be Pareto-optimal of one of two equal models is below 5 or above 95 %.
        found: In which a model that is 5 % slower is called slower.
    """

    p50: float
    p95: float
    ratio: float
    same: float
    misled: float
    found: float


def latency_rates(count: int, spread: float, trials: int, *, seed: int = 0) -> LatencyRates:
    """Simulate `trials` pairs of models with so many processes each."""
    random = np.random.default_rng(seed)
    rows = [tuple(_latency_trial(random, count, spread, trial)) for trial in range(trials)]
    return LatencyRates(*np.mean(rows, axis=0))


def _latency_trial(random: np.random.Generator, count: int, spread: float, trial: int) -> Iterator[bool]:
    a, b, slow = (processes(random, count, spread, slower=slower) for slower in (0.0, 0.0, 0.05))
    p95 = TRUE_MS * exp(1.6448536 * sqrt(spread**2 + WITHIN**2))
    for percent, true in ((50.0, TRUE_MS), (95.0, p95)):
        low, high = latency_interval(a, percent, seed=trial)
        yield low <= true <= high
    equal, slower = compare_processes(b, a), compare_processes(slow, a)
    assert equal is not None
    assert slower is not None
    ratio = as_ratio(slower)
    yield ratio.low <= 1.05 <= ratio.high
    yield equal.p < LEVEL
    draws = np.stack([latency_draws(one, 50.0, seed=2 * trial + k) for k, one in enumerate((a, b))])
    on_front = pareto_probability(np.zeros_like(draws), draws)
    yield bool(on_front[0] < 0.05 or on_front[0] > 0.95)
    yield slower.p < LEVEL and slower.value > 0


def print_latency(trials: int) -> None:
    """Print coverage, errors and power by number of processes and their spread."""
    heads = (
        "processes",
        "differ by",
        "p50 covered",
        "p95 covered",
        "ratio covered",
        "A against A",
        "misled",
        "5 % found",
    )
    print("| " + " | ".join(heads) + " |")
    print("|---|---|---|---|---|---|---|---|")
    for count in (3, 4, 6, 10):
        for spread in SPREADS:
            rates = latency_rates(count, spread, trials)
            shares = (rates.p50, rates.p95, rates.ratio, rates.same, rates.misled, rates.found)
            print(f"| {count} | {100 * spread:g} % | " + " | ".join(f"{100 * s:.1f} %" for s in shares) + " |")


def drift_rate(phi: float, length: int, change: float, trials: int, *, seed: int = 0, within: float = 0.02) -> float:
    """Share of series with this autocorrelation and relative change whose trend is called one that matters."""
    random = np.random.default_rng(seed)
    series = TRUE_MS * np.exp(within * autocorrelated(random, trials, length, phi) + np.linspace(0, change, length))
    found = [drift(values) for values in series]
    return float(np.mean([one is not None and one.matters for one in found]))


def print_drift(trials: int) -> None:
    """Print how often a trend is seen, without and with one."""
    print("| samples | autocorrelation | no drift | 5 % | 10 % |")
    print("|---|---|---|---|---|")
    for length in (100, 500, 2000):
        for phi in (0.0, 0.5, 0.9, 0.95, 0.99):
            shares = [drift_rate(phi, length, change, trials) for change in (0.0, 0.05, 0.1)]
            print(f"| {length} | {phi:g} | " + " | ".join(f"{100 * s:.1f} %" for s in shares) + " |")


KINDS = ("8 common", "19 with rare", "150 long-tailed")
AP_COST = 3000
"""Images times classes from which average precision gets fewer trials: each leaves out every image of every class."""


def print_scores(trials: int, into: Path | None = None, only: str = "") -> None:
    """Print coverage and errors of scores by classes, images and metric.

    Args:
        trials: Trials of each cell; of AP fewer, which the first column says.
        into: Page whose table of the same heading gets each row as soon as it is there.
        only: Text that the names of the rows hold, such as `19 with rare | 500`; empty for all.
    """
    heads = ["classes", "images", "trials (AP)", *METRICS]
    head = "| " + " | ".join(heads) + " |"
    print(f"{head}\n" + "|---" * len(heads) + "|")
    for number, kind in enumerate(KINDS):
        scene = Scene.of(kind, np.random.default_rng(0))
        for images in (30, 100, 500):
            if only not in f"{kind} | {images}":
                continue
            random = np.random.default_rng([number, images])
            few = min(trials, max(20, trials * AP_COST // (images * len(scene.present))))
            cells = [_scores_cell(name, scene, images, few if name == "AP" else trials, random) for name in METRICS]
            row = [kind, str(images), f"{trials} ({few})", *cells]
            print("| " + " | ".join(row) + " |", flush=True)
            if into is not None:
                into.write_text(with_row(into.read_text(encoding="utf-8"), head, row), encoding="utf-8")


def _scores_cell(name: str, scene: Scene, images: int, trials: int, random: np.random.Generator) -> str:
    true = ground_truth(name, scene, random)
    covers = [covered(name, scene, images, true, random)[0] for _ in range(trials)]
    wrong = [called_different(name, scene, images, random) for _ in range(trials)]
    return f"{100 * np.mean(covers):.0f} % ({100 * np.mean(wrong):.1f} %)"


def with_row(page: str, head: str, row: Sequence[str]) -> str:
    """Return a page whose table of this heading has a row, in the place of the one that begins alike, or at its end.

    >>> with_row("| a | b | c |\\n|---|---|---|\\n| 1 | 2 | 3 |\\nend", "| a | b | c |", ["1", "2", "4"])
    '| a | b | c |\\n|---|---|---|\\n| 1 | 2 | 4 |\\nend'
    """
    lines = page.split("\n")
    start = lines.index(head) + 2
    end = next(n for n in range(start, len(lines) + 1) if n == len(lines) or not lines[n].startswith("|"))
    text = "| " + " | ".join(row) + " |"
    alike = [n for n in range(start, end) if lines[n].split("|")[1:3] == text.split("|")[1:3]]
    return "\n".join(
        [*lines[: alike[0]], text, *lines[alike[0] + 1 :]] if alike else [*lines[:end], text, *lines[end:]]
    )


def print_groups(trials: int) -> None:
    """Print coverage where images of a patient resemble one another."""
    print("| patients of 20 images | leaving out patients | leaving out images |")
    print("|---|---|---|")
    for groups in (3, 5, 10, 30):
        random = np.random.default_rng(groups)
        shares = [np.mean([covered_in_groups(groups, random, grouped=g) for _ in range(trials)]) for g in (True, False)]
        print(f"| {groups} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")


def print_comparisons(trials: int) -> None:
    """Print how often families of equal models hold one that is called different, by processes and spread."""
    print("| family | processes | differ by | called different |")
    print("|---|---|---|---|")
    for family in (1, 10, 50):
        for count, spread in ((3, 0.0), (3, 0.01), (6, 0.0), (6, 0.01), (6, 0.03)):
            random, called = np.random.default_rng(family), 0
            for _ in range(trials):
                p_values = [_equal_p(random, count, spread) for _ in range(family)]
                called += min(holm(p_values)) < LEVEL
            print(f"| {family} | {count} | {100 * spread:g} % | {100 * called / trials:.1f} % |", flush=True)
    print()
    print("| differ by | processes asked for, median | 5 % slowdown found |")
    print("|---|---|---|")
    for spread in SPREADS[1:]:
        random, asked, found = np.random.default_rng(1), [], 0
        for _ in range(trials):
            pilot = compare_processes(processes(random, 6, spread), processes(random, 6, spread))
            assert pilot is not None
            asked.append(processes_to_find(0.05, pilot.error * sqrt(3), pilot.degrees))
            a, b = (processes(random, asked[-1], spread, slower=s, total=100 * asked[-1]) for s in (0.05, 0.0))
            again = compare_processes(a, b)
            found += again is not None and again.p < LEVEL
        print(f"| {100 * spread:g} % | {np.median(asked):.0f} | {100 * found / trials:.1f} % |", flush=True)


def _equal_p(random: np.random.Generator, count: int, spread: float) -> float:
    found = compare_processes(*(processes(random, count, spread, total=20 * count) for _ in "ab"))
    assert found is not None
    return found.p


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables: dict[str, Callable[[int], None]] = {
        "latency": print_latency,
        "drift": print_drift,
        "scores": lambda trials: print_scores(trials, options.into, options.only),
        "groups": print_groups,
        "comparisons": print_comparisons,
    }
    parser.add_argument("tables", nargs="*", choices=[*tables, []], metavar="TABLE")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--into", type=Path, metavar="PAGE", help="write rows of scores into this page")
    parser.add_argument("--only", default="", metavar="TEXT", help="of scores, rows whose beginning holds this alone")
    options = parser.parse_args(arguments)
    for name in options.tables or tables:
        tables[name](options.trials)
        print()


if __name__ == "__main__":
    main()
