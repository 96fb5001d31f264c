"""Raw samples become the numbers of a report: clocks apart, nothing removed, doubts named."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from bench.records import Measurement
from bench.records.store.samples import END_TO_END, STAGED, Samples
from bench.report.summary.latency import TimedCase, end_to_end_draws, summarise_latency

MEASURED = Measurement(min_s=0, min_samples=20, percentiles=(50.0, 90.0, 95.0))


def replicate(
    end_to_end_ms=(),
    stage_ms=(),
    *,
    device_ms=None,
    batch_size=1,
    images=4,
    blocks=None,
    accepted=(True,),
    switches=None,
    faults=None,
    warmup_ms=(50.0, 10.0),
    decode_ms=(1.0, 3.0, 2.0),
    pipelined=(0.0, 0),
    block_s=1.0,
):
    """One process's samples: end-to-end ones first, then staged ones, in one block unless said otherwise."""
    whole, stages = np.asarray(end_to_end_ms, float), np.asarray(stage_ms, float).reshape(-1, 3)
    n, staged = len(whole), len(stages)
    count = n + staged
    device = np.full(count, -1.0)
    if device_ms is not None:
        device[n:] = device_ms
    return Samples(
        clock=np.array([END_TO_END] * n + [STAGED] * staged, np.int8),
        total_ns=np.concatenate([whole, stages.sum(axis=1)] if staged else [whole])
        .astype(float)
        .__mul__(1e6)
        .astype(np.int64),
        stage_ns=(np.concatenate([np.zeros((n, 3)), stages]) * 1e6).astype(np.int64),
        device_ns=np.where(device < 0, -1, device * 1e6).astype(np.int64),
        image_index=(np.arange(count) * batch_size % images).astype(np.int32),
        block=np.zeros(count, np.int32) if blocks is None else np.asarray(blocks, np.int32),
        involuntary_switches=np.zeros(count, np.int32) if switches is None else np.asarray(switches, np.int32),
        major_faults=np.zeros(count, np.int32) if faults is None else np.asarray(faults, np.int32),
        image_ids=np.array([f"i{k}" for k in range(images)]),
        batch_size=np.array(batch_size),
        warmup_ns=(np.array(warmup_ms) * 1e6).astype(np.int64),
        decode_ns=(np.array(decode_ms) * 1e6).astype(np.int64),
        pipelined_ns=np.array(int(pipelined[0] * 1e9)),
        pipelined_images=np.array(pipelined[1]),
        block_accepted=np.array(accepted),
        block_wall_s=np.full(len(accepted), block_s),
        block_user_s=np.full(len(accepted), block_s),
        block_system_s=np.zeros(len(accepted)),
        block_foreign_share=np.zeros(len(accepted)),
        block_steal_share=np.zeros(len(accepted)),
        block_involuntary_switches=np.zeros(len(accepted), np.int64),
        audit_index=np.zeros(0, np.int32),
    )


def noisy(median_ms, n, seed, spread=0.02):
    return median_ms * np.random.default_rng(seed).lognormal(0, spread, n)


def names(summary):
    return [reason.name for reason in summary.doubts]


def test_percentiles_pool_all_processes_and_are_measured_values():
    processes = [noisy(10, 100, seed) for seed in range(3)]
    summary = summarise_latency([replicate(p) for p in processes], MEASURED, seed=0)
    pooled = np.sort(np.concatenate([(p * 1e6).astype(np.int64) for p in processes])) / 1e6
    assert [t.percentile for t in summary.end_to_end] == [50, 90, 95]
    assert [t.ms_per_batch for t in summary.end_to_end] == [pooled[150], pooled[270], pooled[285]]
    for timing in summary.end_to_end:
        assert timing.ms_per_batch_low < timing.ms_per_batch < timing.ms_per_batch_high
        assert (timing.samples, timing.missing) == (300, None)
    assert (summary.replicates, summary.images) == (3, 4)


