"""The frozen types that cross a process boundary or land on disk.

Every record is immutable, refuses unknown fields, and names its units. Constructing one touches
nothing: no file, no environment variable, no device. `results/README.md` describes the files
these records become.
"""

from bench.records.base import IGNORE_LABEL as IGNORE_LABEL
from bench.records.base import RECORDS_VERSION as RECORDS_VERSION
from bench.records.base import R as R
from bench.records.base import Record as Record
from bench.records.base import Size as Size
from bench.records.base import Spacing as Spacing
from bench.records.base import as_json_dict as as_json_dict
from bench.records.base import digest as digest
from bench.records.base import label_dtype as label_dtype
from bench.records.base import read_record as read_record
from bench.records.base import void_id as void_id
from bench.records.base import void_of as void_of
from bench.records.case import EXPORTED_RUNTIMES as EXPORTED_RUNTIMES
from bench.records.case import Case as Case
from bench.records.case import ClassSpec as ClassSpec
from bench.records.case import Corruption as Corruption
from bench.records.case import DatasetSpec as DatasetSpec
from bench.records.case import InferenceAugmentation as InferenceAugmentation
from bench.records.case import Kept as Kept
from bench.records.case import Labels as Labels
from bench.records.case import ModelSpec as ModelSpec
from bench.records.case import Precision as Precision
from bench.records.case import PromptKind as PromptKind
from bench.records.case import Runtime as Runtime
from bench.records.case import Shift as Shift
from bench.records.case import SlidingWindow as SlidingWindow
from bench.records.case import Target as Target
from bench.records.case import TaskKind as TaskKind
from bench.records.case import TaskSpec as TaskSpec
from bench.records.case import Unmapped as Unmapped
from bench.records.case import background_class as background_class
from bench.records.flag import Flag as Flag
from bench.records.job import Interference as Interference
from bench.records.job import Job as Job
from bench.records.job import JobFacts as JobFacts
from bench.records.job import Outcome as Outcome
from bench.records.job import Status as Status
from bench.records.profile import DeviceBusy as DeviceBusy
from bench.records.profile import EnergyUse as EnergyUse
from bench.records.profile import MemoryUse as MemoryUse
from bench.records.profile import Missing as Missing
from bench.records.profile import Operations as Operations
from bench.records.profile import ProfileResult as ProfileResult
from bench.records.profile import explained as explained
from bench.records.protocol import QUICK as QUICK
from bench.records.protocol import Cost as Cost
from bench.records.protocol import JobKind as JobKind
from bench.records.protocol import Measurement as Measurement
from bench.records.protocol import Profile as Profile
from bench.records.protocol import Scenario as Scenario
from bench.records.protocol import Throughput as Throughput
from bench.records.protocol import Timeouts as Timeouts
from bench.records.provenance import Provenance as Provenance
from bench.records.recipe import Augmentation as Augmentation
from bench.records.recipe import Budget as Budget
from bench.records.recipe import Recipe as Recipe
from bench.records.scores import CaseScores as CaseScores
from bench.records.scores import OracleScore as OracleScore
from bench.records.scores import Score as Score
from bench.records.tuning import Searched as Searched
from bench.records.tuning import Tune as Tune
