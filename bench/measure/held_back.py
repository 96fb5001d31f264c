"""Images of the scored split that are not among the timed ones, each predicted once, at a moment that nobody knows.

A model may know the timed images by heart and answer all others fast and badly, so that both take the same time. What
it says of images that are made up (`unseen_images`) cannot be held against anything; what it says of these was scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import SystemRandom

from bench.adapter import Adapter
from bench.measure.materialise import copied
from bench.measure.outputs import checked
from bench.measure.stages import Clock, end_to_end
from bench.measure.timed_images import ImageSource
from bench.measure.unseen_images import LONG_NS
from bench.records import Job
from bench.records.predictions import Prediction, RgbImage

MOST = 4
"""Number of images that are held back."""
SHARE = 1 / 16
"""Probability that one is predicted between two samples."""


class HeldBack:
    """Holds some images back, and keeps what the model says of them, to be held against the scored predictions.

    Attributes:
        kept: Image id -> prediction.
    """

    def __init__(
        self,
        adapter: Adapter,
        source: ImageSource,
        ids: Sequence[str],
        job: Job,
        clock: Clock,
        alike: Callable[[RgbImage], bool],
    ) -> None:
        """Choose some images.

        Args:
            adapter: The model.
            source: Images of the split.
            ids: Those that are not timed.
            job: Job, for the batch size, the input and the task.
            clock: Host clock.
            alike: Whether an image is of a form that is timed, for which the model is ready.
        """
        self._adapter, self._source, self._job, self._clock = adapter, source, job, clock
        self._random = SystemRandom()
        chosen = {image_id: source.image(image_id) for image_id in self._random.sample(list(ids), min(MOST, len(ids)))}
        self._images = {image_id: image for image_id, image in chosen.items() if alike(image)}
        self._left = list(self._images)
        self.kept: dict[str, Prediction] = {}

    def perhaps(self) -> None:
        """Predict one of them, one time in sixteen."""
        if self._left and self._random.random() < SHARE:
            self._predict(self._left.pop())

    def rest(self) -> None:
        """Predict those that are left, or one, where the model is slow."""
        start = self._clock()
        while self._left and (not self.kept or self._clock() - start < LONG_NS):
            self._predict(self._left.pop())

    def _predict(self, image_id: str) -> None:
        encoded: list[bytes] | None = None
        count = self._job.target.batch_size
        batch = [self._images.pop(image_id)] * count
        if self._job.measurement is not None and self._job.measurement.input == "file":
            encoded = [self._source.encoded(image_id)] * count
        timed = end_to_end(self._adapter, batch, self._clock, encoded=encoded)
        self.kept[image_id] = copied(checked(timed.predictions, batch, [image_id] * count, self._job)[0])
