from __future__ import annotations

import math

import pytest
import torch

from adapters._torch.network import Head, head_of
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, TaskSpec
from tests.adapters.rectangles import THREE_CLASSES, TWO_CLASSES


@pytest.mark.parametrize("classes", [1, 2, 8, 19])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_highest_logit_names_the_class(classes, layout):
    logits = torch.randn(3, classes, 6, 7, generator=torch.Generator().manual_seed(classes))
    labels = Head(classes).labels(logits.to(memory_format=layout))
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), logits.argmax(dim=1))


def test_on_a_tie_the_lowest_class_wins():
    logits = torch.tensor([1.0, 3.0, 2.0, 3.0]).view(1, 4, 1, 1)
    assert Head(4).labels(logits).item() == 1


def test_a_sigmoid_head_compares_with_the_logit_of_its_threshold():
    border = math.log(0.4 / 0.6)
    logits = torch.tensor([border - 1e-3, border + 1e-3]).view(1, 1, 1, 2)
    assert Head(2, threshold=0.4).labels(logits).flatten().tolist() == [0, 1]


def test_half_precision_logits_are_read_on_a_cpu():
    logits = torch.randn(1, 5, 4, 4).to(torch.bfloat16)
    assert torch.equal(Head(5).labels(logits).long(), logits.argmax(dim=1))


def test_a_head_has_as_many_channels_as_it_needs():
    assert head_of("softmax", None, THREE_CLASSES).channels == 3
    assert head_of("softmax", None, TWO_CLASSES).channels == 2
    assert head_of("sigmoid", None, TWO_CLASSES) == Head(2, threshold=0.5)


def test_more_classes_than_a_label_map_holds_are_refused():
    task = THREE_CLASSES.model_copy(update={"classes": THREE_CLASSES.classes * 90})
    with pytest.raises(Unsupported, match="2 to 255 classes; the task has 270"):
        head_of("softmax", None, task)


def test_a_label_space_of_one_class_is_refused_with_what_is_missing():
    task = THREE_CLASSES.model_copy(update={"classes": THREE_CLASSES.classes[:1]})
    with pytest.raises(
        Unsupported, match=r"one class, ground, so that every pixel is of it; give the data set a second"
    ):
        head_of("softmax", None, task)


def test_the_probability_of_a_pixel_is_the_softmax_of_its_class():
    logits = torch.tensor([1.0, 3.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0]).view(2, 4, 1, 1)
    labels = torch.tensor([2, 3], dtype=torch.uint8).view(2, 1, 1)
    expected = [math.exp(2) / (math.exp(1) + 2 * math.exp(3) + math.exp(2)), 1 / 4]
    found = Head(4).probability(logits, labels)
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_below_the_threshold_of_a_sigmoid_head_the_probability_is_that_of_class_zero():
    head = Head(2, threshold=0.7)
    logits = torch.tensor([math.log(0.6 / 0.4), math.log(0.8 / 0.2)]).view(1, 1, 1, 2)
    found = head.probability(logits, head.labels(logits))
    assert found.flatten().tolist() == pytest.approx([0.4, 0.8], abs=1e-6)


BACKGROUND_AND_TWO = TaskSpec(
    kind="semantic", classes=tuple(ClassSpec(name=n, colour=(0, 0, 0)) for n in ("background", "cat", "dog"))
)


def logits_of(*probabilities):
    """Logits (1, C, 1, N) of so many pixels, each with a probability for every channel."""
    return torch.logit(torch.tensor(probabilities)).T[None, :, None, :]


def test_of_the_classes_above_their_own_threshold_the_most_probable_wins():
    head = head_of("multilabel", (0.5, 0.8), BACKGROUND_AND_TWO)
    assert (head.channels, head.ids) == (2, (1, 2))
    # neither; the cat alone; a dog below its bar beside a cat above; both above, the dog surer
    pixels = logits_of((0.4, 0.7), (0.6, 0.1), (0.6, 0.75), (0.7, 0.9))
    labels = head.labels(pixels)
    assert labels.flatten().tolist() == [0, 1, 1, 2]
    # the background is as probable as the likeliest class is not
    assert head.probability(pixels, labels).flatten().tolist() == pytest.approx([0.3, 0.6, 0.6, 0.9])


def test_where_the_background_has_an_output_of_its_own_that_is_read_too():
    head = head_of("multilabel", 0.5, BACKGROUND_AND_TWO, background_output=True)
    pixels = logits_of((0.9, 0.6, 0.1), (0.2, 0.6, 0.1), (0.2, 0.3, 0.1))
    assert head.labels(pixels).flatten().tolist() == [0, 1, 0]
    assert head.probability(pixels, head.labels(pixels)).flatten().tolist() == pytest.approx([0.9, 0.6, 0.2])


def test_without_a_background_what_is_below_every_threshold_is_void():
    head = head_of("multilabel", 0.5, THREE_CLASSES)
    assert head.channels == 3
    assert head.labels(logits_of((0.1, 0.2, 0.3))).item() == 255


def test_as_many_thresholds_as_classes_are_asked_for_by_name():
    with pytest.raises(BenchError, match=r"3 numbers and 2 classes have an output \(cat, dog\)"):
        head_of("multilabel", (0.1, 0.2, 0.3), BACKGROUND_AND_TWO)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "multilabel"])
def test_probabilities_name_what_their_logits_do(kind):
    task = TWO_CLASSES if kind == "sigmoid" else BACKGROUND_AND_TWO
    logits, behind = (head_of(kind, None, task, gives=gives) for gives in ("logits", "probabilities"))
    given = torch.randn(2, logits.channels, 5, 6, generator=torch.Generator().manual_seed(1)) * 3
    probabilities = given.softmax(1) if kind == "softmax" else given.sigmoid()
    labels = logits.labels(given)
    assert torch.equal(labels, behind.labels(probabilities))
    torch.testing.assert_close(logits.probability(given, labels), behind.probability(probabilities, labels))


@pytest.mark.parametrize("gives", ["logits", "probabilities"])
def test_every_class_has_a_probability_whatever_the_head(gives):
    given = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(1)) * 3
    behind = gives == "probabilities"
    softmax = head_of("softmax", None, THREE_CLASSES, gives=gives)
    found = softmax.class_probabilities(given.softmax(1) if behind else given)
    torch.testing.assert_close(found, given.softmax(1))
    each = given[:, :1].sigmoid()
    binary = head_of("sigmoid", None, TWO_CLASSES, gives=gives).class_probabilities(each if behind else given[:, :1])
    torch.testing.assert_close(binary, torch.cat([1 - each, each], dim=1))
    two = given[:, :2].sigmoid()
    several = head_of("multilabel", 0.5, BACKGROUND_AND_TWO, gives=gives)
    found = several.class_probabilities(two if behind else given[:, :2])
    torch.testing.assert_close(found, torch.cat([1 - two.max(dim=1, keepdim=True).values, two], dim=1))


def test_the_rule_says_how_outputs_name_classes():
    assert head_of("softmax", None, TWO_CLASSES).rule == "softmax over 2 channels: the highest wins"
    assert "above 0.4" in head_of("sigmoid", 0.4, TWO_CLASSES).rule
    assert "(0.5, 0.8) the most probable wins, where none is, the background" in (
        head_of("multilabel", (0.5, 0.8), BACKGROUND_AND_TWO).rule
    )
