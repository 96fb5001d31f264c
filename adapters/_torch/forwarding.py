"""One adapter for a framework whose networks need several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters._torch.runtimes.runtime import RUNTIMES
from bench.adapter import BaseAdapter
from bench.errors import BenchError, did_you_mean
from bench.records import ModelSpec, Target, TaskSpec
from bench.records.predictions import RgbImage


def _of_the_chosen(name: str) -> Callable[..., Any]:
    """Return a method that hands its arguments to that of the same name of the adapter that `build` chose."""

    def method(self: ForwardingAdapter, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._chosen, name)(*args, **kwargs)

    return method


class ForwardingAdapter(BaseAdapter):
    """Hands everything to the adapter of a model config's network, which `build` chooses by one of the model config's
    options.

    The `runtimes` are those of any of them: which one it will be is known when it is built, and it then
    refuses what it does not have.

    Args:
        adapters: Its value -> what makes the adapter; imports what that needs only when it is called.
        default: Value of a model config without the option; None where it must have it.
    """

    runtimes = RUNTIMES

    def __init__(
        self, option: str, adapters: Mapping[str, Callable[[], BaseAdapter]], default: str | None = None
    ) -> None:
        self._option, self._adapters, self._default = option, adapters, default
        self._calibration: tuple[RgbImage, ...] = ()
        self.training_follows = False

    def calibrate(self, images: Sequence[RgbImage]) -> None:
        """Keep the images that int8 finds its ranges with, for the adapter that is chosen."""
        self._calibration = tuple(images)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._chosen = self._made(model)
        self._chosen.calibrate(self._calibration)
        self._chosen.training_follows = self.training_follows
        self._chosen.build(model, task, target, weights)
        self.fused_stages = self._chosen.fused_stages
        self.stages_overlap = self._chosen.stages_overlap

    takes_floats = True  # all that are forwarded to and take bands are `SemanticAdapter`s

    def takes_bands_for(self, model: ModelSpec) -> bool:
        """Say what the adapter of a model config's network says."""
        return self._made(model).takes_bands_for(model)

    def _made(self, model: ModelSpec) -> BaseAdapter:
        name = model.options.get(self._option, self._default)
        if not isinstance(name, str) or name not in self._adapters:
            raise BenchError(
                f"{model.label}: option {self._option!r}: there is no {name!r}."
                f"{did_you_mean(str(name), self._adapters)} Choose one of {', '.join(sorted(self._adapters))}"
            )
        return self._adapters[name]()

    decode = _of_the_chosen("decode")
    train = _of_the_chosen("train")
    preprocess = _of_the_chosen("preprocess")
    infer = _of_the_chosen("infer")
    postprocess = _of_the_chosen("postprocess")
    probabilities = _of_the_chosen("probabilities")
    synchronize = _of_the_chosen("synchronize")
    queued = _of_the_chosen("queued")
    beside = _of_the_chosen("beside")
    device_timer = _of_the_chosen("device_timer")
    reset_peak_device_bytes = _of_the_chosen("reset_peak_device_bytes")
    peak_device_bytes = _of_the_chosen("peak_device_bytes")
    peak_reserved_bytes = _of_the_chosen("peak_reserved_bytes")
    operations = _of_the_chosen("operations")
    doubts = _of_the_chosen("doubts")
    describe = _of_the_chosen("describe")
    versions = _of_the_chosen("versions")
