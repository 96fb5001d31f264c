"""Models that misbehave on purpose, and two that behave: instruments that test the harness.

A model config's `behaviour` chooses one:

* `perfect`, `noisy`: know the ground truth of the `shapes` images by their content, which no real adapter
  may; `noisy` spoils a share of the pixels, the same ones each time it sees an image; `perfect` also
  knows instances, segments and prompted objects;
* `echoes_prompts`: answers a prompt with the prompt itself, its box filled or the pixel it names: what
  a prompt is worth without a model;
* `slow`, `bimodal`: have a known latency, and answer with class 0;
* `crashes` (by exception, signal or exit), `hangs`, `eats_memory`, `oom_device`, `unsupported`,
  `missing_package`: end in every way a worker can end;
* `wrong_shape`, `forgets_sync`, `cached`, `changes_input`: break rules that audits and checks must catch;
* `trains`: leaves a weights file and a learning curve in no time;
* `learns`: is as good as its recipe, at every validation and in its predictions; the best learning rate is 0.01.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from bench.adapter import BaseAdapter, Progress, PromptedImage, TrainingData, TrainingResult, Unsupported
from bench.data.formats.by_name import open_dataset
from bench.errors import BenchError, in_one_line
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Instances, LabelMap, Panoptic, Prediction, PromptedMasks, RgbImage, SemanticMap

SPIN_S = 0.0015
"""The last part of a wait is spun: sleeping alone overshoots by a scheduler's tick."""


