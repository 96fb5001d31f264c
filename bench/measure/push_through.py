"""The throughput pass of a timing: batches pushed through in an order that nobody knows, some of them kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import SystemRandom

from bench.adapter import Adapter
from bench.measure.materialise import Read
from bench.measure.out_of_memory import Refusal, attempt
from bench.measure.pipelined import Flow, for_seconds, pipelined
from bench.measure.rounds import Rounds
from bench.measure.stages import Clock, no_garbage_collection
from bench.records import Flag
from bench.records.predictions import RgbImage

KEPT = 4
"""Number of batches that are kept, with their predictions."""


@dataclass
class Pushed:
    """The results of the pass.

    Attributes:
        wall_ns, images: Nanoseconds and images of the pass; their quotient is throughput.
        kept: Some of those that may be, each as likely as any other (algorithm R of Vitter): (number, what came of it).
        flags: Reasons why there is no throughput, where memory was full.
        peak_device_bytes: Peak before the pass; in it, several batches are on the device where stages overlap.
    """

    wall_ns: int = 0
    images: int = 0
    kept: list[tuple[int, Read]] = field(default_factory=list)
    flags: tuple[Flag, ...] = ()
    peak_device_bytes: int | None = None


def push_through(
    adapter: Adapter,
    batch: Callable[[int], Sequence[RgbImage]],
    clock: Clock,
    seconds: float,
    *,
    batches: int,
    keep: Callable[[int], bool],
    encoded: Callable[[int], Sequence[bytes]] | None = None,
    device: str = "cpu",
) -> Pushed:
    """Push batches through for so many seconds; that memory does not hold several at once is a flag.

    Args:
        adapter: The model.
        batch: Number -> images.
        clock: Host clock.
        seconds: Start no further batch after so long.
        batches: Number of different batches.
        keep: Number -> whether what comes of it may be kept.
        encoded: Number -> the same images as bytes of files, at which the path then begins.
        device: Device of the target.
    """
    could_be_kept = 0
    rounds, random, order = Rounds(batches), SystemRandom(), list[int]()
    pushed = Pushed(peak_device_bytes=adapter.peak_device_bytes())

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

    def flow() -> Flow:
        bytes_of = None if encoded is None else lambda count: encoded(number(count))
        return pipelined(
            adapter, lambda count: batch(number(count)), clock, for_seconds(seconds), encoded=bytes_of, seen=seen
        )

    with no_garbage_collection():
        found = attempt(flow, device=device) if adapter.stages_overlap else flow()
    if isinstance(found, Refusal):
        advice = "use a smaller batch: several batches are in memory at once there"
        pushed.flags = (Flag(name="no_throughput", seen=f"the throughput pass ended: {found.reason}", advice=advice),)
        return pushed
    pushed.wall_ns, pushed.images = found.wall_ns, found.count
    return pushed
