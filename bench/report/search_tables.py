"""The tables of what was varied in recipes: combinations of lists, trials of searches, and how they are to be read."""

from __future__ import annotations

from bench.metric import load_metric
from bench.records.store.studies import TRIAL_STATES
from bench.report.draw.numbers import MISSING, count, fixed, value_in_words, values_in_words
from bench.report.summary.searches import FEWEST, SearchSummary, TrialSummary
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import Sweep, SweepPoint
from bench.report.text_table import TextTable

SWEEPS_NOTE = (
    "A combination with several seeds or folds has the mean of their scores (± sample standard deviation). All rows "
    "are scores of one test split: the best of many is also the luckiest. Choose by validation (`tune:`), and report "
    "the choice with several seeds."
)
MOST_TRIALS = 30
"""Most trials that are all listed; of more, the best are. results.json has every one."""


def sweeps_tables(summary: RunSummary) -> dict[str, TextTable]:
    """Return a table for each sweep: a row for each combination, a column for each field that varies."""
    return {
        f"Sweep of {sweep.title}": TextTable(
            [_point_row(summary, sweep, number, point) for number, point in enumerate(sweep.points)]
        )
        for sweep in summary.sweeps
    }


def _point_row(summary: RunSummary, sweep: Sweep, number: int, point: SweepPoint) -> dict[str, str]:
    spread = "" if point.sd is None else f" ± {point.sd:.3f}"
    return {
        **dict(zip(sweep.fields, sweep.words(point), strict=True)),
        "trainings": f"{len(point.scores)} of {len(point.case_ids)}",
        summary.headline_in_unit: MISSING if point.mean is None else f"{point.mean:.3f}{spread}",
        "best": "yes" if number == sweep.best else "",
    }


def searches_table(summary: RunSummary) -> TextTable:
    """Return a row for each search: how far it is, and the best recipe."""
    rows = []
    for one in summary.searches:
        best = one.best_trial
        told = [f"{one.count(state)} {state}" for state in TRIAL_STATES if one.count(state)]
        rows.append(
            {
                "search": one.name,
                "trials": ", ".join(told) or "none",
                "hours": f"{sum(trial.seconds for trial in one.trials) / 3600:.3g}",
                "best trial": MISSING if best is None else count(best.number),
                f"{load_metric(one.metric).label} on validation": MISSING if best is None else fixed(best.value, 4),
                "best recipe": MISSING if best is None else values_in_words(best.values),
            }
        )
    return TextTable(rows)


def trials_table(one: SearchSummary) -> TextTable:
    """Return the trials of a search, of many the best."""
    label = f"{load_metric(one.metric).label} on validation"
    return TextTable(
        {
            "trial": count(trial.number),
            **{field: value_in_words(value) for field, value in trial.values.items()},
            "ended": trial.state,
            label: fixed(trial.value if trial.state == "complete" else None, 4),
            "last validation": fixed(trial.value if trial.state == "pruned" else None, 4),
            "validations": count(trial.validations),
            "seconds": f"{trial.seconds:.1f}",
            "why": " ".join((trial.reason or "").split())[:120],
        }
        for trial in listed_trials(one)
    )


def listed_trials(one: SearchSummary) -> list[TrialSummary]:
    """Return the trials that are listed, in their order."""
    if len(one.trials) <= MOST_TRIALS:
        return list(one.trials)
    sign = -1 if one.higher_is_better else 1
    complete = [trial for trial in one.trials if trial.state == "complete" and trial.value is not None]
    best = sorted(complete, key=lambda trial: sign * (trial.value or 0.0))[:MOST_TRIALS]
    return sorted(best, key=lambda trial: trial.number)


def search_notes(one: SearchSummary) -> list[str]:
    """Return how a search was done, and what its numbers are."""
    tune, listed = one.tune, len(listed_trials(one))
    space = "; ".join(
        f"{field} "
        + (
            "one of " + ", ".join(value_in_words(choice) for choice in searched.choices)
            if searched.choices is not None
            else f"{searched.low:g} to {searched.high:g}{', logarithmic' if searched.log else ''}"
        )
        for field, searched in tune.space.items()
    )
    limits = (f"{tune.trials} trials" if tune.trials else "", f"{tune.hours:g} hours" if tune.hours else "")
    budget = " and ".join(filter(None, limits))
    engine = f"Optuna {one.optuna}" if not one.ray_tune else f"Ray Tune {one.ray_tune} with Optuna {one.optuna}"
    lines = [
        f"{engine}, sampler {tune.sampler} (seed {tune.seed}), pruner {tune.pruner}; budget {budget}: "
        f"{one.ended or 'still under way'}.",
        f"Searched: {space}.",
        "Trials are scored on the validation split alone. The score of the best trial is the largest of many and so "
        "too good: see the test scores of the models called *tuned*, which were trained again with other seeds.",
    ]
    if one.beside:
        lines.append(
            f"{one.beside} of the {len(one.trials)} trials were proposed while others were under way: the same search "
            "again may try other recipes, as trials may end in another order."
        )
    if tune.pruner != "none" and one.trials and not any(trial.validations > 1 for trial in one.trials):
        lines.append("No training was validated before its end, so none could be stopped early.")
    if one.importance:
        told = ", ".join(
            f"{field} {100 * share:.0f} %" for field, share in sorted(one.importance.items(), key=lambda pair: -pair[1])
        )
        lines.append(
            f"Share of the variance of the ranks of complete trials that a field explains alone: {told}. The sampler "
            "prefers promising values, so this says where to look, not what a field does."
        )
    elif one.best is not None:
        lines.append(f"The importance of each field is estimated from {FEWEST} complete trials on.")
    if listed < len(one.trials):
        lines.append(f"The best {listed} of {len(one.trials)} trials are listed; all are in results.json.")
    return lines
