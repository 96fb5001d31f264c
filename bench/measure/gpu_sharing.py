"""Other processes that compute on the GPU that is measured; asked at the edges of blocks, outside the clock."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.measure.gpus import opened
from bench.measure.interference import PROC, line_of, process_times
from bench.records import Flag


class GpuUsers:
    """Context manager that remembers which other processes were seen to compute on a GPU.

    Graphics alone (a desktop) is not counted: it is there on every workstation and idles.
    """

    def __init__(self, address: int | str, proc: Path = PROC) -> None:
        """Prepare.

        Args:
            address: NVML's index, or the UUID.
            proc: Folder `/proc`, for the names of programs.
        """
        self._address, self._proc = address, proc
        self._stack = ExitStack()
        self._nvml: Any = None
        self._handle: object = None
        self._own: frozenset[int] = frozenset()
        self._seen: dict[int, str] = {}
        self._unnamed = 0

    def __enter__(self) -> GpuUsers:
        """Open the driver, and look once before this process uses the GPU."""
        nvml = self._stack.enter_context(opened())
        if not isinstance(nvml, str):
            by = nvml.nvmlDeviceGetHandleByIndex if isinstance(self._address, int) else nvml.nvmlDeviceGetHandleByUUID
            try:
                self._handle = by(self._address)
                self._nvml = nvml
            except nvml.NVMLError:
                pass  # The sampler's silence is what is flagged.
        return self

    def __exit__(self, *_: object) -> None:
        """Close the driver."""
        self._nvml = None
        self._stack.close()

    def look(self) -> None:
        """Ask once."""
        if self._nvml is None:
            return
        try:
            users = {int(one.pid) for one in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)}
        except (self._nvml.NVMLError, AttributeError):
            self._nvml = None  # Refused once, refused always: MIG without rights, old drivers.
            return
        times = process_times(self._proc)
        ours = {pid for pid in users if os.getpid() in (pid, *line_of(pid, times))}
        # In a container the driver tells the host's process ids: ours is among them, and cannot be known.
        others = users - ours if ours else set()
        self._unnamed = max(self._unnamed, 0 if ours else len(users) - 1)
        named = {pid: times[pid].name if pid in times else f"process {pid}" for pid in others}
        self._seen.update({pid: name for pid, name in named.items() if pid not in self._seen})

    def flag(self) -> Flag | None:
        """Return what was seen; None if this process had the GPU to itself, or nobody tells."""
        names = sorted(self._seen.values())
        count = max(len(names), self._unnamed)
        if count == 0:
            return None
        named = f" ({', '.join(names)})" if names else ""
        return Flag(
            name="gpu_shared",
            seen=f"{count} other process{'' if count == 1 else 'es'} computed on the GPU while it was measured{named}",
            advice="end them, or choose another GPU with CUDA_VISIBLE_DEVICES, and run the timing jobs again",
        )
