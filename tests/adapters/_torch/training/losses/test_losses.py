from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from adapters._torch.network import Head
from adapters._torch.training.losses import LOSSES, read_loss
from adapters._torch.training.losses.boundary import signed_distance
from adapters._torch.training.losses.pixelwise import WeightedCrossEntropy, class_weights
from bench.errors import BenchError, ShapeError
from tests.adapters._torch.training.losses import loss_oracles as slow

SOFTMAX, SIGMOID = Head(3), Head(2, threshold=0.5)
CLASS_PIXELS = {1: np.array([7]), 2: np.array([30, 10]), 3: np.array([30, 10, 5]), 4: np.array([30, 10, 5, 5])}
SLOW = {
    "cross_entropy": lambda head: slow.cross_entropy,
    "bce": lambda head: slow.bce,
    "weighted_cross_entropy": lambda head: slow.weighted_cross_entropy(CLASS_PIXELS[head.classes].tolist()),
    "focal": lambda head: slow.focal(None, 2),
    "focal(0.25, 0.5)": lambda head: slow.focal(0.25, 0.5),
    "focal(gamma=0)": lambda head: slow.cross_entropy,
    "dice": lambda head: slow.dice,
    "jaccard": lambda head: slow.jaccard,
    "tversky(0.3, 0.7)": lambda head: slow.tversky(0.3, 0.7),
    "tversky(0.5, 0.5)": lambda head: slow.dice,
    "tversky(1, 1)": lambda head: slow.jaccard,
    "generalised_dice": lambda head: slow.generalised_dice,
    "lovasz": lambda head: slow.lovasz,
    "boundary": lambda head: slow.boundary,
}
every_head = pytest.mark.parametrize("head", [SOFTMAX, SIGMOID], ids=["softmax", "sigmoid"])
every_loss = pytest.mark.parametrize("text", SLOW)


def loss_of(text, head):
    return read_loss(text, class_pixels=lambda: CLASS_PIXELS[head.classes])


def random_case(head, seed, shape=(2, 4, 5), void=0.2):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (shape[0], head.channels, *shape[1:]))
    labels = random.integers(0, head.classes, shape).astype(np.uint8)
    labels[random.random(shape) < void] = 255
    return logits, labels


def certain(labels, head, strength=50.0):
    """Logits of the right answer; under void that of class 0."""
    labels = torch.where(labels == 255, 0, labels.long())
    if head.threshold is not None:
        return torch.where(labels == 1, strength, -strength).unsqueeze(1)
    return torch.full((len(labels), head.classes, *labels.shape[1:]), -strength).scatter(1, labels[:, None], strength)


def gradient(loss, logits, labels, head):
    logits = logits.detach().requires_grad_()
    value = loss(logits, labels, head)
    value.backward()
    return value.item(), logits.grad


def test_every_loss_has_a_slow_one():
    assert {text.split("(")[0] for text in SLOW} == set(LOSSES)


# ---------------------------------------------------------------------- definitions


@every_head
@every_loss
@pytest.mark.parametrize("seed", range(5))
def test_a_loss_agrees_with_its_formula_pixel_by_pixel(text, head, seed):
    logits, labels = random_case(head, seed)
    found = loss_of(text, head)(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels), head)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(SLOW[text](head)(logits, labels, head), rel=1e-5)


@every_head
@every_loss
def test_a_loss_agrees_with_its_formula_where_a_class_is_absent(text, head):
    logits, labels = random_case(head, 11)
    labels[labels == 1] = 0
    found = loss_of(text, head)(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels), head)
    assert found.item() == pytest.approx(SLOW[text](head)(logits, labels, head), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("text", ["cross_entropy", "weighted_cross_entropy", "focal(0.25)", "generalised_dice"])
def test_one_sigmoid_channel_costs_what_two_softmax_channels_cost(text):
    logits, labels = (torch.tensor(array) for array in random_case(SIGMOID, 2))
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    alone = loss_of(text, SIGMOID)(logits, labels, SIGMOID).item()
    assert alone == pytest.approx(loss_of(text, Head(2))(two, labels, Head(2)).item(), rel=1e-5)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.0), (None, 3.0)])