def test_a_batch_and_an_image_of_it_are_told_apart():
    summary = summarise_latency([replicate(noisy(80, 100, 0), batch_size=8, images=16)], MEASURED, seed=0)
    p50 = summary.end_to_end_at(50.0)
    assert p50.ms_per_batch == pytest.approx(80, rel=0.01)
    assert p50.ms_per_image == p50.ms_per_batch / 8
    assert p50.ms_per_image_high == p50.ms_per_batch_high / 8
    assert summary.batch_size == 8


def test_a_percentile_without_support_has_no_value_and_says_what_is_missing():
    summary = summarise_latency([replicate(noisy(10, 100, 0))], MEASURED, seed=0)
    p95 = summary.end_to_end_at(95.0)
    assert (p95.ms_per_batch, p95.ms_per_batch_low, p95.ms_per_image) == (None, None, None)
    assert p95.missing == "needs 130 samples, has 100"
    assert summary.end_to_end_at(90.0).ms_per_batch is not None
    assert summary.end_to_end_at(99.0) is None


def test_the_stages_add_up_and_their_excess_over_end_to_end_is_the_synchronisation_overhead():
    stages = np.tile([2.0, 7.0, 2.0], (40, 1))
    summary = summarise_latency([replicate(np.full(40, 10.0), stages)], MEASURED, seed=0)
    assert {name: t.ms_per_batch for name, t in summary.stages.items()} == {
        "preprocess": 2.0,
        "infer": 7.0,
        "postprocess": 2.0,
    }
    assert summary.staged_total.ms_per_batch == pytest.approx(11)
    assert summary.sync_overhead == pytest.approx(0.1)  # (11 - 10) / 10


def test_staged_samples_never_enter_the_headline():
    stages = np.tile([100.0, 100.0, 100.0], (40, 1))
    summary = summarise_latency([replicate(np.full(40, 10.0), stages)], MEASURED, seed=0)
    assert summary.end_to_end_at(50.0).ms_per_batch == 10.0


def test_device_time_by_events_stands_beside_the_stages():
    stages = np.tile([1.0, 9.0, 1.0], (40, 1))
    summary = summarise_latency([replicate(np.full(40, 11.0), stages, device_ms=6.0)], MEASURED, seed=0)
    assert summary.device_infer.ms_per_batch == 6.0


def test_a_cpu_has_no_device_clock_and_no_stages_are_none_not_zero():
    stages = np.tile([1.0, 9.0, 1.0], (40, 1))
    cpu = summarise_latency([replicate(np.full(40, 11.0), stages)], MEASURED, seed=0)
    assert cpu.device_infer is None
    bare = summarise_latency([replicate(np.full(40, 11.0))], MEASURED, seed=0)
    assert (bare.stages, bare.staged_total, bare.sync_overhead, bare.images_per_s) == ({}, None, None, None)


def test_throughput_comes_from_the_pipelined_pass_of_each_process():
    samples = [replicate(np.full(40, 10.0), pipelined=(2.0, images)) for images in (260, 240, 300)]
    spread = summarise_latency(samples, MEASURED, seed=0).images_per_s
    assert (spread.median, spread.low, spread.high) == (130, 120, 150)


def test_the_first_call_and_decoding_are_reported_beside_the_latency():
    samples = [replicate(np.full(40, 10.0), warmup_ms=(first, 10.0)) for first in (300.0, 500.0, 400.0)]
    summary = summarise_latency(samples, MEASURED, seed=0)
    assert (summary.first_call_ms.median, summary.first_call_ms.high) == (400, 500)
    assert summary.decode_ms_per_image.median == 2.0


def test_outliers_are_kept_counted_and_explained_from_their_own_counters():
    values = np.tile([9.0, 10.0, 11.0], 40)
    values[[5, 50, 90]] = 100.0
    switches, faults = np.zeros(120), np.zeros(120)
    switches[[5, 6]], faults[[5, 50]] = 1, 2  # sample 6 is switched but no outlier; 90 is unexplained
    summary = summarise_latency([replicate(values, switches=switches, faults=faults)], MEASURED, seed=0)
    found = summary.outliers
    assert (found.samples, found.count, found.after_switch, found.after_fault, found.explained) == (120, 3, 1, 2, 2)
    assert summary.end_to_end_at(50.0).samples == 120


