"""Everything that the author of an adapter needs is imported from here.

`contract.py` is what an adapter keeps, `finding.py` how its name becomes a module.
"""

from __future__ import annotations

from pydantic import JsonValue

from bench.adapter.contract import (
    Adapter,
    BaseAdapter,
    Batch,
    DeviceTimer,
    Progress,
    Raw,
    Split,
    TrainingData,
    TrainingResult,
    package_versions,
    predict,
    predict_with_probabilities,
)
from bench.adapter.finding import (
    ADAPTERS_VARIABLE,
    adapter_folder,
    adapter_folders,
    load_adapter,
    load_light,
    load_loss_grammar,
)
from bench.errors import BenchError, Unsupported
from bench.records import (
    ClassSpec,
    ModelSpec,
    Operations,
    Precision,
    Recipe,
    Runtime,
    Size,
    Target,
    TaskKind,
    TaskSpec,
)
from bench.records.predictions import (
    Instances,
    LabelMap,
    Panoptic,
    Prediction,
    PromptedMasks,
    RgbImage,
    Segment,
    SemanticMap,
)
from bench.records.prompts import PromptedImage, Prompts

__all__ = [
    "ADAPTERS_VARIABLE",
    "Adapter",
    "BaseAdapter",
    "Batch",
    "BenchError",
    "ClassSpec",
    "DeviceTimer",
    "Instances",
    "JsonValue",
    "LabelMap",
    "ModelSpec",
    "Operations",
    "Panoptic",
    "Precision",
    "Prediction",
    "Progress",
    "PromptedImage",
    "PromptedMasks",
    "Prompts",
    "Raw",
    "Recipe",
    "RgbImage",
    "Runtime",
    "Segment",
    "SemanticMap",
    "Size",
    "Split",
    "Target",
    "TaskKind",
    "TaskSpec",
    "TrainingData",
    "TrainingResult",
    "Unsupported",
    "adapter_folder",
    "adapter_folders",
    "load_adapter",
    "load_light",
    "load_loss_grammar",
    "package_versions",
    "predict",
    "predict_with_probabilities",
]
