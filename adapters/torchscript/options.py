"""Options of a model config of a TorchScript file, without torch."""

from adapters._torch.runtimes.file_options import EXPORTS, FileOptions, usage_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities

__all__ = ["EXPORTS", "FileOptions", "abilities", "usage_errors"]


def abilities(model: ModelSpec) -> Abilities:
    """Return what the model can be asked for; imports no framework."""
    return Abilities(
        runtimes=("eager",),
        no_other_runtime="a TorchScript file is run by torch alone",
        devices=("cpu",),
        cpu_precisions=("fp32",),
        int8=False,
        several_passes=False,
        probabilities=model.options.get("output_is") != "labels",
        channels_last=False,
    )
