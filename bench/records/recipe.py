"""Describes how a model is trained: the budget, the augmentation, the recipe that has both, and previews of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.records.base import Record, Size

TrainingPrecision = Literal["fp32", "tf32", "fp16", "bf16"]


class Budget(Record):
    """State how long to train: whichever of the given limits is reached first. At least one is given.

    Attributes:
        epochs: Passes over the training split.
        steps: Optimiser steps.
        seconds: Wall-clock seconds spent in training steps (validation not counted).
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_an_end(self) -> Budget:
        if self.epochs is None and self.steps is None and self.seconds is None:
            raise ValueError("a budget needs at least one of epochs, steps and seconds")
        return self


class Augmentation(Record):
    """Random changes of a training image, which its mask follows; each is off at its default.

    Mirroring is the recipe's own `flip`. Pixels that a change brings in from outside the image
    are void in the mask.

    Attributes:
        scale: Smallest and largest factor of a random enlargement or reduction, after which a
            random part of the training size is cut out, padded where the image became smaller.
        rotate_deg: Largest angle of a random rotation either way, degrees.
        elastic_px: Largest typical displacement of a smooth random warp, pixels.
        colour: Largest relative change of brightness, contrast and saturation; hue changes by a
            tenth of it.
        blur_px: Largest standard deviation of a Gaussian blur, pixels.
        noise: Largest standard deviation of Gaussian noise, in units of the full range.
    """

    scale: tuple[float, float] | None = None
    rotate_deg: float = Field(default=0.0, ge=0, le=180)
    elastic_px: float = Field(default=0.0, ge=0)
    colour: float = Field(default=0.0, ge=0, le=1)
    blur_px: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> Augmentation:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale needs two rising factors above 0, such as [0.5, 2.0], not {list(self.scale)}")
        return self

    @property
    def changes(self) -> bool:
        """Return whether anything is on: a scale of [1.0, 1.0] leaves every image as it is."""
        return self.moves or self.colour > 0 or self.blur_px > 0 or self.noise > 0

    @property
    def moves(self) -> bool:
        """Return whether pixels change their place, so that the mask changes too."""
        return self.scale not in (None, (1.0, 1.0)) or self.rotate_deg > 0 or self.elastic_px > 0


class Recipe(Record):
    """State how a model is trained; mapped by each adapter to its framework's own trainer.

    Attributes:
        budget: The budget, which says when to stop.
        batch_size: Images per optimiser step.
        optimizer: Update rule.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay; decoupled for AdamW, L2 otherwise.
        momentum: Momentum of SGD; ignored by the others.
        schedule: Learning-rate curve over the budget.
        warmup_fraction: Share of the budget with a linearly rising learning rate.
        loss: Weighted sum of the losses in `adapters/_torch/training/losses/`, such as `0.5*cross_entropy + dice`.
        flip: Mirror images left-right at random, with their masks.
        augmentation: Further random changes of images and masks.
        random_crop: (height, width) of a random part that a step sees of each image, at the image's own
            resolution or that of `image_size`; `augmentation.scale` then enlarges or reduces the image before
            it is cut, and what is smaller than the part is padded, void in the mask. None shows images whole.
        class_balanced: Draw images so that rare classes come as often as frequent ones, instead of
            every image once per epoch.
        accumulate: Batches whose gradients make one optimiser step; the step then sees
            `batch_size * accumulate` images.
        clip_gradient_norm: Largest norm of all gradients together; None leaves them, or leaves
            the choice to the model config.
        ema_decay: Validate and keep an exponential moving average of the weights with this decay
            per step; None keeps the weights themselves.
        backbone_learning_rate_factor: Factor on the learning rate of the backbone.
        frozen_backbone_fraction: Share of the budget, from its start, in which the backbone does not learn:
            neither its weights nor the running statistics of its normalisation change.
        early_stopping: Stop after this number of validations in a row without a better one; None trains
            until the budget is spent.
        deterministic: Ask the framework for deterministic kernels.
        devices: Processes that share a step's batch, each with a device of its own, or each with
            a share of the threads of a CPU.
        image_size: (height, width) that training images are resized to; None keeps their own.
        device, precision, threads, channels_last: Settings of training with the meaning that they have in `Target`; a
            job's recipe has its device resolved.
        validate_every: Epochs between validations; None validates only at the end.
        checkpoint_every_s: Wall-clock seconds between resume checkpoints.
        seed: Seed of the initial weights, the image order and the augmentation.
    """

    budget: Budget
    batch_size: int = Field(default=8, ge=1)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine", "poly", "one_cycle"] = "cosine"
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    loss: str = "cross_entropy"
    flip: bool = True
    augmentation: Augmentation = Augmentation()
    random_crop: Size | None = None
    class_balanced: bool = False
    accumulate: int = Field(default=1, ge=1)
    clip_gradient_norm: float | None = Field(default=None, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    backbone_learning_rate_factor: float = Field(default=1.0, gt=0, le=100)
    frozen_backbone_fraction: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: int | None = Field(default=None, ge=1)
    deterministic: bool = False
    devices: int = Field(default=1, ge=1, le=1024)
    image_size: Size | None = None
    device: str = "auto"
    precision: TrainingPrecision = "fp32"
    threads: int | None = Field(default=None, ge=1)
    channels_last: bool = False
    validate_every: int | None = Field(default=1, ge=1)
    checkpoint_every_s: float = Field(default=30.0, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _thaws_in_one_process(self) -> Recipe:
        # Processes agree at the start on whose gradients they average.
        if self.frozen_backbone_fraction and self.devices > 1:
            raise ValueError("frozen_backbone_fraction needs devices: 1")
        return self


class PreviewRequest(Record):
    """Draw changed copies of training images. Paths are relative to the request's own folder.

    Attributes:
        recipe: Its `image_size`, `flip`, `augmentation` and `seed` are followed.
        count: Images to change.
        draws: Changed copies of each.
        images: NPZ file with `image_0`, `labels_0`, …: uint8, (H, W, 3) and (H, W).
        out: NPZ file to write: `image_0_0`, `labels_0_0`, … at the training size, by image and
            draw; draw 0 is the unchanged one.
    """

    recipe: Recipe
    count: int = Field(ge=1)
    draws: int = Field(ge=1)
    images: str
    out: str
