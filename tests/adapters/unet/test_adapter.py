from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.unet.adapter import Adapter
from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import Size, Target, TaskSpec
from tests.adapters.rectangles import (
    INSTANCES,
    PANOPTIC,
    SIZE,
    THREE_CLASSES,
    TWO_CLASSES,
    Recorder,
    Rectangles,
    rectangles,
    short_recipe,
    small_unet,
)

ONE_THREAD = Target(threads=1)


def built(task=THREE_CLASSES, target=ONE_THREAD, weights: Path | None = None, **options):
    adapter = Adapter()
    adapter.build(small_unet(**options).model_copy(update={"task": task.kind}), task, target, weights)
    return adapter


def images(count=4, size=SIZE):
    split = Rectangles(count, seed=7, size=size)
    return [split.image(i) for i in range(count)]


def labels(adapter, pictures):
    return [prediction.labels for prediction in predict(adapter, pictures)]


def agreement(first, second):
    return np.mean([np.mean(a == b) for a, b in zip(first, second, strict=True)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights that use every class; an untrained network may name one class everywhere."""
    recipe = short_recipe(budget={"steps": 60}, learning_rate=0.03, seed=2)
    result = built().train(rectangles(24), recipe, tmp_path_factory.mktemp("trained"), Recorder())
    found = labels(built(weights=result.weights), images())
    assert all(len(np.unique(label)) == 3 for label in found)
    return result.weights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_widht": 8}, "unet/test: no option named 'base_widht'. Did you mean 'base_width'?"),
        ({"up": "bicubic"}, "unet/test: option 'up': .*'transposed_conv', 'bilinear' or 'nearest', not 'bicubic'"),
        ({"depth": 0}, "unet/test: option 'depth': .*greater than or equal to 1, not 0"),
        ({"threshold": 0.4}, "'threshold' belongs to 'head: sigmoid'"),
    ],
)
def test_a_wrong_option_is_told_with_its_name_and_what_is_allowed(options, message):
    with pytest.raises(BenchError, match=message):
        built(**options)


def test_a_sigmoid_head_refuses_a_task_of_three_classes():
    with pytest.raises(Unsupported, match="a sigmoid head tells 2 classes apart; the task has 3"):
        built(head="sigmoid")


@pytest.mark.parametrize("task", [INSTANCES, PANOPTIC])
def test_a_semantic_config_refuses_another_task(task):
    with pytest.raises(Unsupported, match=f"it has no {task.kind} prediction"):
        Adapter().build(small_unet(), task, ONE_THREAD, None)


def test_instances_are_refused_where_no_class_is_a_thing():
    with pytest.raises(Unsupported, match="this label space has none"):
        built(task=TaskSpec(kind="instance", classes=THREE_CLASSES.classes[:1]))


def test_a_minimal_area_belongs_to_configs_that_make_segments():
    with pytest.raises(BenchError, match="option 'min_area' belongs to model configs for instances and panoptic maps"):
        built(min_area=4)


@pytest.mark.parametrize("target", [ONE_THREAD, Target(threads=1, image_size=Size(20, 28))])
def test_one_set_of_weights_gives_labels_segments_and_instances_that_agree(trained, target):
    pictures = [*images(2), *images(1, Size(40, 21))]
    semantic, panoptic, instance = (
        predict(built(task, target, trained), pictures) for task in (THREE_CLASSES, PANOPTIC, INSTANCES)
    )
    for one, two, three in zip(semantic, panoptic, instance, strict=True):
        assert {segment.class_id for segment in two.segments} == set(np.unique(one.labels))
        class_of = np.array([255, *(segment.class_id for segment in two.segments)])
        assert np.array_equal(class_of[two.segment_ids], one.labels)
        things = {segment.id: segment.score for segment in two.segments if segment.class_id > 0}
        assert sorted(things.values(), reverse=True) == three.scores.tolist()
        assert all((two.segment_ids[mask] == two.segment_ids[mask][0]).all() for mask in three.masks)
        assert np.array_equal(three.masks.any(axis=0), one.labels > 0)


def test_a_minimal_area_leaves_small_segments_out(trained):
    picture = images(1, Size(40, 56))
    (every,) = predict(built(PANOPTIC, weights=trained), picture)
    areas = np.bincount(every.segment_ids.ravel())[1:]
    limit = int(np.sort(areas)[len(areas) // 2])
    (large,) = predict(built(PANOPTIC, weights=trained, min_area=limit), picture)
    assert areas.min() < limit
    assert sorted(np.bincount(large.segment_ids.ravel())[1:]) == sorted(areas[areas >= limit])


@pytest.mark.parametrize("task", [INSTANCES, PANOPTIC])
def test_training_for_segments_is_training_on_labels(tmp_path, task):
    recipe = short_recipe(budget={"steps": 4}, validate_every=None)
    weights = [
        built(one).train(rectangles(8, 2, task=one), recipe, tmp_path / one.kind, Recorder()).weights
        for one in (THREE_CLASSES, task)
    ]
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in weights)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.7])
def test_a_sigmoid_head_names_class_one_where_its_probability_is_above_the_threshold(threshold):
    adapter = built(task=TWO_CLASSES, head="sigmoid", threshold=threshold)
    batch = adapter.preprocess(images(1))
    raw = adapter.infer(batch)
    probability = 1 / (1 + np.exp(-raw.logits.double().numpy()[0, 0]))
    # A threshold in the middle of the probabilities, so that both answers occur.
    adapter = built(task=TWO_CLASSES, head="sigmoid", threshold=float(np.quantile(probability, threshold)))
    (found,) = adapter.postprocess(adapter.infer(batch), [Size(24, 32)])
    assert np.array_equal(found.labels, (probability > np.quantile(probability, threshold)).astype(np.uint8))
    assert 0 < found.labels.mean() < 1


def test_two_untrained_builds_give_the_same_predictions():
    logits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        adapter = built()
        logits.append(adapter.infer(adapter.preprocess(images())).logits)
    assert torch.equal(*logits)


def test_building_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    built()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("image_size", [None, Size(20, 28)])
def test_a_batch_of_two_gives_the_labels_of_two_batches_of_one(trained, image_size):
    adapter = built(target=Target(threads=1, image_size=image_size), weights=trained)
    pictures = images(2)
    one_by_one = [labels(adapter, [picture])[0] for picture in pictures]
    together = labels(adapter, pictures)
    assert agreement(one_by_one, together) >= 0.999  # kernels may add in another order for another batch size


def test_the_padding_of_a_mixed_batch_is_never_part_of_an_answer(trained):
    adapter = built(weights=trained)
    small, large = images(1, Size(17, 19))[0], images(1, Size(33, 40))[0]
    (of_small, of_large) = labels(adapter, [small, large])
    logits = adapter.infer(adapter.preprocess([small, large])).logits
    assert np.array_equal(of_small, logits[0, :, :17, :19].argmax(dim=0).numpy())
    assert np.array_equal(of_large, labels(adapter, [large])[0])


def test_channels_last_changes_the_layout_and_not_the_labels(trained):
    other = built(target=Target(threads=1, channels_last=True), weights=trained)
    assert other.preprocess(images()).pixels.is_contiguous(memory_format=torch.channels_last)
    assert agreement(labels(built(weights=trained), images()), labels(other, images())) >= 0.999


def test_bf16_on_a_cpu_computes_otherwise_and_labels_nearly_all_pixels_alike(trained):
    other = built(target=Target(threads=1, precision="bf16"), weights=trained)
    assert other.infer(other.preprocess(images())).logits.dtype == torch.bfloat16
    assert agreement(labels(built(weights=trained), images()), labels(other, images())) >= 0.98


def test_one_input_channel_sees_only_the_luma():
    adapter = built(in_channels=1)
    colour = images(1)[0]
    grey = np.repeat((colour @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    raw = [adapter.infer(adapter.preprocess([picture])).logits for picture in (colour, np.round(grey).astype(np.uint8))]
    torch.testing.assert_close(raw[0], raw[1], atol=0.02, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"), [(THREE_CLASSES, {"base_width": 8}), (TWO_CLASSES, {"head": "sigmoid", "threshold": 0.4})]
)
def test_trained_weights_are_read_back_and_label_the_scenes(tmp_path, task, options):
    data = rectangles(24, 4, task=task)
    recipe = short_recipe(budget={"steps": 120}, learning_rate=0.02, validate_every=None)
    result = built(task, **options).train(data, recipe, tmp_path, Recorder())
    scenes = [data.val.image(i) for i in range(4)]
    found = labels(built(task, weights=result.weights, **options), scenes)
    again = labels(built(task, weights=result.weights, **options), scenes)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    right = [(f == data.val.semantic(i))[data.val.semantic(i) != 255].mean() for i, f in enumerate(found)]
    assert np.mean(right) > 0.95  # all ground would be about 0.83
    assert result.self_reported["val_mean_iou"] == pytest.approx(
        mean_iou([data.val.semantic(i) for i in range(4)], found, len(task.classes)), abs=1e-6
    )


def mean_iou(targets, found, classes):
    target, predicted = np.stack(targets), np.stack(found)
    known = target != 255
    ious = []
    for c in range(classes):
        union = (((target == c) | (predicted == c)) & known).sum()
        if union:
            ious.append((((target == c) & (predicted == c)) & known).sum() / union)
    return float(np.mean(ious))


def test_training_starts_from_given_weights(tmp_path):
    data, barely = rectangles(), short_recipe(budget={"steps": 1}, learning_rate=1e-12, warmup_fraction=0.0)
    first = built().train(data, short_recipe(seed=3), tmp_path / "first", Recorder())
    second = built(weights=first.weights).train(data, barely, tmp_path / "second", Recorder())
    given, taken = (torch.load(r.weights, weights_only=True)["state_dict"]["classify.weight"] for r in (first, second))
    torch.testing.assert_close(given, taken)


def test_the_description_counts_the_parameters_and_reads_threads_back():
    facts = built().describe()
    module_parameters = facts["parameters"]
    # depth 2, width 4: blocks 3-4-4, 4-8-8, 8-16-16, 16-8-8, 8-4-4 of 3 × 3 filters with bias, two
    # numbers of batch norm per filter; transposed 16-8 and 8-4 of 2 × 2 with bias; 1 × 1 to 3.
    blocks = [(3, 4), (4, 8), (8, 16), (16, 8), (8, 4)]
    expected = sum(9 * i * o + o + 2 * o + 9 * o * o + o + 2 * o for i, o in blocks)
    expected += (4 * 16 * 8 + 8) + (4 * 8 * 4 + 4) + (4 * 3 + 3)
    assert module_parameters == facts["trainable_parameters"] == expected
    assert facts["threads"]["torch"] == facts["threads"]["opencv"] == 1