def test_focal_of_a_sigmoid_head_agrees_with_torchvision(alpha, gamma):
    logits, labels = (torch.tensor(array) for array in random_case(SIGMOID, 4))
    known = labels != 255
    expected = sigmoid_focal_loss(
        logits[:, 0][known], (labels[known] == 1).double(), -1 if alpha is None else alpha, gamma, reduction="mean"
    )
    text = f"focal(gamma={gamma})" if alpha is None else f"focal({alpha}, {gamma})"
    assert read_loss(text)(logits, labels, SIGMOID).item() == pytest.approx(expected.item(), rel=1e-5)


@every_head
@pytest.mark.parametrize("text", ["dice", "jaccard", "tversky(0.3, 0.7)", "lovasz"])
def test_where_every_class_is_there_a_loss_agrees_with_smp(text, head):
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    mode = "multiclass" if head.threshold is None else "binary"
    theirs = {
        "dice": lambda: smp.losses.DiceLoss(mode, smooth=0.5, ignore_index=255),
        "jaccard": lambda: smp.losses.JaccardLoss(mode, smooth=0.5, ignore_index=255),
        "tversky(0.3, 0.7)": lambda: smp.losses.TverskyLoss(mode, smooth=0.5, ignore_index=255, alpha=0.3, beta=0.7),
        "lovasz": lambda: smp.losses.LovaszLoss(mode, ignore_index=255),
    }
    logits, labels = (torch.tensor(array) for array in random_case(head, 5))
    logits = logits.float()
    expected, their_gradient = gradient(lambda z, y, _: theirs[text]()(z, y.long()), logits, labels, head)
    found, our_gradient = gradient(read_loss(text), logits, labels, head)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_of_a_hard_answer_is_one_minus_the_mean_iou_of_the_classes_that_occur(seed):
    head = Head(4)
    random = np.random.default_rng(seed)
    target, predicted = random.integers(0, 3, (2, 2, 6, 7))  # class 3 occurs nowhere
    ious = [
        ((target == c) & (predicted == c)).sum() / ((target == c) | (predicted == c)).sum() for c in np.unique(target)
    ]
    logits = certain(torch.tensor(predicted), head)
    assert read_loss("lovasz")(logits, torch.tensor(target), head).item() == pytest.approx(1 - np.mean(ious), rel=1e-5)


def test_the_distance_to_a_boundary_knows_neither_void_nor_the_edge_of_the_image():
    labels = np.array([[255, 1, 1, 255, 0, 0, 255, 255]])
    # From the inside the next pixel of class 0 counts, from the outside that of class 1, whatever lies between.
    assert signed_distance(labels, 1)[0, [1, 2, 4, 5]].tolist() == [-2, -1, 2, 3]


@pytest.mark.parametrize("labels", [np.zeros((3, 4)), np.ones((3, 4)), np.array([[1, 255], [255, 1]])])
def test_a_class_that_is_not_there_or_everywhere_has_no_boundary(labels):
    assert not signed_distance(labels, 1).any()


def test_class_weights_have_mean_one_over_the_pixels_of_the_training_split():
    counts = np.array([900, 0, 90, 10])
    weights = class_weights(counts)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights[1] == 0


def test_pixels_of_a_class_that_the_training_split_lacks_do_not_count():
    loss = WeightedCrossEntropy(np.array([6, 2, 0]))
    logits, labels = (torch.tensor(array) for array in random_case(SOFTMAX, 6))
    without = torch.where(labels == 2, 255, labels)
    assert loss(logits, labels, SOFTMAX).item() == pytest.approx(loss(logits, without, SOFTMAX).item())
    assert loss(logits, torch.full_like(labels, 2), SOFTMAX).item() == 0


def test_a_training_split_without_labelled_pixels_cannot_weigh_classes():
    with pytest.raises(BenchError, match="no pixel of the training split is labelled"):
        WeightedCrossEntropy(np.zeros(3, np.int64))


def test_weights_of_another_number_of_classes_are_refused():
    logits, labels = (torch.tensor(array) for array in random_case(SOFTMAX, 0))
    with pytest.raises(ShapeError, match="2 classes, the head tells 3"):
        WeightedCrossEntropy(np.array([1, 1]))(logits, labels, SOFTMAX)


# ---------------------------------------------------------------------- properties


