"""The frozen types that cross a process boundary or land on disk.

Every record is immutable, refuses unknown fields, and names its units. Constructing one touches
nothing: no file, no environment variable, no device. `results/README.md` describes the files
these records become.
"""

from bench.records.base import (
    IGNORE_LABEL,
    RECORDS_VERSION,
    R,
    Record,
    Size,
    Spacing,
    as_json_dict,
    digest,
    read_record,
)
from bench.records.case import (
    EXPORTED_RUNTIMES,
    Case,
    ClassSpec,
    Corruption,
    DatasetSpec,
    InferenceAugmentation,
    Kept,
    ModelSpec,
    Precision,
    PromptKind,
    Runtime,
    Shift,
    SlidingWindow,
    Target,
    TaskKind,
    TaskSpec,
    background_class,
)
from bench.records.flag import Flag
from bench.records.job import Interference, Job, JobFacts, Outcome, Status
from bench.records.label_ids import label_dtype, void_id, void_of
from bench.records.labels import Labels, Unmapped
from bench.records.passes import Cost, Profile, Scenario, Throughput
from bench.records.profile import (
    DeviceBusy,
    EnergyUse,
    Explained,
    MemoryUse,
    Missing,
    Operations,
    ProfileResult,
    explained,
)
from bench.records.protocol import PROTOCOL_ID, QUICK, JobKind, Measurement, Timeouts
from bench.records.provenance import Provenance
from bench.records.recipe import Augmentation, Budget, Recipe
from bench.records.scores import CaseScores, OracleScore, Score
from bench.records.tuning import Searched, Tune

__all__ = [
    "EXPORTED_RUNTIMES",
    "IGNORE_LABEL",
    "PROTOCOL_ID",
    "QUICK",
    "RECORDS_VERSION",
    "Augmentation",
    "Budget",
    "Case",
    "CaseScores",
    "ClassSpec",
    "Corruption",
    "Cost",
    "DatasetSpec",
    "DeviceBusy",
    "EnergyUse",
    "Explained",
    "Flag",
    "InferenceAugmentation",
    "Interference",
    "Job",
    "JobFacts",
    "JobKind",
    "Kept",
    "Labels",
    "Measurement",
    "MemoryUse",
    "Missing",
    "ModelSpec",
    "Operations",
    "OracleScore",
    "Outcome",
    "Precision",
    "Profile",
    "ProfileResult",
    "PromptKind",
    "Provenance",
    "R",
    "Recipe",
    "Record",
    "Runtime",
    "Scenario",
    "Score",
    "Searched",
    "Shift",
    "Size",
    "SlidingWindow",
    "Spacing",
    "Status",
    "Target",
    "TaskKind",
    "TaskSpec",
    "Throughput",
    "Timeouts",
    "Tune",
    "Unmapped",
    "as_json_dict",
    "background_class",
    "digest",
    "explained",
    "label_dtype",
    "read_record",
    "void_id",
    "void_of",
]
