"""Describes the order that a worker is given, and how its job ended."""

from __future__ import annotations

import sys
from enum import Enum

from pydantic import JsonValue, field_validator

from bench.records.base import RECORDS_VERSION, Record, SparseRecord, held_once
from bench.records.case import DatasetSpec, Kept, ModelSpec, Target, TaskSpec
from bench.records.flag import Flag
from bench.records.protocol import JobKind, Measurement, Profile, Throughput
from bench.records.provenance import Provenance
from bench.records.recipe import Recipe


class Job(SparseRecord):
    """Everything a worker needs, as `job.json` in the folder it works in.

    Attributes:
        records_version: Version of these records.
        kind: The kind of job, which says what the worker does.
        key: Content key, hex; equal keys mean interchangeable results.
        key_parts: Parts that the key was made of (name -> digest or readable value), so that a stale job can say why it
            is stale.
        case_id: The case it belongs to; a training shared by cases names the first.
        replicate: 0-based; only `time` jobs have more than one.
        model, dataset, task, target, recipe, measurement, profile, throughput: Settings as resolved for the case.
            `train` jobs carry a recipe, those that measure the protocol's numbers, the others the settings that they
            are named after.
        dataset_fingerprint: Content hash of the splits in use.
        weights: Folder- or file path of trained weights, relative to the job folder when it lies
            in the same run, else absolute; None for untrained models.
        weights_sha256: SHA-256 of these weights when the job was planned; None where they are not files.
        keep: Kinds of arrays that are stored beside predictions; `predict` jobs alone have any.
        made_for: The data set that the model was trained and is calibrated on, where `dataset` is another one or
            corrupted; None where it is `dataset`.
        seed: Seed of everything random in the job that the recipe or measurement does not seed.
        harness_root, adapters_root: Folders the worker must find `bench` and `adapters` in.
        cpu_affinity: Cores the worker is pinned to; None leaves it alone.
        gpus: GPUs that the worker sees, as `CUDA_VISIBLE_DEVICES`; None leaves it those of its parent.
        provenance: Machine on which, and code with which, it is done; None in a plan, and in files of older versions.
    """

    left_out = frozenset({"keep", "made_for"})

    records_version: int = RECORDS_VERSION
    kind: JobKind
    key: str
    key_parts: dict[str, str]
    case_id: str
    replicate: int = 0
    model: ModelSpec
    dataset: DatasetSpec
    task: TaskSpec
    target: Target
    recipe: Recipe | None = None
    measurement: Measurement | None = None
    profile: Profile | None = None
    throughput: Throughput | None = None
    dataset_fingerprint: str
    weights: str | None = None
    weights_sha256: str | None = None
    keep: tuple[Kept, ...] = ()
    made_for: DatasetSpec | None = None
    seed: int = 0
    harness_root: str
    adapters_root: str
    cpu_affinity: tuple[int, ...] | None = None
    gpus: str | None = None
    provenance: Provenance | None = None

    @field_validator("key_parts")
    @classmethod
    def _held_once(cls, parts: dict[str, str]) -> dict[str, str]:
        """The parts with each text held once: those of thousands of jobs are kilobytes that are equal."""
        return {sys.intern(name): sys.intern(text) for name, text in parts.items()}

    _shared = field_validator("task", "target", "measurement", "provenance")(held_once)


class Status(str, Enum):
    """Way in which a job ended; each is a row of the report.

    `pruned` is a training of a search that was ended because others were better at the same validation.
    `usage_error` is what the user can set right (an option, a weight file, a data set); `crashed` is everything that
    nobody foresaw, and `node_lost` a machine of a cluster that went away under the job.
    """

    OK = "ok"
    PRUNED = "pruned"
    UNSUPPORTED = "unsupported"
    USAGE_ERROR = "usage_error"
    OOM_DEVICE = "oom_device"
    OOM_HOST = "oom_host"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INVALID_OUTPUT = "invalid_output"
    ENVIRONMENT_ERROR = "environment_error"
    NODE_LOST = "node_lost"


class Interference(Record):
    """Use of the machine by other processes while a job measured or trained.

    Attributes:
        foreign_share: Processor time of other processes / (wall time × cores), 0 to 1; None = not known.
        steal_share: Processor time that the hypervisor took, in the same way.
        waited_share: Time in which a training's main thread was ready to run and another ran / wall time.
        disturbed_blocks: Blocks in which either was more than the protocol allows.
        blocks: Number of blocks; a training is one.
        by: Name of a program -> its share of the cores, the largest first. Processes of other containers cannot be
            seen, so the shares may come to less than `foreign_share`.
    """

    foreign_share: float | None = None
    steal_share: float | None = None
    waited_share: float | None = None
    disturbed_blocks: int = 0
    blocks: int = 0
    by: dict[str, float] = {}


