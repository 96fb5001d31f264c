"""Describes what a profile job found of one model: memory, energy and operations; `profile.json`.

A number that cannot be had is null, and `missing` says why: never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from bench.records.base import Record


@dataclass(frozen=True)
class Missing:
    """Reason why something could not be measured."""

    reason: str


class Explained(Record):
    """A record in which every null has its reason.

    Attributes:
        missing: Field that is null -> why.
    """

    missing: dict[str, str] = {}

    @model_validator(mode="after")
    def _every_null_has_its_reason(self) -> Explained:
        nulls = {name for name in type(self).model_fields if getattr(self, name) is None}
        if nulls != set(self.missing):
            raise ValueError(f"null without a reason, or a reason without null: {sorted(nulls ^ set(self.missing))}")
        return self


def explained(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Explained` record: what is `Missing` becomes null with its reason.

    >>> explained({"idle_w": 12.0, "mean_w": Missing("the driver refuses it")})
    {'idle_w': 12.0, 'mean_w': None, 'missing': {'mean_w': 'the driver refuses it'}}
    """
    missing = {name: value.reason for name, value in found.items() if isinstance(value, Missing)}
    return {**{name: None if name in missing else value for name, value in found.items()}, "missing": missing}


class MemoryUse(Explained):
    """Bytes of memory; what happens is in the order of the fields.

    Attributes:
        host_rss_before_bytes: Resident memory of the interpreter, the harness, one batch of images and what
            the adapter's module imports, before the model is built.
        host_rss_model_bytes: Memory that the build added, with all that the framework imports only then.
        host_rss_batch_bytes: Peak while batches were predicted, above what was resident after the build.
        host_rss_peak_bytes: Largest resident memory from the build on.
        peak_started_anew: True if the kernel let the peak start anew before the build and before the
            batches; if not, the peak covers the life of the process, and `host_rss_batch_bytes` with it.
        weights_bytes: Size of the weight file, or of the parameters where there is no file.
        torch_peak_allocated_bytes: Largest sum of tensors on the device while batches were predicted.
        torch_peak_reserved_bytes: Largest sum that torch's allocator held of the device for them.
        device_used_delta_bytes: Largest use of the device that its driver saw (NVML), minus that before the
            framework touched it: tensors, what allocators hold, context and kernels of any framework. By
            difference, since in a container the driver knows processes by other numbers.
        batches, batch_size: Batches that were predicted, and their size.
    """

    host_rss_before_bytes: int | None
    host_rss_model_bytes: int | None
    host_rss_batch_bytes: int | None
    host_rss_peak_bytes: int | None
    peak_started_anew: bool
    weights_bytes: int | None
    torch_peak_allocated_bytes: int | None
    torch_peak_reserved_bytes: int | None
    device_used_delta_bytes: int | None
    batches: int
    batch_size: int


class EnergyUse(Explained):
    """Energy of batches pushed through back to back, against the machine with the model built but idle.

    Attributes:
        method: The counter, and the way in which it is read.
        covers: The parts of the machine whose energy it counts.
        idle_s, idle_w: Length and mean power of the idle baseline.
        seconds, mean_w: Length and mean power of the load.
        images: Number of images predicted during the load.
        joules_per_image: (mean_w − idle_w) × seconds / images.
    """

    method: str
    covers: str
    idle_s: float
    idle_w: float
    seconds: float
    mean_w: float
    images: int = Field(ge=1)
    joules_per_image: float | None = Field(gt=0)

    @property
    def images_per_joule(self) -> float | None:
        """The inverse."""
        return None if self.joules_per_image is None else 1 / self.joules_per_image


class Operations(Record):
    """Arithmetic of one call of `infer`.

    Attributes:
        flops: Floating-point operations; a multiplication with its addition is 2.
        activations: Elements of the outputs of what is counted in `flops`.
        parameters: Parameters of the network.
        images: Images in the batch.
        method: Name of the counting method, and what it leaves out.
    """

    flops: int = Field(ge=0)
    activations: int = Field(ge=0)
    parameters: int = Field(ge=0)
    images: int = Field(ge=1)
    method: str

    @property
    def flops_per_image(self) -> float:
        """Return the value of the batch, divided by its images."""
        return self.flops / self.images

    @property
    def activations_per_image(self) -> float:
        """Return the value of the batch, divided by its images."""
        return self.activations / self.images


class DeviceBusy(Record):
    """State how long the device computes, and how long the host waits for it.

    Attributes:
        busy_ms: Median device time of `infer` that was queued as a whole before the device began, per batch.
        infer_ms: Median of the same by the host's clock, device idle before and after, per batch.
        passes: Passes of each.
    """

    busy_ms: float = Field(gt=0)
    infer_ms: float = Field(gt=0)
    passes: int = Field(ge=1)

    @property
    def launch_bound_index(self) -> float:
        """infer_ms / busy_ms: how much longer than its work a pass takes; above 1 the device waits for launches."""
        return self.infer_ms / self.busy_ms


class ProfileResult(Explained):
    """`profile.json`.

    Attributes:
        memory, energy, operations, device_busy: None where the suite does not ask for it or it cannot be had here.
    """

    memory: MemoryUse | None
    energy: EnergyUse | None
    operations: Operations | None
    device_busy: DeviceBusy | None

    @model_validator(mode="before")
    @classmethod
    def _of_before_it_was_measured(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "device_busy" in data:
            return data
        missing = {**data.get("missing", {}), "device_busy": "recorded by a version that did not measure it"}
        return {**data, "device_busy": None, "missing": missing}
