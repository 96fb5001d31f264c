"""Spellings of before 0.2: hidden from help, understood, and answered with a warning that names the new one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any


def warn(old: str, new: str) -> None:
    """Say on standard error what to write instead."""
    print(f"warning: {old} is deprecated; write: {new}", file=sys.stderr)


class Renamed(argparse.Action):
    """An option that became another argument, `dest`; `const` is the new spelling."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value under the new name."""
        warn(f"{parser.prog} {option_string}", str(self.const))
        setattr(namespace, self.dest, values)


def add_old_actions(command: str, actions: argparse._SubParsersAction[Any], **options: Any) -> None:
    """Add the actions that a command no longer has, with the options of `add_parser`; without help they are hidden."""
    if command == "data":
        actions.add_parser("list", **options)


def with_old_spellings(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options as the new spellings would have given them."""
    old_run = options.__dict__.pop("old_run", None)
    if old_run is not None:
        options.run = old_run
    old_case = options.__dict__.pop("old_case", None)
    if old_case is not None:
        warn("bench repro RUN CASE", "bench repro RUN --case PATTERN")
        options.case = options.case or old_case
    if (options.command, getattr(options, "action", None)) == ("data", "list"):
        warn("bench data list", "bench list datasets")
        options.command, options.what, options.form = "list", "datasets", "text"
        del options.action
    return options