def test_samples_of_rejected_blocks_are_left_out_and_the_blocks_counted():
    values = np.concatenate([np.full(60, 10.0), np.full(60, 50.0)])
    summary = summarise_latency(
        [replicate(values, blocks=[0] * 60 + [1] * 60, accepted=(True, False))], MEASURED, seed=0
    )
    assert (summary.blocks, summary.blocks_rejected) == (2, 1)
    assert summary.end_to_end_at(50.0).samples == 60
    assert summary.end_to_end_at(50.0).ms_per_batch == 10.0


def test_staged_samples_of_rejected_blocks_are_left_out_too():
    stages = np.repeat([[1.0, 2.0, 1.0], [9.0, 9.0, 9.0]], [20, 40], axis=0)
    blocks = [0] * 20 + [0] * 20 + [1] * 40
    samples = replicate(np.full(20, 4.0), stages, device_ms=stages[:, 1], blocks=blocks, accepted=(True, False))
    summary = summarise_latency([samples], MEASURED, seed=0)
    assert (summary.staged_total.ms_per_batch, summary.staged_total.samples) == (4.0, 20)
    assert (summary.device_infer.ms_per_batch, summary.device_infer.samples) == (2.0, 20)


def test_if_every_block_was_rejected_the_samples_are_shown_nevertheless():
    summary = summarise_latency([replicate(np.full(60, 50.0), accepted=(False,))], MEASURED, seed=0)
    assert summary.end_to_end_at(50.0).ms_per_batch == 50.0
    assert summary.blocks_rejected == 1


def test_processes_that_differ_more_than_their_samples_ask_for_more_replicates():
    apart = [replicate(noisy(median, 200, seed)) for seed, median in enumerate((8, 10, 12))]
    alike = [replicate(noisy(10, 200, seed)) for seed in range(3)]
    summary = summarise_latency(apart, MEASURED, seed=0)
    assert "replicates_differ" in names(summary)
    doubt = next(r for r in summary.doubts if r.name == "replicates_differ")
    assert doubt.advice == "more replicates, not more iterations: raise measurement.replicates"
    assert summary.between_variance_ms2 == pytest.approx(4, rel=0.1)  # variance of 8, 10, 12
    assert names(summarise_latency(alike, MEASURED, seed=0)) == []


def test_a_spread_between_processes_just_above_that_within_is_enough():
    # medians 9.7, 10, 10.3 (variance 0.09) and samples with a standard deviation of 0.2 or 0.5
    def measured(spread):
        samples = [replicate(noisy(m, 400, seed, spread=spread)) for seed, m in enumerate((9.7, 10, 10.3))]
        return names(summarise_latency(samples, MEASURED.model_copy(update={"median_half_width": 1.0}), seed=0))

    assert measured(0.02) == ["replicates_differ"]
    assert measured(0.05) == []


def test_one_process_has_no_variance_between():
    summary = summarise_latency([replicate(noisy(10, 200, 0))], MEASURED, seed=0)
    assert (summary.between_variance_ms2, summary.within_variance_ms2) == (None, None)


def test_a_latency_that_creeps_up_in_every_process_is_not_stationary():
    creeping = [noisy(10, 400, seed) * np.linspace(1, 1.1, 400) for seed in range(3)]
    summary = summarise_latency([replicate(values) for values in creeping], MEASURED, seed=0)
    doubt = next(r for r in summary.doubts if r.name == "not_stationary")
    assert "changed by +9" in doubt.seen
    assert "(3 of 3 processes)" in doubt.seen
    assert "does not hold for either end" in doubt.seen


def test_a_drift_that_the_interval_of_the_median_covers_is_no_doubt_about_it():
    # processes differ by far more than the 4 % that each gains while it is measured
    creeping = [noisy(median, 400, seed) * np.linspace(1, 1.04, 400) for seed, median in enumerate((8, 10, 12))]
    summary = summarise_latency([replicate(values) for values in creeping], MEASURED, seed=0)
    assert "not_stationary" not in names(summary)


