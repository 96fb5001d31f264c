"""Everything that the author of an adapter needs is imported from here.

`contract.py` is what an adapter keeps, `finding.py` how its name becomes a module.
"""

from __future__ import annotations

from pydantic import JsonValue as JsonValue

from bench.adapter.contract import Adapter as Adapter
from bench.adapter.contract import BaseAdapter as BaseAdapter
from bench.adapter.contract import Batch as Batch
from bench.adapter.contract import DeviceTimer as DeviceTimer
from bench.adapter.contract import Progress as Progress
from bench.adapter.contract import Raw as Raw
from bench.adapter.contract import Split as Split
from bench.adapter.contract import TrainingData as TrainingData
from bench.adapter.contract import TrainingResult as TrainingResult
from bench.adapter.contract import package_versions as package_versions
from bench.adapter.contract import predict as predict
from bench.adapter.contract import predict_with_probabilities as predict_with_probabilities
from bench.adapter.finding import ADAPTERS_VARIABLE as ADAPTERS_VARIABLE
from bench.adapter.finding import adapter_folder as adapter_folder
from bench.adapter.finding import adapter_folders as adapter_folders
from bench.adapter.finding import load_adapter as load_adapter
from bench.adapter.finding import load_light as load_light
from bench.adapter.finding import load_loss_grammar as load_loss_grammar
from bench.errors import BenchError as BenchError
from bench.errors import Unsupported as Unsupported
from bench.records import ClassSpec as ClassSpec
from bench.records import ModelSpec as ModelSpec
from bench.records import Operations as Operations
from bench.records import Precision as Precision
from bench.records import Recipe as Recipe
from bench.records import Runtime as Runtime
from bench.records import Size as Size
from bench.records import Target as Target
from bench.records import TaskKind as TaskKind
from bench.records import TaskSpec as TaskSpec
from bench.records.predictions import Instances as Instances
from bench.records.predictions import LabelMap as LabelMap
from bench.records.predictions import Panoptic as Panoptic
from bench.records.predictions import Prediction as Prediction
from bench.records.predictions import PromptedMasks as PromptedMasks
from bench.records.predictions import RgbImage as RgbImage
from bench.records.predictions import Segment as Segment
from bench.records.predictions import SemanticMap as SemanticMap
from bench.records.prompts import PromptedImage as PromptedImage
from bench.records.prompts import Prompts as Prompts
