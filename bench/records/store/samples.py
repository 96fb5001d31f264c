"""Stores what a timing job leaves behind: raw nanoseconds, one row per timed batch, nothing removed."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, get_type_hints

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.records.array_files import packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.files import State, file_state

END_TO_END = 0
"""Clock: device idle only before the start and after the last stage."""
STAGED = 1
"""Clock: device idle at each stage boundary."""

STAGES = ("preprocess", "infer", "postprocess")
DECODE = "decode"
"""The stage before them, where the timed path begins at encoded bytes."""


@dataclass(frozen=True)
class Samples:
    """Raw samples of one replicate (one worker process); `samples.npz`.

    Attributes:
        clock: int8, (n,): `END_TO_END` or `STAGED`.
        total_ns: int64, (n,): the whole batch, arrays (or encoded bytes) in to predictions out.
        stage_ns: int64, (n, 3): `STAGES`; zeros where clock is `END_TO_END`.
        device_ns: int64, (n,): device time of `infer` by events; -1 where there are none.
        image_index: int32, (n,): first image of the batch, an index into `image_ids`.
        block: int32, (n,): the block the sample belongs to.
        involuntary_switches, major_faults: int32, (n,): of the process during the sample.
        image_ids: str, (m,): timed images in timed order.
        batch_size: int64, (): images per sample.
        warmup_ns: int64, (w,): end-to-end, every warm-up iteration; the first pays for everything.
        decode_ns: int64, (m,): reading or drawing each image before anything is timed.
        pipelined_ns: int64, (): wall time of the throughput pass; 0 = not run.
        pipelined_images: int64, (): images in the throughput pass.
        block_accepted: bool, (b,): False where something else disturbed the block.
        block_wall_s, block_user_s, block_system_s: float64, (b,): of the block and this process.
        block_foreign_share: float64, (b,): CPU used by other processes / (wall × cores); nan = unknown.
        block_steal_share: float64, (b,): CPU the hypervisor took / (wall × cores); nan = unknown.
        block_involuntary_switches: int64, (b,).
        audit_index: int32, (a,): timed images whose predictions were kept, indices into `image_ids`.
        stage_decode_ns: int64, (n,): encoded bytes to arrays, a stage of the timed path, 0 where clock is
            `END_TO_END`; (0,) where the path began at arrays, and in files of older versions.

    The annotation of each names the axis whose length it has: see `_AXES`.
    """

    clock: Annotated[NDArray[np.int8], "n"]
    total_ns: Annotated[NDArray[np.int64], "n"]
    stage_ns: Annotated[NDArray[np.int64], "n"]
    device_ns: Annotated[NDArray[np.int64], "n"]
    image_index: Annotated[NDArray[np.int32], "n"]
    block: Annotated[NDArray[np.int32], "n"]
    involuntary_switches: Annotated[NDArray[np.int32], "n"]
    major_faults: Annotated[NDArray[np.int32], "n"]
    image_ids: Annotated[NDArray[np.str_], "m"]
    batch_size: Annotated[NDArray[np.int64], ""]
    warmup_ns: Annotated[NDArray[np.int64], "w"]
    decode_ns: Annotated[NDArray[np.int64], "m"]
    pipelined_ns: Annotated[NDArray[np.int64], ""]
    pipelined_images: Annotated[NDArray[np.int64], ""]
    block_accepted: Annotated[NDArray[np.bool_], "b"]
    block_wall_s: Annotated[NDArray[np.float64], "b"]
    block_user_s: Annotated[NDArray[np.float64], "b"]
    block_system_s: Annotated[NDArray[np.float64], "b"]
    block_foreign_share: Annotated[NDArray[np.float64], "b"]
    block_steal_share: Annotated[NDArray[np.float64], "b"]
    block_involuntary_switches: Annotated[NDArray[np.int64], "b"]
    audit_index: Annotated[NDArray[np.int32], "a"]
    stage_decode_ns: Annotated[NDArray[np.int64], "n"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def from_file(self) -> bool:
        """Return whether the timed path began at encoded bytes."""
        return len(self.stage_decode_ns) > 0

    def usable(self, clock: int) -> NDArray[np.bool_]:
        """Mask over samples of a clock that lie in accepted blocks, or in any block if none is.

        A rejected block is kept and shown flagged rather than leaving an empty table.
        """
        accepted = self.block_accepted[self.block]
        of_clock: NDArray[np.bool_] = self.clock == clock
        chosen: NDArray[np.bool_] = of_clock & accepted
        return chosen if chosen.any() else of_clock

    def check(self) -> None:
        """Hold every array against its shape, type and range; raises `ValueError` naming the first that breaks it."""
        lengths: dict[str, int] = {}
        for name, axis in _AXES.items():
            array, kind = (
                getattr(self, name),
                "U" if name == "image_ids" else "b" if name == "block_accepted" else "iuf",
            )
            if name == "stage_decode_ns" and array.shape == (0,):
                continue  # the path began at arrays
            if array.dtype.kind not in kind:
                raise ValueError(f"{name} holds {array.dtype}")
            shape = () if axis == "" else (lengths.setdefault(axis, len(array) if array.ndim else -1),)
            if array.shape != (*shape, *((len(STAGES),) if name == "stage_ns" else ())):
                raise ValueError(f"{name} has shape {array.shape}")
        for name, axis in (("block", "b"), ("image_index", "m"), ("audit_index", "m")):
            places = getattr(self, name)
            if places.dtype.kind == "f" or (places.size and not 0 <= places.min() <= places.max() < lengths[axis]):
                raise ValueError(f"{name} points outside of what there is")
        if self.total_ns.size and self.total_ns.min() < 0:
            raise ValueError("total_ns holds a negative time")
        if self.batch_size < 1 or self.pipelined_ns < 0 or self.pipelined_images < 0:
            raise ValueError("batch_size, pipelined_ns or pipelined_images is below what it can be")

    def save(self, path: Path) -> None:
        """Write all arrays as one `.npz`."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read them back; raises `StoreError` if the file is damaged or of another version.

        The files that were read last are not read again: they are checked first and used then.
        """
        return _read(path, file_state(path))


@lru_cache(maxsize=32)
def _read(path: Path, _: State | None) -> Samples:
    try:
        with packed_arrays(path) as archive:
            needed = [f.name for f in fields(Samples) if f.default_factory is MISSING or f.name in archive]
            samples = Samples(**{name: archive[name] for name in needed})
            samples.check()
            return samples
    except ARRAY_DAMAGE as error:
        raise StoreError(f"{path} is damaged or from another version ({error}); delete its job folder") from error


_AXES = {name: hint.__metadata__[0] for name, hint in get_type_hints(Samples, include_extras=True).items()}
"""Array -> the axis whose length it has: samples, images, blocks, warm-up calls, audited images; "" = one number."""