def test_conditions_of_the_stop_rule_that_do_not_hold_are_named():
    measurement = Measurement(replicates=1, min_s=5, min_samples=100, percentiles=(50.0, 95.0))
    summary = summarise_latency([replicate(noisy(10, 60, 0, spread=0.3))], measurement, seed=0)
    doubt = next(r for r in summary.doubts if r.name == "stop_rule")
    assert "1.0 of 5 s" in doubt.seen
    assert "60 of 100 samples" in doubt.seen
    assert "130 samples for p95" in doubt.seen
    assert "the median is known to" in doubt.seen


def test_bimodal_latencies_keep_both_modes():
    values = np.where(np.arange(400) % 20 == 0, 20.0, 10.0)
    measurement = Measurement(min_s=0, min_samples=20, percentiles=(50.0, 95.0))
    summary = summarise_latency([replicate(values)], measurement, seed=0)
    # 5 % at 20 ms: the 95th percentile by the upper nearest rank is the slow mode
    assert [t.ms_per_batch for t in summary.end_to_end] == [10.0, 20.0]


def test_only_images_that_were_in_a_batch_count_as_timed():
    summary = summarise_latency([replicate(np.full(3, 10.0), batch_size=2, images=64)], MEASURED, seed=0)
    assert summary.images == 6


def test_draws_for_a_joint_probability_are_per_image_and_as_many_as_of_a_score():
    samples = [replicate(noisy(80, 100, seed), batch_size=8) for seed in range(3)]
    draws = end_to_end_draws(TimedCase.of(samples), 50.0, seed=0)
    assert draws.shape == (2000,)
    assert np.median(draws) == pytest.approx(10, rel=0.01)


def test_a_summary_survives_json():
    stages = np.tile([2.0, 7.0, 2.0], (40, 1))
    summary = summarise_latency([replicate(np.full(40, 10.0), stages, pipelined=(1.0, 99))] * 2, MEASURED, seed=0)
    assert type(summary).from_json(summary.to_json()) == summary


def test_three_processes_of_2000_samples_are_summarised_in_seconds():
    samples = [replicate(noisy(10, 2000, seed), np.tile([2.0, 7.0, 2.0], (2000, 1))) for seed in range(3)]
    started = time.process_time()
    summarise_latency(samples, MEASURED, seed=0)
    assert time.process_time() - started < 10


def from_file(samples, decode_ms):
    """The same samples of a path that begins at files; `decode_ms` for each staged one."""
    decode_ns = np.zeros(len(samples.clock), np.int64)
    decode_ns[samples.clock == STAGED] = np.asarray(decode_ms) * 1e6
    total_ns = samples.total_ns + decode_ns
    return replace(samples, stage_decode_ns=decode_ns, total_ns=total_ns)


def test_decoding_is_a_stage_where_the_path_begins_at_files():
    samples = from_file(replicate([10.0] * 30, [(1.0, 5.0, 2.0)] * 30), [3.0] * 30)
    summary = summarise_latency([samples], MEASURED, seed=0)
    assert summary.input == "file"
    assert {name: timing.ms_per_batch for name, timing in summary.stages.items()} == {
        "decode": 3.0,
        "preprocess": 1.0,
        "infer": 5.0,
        "postprocess": 2.0,
    }
    assert list(summary.stage_tails) == list(summary.stages) == ["decode", "preprocess", "infer", "postprocess"]
    assert summary.staged_total.ms_per_batch == 11.0
    # (3 + 1 + 5 + 2) / 10 - 1
    assert summary.sync_overhead == pytest.approx(0.1)


def test_a_path_that_begins_at_arrays_has_no_stage_of_decoding():
    summary = summarise_latency([replicate([10.0] * 30, [(1.0, 5.0, 2.0)] * 30)], MEASURED, seed=0)
    assert summary.input == "array"
    assert list(summary.stages) == ["preprocess", "infer", "postprocess"]
