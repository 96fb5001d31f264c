"""Gathers what reports and explanations are made of: the summary, and what is read from the run's files beside it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.records.store.invocation import rerun_command
from bench.records.store.samples import Samples
from bench.records.store.views import CaseView, RunView
from bench.report.summary.per_image import CaseImages, ConfusionTable, confusion_of, images_of_case, median_latencies
from bench.report.summary.rows import best_cases
from bench.report.summary.summarise import RunSummary, usable_cases


@dataclass(frozen=True)
class Facts:
    """Everything a section may show; of a summary alone only that.

    Attributes:
        summary: Summary of the run.
        run: The run, with its files; None where only the summary is known.
        samples: Case id -> raw samples of its timing jobs.
        images: Cases with what each image came to.
        confusions: Confusion matrices of the cases that have one.
        left_out: Rows of which samples, images and confusions are not shown: there are too many.
    """

    summary: RunSummary
    run: RunView | None = None
    samples: dict[str, list[Samples]] = field(default_factory=dict)
    images: tuple[CaseImages, ...] = ()
    confusions: tuple[ConfusionTable, ...] = ()
    left_out: int = 0

    @cached_property
    def name_of(self) -> dict[str, str]:
        """Case id -> the name of its row, with the data set where there are several."""
        summary = self.summary
        of_data = summary.several_datasets
        return {row.case_id: summary.name_of(row) + (f" · {row.dataset}" if of_data else "") for row in summary.rows}

    @cached_property
    def position_of(self) -> dict[str, int]:
        """Case id -> place of its row, which decides its colour and marker."""
        return {row.case_id: position for position, row in enumerate(self.summary.rows)}

    def view_of(self, case_id: str) -> CaseView | None:
        """Return the files of a case."""
        return self._views.get(case_id)

    @cached_property
    def _views(self) -> dict[str, CaseView]:
        return {view.case.id: view for view in self.run.cases} if self.run else {}

    def command_of(self, case_id: str) -> str:
        """Return the shell command that runs a case again."""
        if self.run is None:
            return shlex.join(["bench", "run", self.summary.source, "--case", case_id])
        return rerun_command(self.run, case_id)

    def file(self, name: str) -> Path | None:
        """Return a file of the run, if it is there."""
        path = None if self.run is None or not name else self.run.folder.path / name
        return path if path is not None and path.is_file() else None


MOST_CASES = 40
"""Most cases whose raw samples, single images and confusions are shown; of more, those with the best headline."""


def facts_of(run: RunView, summary: RunSummary, *, most: int | None = MOST_CASES) -> Facts:
    """Read what a report shows beside its summary.

    Args:
        run: The run, with its files.
        summary: Summary of the run.
        most: Cases whose samples and images are read, those with the best headline; None reads all.
    """
    chosen = best_cases(summary.rows, most, higher_is_better=summary.higher_is_better)
    usable = usable_cases(run, chosen)
    views = [view for view in usable.cases if view.case.id in chosen]
    samples = {view.case.id: view.samples() for view in views}
    found = [images_of_case(view, run.plan.metrics, median_latencies(samples[view.case.id])) for view in views]
    images = tuple(case for case in found if case is not None)
    confusions = [confusion_of(case) for case in images]
    told = tuple(one for one in confusions if one is not None)
    return Facts(summary, usable, samples, images, told, len(summary.rows) - len(chosen))