class JobFacts(Record):
    """Facts that a worker reports beside its files. Absent is None, never 0.

    Attributes:
        load_s: Seconds for importing the framework (unless the worker was forked with it; see the notes) and building
            the model with its weights.
        first_call_ms: Milliseconds of the very first predict call.
        time_to_steady_s: Seconds from the first call until the warm-up rule held.
        parameters, trainable_parameters: Numbers of parameters, counted by the adapter.
        weights_bytes: Size of the weight file, or of the parameters where there is no file.
        weights_sha256: SHA-256 of the weight file.
        weights_read: Account of how the weights were read: tensors loaded, left, renamed and drawn, their place in the
            file and what else lies there; empty where the adapter tells none.
        input_contract: The preprocessing: mean and std in 0-1 units, order of channels, and who says so.
        output_rule: Rule by which outputs name classes; None where the adapter does not tell.
        weights_file: Path of what `train` wrote, relative to the job folder.
        trained_steps, trained_images, trained_s: Training that was carried out within the budget: optimiser steps,
            images seen, seconds.
        trained_data_wait_s: Seconds of `trained_s` in which the training waited for batches, or made them; None = not
            known.
        predicted_images: Number of stored predictions.
        exported_files: Name -> SHA-256 of the files that an export made, in the cache of exports.
        exported_bytes: Size of these files together.
        export_s: Seconds for building the model and exporting it; little if the export was there.
        kept_bytes: Size of the stored probabilities of both splits; None where none were stored.
        quantisation_error: Largest difference between a stored probability and the model's own.
        predict_s: Seconds for all of them after the first batch: loading, predicting, storing.
        phases_s: Seconds of the job by what it did: `import`, `data` (opening, loading), `build`, `train` (steps),
            `validate` (with checkpoints), `warm_up`, `sample`, `push_through`, `predict`, `audit`, `store`, `other`,
            and the kind of a job that is none of these; the start and
            the end of its process are what `wall_s` has beyond them.
        versions: Package -> version, as the worker's interpreter has them.
        device_name: Name of the device, as the framework gives it.
        host_rss_peak_bytes: Largest resident memory of the worker process (VmHWM).
        torch_peak_allocated_bytes / peak_device_bytes: Largest memory that the device allocator gave out.
        fused_stages: Stages the adapter cannot separate.
        stages_overlap: True if a pass of throughput has the processor and the device work at once; None = not known.
        threads: Library -> threads in effect, read back.
        not_honoured: Recipe fields the framework cannot honour, with the reason.
        flags: Doubts about the measurement.
        invalid: Reasons why the measurement must not be used.
        self_reported: The framework's own scores, name -> value.
        notes: Anything else worth a line.
        interference: Interference of other processes while a job trained or timed; None = not watched.
    """

    load_s: float | None = None
    first_call_ms: float | None = None
    time_to_steady_s: float | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None
    weights_bytes: int | None = None
    weights_sha256: str | None = None
    weights_read: dict[str, JsonValue] = {}
    input_contract: dict[str, JsonValue] = {}
    output_rule: str | None = None
    weights_file: str | None = None
    trained_steps: int | None = None
    trained_images: int | None = None
    trained_s: float | None = None
    trained_data_wait_s: float | None = None
    exported_files: dict[str, str] = {}
    exported_bytes: int | None = None
    export_s: float | None = None
    predicted_images: int | None = None
    predict_s: float | None = None
    phases_s: dict[str, float] = {}
    kept_bytes: int | None = None
    quantisation_error: float | None = None
    versions: dict[str, str] = {}
    device_name: str | None = None
    host_rss_peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    fused_stages: tuple[str, ...] = ()
    stages_overlap: bool | None = None
    threads: dict[str, int] = {}
    not_honoured: dict[str, str] = {}
    flags: tuple[Flag, ...] = ()
    invalid: tuple[Flag, ...] = ()
    self_reported: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    interference: Interference | None = None


class Outcome(Record):
    """The end of a job; `outcome.json`, written last and atomically.

    Attributes:
        status: The state in which it ended.
        reason: One paragraph for every status but `ok`.
        signal: Name of the signal that ended the worker, for `crashed`.
        exit_code: Exit code of the worker process; None when it was killed.
        started_at: Time of the start; UTC, ISO 8601.
        wall_s: Seconds from the start of the process to its outcome.
        traceback: The whole traceback of an unexpected exception.
        facts: Facts that the worker reported: load_s, weights file, parameter counts, versions, notes …
    """

    records_version: int = RECORDS_VERSION
    status: Status
    reason: str | None = None
    signal: str | None = None
    exit_code: int | None = None
    started_at: str
    wall_s: float
    traceback: str | None = None
    facts: JobFacts = JobFacts()