class Options(BaseModel):
    """Options of a fake's model config.

    Attributes:
        behaviour: Name of the behaviour; the module's docstring describes each.
        preprocess_ms, infer_ms, postprocess_ms: Latency of each stage of a timed behaviour.
        stages_overlap: True if a pass of throughput may have a thread for each stage, as beside a GPU.
        second_infer_ms: `bimodal`: latency of `infer` for every other image, chosen by content.
        dataset: `perfect`, `noisy`: options of the `shapes` data set whose ground truth is known.
        split: `perfect`, `noisy`: its split.
        flipped: `noisy`: share of pixels that get another class.
        how: `crashes`: in which way.
        after: `crashes`, `hangs`, `eats_memory`, `oom_device`, `changes_input`: number of calls that go well before.
        fits: `oom_device`: images of a batch that fit into its memory; such batches go well.
        mebibytes: `eats_memory`: what each call takes and gives back; None takes all there is.
        validations: `learns`: how many, evenly over the steps; each step takes `infer_ms`.
        diverges_above: `learns`: learning rate above which the training fails.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    behaviour: Literal[
        "perfect",
        "noisy",
        "echoes_prompts",
        "slow",
        "bimodal",
        "crashes",
        "hangs",
        "eats_memory",
        "oom_device",
        "unsupported",
        "missing_package",
        "wrong_shape",
        "forgets_sync",
        "cached",
        "changes_input",
        "trains",
        "learns",
    ]
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0
    second_infer_ms: float = 0.0
    stages_overlap: bool = False
    dataset: dict[str, JsonValue] = {}
    split: str = "test"
    flipped: float = 0.1
    how: Literal["exception", "signal", "exit"] = "exception"
    after: int = 0
    fits: int = 0
    mebibytes: int | None = None
    validations: int = 4
    diverges_above: float = 1.0


class OutOfMemoryError(RuntimeError):
    """Named as torch names it when a device is full."""


def wait_ms(milliseconds: float) -> None:
    """Return after the given number of milliseconds, to within some microseconds on an idle machine."""
    end = time.perf_counter() + milliseconds / 1e3
    while (left := end - time.perf_counter()) > 0:
        if left > SPIN_S:
            time.sleep(left - SPIN_S)


class Adapter(BaseAdapter):
    """The fakes behind the common interface."""

    def __init__(self) -> None:
        """Make an adapter that is not built yet."""
        self._calls = 0
        self._in_flight: threading.Thread | None = None
        self._known: dict[str, Prediction] = {}
        self._answers: dict[str, LabelMap] = {}

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Choose a behaviour; some end here."""
        try:
            self._options = Options.model_validate(model.options)
        except ValidationError as error:
            raise BenchError(f"{model.name}: {in_one_line(error)}") from None
        self.stages_overlap = self._options.stages_overlap
        if target.device != "cpu":
            raise Unsupported(f"the fakes run on cpu only, not on {target.device}")
        if target.window is not None or target.test_time is not None:
            raise Unsupported("the fakes make no forward pass, so none over windows and none for test_time")
        behaviour = self._options.behaviour
        if behaviour == "unsupported":
            raise Unsupported("this fake supports nothing, as its name says")
        if behaviour == "missing_package":
            importlib.import_module("a_package_that_nobody_has")
        if behaviour == "trains" and weights is not None and weights.read_text() != "trained":
            raise BenchError(f"{weights} holds no weights of this fake")
        if behaviour == "echoes_prompts" and task.kind != "prompted":
            raise Unsupported(f"the fake 'echoes_prompts' needs prompts; it has no {task.kind} prediction")
        if behaviour not in ("perfect", "echoes_prompts") and task.kind != "semantic":
            raise Unsupported(f"the fake {behaviour!r} labels pixels; it has no {task.kind} prediction")
        self._num_classes, self._kind = len(task.classes), task.kind
        self._flipped = self._options.flipped
        learned = weights if behaviour == "learns" else None
        if learned is not None:
            self._flipped = 1 - float(learned.read_text())
        if learned is not None or behaviour in ("perfect", "noisy"):
            self._learn_ground_truths()

    def _learn_ground_truths(self) -> None:
        dataset = open_dataset("shapes", self._options.dataset)
        splits = dataset.splits() if self._options.behaviour == "learns" else (self._options.split,)
        for image_id in (image_id for split in splits for image_id in dataset.ids(split)):
            ground_truth = dataset.target(image_id).of(self._kind)
            if ground_truth is not None:
                self._known[_content(dataset.image(image_id))] = as_prediction(ground_truth)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Report a learning curve and leave a weights file."""
        if self._options.behaviour == "learns":
            return self._learn(recipe, out, progress)
        if self._options.behaviour != "trains":
            raise Unsupported("this fake cannot be trained")
        steps = recipe.budget.steps or 10
        progress.planned(steps=steps, seconds=None)
        for step in range(1, steps + 1):
            images = step * recipe.batch_size
            progress.step(
                step=step, images=images, train_s=step / 100, loss=1 / step, learning_rate=recipe.learning_rate
            )
            wait_ms(self._options.infer_ms)
        values = {"val_loss": 1 / steps, "val_mean_iou": 1 - 1 / (1 + steps)}
        progress.validated(step=steps, images=steps * recipe.batch_size, train_s=steps / 100, values=values)
        weights = out / "weights.txt"
        weights.write_text("trained")
        return TrainingResult(weights, steps, steps * recipe.batch_size, steps / 100, {}, {})

    def _learn(self, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Come to the share of right pixels that a recipe is worth, and tell of it at every validation."""
        if recipe.learning_rate > self._options.diverges_above:
            raise BenchError(f"the loss is no finite number at a learning rate of {recipe.learning_rate:g}")
        good, steps = goodness(recipe), recipe.budget.steps or 8
        progress.planned(steps=steps, seconds=None)
        every = max(1, steps // self._options.validations)
        for step in range(1, steps + 1):
            images, spent, share = step * recipe.batch_size, step / 100, good * step / steps
            rate = recipe.learning_rate
            progress.step(step=step, images=images, train_s=spent, loss=1 - share, learning_rate=rate)
            wait_ms(self._options.infer_ms)
            if step % every == 0:
                progress.validated(step=step, images=images, train_s=spent, values={"val_mean_iou": share})
        weights = out / "weights.txt"
        weights.write_text(repr(good))
        return TrainingResult(weights, steps, steps * recipe.batch_size, steps / 100, {}, {})

    def preprocess(self, images: Sequence[RgbImage]) -> list[RgbImage]:
        """Hand the images on."""
        wait_ms(self._options.preprocess_ms)
        if self._options.behaviour == "changes_input" and self._calls >= self._options.after:
            for image in images:
                image[0, 0] ^= 1
        return list(images)

    def infer(self, batch: list[RgbImage]) -> list[Prediction]:
        """Behave as the model config says."""
        self._calls += 1
        behaviour = self._options.behaviour
        fits = behaviour == "oom_device" and len(batch) <= self._options.fits
        if self._calls > self._options.after and behaviour in _ENDINGS and not fits:
            _ENDINGS[behaviour](self._options)
        if behaviour == "forgets_sync":
            # The work goes on in the background, as on a GPU, and `synchronize` does not wait for it.
            self._in_flight = threading.Thread(target=wait_ms, args=(self._options.infer_ms,))
            self._in_flight.start()
        elif behaviour != "cached":
            wait_ms(self._latency_ms(batch))
        return [self._predicted(image) for image in batch]

    def _latency_ms(self, batch: list[RgbImage]) -> float:
        if self._options.behaviour == "bimodal" and int(_content(batch[0]), 16) % 2:
            return self._options.second_infer_ms
        return self._options.infer_ms

    def _predicted(self, image: RgbImage) -> Prediction:
        if self._options.behaviour == "echoes_prompts":
            return _echo(image)
        known = self._known.get(_content(image))
        if self._options.behaviour == "perfect" and known is not None:
            return known
        return SemanticMap(self._labels(image, known))

    def _labels(self, image: RgbImage, known: Prediction | None) -> LabelMap:
        if self._options.behaviour == "cached":
            return self._answer(image)
        if self._options.behaviour == "wrong_shape":
            return np.zeros((image.shape[0] // 2, image.shape[1]), dtype=np.uint8)
        return self._spoilt(known.labels, image) if isinstance(known, SemanticMap) else _nothing(image)

    def _answer(self, image: RgbImage) -> LabelMap:
        content = _content(image)
        if content not in self._answers:
            wait_ms(self._options.infer_ms)
            self._answers[content] = _nothing(image)
        return self._answers[content]

    def _spoilt(self, ground_truth: LabelMap, image: RgbImage) -> LabelMap:
        rng = np.random.default_rng(int(_content(image)[:16], 16))
        spoil = rng.random(ground_truth.shape) < self._flipped
        other = rng.integers(0, self._num_classes, ground_truth.shape, dtype=np.uint8)
        return np.where(spoil, other, ground_truth)

    def postprocess(self, raw: list[Prediction], sizes: Sequence[Size]) -> list[Prediction]:
        """Hand the predictions back; void in a known ground truth becomes "names no class"."""
        if self._in_flight is not None:
            self._in_flight.join()
            self._in_flight = None
        wait_ms(self._options.postprocess_ms)
        return raw

    def probabilities(self, raw: list[Prediction], sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return how sure `perfect` and `noisy` may be: right in as many of all pixels as they say, so calibrated.

        `noisy` names a class with the probability that its spoiling leaves it, the others share the rest; pixels of no
        class have equal probabilities.
        """
        if self._options.behaviour not in ("perfect", "noisy") or self._kind != "semantic":
            raise Unsupported(f"the fake {self._options.behaviour!r} is never sure of anything")
        spoilt = self._options.flipped if self._options.behaviour == "noisy" else 0.0
        other = spoilt / self._num_classes
        found: list[NDArray[np.floating]] = []
        for prediction in raw:
            assert isinstance(prediction, SemanticMap)
            labels = prediction.labels
            maps = np.where(labels == np.arange(self._num_classes)[:, None, None], 1 - spoilt + other, other)
            found.append(np.where(labels < self._num_classes, maps, 1 / self._num_classes))
        return found

    def describe(self) -> dict[str, JsonValue]:
        """Fakes have no parameters."""
        return {"device_name": "cpu"}

    def versions(self) -> dict[str, str]:
        """Return the version of NumPy, which alone can change a fake's answer."""
        return {"numpy": np.__version__}


def goodness(recipe: Recipe) -> float:
    """Return the share of right pixels that a recipe is worth, 0.5 to 1: most at a learning rate of 0.01, by dice."""
    off = math.log10(recipe.learning_rate) + 2
    return 0.5 + 0.5 * math.exp(-(off**2)) * (1.0 if recipe.loss == "dice" else 0.9)


def _content(image: RgbImage) -> str:
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest()


def _nothing(image: RgbImage) -> LabelMap:
    return np.zeros(image.shape[:2], dtype=np.uint8)


def _echo(image: RgbImage) -> PromptedMasks:
    if not isinstance(image, PromptedImage):
        raise BenchError("the fake 'echoes_prompts' was handed an image without prompts")
    masks = np.zeros((len(image.prompts), *image.shape[:2]), dtype=np.bool_)
    for mask, place in zip(masks, image.prompts.xy, strict=True):
        left, top, *rest = np.floor(place + 0.5).astype(np.int64)  # a place between pixels goes to the later one
        right, bottom = rest or (left, top)
        mask[top : bottom + 1, left : right + 1] = True
    return PromptedMasks(masks, np.ones(len(masks)))


def as_prediction(ground_truth: Prediction) -> Prediction:
    """Return the ground truth as a model may state it: without crowds, which only a ground truth has."""
    if isinstance(ground_truth, Instances):
        return replace(ground_truth, crowd=np.zeros_like(ground_truth.crowd))
    if isinstance(ground_truth, Panoptic):
        return replace(ground_truth, segments=tuple(replace(segment, crowd=False) for segment in ground_truth.segments))
    return ground_truth


def _crash(options: Options) -> None:
    if options.how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if options.how == "exit":
        os._exit(3)
    raise RuntimeError("this fake crashes, as its name says")


def _hang(_: Options) -> None:
    threading.Event().wait()


def _eat_memory(options: Options) -> None:
    if options.mebibytes is not None:
        np.ones(options.mebibytes * 1024**2, dtype=np.uint8)  # ones: zeros would be promised, not taken
        return
    # A limit of its own, so that the machine's memory is safe from the test.
    limit = 4 * 1024**3
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    eaten = []
    while True:
        eaten.append(np.zeros(256 * 1024**2, dtype=np.uint8))


def _fill_device(_: Options) -> None:
    raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


_ENDINGS: dict[str, Callable[[Options], None]] = {
    "crashes": _crash,
    "hangs": _hang,
    "eats_memory": _eat_memory,
    "oom_device": _fill_device,
}
