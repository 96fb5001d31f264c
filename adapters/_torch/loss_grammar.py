"""The names of the losses and the grammar of a recipe's `loss`, without torch: `bench check` reads them too.

sum   term, or terms joined by +        0.5*cross_entropy + 0.5*dice
term  [weight *] name [(arguments)]     2*tversky(0.3, 0.7)
arguments  numbers, in order or by name    focal(0.25, gamma=2)
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.errors import BenchError, did_you_mean


@dataclass(frozen=True)
class Usage:
    """State how a loss is written.

    Attributes:
        check: Has the arguments that a term may give; raises ValueError for a number out of range.
        example: A term that is right.
    """

    check: Callable[..., None]
    example: str


def check_nothing() -> None:
    """Refuse nothing: the loss has no arguments."""


def check_focal(alpha: float | None = None, gamma: float = 2.0) -> None:
    """Refuse numbers that the focal loss cannot take."""
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f"alpha must be above 0 and below 1, not {alpha:g}")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma must be 0 or above, not {gamma:g}")


def check_tversky(alpha: float, beta: float) -> None:
    """Refuse numbers that the Tversky loss cannot take."""
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, not {value:g}")


KNOWN: Mapping[str, Usage] = {
    "boundary": Usage(check_nothing, "dice + 0.01*boundary"),
    "focal": Usage(check_focal, "focal(alpha=0.25, gamma=2)"),
    "tversky": Usage(check_tversky, "tversky(0.3, 0.7)"),
    **{
        name: Usage(check_nothing, name)
        for name in ("bce", "cross_entropy", "dice", "generalised_dice", "jaccard", "lovasz", "weighted_cross_entropy")
    },
}
"""The losses that a recipe can name."""


def loss_errors(text: str) -> list[str]:
    """Return what is wrong with each term of a recipe's loss, a sentence each; empty if nothing is."""
    found = []
    for part in PLUS.split(text):
        try:
            Term.read(text, part.strip()).arguments()
        except BenchError as error:
            found.append(str(error))
    return found


_ALSO_CALLED = {"ce": "cross_entropy", "gdl": "generalised_dice", "iou": "jaccard", "wce": "weighted_cross_entropy"}
"""Short names of the literature that `did_you_mean` cannot guess."""

PLUS = re.compile(r"\+(?![^()]*\))")

_TERM = re.compile(r"(?:([0-9.eE-]+)\s*\*\s*)?([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?")


@dataclass(frozen=True)
class Term:
    """One term as it is written.

    Attributes:
        text: The whole sum, for messages.
        weight: Weight of the term, above 0.
    """

    text: str
    weight: float
    name: str
    in_order: tuple[float, ...]
    by_name: dict[str, float]

    @classmethod
    def read(cls, text: str, part: str) -> Term:
        """Read a term; BenchError if it is malformed or names no loss."""
        match = _TERM.fullmatch(part)
        weight = _number(match.group(1) or "1") if match else None
        if match is None or weight is None or weight <= 0:
            raise BenchError(f"loss {text!r}: expected a sum like '0.5*cross_entropy + 0.5*dice', not {part!r}")
        name, arguments = match.group(2), match.group(3)
        if name not in KNOWN:
            meant = did_you_mean(_ALSO_CALLED.get(name.lower(), name), KNOWN)
            raise BenchError(f"loss {text!r}: no loss named {name!r}.{meant} There are: {', '.join(sorted(KNOWN))}")
        return cls(text, weight, name, *_read_arguments(text, name, arguments or ""))

    def arguments(self) -> inspect.BoundArguments:
        """Match the arguments to those that the loss takes; BenchError if they do not fit or are out of range."""
        check = KNOWN[self.name].check
        try:
            bound = inspect.signature(check).bind(*self.in_order, **self.by_name)
            check(*bound.args, **bound.kwargs)
        except (TypeError, ValueError) as error:
            raise _wrong(self.text, self.name, str(error)) from None
        return bound


def _read_arguments(text: str, name: str, arguments: str) -> tuple[tuple[float, ...], dict[str, float]]:
    """Read `0.25, gamma=2` into numbers in order and by name."""
    in_order: list[float] = []
    by_name: dict[str, float] = {}
    for argument in arguments.split(",") if arguments.strip() else ():
        key, _, written = (piece.strip() for piece in argument.rpartition("="))
        value = _number(written)
        if value is None:
            raise _wrong(text, name, f"expected a number, not {written!r}")
        if key in by_name:
            raise _wrong(text, name, f"{key} is given twice")
        if key:
            by_name[key] = value
        elif by_name:
            raise _wrong(text, name, f"{written} stands behind an argument with a name, so it needs one too")
        else:
            in_order.append(value)
    return tuple(in_order), by_name


def _wrong(text: str, name: str, what: str) -> BenchError:
    takes = ", ".join(inspect.signature(KNOWN[name].check).parameters)
    usage = f"{name} takes ({takes})" if takes else f"{name} takes no arguments"
    return BenchError(f"loss {text!r}: {name}: {what}. {usage}; write for example '{KNOWN[name].example}'")


def _number(text: str) -> float | None:
    """Return a finite number, or None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
