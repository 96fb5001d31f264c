"""The parent's side of logging: which entries are missing, and a process that writes each.

An entry is named by a digest of all that goes into it. While the digest beside it is the same it is
not written again, so that a finished run can be run again without a second copy of anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.logger import Logger, load_logger
from bench.records import as_json_dict, digest
from bench.records.damage import json_of
from bench.records.names import harness_root, python_path
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_run
from bench.records.store.views import CaseView

TIMEOUT_S = 600.0
LAST_LINES = 3


def export_case(run: RunFolder, results: Path, case_id: str, loggers: Sequence[str]) -> list[str]:
    """Write a scored case with every logger that does not have it yet.

    Returns:
        A paragraph for each logger that could not write it. The run goes on: its own files hold
        all there is, and the next run of the suite tries again.
    """
    if not loggers:
        return []
    view = next(view for view in read_run(run, results).cases if view.case.id == case_id)
    if view.scores is None:
        return []
    troubles = []
    for name in loggers:
        logger, folder = load_logger(name), run.logger(name)
        wanted = _digest(view, name, logger)
        mark = folder / f"{layout.file_stem(case_id)}.json"
        if _written(mark) == wanted:
            continue
        trouble = _export(run, results, case_id, name, logger, folder)
        if trouble is None:
            write_atomically(mark, json.dumps({"case": case_id, "digest": wanted}) + "\n")
        else:
            troubles.append(trouble)
    return troubles


def _digest(view: CaseView, name: str, logger: Logger) -> str:
    assert view.scores is not None
    outcome = view.train.outcome if view.train is not None else None
    return digest(
        {
            "logger": name,
            "version": logger.version,
            "case": as_json_dict(view.case),
            "train": None if view.train is None else view.train.job.key,
            "trained at": None if outcome is None else outcome.started_at,
            "predict": view.scores.predict_key,
            "scores": [as_json_dict(score) for score in view.scores.scores],
        }
    )


def _written(mark: Path) -> str | None:
    try:
        digest_of_entry: str = json_of(mark.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest_of_entry


def _export(run: RunFolder, results: Path, case_id: str, name: str, logger: Logger, folder: Path) -> str | None:
    """Run the logger in a process of its own; returns what went wrong, or None."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{layout.file_stem(case_id)}.log"
    arguments = [str(run.path.resolve()), str(results.resolve()), case_id, name, str(folder.resolve())]
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.report.loggers._write", *arguments],
                env=_environment(logger, folder),
                cwd=harness_root(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed = True
            output.write(f"ended after {TIMEOUT_S:g} s\n".encode())
    if not failed:
        log.unlink()
        return None
    said = " ".join(" ".join(log.read_text(encoding="utf-8", errors="replace").split("\n")[-1 - LAST_LINES :]).split())
    return (
        f"{case_id} could not be written by the logger {name}: {said or 'it said nothing'}. Its scores and curves are "
        f"safe in the run; the same command tries again. See {log}"
    )


def _environment(logger: Logger, folder: Path) -> dict[str, str]:
    """Return the logger's variables under those that are set already: a user may want the network."""
    defaults = {name: value.replace("{folder}", str(folder.resolve())) for name, value in logger.environment.items()}
    return {**defaults, **os.environ, "PYTHONPATH": python_path()}


def where_trackers_wrote(run: RunFolder, loggers: Sequence[str]) -> list[str]:
    """Return for each tracker that wrote into a run its folder and the command that opens it, ready to be pasted."""
    folders = [(name, run.logger(name).resolve()) for name in loggers]
    return [
        f"{name}: {folder}; open it with: {load_logger(name).opened_with(folder)}"
        for name, folder in folders
        if any(folder.glob("*.json"))
    ]
