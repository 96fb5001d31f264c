"""Options of a model config of a TorchScript file, without torch."""

from adapters._torch.runtimes.file_options import EXPORTS, FileOptions, abilities_of_file, usage_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities

__all__ = ["EXPORTS", "FileOptions", "abilities", "usage_errors"]


def abilities(model: ModelSpec) -> Abilities:
    return abilities_of_file(model, runtimes=("eager",), no_other_runtime="a TorchScript file is run by torch alone")
