"""The predictions of a run's cases, written in a format of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import table_for
from bench.data.predictions.requested import asked
from bench.data.predictions.writing.formats import FORMATS
from bench.data.predictions.writing.predicted import Predicted
from bench.errors import BenchError
from bench.records import TaskKind
from bench.records.store import layout
from bench.records.store.layout import slug
from bench.records.store.views import CaseView, RunView
from bench.score.reduce import reaches


class Written(NamedTuple):
    """A case that was written: its files, the number of their predictions, and what the format could not hold."""

    case_id: str
    folder: Path
    images: int
    loss: tuple[str, ...]


def export_predictions(run: RunView, form: str, out: Path) -> Iterator[Written]:
    """Write the predictions of every case of a run that has some, each in a folder of its own where there are several.

    Raises:
        BenchError: If `out` holds anything, or the format cannot hold what the cases predicted.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} is not empty, and an export overwrites nothing. Give a new folder, or empty this one")
    writer = FORMATS[form]
    views = [view for view in run.cases if view.predict is not None and view.predict.ok]
    if not views:
        raise BenchError(
            f"no case of {run.folder.path} has predictions; run it again with: bench run {run.plan.source}"
        )
    for view in views:
        _refuse_form(view, form)
    for view in views:
        folder = out if len(views) == 1 else out / slug(view.case.id)
        folder.mkdir(parents=True, exist_ok=True)
        predicted = _predicted(view, writer.kind)
        yield Written(view.case.id, folder, len(predicted.asked.ids), tuple(writer.write(predicted, folder)))


def _refuse_form(view: CaseView, form: str) -> None:
    native = view.case.model.task
    fits = [name for name, one in FORMATS.items() if native != "prompted" and reaches(native, one.kind)]
    if form in fits:
        return
    advice = f"Choose --format {' or '.join(fits)}, or leave the case out" if fits else "Leave it out"
    raise BenchError(
        f"{view.case.id} predicts {native} maps, which say nothing about the {FORMATS[form].kind} maps that {form} "
        f"holds. {advice} with --case"
    )


def _predicted(view: CaseView, kind: TaskKind) -> Predicted:
    case = view.case
    assert view.predict is not None
    dataset = open_labelled(case.dataset)
    model = case.model.model_copy(update={"trained_on": None})
    return Predicted(
        label=case.model.label,
        dataset=dataset,
        asked=asked(model, dataset, case.dataset.test, case.dataset.max_images, annotations=None),
        stored=view.predict.folder / layout.PREDICTIONS,
        native=case.model.task,
        kind=kind,
        table=table_for(case.model, dataset),
    )
