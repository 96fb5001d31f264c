"""Mistakes that a user can mend.

A `BenchError` says, in one paragraph, what happened, where, what was expected and what to type
next. The command line prints it and exits with code 2. Anything else that escapes is a defect of
the harness and prints a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A mistake of the user's, told in one paragraph."""


class SuiteError(BenchError):
    """A suite file that cannot be understood."""


class PluginError(BenchError):
    """A model, data set, metric, adapter or report that cannot be found or loaded."""


class DatasetError(BenchError):
    """A data set that is missing, incomplete or not what it claims to be."""


class ShapeError(BenchError):
    """An array whose shape or dtype breaks a contract."""


class StoreError(BenchError):
    """A results folder that is locked, damaged or not there."""


class Unsupported(BenchError):
    """What an adapter cannot do here: a row of the table, not a crash.

    The message says what is missing and why, for example ``fp16 needs a CUDA device``.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    >>> did_you_mean("unet/upsampel", ["unet/upsample", "fake/perfect"])
    " Did you mean 'unet/upsample'?"
    >>> did_you_mean("zzz", ["unet/upsample"])
    ''
    """
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
