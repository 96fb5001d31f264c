"""A class that no scored image truly shows, and that a mean over classes counts as wrong, is named with the mean
without it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.dataset import GroundTruth
from bench.metric import load_metric
from bench.records import ClassSpec, TaskSpec
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap
from bench.score.scoring import observe_all, score_metric
from tests.bench.score.test_scoring import Drawn

CLASSES = tuple(
    ClassSpec(name=name, colour=(0, 0, 0), is_thing=name != "background")
    for name in ("background", "disc", "ring", "cross")
)


def scored(metric: str, ground_truths: dict, predictions: dict, kind: str = "semantic"):
    dataset = Drawn(ground_truths, CLASSES, ("semantic", "instance", "panoptic"))
    task = TaskSpec(kind=kind, classes=CLASSES)
    loaded = load_metric(metric)
    observed = observe_all([loaded], task, dataset, tuple(ground_truths), predictions.__getitem__)
    return score_metric(loaded, task, observed, len(ground_truths), seed=0)


def maps(stray: int):
    """Two images of background, a disc and a ring; of one `stray` pixels are called a cross."""
    ground_truth = np.zeros((12, 12), dtype=np.uint8)
    ground_truth[1:5, 1:5], ground_truth[7:11, 7:11] = 1, 2
    wrong = ground_truth.copy()
    wrong[0, :stray] = 3
    images = {"a": GroundTruth(SemanticMap(ground_truth)), "b": GroundTruth(SemanticMap(ground_truth))}
    return images, {"a": SemanticMap(wrong), "b": SemanticMap(ground_truth)}


def flag_of(score):
    return next((one for one in score.flags if one.name == "class_without_ground_truth"), None)


@pytest.mark.parametrize("metric", ["mean_iou", "dice", "precision", "foreground_mean_iou", "foreground_mean_dice"])
def test_one_stray_pixel_of_a_class_without_ground_truth_is_told_with_the_mean_without_it(metric):
    score = scored(metric, *maps(stray=1))
    known = [v for name, v in score.per_class.items() if name != "cross" and v is not None]
    assert score.per_class["cross"] == 0
    assert score.value == pytest.approx(sum(known) / (len(known) + 1))
    flag = flag_of(score)
    assert "class 'cross' has no ground truth in the 2 scored images" in flag.seen
    assert f"{score.value:.3f} with it and {sum(known) / len(known):.3f} over the other {len(known)}" in flag.seen


@pytest.mark.parametrize("metric", ["mean_iou", "dice", "precision"])
def test_classes_that_are_neither_true_nor_predicted_give_no_doubt(metric):
    assert flag_of(scored(metric, *maps(stray=0))) is None


@pytest.mark.parametrize("metric", ["recall", "pixel_accuracy", "frequency_weighted_iou", "mean_accuracy"])
def test_a_score_that_such_a_class_does_not_enter_is_not_doubted(metric):
    assert flag_of(scored(metric, *maps(stray=3))) is None


def test_a_class_that_is_true_somewhere_may_be_wrong_everywhere_without_this_doubt():
    ground_truths, predictions = maps(stray=3)
    ground_truth = ground_truths["b"].semantic.labels.copy()
    ground_truth[11, 0] = 3
    assert (
        flag_of(scored("mean_iou", {**ground_truths, "b": GroundTruth(SemanticMap(ground_truth))}, predictions)) is None
    )


def test_several_such_classes_are_named_together():
    ground_truths, predictions = maps(stray=2)
    blank = GroundTruth(SemanticMap(np.zeros((12, 12), dtype=np.uint8)))
    seen = flag_of(scored("mean_iou", dict.fromkeys(ground_truths, blank), predictions)).seen
    assert "classes 'disc', 'ring', 'cross' have no ground truth" in seen
    assert "over the other 1" in seen


def test_an_invented_distance_is_told_in_its_unit():
    flag = flag_of(scored("hd95", *maps(stray=3)))
    assert "'cross'" in flag.seen
    assert "px" in flag.seen


def test_panoptic_quality_tells_of_a_segment_of_a_class_that_is_never_true():
    ids = np.ones((8, 8), dtype=np.int32)
    ids[2:5, 2:5] = 2
    ground_truth = Panoptic(ids, (Segment(1, 0), Segment(2, 1)))
    wrong = ids.copy()
    wrong[6:, 6:] = 3
    predicted = Panoptic(wrong, (Segment(1, 0), Segment(2, 1), Segment(3, 3)))
    labels = SemanticMap(np.where(ids == 2, np.uint8(1), np.uint8(0)))
    score = scored("panoptic_quality", {"a": GroundTruth(labels, panoptic=ground_truth)}, {"a": predicted}, "panoptic")
    assert score.per_class["cross"] == 0
    assert "class 'cross'" in flag_of(score).seen


def test_average_precision_leaves_such_a_class_out_by_its_definition():
    mask = np.zeros((1, 8, 8), dtype=np.bool_)
    mask[0, 2:5, 2:5] = True

    def one(class_id, masks=mask):
        return Instances(masks, np.array([class_id]), np.ones(1), np.zeros(1, dtype=np.bool_))

    both = Instances(np.concatenate([mask, mask]), np.array([1, 3]), np.ones(2), np.zeros(2, dtype=np.bool_))
    ground_truth = GroundTruth(SemanticMap(mask[0].astype(np.uint8)), instances=one(1))
    score = scored("mask_ap", {"a": ground_truth}, {"a": both}, "instance")
    assert score.per_class["cross"] is None
    assert flag_of(score) is None


def test_one_of_a_hundred_classes_hardly_moves_a_mean_and_is_not_told():
    classes = tuple(ClassSpec(name=f"c{i}", colour=(0, 0, 0)) for i in range(150))
    ground_truth = np.arange(149, dtype=np.uint8).repeat(4).reshape(4, 149)
    wrong = ground_truth.copy()
    wrong[0, 0] = 149
    dataset = Drawn({"a": GroundTruth(SemanticMap(ground_truth))}, classes, ("semantic",))
    task, metric = TaskSpec(kind="semantic", classes=classes), load_metric("mean_iou")
    observed = observe_all([metric], task, dataset, ("a",), lambda _: SemanticMap(wrong))
    assert flag_of(score_metric(metric, task, observed, 1, seed=0)) is None


def test_shapes_say_which_classes_their_preset_never_draws():
    from bench.data.formats.by_name import open_dataset

    easy = open_dataset("shapes", {"preset": "easy", "train": 1, "val": 1, "test": 40})
    assert "no cross and no hexagon" in easy.notes("test")[0]
    drawn = np.unique(np.concatenate([np.unique(easy.target(i).semantic.labels) for i in easy.ids("test")]))
    assert {easy.classes[i].name for i in range(10)} - {easy.classes[i].name for i in drawn if i < 10} == {
        "cross",
        "hexagon",
    }


def test_a_check_of_a_suite_says_what_a_drawn_data_set_never_shows_and_a_run_does_not_repeat_it(tmp_path, capsys):
    from bench.cli.main import main
    from tests.bench.suites import perfect, write_suite

    path = write_suite(tmp_path, [perfect()], measurement="none")
    assert main(["check", str(path), "--results", str(tmp_path / "results")]) == 0
    assert "preset easy draws no cross and no hexagon" in capsys.readouterr().err
    assert main(["run", str(path), "--results", str(tmp_path / "results")]) == 0
    assert "hexagon" not in capsys.readouterr().err
