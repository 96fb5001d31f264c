"""Weights & Biases: one offline run per case. Send one with `wandb sync DIR/<case>/wandb/offline-run-*`.

Nothing leaves the machine unless WANDB_MODE=online is set. A run's id is made from the names of
suite, run and case: syncing twice gives one run, not two.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from bench.logger import LoggedCase
from bench.records import digest


class Logger:
    """Writes offline runs."""

    version = 1
    packages = {"wandb": "wandb"}
    environment = {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CACHE_DIR": "{folder}/.cache",
        "WANDB_CONFIG_DIR": "{folder}/.cache",
        "WANDB_DATA_DIR": "{folder}/.cache",
    }

    def opened_with(self, folder: Path) -> str:
        """Return the command that uploads the offline runs; there is no local viewer."""
        return f"wandb sync {shlex.quote(str(folder))}/*/wandb/offline-run-*"

    def write(self, case: LoggedCase, folder: Path) -> None:
        """Write the case as an offline run into `folder/<case>/wandb`, which is emptied first."""
        import wandb

        own = folder / case.file_name
        if own.exists():
            shutil.rmtree(own)
        own.mkdir(parents=True)
        run = wandb.init(
            project=case.suite,
            group=case.run,
            name=case.case_id,
            id=digest([case.suite, case.run, case.case_id])[:16],
            config=_nested(case),
            dir=str(own),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]  # the user's word
            settings=_settings(wandb),
        )
        # The axes of every curve: steps by themselves, training seconds and images by choice.
        for name in ("train/*", "val/*"):
            run.define_metric(name, step_metric="step")
        for point in case.curve:
            at = {"step": point.step, "images": point.images, "train_s": point.train_s}
            run.log({**point.values, **at}, step=point.step)
        last = case.curve[-1].step if case.curve else 0
        if case.images:
            run.log({"test": [wandb.Image(one.pixels, caption=one.name) for one in case.images]}, step=last)
        run.summary.update(dict(case.finals))
        run.finish(exit_code=0)
        wandb.teardown()


def _settings(wandb: Any) -> Any:
    """No console capture, no code, no machine statistics: the run's own environment.json has the machine."""
    return wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
    )


def _nested(case: LoggedCase) -> dict[str, Any]:
    """Parameters as a tree, as the tracker shows them."""
    tree: dict[str, Any] = {}
    for name, value in case.parameters.items():
        *branches, leaf = name.split(".")
        at = tree
        for branch in branches:
            at = at.setdefault(branch, {})
        at[leaf] = value
    return tree
