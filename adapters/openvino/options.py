"""Options of a model config of an OpenVINO file, without a runtime."""

from adapters._torch.runtimes.file_options import EXPORTS, FileOptions, abilities_of_file, usage_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities

__all__ = ["EXPORTS", "FileOptions", "abilities", "usage_errors"]


def abilities(model: ModelSpec) -> Abilities:
    return abilities_of_file(
        model,
        runtimes=("eager", "openvino"),
        no_other_runtime="an OpenVINO file is run by OpenVINO alone",
        cpu_precisions=("fp32", "bf16", "fp16"),
    )
