"""Changes of a training image that its mask must follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import resize_image, resize_labels
from bench.errors import Unsupported
from bench.records import IGNORE_LABEL, Augmentation, Recipe, Size
from bench.records.predictions import LabelMap, RgbImage

if TYPE_CHECKING:
    from adapters._torch.training.transforms import Draw

STREAM, CROP_STREAM = 7, 8
"""Keep the numbers drawn here apart from those that order and mirror the images, whose seeds look alike."""


def mirror(image: RgbImage, labels: LabelMap) -> tuple[RgbImage, LabelMap]:
    """Return an image, (H, W, 3), and its class ids, (H, W) or (N, H, W), mirrored left-right (views)."""
    return image[:, ::-1], labels[..., ::-1]


@lru_cache(maxsize=2)  # asked for at every step
def epoch_order(*, seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of the images in an epoch, a permutation of 0..count-1."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


@lru_cache(maxsize=2)
def epoch_flips(*, seed: int, epoch: int, count: int) -> NDArray[np.bool_]:
    """Return which images, by index, are mirrored in an epoch, each with probability one half."""
    return np.random.default_rng([seed, epoch, 1]).random(count) < 0.5


class Augment(Protocol):
    """Changes an image and its mask, (H, W), or masks, (N, H, W), together; a pure function of them and the seed."""

    def __call__(self, image: RgbImage, labels: LabelMap, *, seed: Sequence[int]) -> tuple[RgbImage, LabelMap]: ...


def augment_of(recipe: Recipe, *, fill: tuple[float, ...]) -> Augment | None:
    """Return what a recipe changes at random beside mirroring; None where it changes nothing.

    Args:
        recipe: The recipe; with `random_crop` its scale is that of the crop, see `RandomCrop`.
        fill: Colour, 0-1 for each channel, of what comes in from outside the image.

    Raises:
        Unsupported: As `Augmenter`.
    """
    crop, augment = crop_of(recipe, fill=fill), changes_of(recipe, fill=fill)
    if crop is None or augment is None:
        return crop or augment

    def cropped(image: RgbImage, labels: LabelMap, *, seed: Sequence[int]) -> tuple[RgbImage, LabelMap]:
        return augment(*crop(image, labels, seed=seed), seed=seed)

    return cropped


def crop_of(recipe: Recipe, *, fill: tuple[float, ...]) -> RandomCrop | None:
    """Return what a recipe cuts out of an image; None where it takes the whole."""
    if recipe.random_crop is None:
        return None
    return RandomCrop(recipe.random_crop, recipe.augmentation.scale, fill=fill)


def changes_of(recipe: Recipe, *, fill: tuple[float, ...]) -> Augmenter | None:
    """Return what a recipe changes beside mirroring and cropping; None where that is nothing."""
    without = {"scale": None} if recipe.random_crop is not None else {}
    changes = recipe.augmentation.model_copy(update=without)
    return Augmenter(changes, fill=fill) if changes.changes else None


class RandomCrop:
    """A random part of an image at its full resolution, which may be enlarged or reduced at random before.

    Chen et al., Rethinking Atrous Convolution (https://arxiv.org/abs/1706.05587), section 4.1: the image is scaled,
    then a part of a fixed size is cut out; what lies beside a smaller image is void. The scale is drawn as
    `Augmentation.scale` says. Only the pixels that will be seen are resampled.

    Args:
        scale: Smallest and largest factor; None leaves the resolution.
        fill: Colour, 0-1 for each channel, of what is beside a smaller image.
    """

    def __init__(self, size: Size, scale: tuple[float, float] | None, *, fill: tuple[float, ...]) -> None:
        self._size, self._scale = size, scale or (1.0, 1.0)
        self._fill = np.round(np.asarray(fill) * 255).astype(np.uint8)

    def __call__(self, image: RgbImage, labels: LabelMap, *, seed: Sequence[int]) -> tuple[RgbImage, LabelMap]:
        """Return a part, uint8 (h, w, C), and its class ids, uint8 (..., h, w); a pure function of the arguments."""
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(CROP_STREAM,)))
        low, high = self._scale
        factor = float(low * (high / low) ** random.random())
        places = [
            _Span.drawn(whole, side, factor, float(random.random()))
            for whole, side in zip(labels.shape[-2:], self._size, strict=True)
        ]
        rows, columns = (slice(span.start, span.start + span.length) for span in places)
        shown = Size(*(span.shown for span in places))
        part, ids = image[rows, columns], labels[..., rows, columns]
        if part.shape[:2] != tuple(shown):
            part, ids = resize_image(part, shown), _each_resized(ids, shown)
        if shown == self._size:
            return part, ids
        canvas = np.empty((*self._size, image.shape[2]), dtype=np.uint8)
        canvas[:] = self._fill
        void = np.full((*labels.shape[:-2], *self._size), IGNORE_LABEL, dtype=np.uint8)
        rows, columns = (slice(span.offset, span.offset + span.shown) for span in places)
        canvas[rows, columns], void[..., rows, columns] = part, ids
        return canvas, void


def _each_resized(labels: LabelMap, size: Size) -> LabelMap:
    """Return class ids, (H, W) or (N, H, W), at a size."""
    if labels.ndim == 2:
        return resize_labels(labels, size)
    return np.array([resize_labels(one, size) for one in labels], dtype=np.uint8).reshape(len(labels), *size)


class _Span(NamedTuple):
    """One side of a crop: which pixels of the image it sees, how many they become, and where these lie in the part."""

    start: int
    length: int
    shown: int
    offset: int

    @classmethod
    def drawn(cls, whole: int, side: int, factor: float, place: float) -> _Span:
        """Draw the span of an image side of `whole` pixels, scaled by a factor, at a share of its places.

        >>> _Span.drawn(100, 40, 1.0, 0.999), _Span.drawn(100, 40, 2.0, 0.0), _Span.drawn(30, 40, 1.0, 0.999)
        (_Span(start=60, length=40, shown=40, offset=0), _Span(start=0, length=20, shown=40, offset=0), \
_Span(start=0, length=30, shown=30, offset=10))
        """
        length = min(whole, max(1, round(side / factor)))
        shown = side if length < whole else min(side, max(1, round(whole * factor)))
        start, offset = int(place * (whole - length + 1)), int(place * (side - shown + 1))
        return cls(start, length, shown, offset)


class Augmenter:
    """The random changes of a recipe, one image with its mask at a time.

    In this order: colour; then scale, rotation and warp in a single resampling; then blur and noise.
    Image and mask are sampled at the same places, so they cannot be misaligned, the image
    bilinearly and the mask at the nearest pixel, so that no id is invented. See
    `adapters._torch.training.transforms` for what each change is.

    Args:
        augmentation: The kinds and strengths of the changes.
        fill: RGB, 0-1, of what comes in from outside the image, where the mask is `IGNORE_LABEL`.

    Raises:
        Unsupported: If something is on and torchvision is not installed.
    """

    def __init__(self, augmentation: Augmentation, *, fill: tuple[float, ...]) -> None:
        self._augmentation, self._fill = augmentation, fill
        self._changes = augmentation.changes
        if self._changes:
            _import_transforms()

    def __call__(self, image: RgbImage, labels: LabelMap, *, seed: int | Sequence[int]) -> tuple[RgbImage, LabelMap]:
        """Return a changed copy at the same size, a pure function of the arguments.

        Args:
            image: uint8, (H, W, 3).
            labels: Class ids, uint8, (H, W) or (N, H, W).
            seed: Whole numbers from 0 up.

        Returns:
            uint8, of the same shapes. Where nothing changes, the arrays that came in.
        """
        if not self._changes:
            return image, labels
        from adapters._torch.training.transforms import apply

        return apply(self.draw(labels.shape[-2:], seed), image, labels, fill=self._fill)

    def draw(self, shape: tuple[int, ...], seed: int | Sequence[int]) -> Draw:
        """Return all that is left to chance for a frame of shape (H, W)."""
        from adapters._torch.training.transforms import Draw

        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
        return Draw.of(self._augmentation, shape, random)

    @torch.no_grad()
    def on_device(self, draws: Sequence[Draw], pixels: Iterable[Tensor], labels: Iterable[Tensor]) -> None:
        """Change images (H, W, 3) with their labels (..., H, W) in place where they lie, as `__call__` changes them.

        What an image was padded to, at the bottom and on the right of its frame, stays.
        """
        from adapters._torch.training.transforms import changed

        for draw, image, ids in zip(draws, pixels, labels, strict=True):
            height, width = draw.shape
            part, shown = image[:height, :width], ids[..., :height, :width]
            with torch.autocast(image.device.type, enabled=False):
                made, followed = changed(draw, part, shown, fill=self._fill)
            part.copy_(made)
            shown.copy_(followed)


def _import_transforms() -> None:
    """Import what the first call needs now: it takes seconds, which no training clock should see."""
    try:
        import torchvision  # noqa: F401

        import adapters._torch.training.transforms  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"a recipe with 'augmentation' needs the package {error.name}, which is not installed. "
            "Install it, or leave 'augmentation' out of the recipe"
        ) from None


class DeviceAugmentation:
    """Changes that the device makes; no dataclass or list, so that Lightning hands it on as it is."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        self.draws = draws


def made_on(device: torch.device) -> bool:
    """Return whether a device makes the changes itself."""
    return device.type == "cuda"


class RandomChanges:
    """The random changes of a recipe beside mirroring, by the threads that load or by the device that trains.

    A GPU is faster at them than loaders, which it would wait for; by the same draws both come to the same. Mirroring
    and cropping stay with the loaders: they make the images smaller, or leave them as they are.

    Attributes:
        by_loader: The part that is made where images are loaded; None where that is nothing.
    """

    by_loader: Augment | None

    def __init__(self, recipe: Recipe, *, fill: tuple[float, ...], device: torch.device) -> None:
        """Prepare; arguments and errors as of `augment_of`."""
        self._on_device = changes_of(recipe, fill=fill) if made_on(device) else None
        self._pins = device.type == "cuda"
        self.by_loader = augment_of(recipe, fill=fill) if self._on_device is None else crop_of(recipe, fill=fill)

    def drawn(self, shapes: Iterable[tuple[int, ...]], seeds: Iterable[Sequence[int]]) -> DeviceAugmentation | None:
        """Draw what the device is to change of images of shapes (H, W); None where it changes nothing."""
        if self._on_device is None:
            return None
        draws = [self._on_device.draw(shape, seed) for shape, seed in zip(shapes, seeds, strict=True)]
        return DeviceAugmentation([draw.pinned() for draw in draws] if self._pins else draws)

    def make(self, later: DeviceAugmentation | None, pixels: Iterable[Tensor], labels: Iterable[Tensor]) -> None:
        """Change images (H, W, 3) and their labels (..., H, W) in place, as it was drawn."""
        if later is not None and self._on_device is not None:
            self._on_device.on_device(later.draws, pixels, labels)
