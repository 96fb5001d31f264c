"""Options of SAM's model configs, without transformers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from adapters._torch.options import ObjectInput, Options, option_errors, refuse_in_input
from bench.errors import did_you_mean
from bench.records import ModelSpec
from bench.records.abilities import Abilities

Family = Literal["sam", "sam2"]


Part = Literal["vision", "prompt_encoder", "mask_decoder"]


CELL = {"sam": 16, "sam2": 32}
"""The input size is a multiple of this: of SAM's patches, of the windows of SAM 2's first stage."""


class SamInput(ObjectInput):
    """`input` of SAM, whose size and fit are its own."""

    @model_validator(mode="after")
    def _keeps_its_square(self) -> SamInput:
        fit = (
            "SAM sees an image at the top left of its square, SAM 2 stretched to it, as they were trained; leave it out"
        )
        refuse_in_input(
            self, {"size": "its square is set by the option input_size", "fit": fit, "fill": f"it is zero; {fit}"}
        )
        return self


class SamOptions(Options):
    """Options that a model config or a suite may set.

    Attributes:
        input: The preprocessing that the weights were trained with, where it is not ImageNet's mean and std.
        network: vit_b, vit_l, vit_h (SAM); hiera_tiny, hiera_small, hiera_base_plus, hiera_large (SAM 2).
        masks: `single` takes the one mask the network makes for a clear prompt, `best_of_three` the
            one of three that it is surest of; `by_prompt` takes the single one for a box and the best
            of three for a point, which may mean a part or a whole, as its authors advise.
        input_size: Side of the square that images are resized into, pixels; weights fit one size.
        overrides: Keys of the configuration to change, by part: `vision` (SAM 2: with `backbone` in
            it), `prompt_encoder`, `mask_decoder`. Such a network is none of the published ones.
    """

    input: SamInput | None = None
    network: str
    masks: Literal["by_prompt", "single", "best_of_three"] = "by_prompt"
    input_size: int = Field(default=1024, ge=32)
    overrides: dict[Part, dict[str, JsonValue]] = {}


FAMILY: dict[str, Family] = {
    **dict.fromkeys(("vit_b", "vit_l", "vit_h"), "sam"),
    **dict.fromkeys(("hiera_tiny", "hiera_small", "hiera_base_plus", "hiera_large"), "sam2"),
}
"""Network -> the model it is a size of."""


def usage_errors(model: ModelSpec) -> list[str]:
    found = option_errors(SamOptions, model)
    if found:
        return found
    options = SamOptions.model_validate(model.options)
    if options.network not in FAMILY:
        return [
            f"{model.label}: option 'network': no network named {options.network!r}."
            f"{did_you_mean(options.network, FAMILY)} Networks of sam: {', '.join(FAMILY)}"
        ]
    cell = CELL[FAMILY[options.network]]
    if options.input_size % cell:
        return [
            f"{model.label}: option 'input_size': {options.input_size} is no multiple of {cell}; "
            f"use {round(options.input_size / cell) * cell or cell}"
        ]
    return []


NO_GRAPH = "it decodes as many prompts as an image has objects, apart from the image, so that it is no single graph"


def abilities(model: ModelSpec) -> Abilities:
    return Abilities(
        runtimes=("eager",),
        no_other_runtime=NO_GRAPH,
        several_passes=False,
        probabilities=False,
        side=SamOptions.model_validate(model.options).input_size,
    )
