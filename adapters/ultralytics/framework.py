"""The names of Ultralytics that the modules of this adapter use; importing it here keeps the framework contained.

A module that imported Ultralytics by itself would do so with the framework's own settings, and the network, wherever
nobody had contained it before: a pre-imported parent of workers imports the modules of an adapter and builds nothing.
"""

from adapters.ultralytics.environment import import_framework

import_framework()

from ultralytics.data.augment import LetterBox  # noqa: E402  # only after it is contained
from ultralytics.models.yolo.segment import SegmentationTrainer  # noqa: E402
from ultralytics.models.yolo.semantic import SemanticSegmentationTrainer  # noqa: E402
from ultralytics.utils import nms, ops  # noqa: E402

__all__ = ["LetterBox", "SegmentationTrainer", "SemanticSegmentationTrainer", "nms", "ops"]
