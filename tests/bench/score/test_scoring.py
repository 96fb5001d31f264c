"""Stored predictions become scores; statistics come back from disk as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bench.dataset import GroundTruth
from bench.errors import BenchError, ShapeError, StoreError
from bench.metric import load_metric
from bench.records import (
    Case,
    ClassSpec,
    DatasetSpec,
    Measurement,
    ModelSpec,
    OracleScore,
    Score,
    Target,
    TaskSpec,
    Timeouts,
)
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap, save_prediction
from bench.records.store.statistics import load_statistics, save_statistics
from bench.score.scoring import score_case

CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("background", "disc", "ring"))


@dataclass(frozen=True)
class Drawn:
    """A data set of given ground truth, in memory."""

    ground_truths: dict[str, GroundTruth]
    classes: tuple[ClassSpec, ...] = CLASSES
    tasks: tuple[str, ...] = ("semantic", "panoptic")
    source: str = "drawn in a test"
    licence: str = "none"

    def splits(self):
        return ("test",)

    def ids(self, split):
        assert split == "test"
        return tuple(self.ground_truths)

    def image(self, image_id):
        raise AssertionError("scoring reads no images")

    def target(self, image_id):
        return self.ground_truths[image_id]

    def size(self, image_id):
        return self.ground_truths[image_id].semantic.size

    def fingerprint(self, split):
        return split


def case(kind="semantic", max_images=None):
    return Case(
        id="fake/perfect@drawn",
        model=ModelSpec(name="fake/perfect", label="perfect", adapter="fake", task=kind, description="x"),
        dataset=DatasetSpec(name="drawn", label="drawn", max_images=max_images),
        target=Target(),
        recipe=None,
        measurement=Measurement(),
        timeouts=Timeouts(),
    )


def drawn(images: int, seed: int = 0) -> Drawn:
    random = np.random.default_rng(seed)
    maps = {f"image-{i:03d}": random.integers(0, 3, (8, 10), dtype=np.uint8) for i in range(images)}
    return Drawn({name: GroundTruth(SemanticMap(labels)) for name, labels in maps.items()})


def score(dataset, folder, metrics=("mean_iou", "boundary_iou", "dice"), *, kind="semantic", **options):
    max_images = options.pop("max_images", None)
    task = TaskSpec(kind=kind, classes=options.pop("classes", CLASSES))
    return score_case(case(kind, max_images), task, dataset, folder, metrics, predict_key="k", seed=0, **options)


def with_usage_errors(dataset, folder, share=0.3):
    random = np.random.default_rng(1)
    for image_id, ground_truth in dataset.ground_truths.items():
        labels = ground_truth.semantic.labels.copy()
        labels[random.random(labels.shape) < share] = 1
        save_prediction(SemanticMap(labels), folder, image_id)


def test_scores_of_stored_predictions_equal_scores_of_the_arrays(tmp_path):
    dataset = drawn(5)
    with_usage_errors(dataset, tmp_path)
    scored = score(dataset, tmp_path)
    assert [s.metric for s in scored.scores.scores] == ["mean_iou", "boundary_iou", "dice"]
    assert scored.statistics.image_ids == tuple(dataset.ground_truths)
    # the oracle: intersections and unions over all pixels of all images at once
    random = np.random.default_rng(1)
    true = np.stack([t.semantic.labels for t in dataset.ground_truths.values()])
    guess = true.copy()
    for labels in guess:
        labels[random.random(labels.shape) < 0.3] = 1
    ious = [((true == c) & (guess == c)).sum() / ((true == c) | (guess == c)).sum() for c in range(3)]
    assert scored.scores.scores[0].value == pytest.approx(np.mean(ious))
    assert scored.scores.scores[0].images == 5
    assert (scored.scores.case_id, scored.scores.predict_key) == ("fake/perfect@drawn", "k")


def test_metrics_with_the_same_statistic_share_one_stack(tmp_path):
    dataset = drawn(3)
    with_usage_errors(dataset, tmp_path)
    scored = score(dataset, tmp_path, ("mean_iou", "dice", "recall", "boundary_iou"))
    assert {name: (stack.shape, stack.dtype) for name, stack in scored.statistics.arrays.items()} == {
        "confusion": ((3, 3, 4), np.int64),
        "boundary": ((3, 3, 2), np.int64),
    }


def test_only_the_images_of_the_case_are_scored(tmp_path):
    dataset = drawn(6)
    with_usage_errors(dataset, tmp_path)
    scored = score(dataset, tmp_path, max_images=4)
    assert scored.statistics.image_ids == tuple(dataset.ground_truths)[:4]
    assert scored.scores.scores[0].images == 4


def test_missing_predictions_are_counted_and_the_way_to_get_them_is_told(tmp_path):
    dataset = drawn(5)
    with_usage_errors(dataset, tmp_path)
    (tmp_path / "image-001.png").unlink()
    (tmp_path / "image-003.png").unlink()
    with pytest.raises(BenchError, match=r"2 of 5 predictions .* missing .*'image-001'.*bench run SUITE"):
        score(dataset, tmp_path)


class OfPatients(Drawn):
    """Images of two patients."""

    def group(self, image_id):
        return f"patient {list(self.ground_truths).index(image_id) % 2}"


def test_the_groups_of_the_images_are_counted_in_the_record_and_kept_with_the_statistics(tmp_path):
    dataset = OfPatients(drawn(5).ground_truths)
    with_usage_errors(dataset, tmp_path)
    scored = score(dataset, tmp_path)
    assert scored.scores.groups == 2
    assert scored.statistics.groups == tuple(f"patient {number % 2}" for number in range(5))
    assert score(Drawn(dataset.ground_truths), tmp_path).scores.groups is None


def test_a_split_without_images_is_refused(tmp_path):
    with pytest.raises(BenchError, match="split 'test' of data set 'drawn' has no images"):
        score(drawn(0), tmp_path)


def test_a_prediction_of_another_size_is_refused_by_the_name_of_its_image(tmp_path):
    dataset = drawn(2)
    with_usage_errors(dataset, tmp_path)
    save_prediction(SemanticMap(np.zeros((4, 5), np.uint8)), tmp_path, "image-001")
    with pytest.raises(ShapeError, match=r"image 'image-001': .*\(8, 10\).*\(4, 5\)"):
        score(dataset, tmp_path)


def test_label_spaces_that_differ_are_refused_with_the_classes_that_do(tmp_path):
    other = (CLASSES[0], CLASSES[1], ClassSpec(name="torus", colour=(0, 0, 0)))
    with pytest.raises(BenchError, match="'ring', 'torus' in one only"):
        score(drawn(1), tmp_path, classes=other)
    with pytest.raises(BenchError, match="the order of classes differs"):
        score(drawn(1), tmp_path, classes=CLASSES[::-1])


def test_instances_are_scored_as_a_semantic_map_and_the_score_says_so(tmp_path):
    dataset = drawn(2)
    for image_id, ground_truth in dataset.ground_truths.items():
        labels = ground_truth.semantic.labels
        masks = np.stack([labels == 1, labels == 2, labels == 0])
        # the third, unsure one would spoil the map
        guess = Instances(masks, np.array([1, 2, 1]), np.array([0.9, 0.8, 0.1]), np.zeros(3, bool))
        save_prediction(guess, tmp_path, image_id)
    scored = score(dataset, tmp_path, ("mean_iou",), kind="instance")
    assert scored.scores.scores[0].value == 1.0
    assert "score of at least 0.5" in scored.scores.scores[0].definition


def test_a_score_on_images_looked_through_for_some_classes_states_the_federated_rule(tmp_path):
    masks = np.zeros((1, 4, 6), dtype=np.bool_)
    masks[0, :2, :3] = True
    found = Instances(masks, np.array([1]), np.ones(1), np.zeros(1, dtype=np.bool_))
    semantic = SemanticMap(np.where(masks[0], 1, 0).astype(np.uint8))
    ground_truths = {
        "some": GroundTruth(semantic, replace(found, unchecked=(2,))),
        "all": GroundTruth(semantic, found),
    }
    things = tuple(spec.model_copy(update={"is_thing": index > 0}) for index, spec in enumerate(CLASSES))
    dataset = Drawn(ground_truths, classes=things, tasks=("semantic", "instance"))
    for image_id in ground_truths:
        save_prediction(found, tmp_path, image_id)
    scored = score(dataset, tmp_path, ("mask_ap", "mean_iou"), kind="instance", classes=things).scores
    assert scored.federated == 1
    of_objects, of_pixels = (one.definition for one in scored.scores)
    assert "federated rule (LVIS, Open Images): 1 of 2 images were looked through for some classes" in of_objects
    assert "federated" not in of_pixels


def test_an_instance_model_also_gets_its_score_at_the_threshold_that_is_best_for_it(tmp_path):
    dataset = drawn(3)
    for image_id, ground_truth in dataset.ground_truths.items():
        labels = ground_truth.semantic.labels
        masks = np.stack([labels == 1, labels == 2, labels == 0])
        # right, but unsure of class 2; the third is wrong and less sure still
        guess = Instances(masks, np.array([1, 2, 1]), np.array([0.9, 0.3, 0.2]), np.zeros(3, bool))
        save_prediction(guess, tmp_path, image_id)
    found = score(dataset, tmp_path, ("mean_iou",), kind="instance").scores.scores[0]
    assert found.value < 1
    assert found.oracle == OracleScore(tau=0.25, value=1.0)  # the lowest of the grid above 0.2


def test_a_score_of_version_0_1_with_the_oracle_among_its_dialects_reads_as_one_with_the_field():
    now = Score(
        metric="mean_iou", version=1, value=0.5, images=3, definition="mean",
        dialects={"micro": 0.6}, parts={"AP50": 0.2}, oracle=OracleScore(tau=0.25, value=0.7),
    )  # fmt: skip
    then = now.model_dump(mode="json", exclude={"oracle"})
    then["dialects"]["best_tau_oracle"], then["parts"]["tau_of_best_tau_oracle"] = 0.7, 0.25
    assert Score.from_json(json.dumps(then)) == now
    assert Score.from_json(now.to_json()) == now


def test_panoptic_maps_are_scored_as_a_semantic_map(tmp_path):
    labels = np.uint8([[0, 0, 1], [2, 2, 1]])
    dataset = Drawn({"a": GroundTruth(SemanticMap(labels))})
    guess = Panoptic(labels.astype(np.int32) + 1, (Segment(1, 0), Segment(2, 1), Segment(3, 1)))
    save_prediction(guess, tmp_path, "a")
    # class 0: 2/2; class 1: 2 true positives of 4 predicted; class 2 missed
    scored = score(dataset, tmp_path, ("mean_iou",), kind="panoptic")
    assert scored.scores.scores[0].value == pytest.approx((1 + 0.5 + 0) / 3)


def test_statistics_come_back_from_disk_as_they_were(tmp_path):
    dataset = drawn(3)
    with_usage_errors(dataset, tmp_path / "predictions")
    scored = score(dataset, tmp_path / "predictions")
    save_statistics(scored.statistics, tmp_path / "new" / "case.npz")
    stored = load_statistics(tmp_path / "new" / "case.npz")
    assert stored.image_ids == scored.statistics.image_ids
    assert stored.arrays.keys() == scored.statistics.arrays.keys()
    for name, stack in scored.statistics.arrays.items():
        assert stored.arrays[name].dtype == np.int64
        np.testing.assert_array_equal(stored.arrays[name], stack)
    # and give the same scores again
    metric = load_metric("mean_iou")
    assert metric.score(stored.arrays["confusion"], CLASSES, seed=0) == scored.scores.scores[0]


@pytest.mark.parametrize("damage", ["truncated", "missing", "not an archive"])
def test_a_damaged_statistics_file_says_how_to_fix_it(tmp_path, damage):
    dataset = drawn(3)
    with_usage_errors(dataset, tmp_path)
    file = tmp_path / "case.npz"
    save_statistics(score(dataset, tmp_path).statistics, file)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100] if damage == "truncated" else b"hello")
    with pytest.raises(StoreError, match="bench score RUN"):
        load_statistics(file)


def test_sizes_may_differ_from_image_to_image(tmp_path):
    maps = {"a": np.zeros((4, 6), np.uint8), "b": np.ones((7, 3), np.uint8)}
    dataset = Drawn({name: GroundTruth(SemanticMap(labels)) for name, labels in maps.items()})
    for name, labels in maps.items():
        save_prediction(SemanticMap(labels), tmp_path, name)
    scored = score(dataset, tmp_path)
    assert scored.scores.scores[0].value == 1.0
    assert scored.scores.scores[0].pixels == 4 * 6 + 7 * 3
