"""Images that no cache can know, timed at random moments among those that are timed again and again.

A cache may be tolerant: it may take a slightly changed image for one that it knows. So these are made of two images,
each mirrored and shifted by a large part of its size, joined at a random column and darkened: neither a thumbnail nor
the mean colour nor the histogram is that of a timed image. They cost what others of their shape cost, unless the others
cost nothing; and their predictions are not those of a timed image, unless the model looks up the nearest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random, SystemRandom

import numpy as np
from numpy.typing import NDArray

from bench.adapter import Adapter
from bench.measure.phases import during
from bench.measure.stages import Clock, end_to_end
from bench.records import Flag
from bench.records.predictions import Prediction, RgbImage, SemanticMap
from bench.records.prompts import PromptedImage

SHARE = 1 / 16
"""Samples of images never seen, as a share of the end-to-end samples."""
LEAST, FEWEST = 12, 6
"""Fewest samples of images never seen: in the first process of a case, and in the others and of slow models.

Missing ones are taken after the sampling.
"""
ALIKE, MOST_PIXELS = 0.97, 4096
"""Share of equal labels from which a label map is one that is known, and labels that are kept of each."""
LITTLE = 0.01
"""Share of labels other than the commonest below which a label map tells nothing."""
LONG_NS = 5_000_000_000
"""Nanoseconds after which a model is slow."""
SUSPICIOUS, REFUSED = 0.7, 0.5
"""Timed over never seen, see `_ratio`: below the first it is flagged, below the second the timing is refused."""


class UnseenImages:
    """Times images never seen, and holds them against the timed ones."""

    def __init__(
        self, adapter: Adapter, images: Sequence[RgbImage], batch_size: int, clock: Clock, *, first: bool
    ) -> None:
        """Take the images that are timed; those of the first one's shape, and number of prompts, are used.

        `first` is the process of replicate 0.
        """
        self._least = LEAST if first else FEWEST
        self._adapter, self._clock, self._batch_size = adapter, clock, batch_size
        self._alike = [image for image in images if work(image) == work(images[0])]
        self.positions = frozenset(i for i, image in enumerate(images) if work(image) == work(images[0]))
        self._random = SystemRandom()
        self._total_ns: list[int] = []
        self._answers: list[Answer] = []
        self._known: dict[int, Answer] = {}

    def timed(self, positions: Sequence[int], predictions: Sequence[Prediction]) -> None:
        """Take note of what the images at some positions are answered with, once for each."""
        for position, prediction in zip(positions, predictions, strict=True):
            if position not in self._known:
                self._known[position] = Answer.of(prediction)

    def perhaps(self) -> None:
        """Time a batch of images never seen, one time in sixteen."""
        if self._random.random() < SHARE:
            self._time()

    def enough(self) -> None:
        """Time as many more as a verdict takes."""
        start = self._clock()
        while len(self._total_ns) < (self._least if self._clock() - start < LONG_NS else FEWEST):
            self._time()

    @during("audit")
    def _time(self, made_up: list[RgbImage] | None = None) -> int:
        """Time a batch of images never seen, and return its nanoseconds."""
        batch = made_up or self._batch_made_up()
        timed = end_to_end(self._adapter, batch, self._clock)
        self._total_ns.append(timed.total_ns)
        if timed.read.plain:
            self._answers += [Answer.of(prediction) for prediction in timed.predictions]
        return timed.total_ns

    def _batch_made_up(self) -> list[RgbImage]:
        return [self._made_up() for _ in range(self._batch_size)]

    def _made_up(self) -> RgbImage:
        one, other = self._random.choices(self._alike, k=2)
        return never_seen(one, other, self._random)

    def verdict(self, timed_ns: Sequence[int]) -> tuple[Flag | None, bool]:
        """Return what is wrong and whether the timing must not be used.

        Args:
            timed_ns: End-to-end samples of batches of the images that are used here; none where their path began at
                files, which images made up here have not.
        """
        if self._answered_by_the_nearest():
            seen = f"{len(self._answers)} images never seen before were answered with the predictions of timed ones"
            return Flag(name="answered_from_memory", seen=seen, advice="predict every image from its pixels"), True
        if not timed_ns or _ratio(timed_ns, self._total_ns) >= SUSPICIOUS:
            return None, False
        ratio = self._second_look()
        if ratio >= SUSPICIOUS:
            return None, False
        seen = f"images that are timed take {ratio:.2f} times as long as images never seen before"
        advice = "if the model remembers answers, or similar images, switch that off"
        return Flag(name="answered_from_memory", seen=seen, advice=advice), ratio < REFUSED

    def _second_look(self) -> float:
        """The ratio once more, of pairs of known and new images: a busy machine imitates a cache once, hardly twice.

        Both are there before either is timed, and which comes first is drawn: what is done before a batch, and a fixed
        order, can fall in step with the time slices of another process.
        """
        known_ns, new_ns = [], []
        for _ in range(LEAST):
            known, new = self._random.choices(self._alike, k=self._batch_size), self._batch_made_up()
            for is_new in self._random.sample((False, True), 2):
                if is_new:
                    new_ns.append(self._time(new))
                else:
                    known_ns.append(end_to_end(self._adapter, known, self._clock).total_ns)
        return _ratio(known_ns, new_ns)

    def _answered_by_the_nearest(self) -> bool:
        """Return whether most new images have the answer of a timed one, nearly, though timed ones differ in theirs.

        A model that says of new images that nothing is there says nothing of a memory.
        """
        known = list(self._known.values())
        if len({answer.content for answer in known}) <= max(1, len(known) // 2):
            return False
        common = commonest(known)
        apart = [answer.nearest(known[:n] + known[n + 1 :], common) for n, answer in enumerate(known)]
        enough = ALIKE if np.median(apart) < ALIKE else 1.0
        return sum(answer.nearest(known, common) >= enough for answer in self._answers) > len(self._answers) / 2


@dataclass(frozen=True)
class Answer:
    """Excerpt of a prediction that is kept to recognise it.

    Attributes:
        content: Hash of the prediction.
        pixels: Some labels of a label map, evenly spread; none of other predictions.
    """

    content: str
    pixels: NDArray[np.generic]

    @classmethod
    def of(cls, prediction: Prediction) -> Answer:
        """Keep what is needed."""
        labels = prediction.labels.reshape(-1) if isinstance(prediction, SemanticMap) else np.zeros(0, np.uint8)
        return cls(prediction.content_hash(), labels[:: 1 + labels.size // MOST_PIXELS].copy())

    def nearest(self, others: Sequence[Answer], common: int) -> float:
        """Return how alike the one of others is that is most like it, 0 to 1; of label maps without what is common."""
        size = len(self.pixels)
        comparable = [other for other in others if len(other.pixels) == size > 0]
        by_content = [float(other.content == self.content) for other in others if not len(other.pixels) == size > 0]
        if not comparable:
            return max(by_content, default=0.0)
        pixels = np.stack([other.pixels for other in comparable])  # (others, pixels)
        shown = (pixels != common) | (self.pixels != common)
        counts = shown.sum(axis=1)
        alike = ((pixels == self.pixels) & shown).sum(axis=1) / np.maximum(counts, 1)
        alike[counts / pixels.shape[1] < LITTLE] = 0.0
        # Of others than itself, what was not kept differs.
        most = np.array([1.0 if self.content == other.content else 0.9999 for other in comparable])
        return max([float(np.minimum(alike, most).max()), *by_content])


def commonest(answers: Sequence[Answer]) -> int:
    """Return the label of most pixels of all answers, mostly a background; 0 without any."""
    labels, counts = np.unique(np.concatenate([answer.pixels for answer in answers]), return_counts=True)
    return int(labels[counts.argmax()]) if len(labels) else 0


def _ratio(timed_ns: Sequence[int], new_ns: Sequence[int]) -> float:
    """Upper quartile of timed over median of new images: what is remembered is fast nearly always, noise is not."""
    return float(np.quantile(timed_ns, 0.75) / max(1.0, float(np.median(new_ns))))


def work(image: RgbImage) -> tuple[int, ...]:
    """Return what the time for an image may depend on: its shape, and the number of prompts where it has some."""
    return (*image.shape, len(image.prompts)) if isinstance(image, PromptedImage) else image.shape


def never_seen(image: RgbImage, other: RgbImage, random: Random) -> RgbImage:
    """Return an image of the shape of two, and the prompts of the first, that is like neither."""
    made = image.copy()
    width = image.shape[1]
    cut = round(width * random.uniform(0.3, 0.7))
    made[:, :cut] = _moved(np.asarray(image), random)[:, :cut]
    made[:, cut:] = _moved(np.asarray(other), random)[:, cut:]
    gains = [random.uniform(0.4, 1.0) for _ in range(image.shape[2])]  # another for each colour
    made[...] = (np.asarray(made) * gains).astype(np.uint8)
    return made


def _moved(pixels: RgbImage, random: Random) -> RgbImage:
    """Mirrored, and shifted by an eighth to seven eighths of its height and width."""
    shift = [round(side * random.uniform(0.125, 0.875)) for side in pixels.shape[:2]]
    mirrored = pixels[:: random.choice((1, -1)), :: random.choice((1, -1))]
    return np.roll(mirrored, shift, axis=(0, 1))
