"""What a timing job leaves behind: raw nanoseconds, one row per timed batch, nothing removed."""

from __future__ import annotations

import zlib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError

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
    """

    clock: NDArray[np.int8]
    total_ns: NDArray[np.int64]
    stage_ns: NDArray[np.int64]
    device_ns: NDArray[np.int64]
    image_index: NDArray[np.int32]
    block: NDArray[np.int32]
    involuntary_switches: NDArray[np.int32]
    major_faults: NDArray[np.int32]
    image_ids: NDArray[np.str_]
    batch_size: NDArray[np.int64]
    warmup_ns: NDArray[np.int64]
    decode_ns: NDArray[np.int64]
    pipelined_ns: NDArray[np.int64]
    pipelined_images: NDArray[np.int64]
    block_accepted: NDArray[np.bool_]
    block_wall_s: NDArray[np.float64]
    block_user_s: NDArray[np.float64]
    block_system_s: NDArray[np.float64]
    block_foreign_share: NDArray[np.float64]
    block_steal_share: NDArray[np.float64]
    block_involuntary_switches: NDArray[np.int64]
    audit_index: NDArray[np.int32]
    stage_decode_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def from_file(self) -> bool:
        """Whether the timed path began at encoded bytes."""
        return len(self.stage_decode_ns) > 0

    def usable(self, clock: int) -> NDArray[np.bool_]:
        """Mask over samples of a clock that lie in accepted blocks, or in any block if none is.

        A rejected block is kept and shown flagged rather than leaving an empty table.
        """
        accepted = self.block_accepted[self.block]
        of_clock: NDArray[np.bool_] = self.clock == clock
        chosen: NDArray[np.bool_] = of_clock & accepted
        return chosen if chosen.any() else of_clock

    def save(self, path: Path) -> None:
        """Write all arrays as one `.npz`."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read them back; raises `StoreError` if the file is damaged or of another version."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                needed = [f.name for f in fields(cls) if f.default_factory is MISSING or f.name in archive]
                return cls(**{name: archive[name] for name in needed})
        except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
            raise StoreError(f"{path} is damaged or from another version ({error}); delete its job folder") from error