@every_loss
@pytest.mark.parametrize("order", [(1, 2, 0, 3), (3, 2, 1, 0)])
def test_renaming_the_classes_changes_nothing(text, order):
    if text == "focal(0.25, 0.5)":
        text = "focal(gamma=0.5)"  # with alpha class 0 is not like the others
    head, order = Head(4), torch.tensor(order)
    logits, labels = (torch.tensor(array) for array in random_case(head, 7))
    renamed = torch.where(labels == 255, 255, torch.argsort(order)[labels.long().clamp(max=3)])
    before = loss_of(text, head)(logits, labels, head)
    after = read_loss(text, class_pixels=lambda: CLASS_PIXELS[4][order.numpy()])(logits[:, order], renamed, head)
    assert after.item() == pytest.approx(before.item(), rel=1e-5)


@every_head
@every_loss
@pytest.mark.parametrize("present", [(0, 1), (0,), (1,)])
def test_a_certain_and_right_answer_costs_nothing_whatever_classes_are_there(text, head, present):
    labels = torch.tensor(np.random.default_rng(0).choice([*present, 255], (2, 5, 6)))
    value, slope = gradient(loss_of(text, head), certain(labels, head), labels, head)
    assert value == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(slope).all()


@every_head
@every_loss
@pytest.mark.parametrize("strength", [1e3, 1e30])
def test_a_certain_and_wrong_answer_has_a_finite_cost_and_gradient(text, head, strength):
    labels = torch.tensor(random_case(head, 8)[1])
    wrong = torch.where(labels == 255, 255, (labels + 1) % head.classes)
    value, slope = gradient(loss_of(text, head), certain(wrong, head, strength), labels, head)
    assert np.isfinite(value)
    assert value > 0
    assert torch.isfinite(slope).all()


@every_head
@every_loss
def test_a_batch_of_void_costs_nothing_and_pulls_nowhere(text, head):
    logits = torch.randn(2, head.channels, 3, 3)
    value, slope = gradient(loss_of(text, head), logits, torch.full((2, 3, 3), 255, dtype=torch.uint8), head)
    assert value == pytest.approx(0, abs=1e-6)
    assert torch.equal(slope, torch.zeros_like(slope))


@every_head
@every_loss
def test_what_lies_under_void_changes_neither_loss_nor_gradient(text, head):
    logits, labels = (torch.tensor(array) for array in random_case(head, 3))
    other = torch.where((labels == 255).unsqueeze(1), 9.0, logits)
    (one, slope), (two, other_slope) = (gradient(loss_of(text, head), z, labels, head) for z in (logits, other))
    assert one == pytest.approx(two)
    torch.testing.assert_close(slope, other_slope)
    assert not slope.movedim(1, -1)[labels == 255].any()


@every_loss
def test_a_data_set_of_one_class_has_a_finite_loss(text):
    head = Head(1)
    logits, labels = (torch.tensor(array) for array in random_case(head, 9))
    value, slope = gradient(loss_of(text, head), logits, labels, head)
    assert np.isfinite(value)
    assert torch.isfinite(slope).all()


@every_head
@every_loss
def test_a_small_step_down_the_gradient_lowers_the_loss(text, head):
    logits, labels = (torch.tensor(array, dtype=torch.float32) for array in random_case(head, 10, shape=(2, 8, 8)))
    before, slope = gradient(loss_of(text, head), logits, labels, head)
    after = loss_of(text, head)(logits - 0.05 * slope / slope.norm(), labels, head).item()
    assert after < before


@pytest.mark.parametrize("text", ["dice", "jaccard", "tversky(0.3, 0.7)", "generalised_dice"])
def test_false_positives_in_an_empty_mask_cost_and_are_pushed_down(text):
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    value, slope = gradient(read_loss(text), torch.randn(1, 1, 4, 4), labels, SIGMOID)
    assert value > 0.1
    assert (slope > 0).all()


@every_head
@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_loss_is_computed_in_single_precision_also_under_autocast(text, head, dtype):
    logits, labels = (torch.tensor(array) for array in random_case(head, 0))
    rounded = logits.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_of(text, head)(rounded, labels, head)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss_of(text, head)(rounded.float(), labels, head))
