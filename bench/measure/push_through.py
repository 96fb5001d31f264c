"""The throughput pass of a timing: batches pushed through in an order that nobody knows, some of them kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import SystemRandom

from bench.adapter import Adapter
from bench.measure.materialise import Read
from bench.measure.rounds import Rounds
from bench.measure.stages import Clock, no_garbage_collection, pipelined
from bench.records.predictions import RgbImage

KEPT = 4
"""So many batches are kept, with what came of them."""


@dataclass
class Pushed:
    """What the pass came to.

    Attributes:
        wall_ns, images: Whose quotient is throughput.
        kept: Some of those that may be, each as likely as any other (algorithm R of Vitter): (number, what came of it).
    """

    wall_ns: int = 0
    images: int = 0
    kept: list[tuple[int, Read]] = field(default_factory=list)


def push_through(
    adapter: Adapter,
    batch: Callable[[int], Sequence[RgbImage]],
    clock: Clock,
    seconds: float,
    *,
    batches: int,
    keep: Callable[[int], bool],
    encoded: Callable[[int], Sequence[bytes]] | None = None,
) -> Pushed:
    """Push batches through for so many seconds.

    Args:
        adapter: The model.
        batch: Number -> images.
        clock: Host clock.
        seconds: Start no further batch after so long.
        batches: How many there are.
        keep: Number -> whether what comes of it may be kept.
        encoded: Number -> the same images as bytes of files, at which the path then begins.
    """
    could_be_kept = 0
    rounds, random, order, pushed = Rounds(batches), SystemRandom(), list[int](), Pushed()

    def number(count: int) -> int:
        while len(order) <= count:
            order.append(rounds.next(0))
        return order[count]

    def seen(count: int, read: Read) -> None:
        nonlocal could_be_kept
        if not keep(number(count)):
            return
        could_be_kept += 1
        if len(pushed.kept) < KEPT:
            pushed.kept.append((number(count), read))
        elif (place := random.randrange(could_be_kept)) < KEPT:
            pushed.kept[place] = (number(count), read)

    bytes_of = None if encoded is None else lambda count: encoded(number(count))
    with no_garbage_collection():
        pushed.wall_ns, pushed.images = pipelined(
            adapter, lambda count: batch(number(count)), clock, seconds, encoded=bytes_of, seen=seen
        )
    return pushed
