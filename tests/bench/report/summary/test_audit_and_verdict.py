"""The timed model must be the scored one, and every row says what it is worth and why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.errors import StoreError
from bench.records import Flag, JobFacts
from bench.records.predictions import Instances, Panoptic, PromptedMasks, Segment, SemanticMap, save_prediction
from bench.report.summary.audit import AuditResult, audit_predictions, judge


def store(folder, predictions):
    """What a worker leaves: predictions and their index."""
    for image_id, prediction in predictions.items():
        save_prediction(prediction, folder, image_id)
    folder.mkdir(exist_ok=True)
    hashes = {image_id: prediction.content_hash() for image_id, prediction in predictions.items()}
    (folder / "index.json").write_text(json.dumps(hashes))


def maps(count, seed=0):
    random = np.random.default_rng(seed)
    return {f"i{k}": random.integers(0, 3, (50, 40), dtype=np.uint8) for k in range(count)}


def audited(tmp_path, scored, timed, kind="semantic", device="cpu"):
    wrap = (lambda x: x) if kind != "semantic" else SemanticMap
    store(tmp_path / "predictions", {k: wrap(v) for k, v in scored.items()})
    store(tmp_path / "audit", {k: wrap(v) for k, v in timed.items()})
    return audit_predictions(tmp_path / "predictions", tmp_path / "audit", kind, device=device)


def test_equal_predictions_pass_without_a_reason(tmp_path):
    scored = maps(20)
    result = audited(tmp_path, scored, {k: scored[k] for k in ("i3", "i7")})
    assert (result.ok, result.compared, result.identical, result.equal_pixels) == (True, 2, 2, 1.0)
    assert result.reason is None


def flipped(labels, pixels):
    changed = labels.copy()
    changed.ravel()[:pixels] = (changed.ravel()[:pixels] + 1) % 3
    return changed


@pytest.mark.parametrize(("pixels", "ok"), [(4, True), (5, False)])
def test_one_pixel_in_a_thousand_may_differ_and_no_more(tmp_path, pixels, ok):
    # two images of 2000 pixels: 4 of 4000 differing leave exactly 99.9 %
    scored = maps(2)
    result = audited(tmp_path, scored, {"i0": scored["i0"], "i1": flipped(scored["i1"], pixels)})
    assert result.ok is ok
    assert result.equal_pixels == 1 - pixels / 4000
    assert (result.worst_image, result.worst_equal_pixels) == ("i1", 1 - pixels / 2000)
    assert (result.reason is None) is ok


def test_another_model_is_found_out_and_named(tmp_path):
    result = audited(tmp_path, maps(3), maps(3, seed=1))
    assert result.ok is False
    assert result.reason.name == "timed_and_scored_differ"
    assert result.reason.seen.startswith("timed and scored model differ: 0 of 3 audited predictions are identical, 3")


def test_a_prediction_of_another_size_has_no_equal_pixel(tmp_path):
    scored = maps(1)
    result = audited(tmp_path, scored, {"i0": scored["i0"][:25]})
    assert (result.ok, result.equal_pixels) == (False, 0.0)


@pytest.mark.parametrize("timed", [{}, {"elsewhere": np.zeros((4, 4), np.uint8)}])
def test_nothing_to_compare_is_a_doubt_and_not_a_pass(tmp_path, timed):
    result = audited(tmp_path, maps(2), timed)
    assert (result.ok, result.compared, result.not_scored) == (None, 0, len(timed))
    assert result.reason.name == "not_audited"


def test_a_missing_audit_is_a_doubt(tmp_path):
    store(tmp_path / "predictions", {k: SemanticMap(v) for k, v in maps(1).items()})
    assert audit_predictions(tmp_path / "predictions", tmp_path / "audit", "semantic", device="cpu").ok is None


def test_instances_must_be_identical(tmp_path):
    def instances(score):
        return Instances(np.ones((1, 4, 5), bool), np.array([1]), np.array([score]), np.zeros(1, bool))

    assert audited(tmp_path / "a", {"i": instances(0.9)}, {"i": instances(0.9)}, "instance").ok is True
    different = audited(tmp_path / "b", {"i": instances(0.9)}, {"i": instances(0.8)}, "instance")
    assert (different.ok, different.equal_pixels, different.worst_image) == (False, None, "i")


def objects(seed=1, *, shifted=0.0, pixels=0, without=0):
    """A hundred squares; some scores shifted, some pixels of the first changed, the last ones left out."""
    random = np.random.default_rng(seed)
    masks = np.zeros((100, 64, 64), bool)
    for mask in masks:
        y, x = random.integers(0, 40, 2)
        mask[y : y + 20, x : x + 20] = True
    masks[0, 0, :pixels] ^= True
    scores = np.clip(np.sort(random.random(100))[::-1] + shifted, 0, 1)
    count = 100 - without
    return Instances(masks[:count], random.integers(0, 5, 100)[:count], scores[:count], np.zeros(count, bool))


@pytest.mark.parametrize(
    ("timed", "ok"),
    [
        ({"shifted": 2e-6}, True),
        ({"pixels": 1}, True),
        ({"without": 1}, True),  # its score was next to nothing
        ({"shifted": 2e-3}, False),
        ({"pixels": 60}, False),
        ({"without": 20}, False),
        ({"seed": 2}, False),
    ],
)
def test_objects_of_a_gpu_may_differ_as_roundings_do_and_those_of_a_processor_not_at_all(tmp_path, timed, ok):
    pair = {"i": objects()}, {"i": objects(**timed)}
    on_gpu = audited(tmp_path / "gpu", *pair, "instance", device="cuda:0")
    assert on_gpu.ok is ok
    assert on_gpu.equal_pixels < 1 or timed == {"shifted": 2e-6}
    assert audited(tmp_path / "cpu", *pair, "instance").ok is False


@pytest.mark.parametrize(("scored", "timed", "equal"), [(0, 0, 20 / 40), (0, 1, 20 / 60), (1, 0, 20 / 60)])
def test_an_image_without_objects_is_compared_like_any_other(tmp_path, scored, timed, equal):
    def found(count):
        return Instances(np.ones((count, 4, 5), bool), np.ones(count, np.int64), np.ones(count), np.zeros(count, bool))

    # A further image that differs has all of them compared.
    images = {"i0": found(1), "i1": found(scored)}, {"i0": found(2), "i1": found(timed)}
    result = audited(tmp_path, *images, kind="instance", device="cuda")
    # i0: one of two full masks matches, 20 of 40 pixels; i1: none of the 20 pixels of the only object, if there is one.
    assert result.equal_pixels == pytest.approx(equal)


def test_a_panoptic_map_of_a_gpu_may_number_its_segments_otherwise_and_lose_a_pixel(tmp_path):
    ids = np.ones((64, 64), np.int32)
    ids[:, 32:] = 2
    segments = (Segment(1, 0), Segment(2, 3))
    other = np.where(ids == 1, np.int32(7), np.int32(1))
    other[0, 0] = 0
    pair = {"i": Panoptic(ids, segments)}, {"i": Panoptic(other, (Segment(7, 0), Segment(1, 3)))}
    found = audited(tmp_path / "gpu", *pair, "panoptic", device="cuda")
    assert (found.ok, found.equal_pixels) == (True, 1 - 1 / 64**2)
    swapped = {"i": Panoptic(other, (Segment(7, 3), Segment(1, 0)))}
    assert audited(tmp_path / "swapped", pair[0], swapped, "panoptic", device="cuda").equal_pixels == 0


def test_masks_of_prompts_are_compared_in_the_order_of_the_prompts(tmp_path):
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :4], masks[1, 4:] = True, True
    one = PromptedMasks(masks, np.ones(2))
    assert audited(tmp_path / "a", {"i": one}, {"i": PromptedMasks(masks, np.full(2, 0.9999))}, "prompted", "cuda").ok
    swapped = PromptedMasks(masks[::-1].copy(), np.ones(2))
    assert audited(tmp_path / "b", {"i": one}, {"i": swapped}, "prompted", "cuda").equal_pixels == 0


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_index_says_what_to_delete(tmp_path, text):
    store(tmp_path / "predictions", {})
    store(tmp_path / "audit", {})
    (tmp_path / "audit" / "index.json").write_text(text)
    with pytest.raises(StoreError, match="run again"):
        audit_predictions(tmp_path / "predictions", tmp_path / "audit", "semantic", device="cpu")


def test_a_prediction_that_its_index_promises_but_is_gone_is_named(tmp_path):
    store(tmp_path / "predictions", {"i": SemanticMap(np.zeros((4, 4), np.uint8))})
    store(tmp_path / "audit", {"i": SemanticMap(np.ones((4, 4), np.uint8))})
    (tmp_path / "audit" / "i.png").unlink()
    with pytest.raises(StoreError, match=r"audit/i\.png is listed in the index"):
        audit_predictions(tmp_path / "predictions", tmp_path / "audit", "semantic", device="cpu")


# --------------------------------------------------------------------------- verdict

PASSED = AuditResult(ok=True, compared=6, identical=6, equal_pixels=1.0)
FAILED = AuditResult(ok=False, compared=6, identical=0, equal_pixels=0.5, worst_image="i1", worst_equal_pixels=0.1)


NOT_STEADY = Flag(name="not_steady", seen="medians differ by 3.1 %, after 30 s", advice="close other programs")


def test_a_row_without_any_doubt_is_valid():
    verdict = judge([JobFacts(), JobFacts()], [], [PASSED])
    assert (verdict.state, verdict.reasons) == ("valid", ())


def test_a_worker_s_flag_flags_the_row_and_is_handed_on_as_it_is():
    facts = JobFacts(flags=(NOT_STEADY,))
    verdict = judge([facts], [], [PASSED])
    assert verdict.state == "flagged"
    assert verdict.reasons == (NOT_STEADY,)


def test_an_invalid_worker_or_a_failed_audit_invalidates_the_row_and_comes_first():
    doubt = Flag(name="not_stationary", seen="x", advice="y")
    by_worker = judge([JobFacts(invalid=(Flag(name="forgot_sync", seen="a", advice="b"),))], [doubt], [PASSED])
    assert by_worker.state == "invalid"
    assert [r.name for r in by_worker.reasons] == ["forgot_sync", "not_stationary"]
    by_audit = judge([JobFacts()], [doubt], [PASSED, FAILED])
    assert by_audit.state == "invalid"
    assert [r.name for r in by_audit.reasons] == ["timed_and_scored_differ", "not_stationary"]


def test_what_was_not_audited_is_flagged():
    nothing = AuditResult(ok=None, compared=0, identical=0)
    verdict = judge([JobFacts()], [], [nothing])
    assert (verdict.state, [r.name for r in verdict.reasons]) == ("flagged", ["not_audited"])


def test_replicates_that_say_the_same_are_heard_once():
    facts = JobFacts(flags=(Flag(name="stop_rule", seen="80 of 100 samples", advice="raise measurement.max_s"),))
    doubt = Flag(name="stop_rule", seen="replicate 1 of 3 …")
    verdict = judge([facts, facts, facts], [doubt], [PASSED, PASSED])
    assert [r.seen for r in verdict.reasons] == ["80 of 100 samples"]
