"""States what a model can do, known without its framework: `abilities(model)` in an adapter's `options.py`."""

from __future__ import annotations

from typing import get_args

from bench.records.base import Record
from bench.records.case import EXPORTED_RUNTIMES, Precision, Runtime, Target
from bench.records.recipe import Recipe

INT8_RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino")
CUDA_RUNTIMES: tuple[Runtime, ...] = ("cuda_graphs", "tensorrt")


class Abilities(Record):
    """Hold what a model runs with; the defaults are those of a torch network that labels pixels.

    What a machine lacks is not here: a device, a compiler or a package is looked for by the job that needs it.

    Attributes:
        runtimes: The runtimes that it has.
        no_other_runtime: Why it has no other one, as the end of a sentence; None says nothing.
        devices: Kinds of devices that it runs on.
        cpu_precisions: Arithmetic that it has on a CPU, beside int8 of an exported network.
        precisions: Arithmetic that a runtime has, in place of `cpu_precisions`.
        int8: True if it can be quantised.
        several_passes: True if it can be run over windows and with test-time augmentation.
        channels_last: True if a target may choose the memory layout.
        side: Side of the only square that it sees, pixels; None where it takes any size.
        probabilities: True if it hands over the probability of each class and pixel, where it labels pixels.
        one_size_exported: Why its export takes inputs of one size alone, as the end of a sentence; None where it takes
            any.
        training_devices: True if several devices can share its training.
        not_honoured: Fields of a recipe that its trainer passes over -> why.
        untrainable: Fields of a recipe that it cannot be trained with -> why, as a clause.
    """

    runtimes: tuple[Runtime, ...] = get_args(Runtime)
    no_other_runtime: str | None = None
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")
    cpu_precisions: tuple[Precision, ...] = ("fp32", "bf16")
    precisions: dict[Runtime, tuple[Precision, ...]] = {}
    int8: bool = True
    several_passes: bool = True
    channels_last: bool = True
    side: int | None = None
    probabilities: bool = True
    one_size_exported: str | None = None
    training_devices: bool = True
    not_honoured: dict[str, str] = {}
    untrainable: dict[str, str] = {}

    def refusals(self, target: Target) -> list[str]:
        """Return why it cannot be run on a target, a clause each; empty where nothing speaks against it."""
        kind = target.device.partition(":")[0]
        return [
            *self._device_refusals(kind, target),
            *self._precision_refusals(kind, target),
            *self._input_refusals(target),
        ]

    def _device_refusals(self, kind: str, target: Target) -> list[str]:
        runtime, found = target.runtime, []
        if kind not in self.devices:
            found.append(f"it does not run on device {target.device!r}; it runs on {', '.join(self.devices)}")
        if runtime not in self.runtimes:
            because = f": {self.no_other_runtime}" if self.no_other_runtime else ""
            found.append(f"it has no runtime {runtime}{because}; it has {', '.join(self.runtimes)}")
        elif runtime in CUDA_RUNTIMES and kind != "cuda":
            found.append(f"runtime {runtime} runs on CUDA devices, not on {target.device}")
        elif runtime == "openvino" and kind != "cpu":
            found.append(f"runtime openvino runs on the CPU, not on {target.device}")
        return found

    def _precision_refusals(self, kind: str, target: Target) -> list[str]:
        precision, runtime = target.precision, target.runtime
        if precision == "int8":
            if not self.int8:
                return ["it is not quantised here; use another precision than int8"]
            if runtime not in INT8_RUNTIMES:
                return [f"int8 is made of an exported network, not by runtime {runtime}; use runtime onnxruntime"]
            if target.window is not None or target.test_time is not None:
                return ["int8 is calibrated on whole images; leave window and test_time out of its target"]
            return []
        allowed = self.precisions.get(runtime, self.cpu_precisions)
        if kind == "cpu" and precision not in allowed:
            return [f"it has no {precision} on a CPU with runtime {runtime}; it has {', '.join(allowed)}"]
        if kind == "mps" and precision == "tf32":
            return ["tf32 needs a CUDA device; an Apple GPU runs fp32, fp16 and bf16"]
        return []

    def _input_refusals(self, target: Target) -> list[str]:
        found = []
        if target.channels_last and (not self.channels_last or target.runtime in EXPORTED_RUNTIMES):
            what = f"runtime {target.runtime}" if self.channels_last else "it"
            found.append(f"{what} chooses its own memory layout; leave channels_last out of its target")
        passes = [name for name in ("window", "test_time") if getattr(target, name) is not None]
        if passes and not self.several_passes:
            found.append(f"its answers to several passes cannot be averaged; leave {' and '.join(passes)} out")
        has_one_size = target.window is not None or target.image_size is not None
        has_one_size = has_one_size and (target.test_time is None or target.test_time.scales == (1.0,))
        if self.one_size_exported is not None and target.runtime in EXPORTED_RUNTIMES and not has_one_size:
            found.append(f"its export takes inputs of one size, as {self.one_size_exported}; give image_size")
        if self.side is not None and target.image_size not in (None, (self.side, self.side)):
            height, width = target.image_size or (0, 0)
            found.append(
                f"it sees every image at {self.side} x {self.side}, not at {height} x {width}; leave image_size out"
            )
        return found

    def training_refusals(self, recipe: Recipe) -> list[str]:
        """Return why it cannot be trained by a recipe, a clause each."""
        found = []
        if recipe.device == "cpu" and recipe.precision not in ("fp32", "bf16"):
            found.append(f"precision {recipe.precision} needs a CUDA device; a CPU trains in fp32 and bf16")
        if recipe.devices > 1 and not self.training_devices:
            found.append("it is trained on one device; leave 'devices' out")
        found += [f"{why}; leave '{name}' out" for name, why in _changed(self.untrainable, recipe).items()]
        return found

    def passed_over(self, recipe: Recipe) -> dict[str, str]:
        """Return the fields that a recipe sets and the trainer passes over -> why."""
        return _changed(self.not_honoured, recipe)


BACKBONE_FIELDS = ("backbone_learning_rate_factor", "frozen_backbone_fraction")
"""Fields of a recipe that treat the backbone otherwise than the rest of a network."""

NO_BACKBONE = dict.fromkeys(BACKBONE_FIELDS, "it has no backbone apart from the rest of it")


def _changed(fields: dict[str, str], recipe: Recipe) -> dict[str, str]:
    """Return those of the fields that a recipe sets to something else than their default."""
    plain = Recipe(budget=recipe.budget)
    return {name: why for name, why in fields.items() if getattr(recipe, name) != getattr(plain, name)}
