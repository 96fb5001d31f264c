"""The frozen types that cross a process boundary or land on disk.

Every record is immutable, refuses unknown fields, and names its units. Constructing one touches
nothing: no file, no environment variable, no device. `results/README.md` describes the files
these records become.
"""

from bench.records.base import IGNORE_LABEL, RECORDS_VERSION, R, Record, Size, as_json_dict, digest, read_record
from bench.records.cases import (
    PROTOCOL_ID,
    QUICK,
    Augmentation,
    Budget,
    Case,
    ClassSpec,
    DatasetSpec,
    InferenceAugmentation,
    JobKind,
    Measurement,
    ModelSpec,
    Precision,
    PromptKind,
    Recipe,
    Runtime,
    SlidingWindow,
    Target,
    TaskKind,
    TaskSpec,
    Timeouts,
)
from bench.records.jobs import Job, JobFacts, Outcome, Status
from bench.records.labels import Labels, Unmapped
from bench.records.scores import CaseScores, Score

__all__ = [
    "IGNORE_LABEL",
    "PROTOCOL_ID",
    "QUICK",
    "RECORDS_VERSION",
    "Augmentation",
    "Budget",
    "Case",
    "CaseScores",
    "ClassSpec",
    "DatasetSpec",
    "InferenceAugmentation",
    "Job",
    "JobFacts",
    "JobKind",
    "Labels",
    "Measurement",
    "ModelSpec",
    "Outcome",
    "Precision",
    "PromptKind",
    "R",
    "Recipe",
    "Record",
    "Runtime",
    "Score",
    "Size",
    "SlidingWindow",
    "Status",
    "Target",
    "TaskKind",
    "TaskSpec",
    "Timeouts",
    "Unmapped",
    "as_json_dict",
    "digest",
    "read_record",
]
