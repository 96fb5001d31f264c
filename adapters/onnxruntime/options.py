"""Options of a model config of an ONNX file, without a runtime."""

from functools import partial

from adapters._torch.runtimes.file_options import EXPORTS, abilities_of_file, usage_errors

__all__ = ["EXPORTS", "abilities", "usage_errors"]

abilities = partial(
    abilities_of_file,
    runtimes=("eager", "onnxruntime", "openvino"),
    no_other_runtime="an ONNX file is what these runtimes take",
    precisions={"openvino": ("fp32", "bf16", "fp16")},
)
