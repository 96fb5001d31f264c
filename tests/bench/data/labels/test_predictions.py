"""Models trained on another label space are scored by the names of their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bench.data.labels.dataset import MappedDataset
from bench.data.labels.predictions import check_mapping, table_for
from bench.data.labels.spaces import label_space
from bench.dataset import GroundTruth
from bench.errors import BenchError
from bench.records import (
    Case,
    ClassSpec,
    DatasetSpec,
    Labels,
    Measurement,
    ModelSpec,
    Target,
    TaskSpec,
    Timeouts,
)
from bench.records.predictions import SemanticMap, save_prediction
from bench.score.scoring import score_case


@dataclass(frozen=True)
class Named:
    """A data set of given classes and ground truth, in memory."""

    classes: tuple[ClassSpec, ...]
    ground_truths: dict[str, SemanticMap]
    tasks: tuple[str, ...] = ("semantic",)
    source: str = "a test"
    licence: str = "none"

    def ids(self, split):
        return tuple(self.ground_truths)

    def target(self, image_id):
        return GroundTruth(self.ground_truths[image_id])


def named(*names, things=(), **ground_truths):
    return Named(tuple(ClassSpec(name=n, is_thing=n in things, colour=(0, 0, 0)) for n in names), ground_truths)


def model(trained_on, task="semantic", **more):
    return ModelSpec(
        name="fake/perfect", label="m", adapter="fake", task=task, description="x", trained_on=trained_on, **more
    )


def places(trained_on, dataset, **more):
    """Model's class -> suite's class, of those that have a place."""
    table = table_for(model(trained_on, **more), dataset)
    theirs = [spec.name for spec in label_space(trained_on).classes]
    return {t: table.classes[i].name for t, i in zip(theirs, table.ids, strict=True) if i != 255}


@pytest.mark.parametrize(
    ("space", "count", "at", "name"),
    [
        ("coco_things", 80, 79, "toothbrush"),
        ("coco_91", 91, 90, "toothbrush"),
        ("coco_panoptic", 133, 132, "rug-merged"),
        ("voc", 21, 20, "tvmonitor"),
        ("ade20k", 150, 149, "flag"),
        ("cityscapes", 19, 18, "bicycle"),
    ],
)
def test_published_label_spaces_have_their_number_of_classes_in_their_order(space, count, at, name):
    classes = label_space(space).classes
    assert (len(classes), classes[at].name) == (count, name)
    assert len({spec.name for spec in classes}) == count


def test_cocos_own_ids_have_the_ten_holes_of_its_annotations():
    space = label_space("coco_91")
    holes = [i for i, spec in enumerate(space.classes) if spec.name in space.unused]
    assert holes == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_vocs_classes_find_cocos_by_the_published_order():
    # Ids among COCO's 80 in the order of VOC's 20 classes, as torchvision's models were trained with.
    ids = [4, 1, 14, 8, 39, 5, 2, 15, 56, 19, 60, 16, 17, 3, 0, 58, 18, 57, 6, 62]
    voc, coco = ([spec.name for spec in label_space(space).classes] for space in ("voc", "coco_things"))
    found = places("coco_things", named(*voc))
    assert {ours: theirs for theirs, ours in found.items()} == {v: coco[i] for v, i in zip(voc[1:], ids, strict=True)}


def test_a_kind_of_a_class_counts_as_the_class_but_not_the_other_way_round():
    assert places(("rider", "person"), named("person")) == {"rider": "person", "person": "person"}
    assert places(("person",), named("rider")) == {}


def test_a_class_that_the_suite_merged_goes_where_its_name_went():
    dataset = MappedDataset(named("car", "bus", "sky"), Labels(merge={"vehicle": ("car", "bus")}, drop=("sky",)))
    assert places(("bus", "sky", "vehicle"), dataset) == {"bus": "vehicle", "vehicle": "vehicle"}


def test_unmapped_classes_of_both_sides_are_refused_with_the_nearest_names():
    with pytest.raises(BenchError) as caught:
        check_mapping(model(("cat", "cattle")), named("cat", "cattles", "dog"), "semantic")
    message = str(caught.value)
    assert "the suite's 'cattles' (nearest: 'cattle'), 'dog' cannot be predicted" in message
    assert "the model's 'cattle' (nearest: 'cattles') have no place" in message
    assert "unmapped: ignore" in message


def test_synonyms_of_the_suite_and_unmapped_ignore_settle_it():
    dataset = named("cat", "cattles")
    check_mapping(model(("cat", "cattle"), synonyms={"cattle": "cattles"}), dataset, "semantic")
    check_mapping(model(("cat", "cow"), unmapped="ignore"), dataset, "semantic")


def test_a_model_of_instances_need_not_predict_background_or_stuff():
    dataset = named("background", "road", "car", things=("car",))
    check_mapping(model(("car",), task="instance"), dataset, "instance")
    with pytest.raises(BenchError, match="the suite's 'road' cannot be predicted"):
        check_mapping(model(("car",), task="instance"), dataset, "semantic")


def test_unmapped_background_sends_lost_classes_to_the_suites_background():
    dataset = named("background", "cat")
    found = places(("cat", "tree"), dataset, unmapped="background")
    assert found == {"cat": "cat", "tree": "background"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"trained_on": "coco_thing"}, "no label space 'coco_thing'. Did you mean 'coco_things'"),
        ({"trained_on": ("cat",), "synonyms": {"cta": "cat"}}, "the model has no class 'cta'. Did you mean 'cat'"),
        ({"trained_on": ("cat",), "synonyms": {"cat": "dgo"}}, "the suite has no class 'dgo'"),
        ({"trained_on": ("human",)}, "'human' could be any of the suite's 'people', 'person'"),
        ({"trained_on": ("cat", "cat")}, "names the class 'cat' twice"),
        ({"trained_on": ("tree",), "unmapped": "background"}, "needs a class 'background'"),
    ],
)
def test_a_usage_error_is_told_with_the_nearest_name(more, message):
    with pytest.raises(BenchError, match=message):
        check_mapping(model(**more), named("cat", "person", "people"), "semantic")


def test_stored_predictions_of_another_space_score_as_if_mapped_by_hand(tmp_path):
    random = np.random.default_rng(3)
    ground_truth = random.integers(0, 2, (8, 8)).astype(np.uint8)
    said = random.integers(0, 3, (8, 8)).astype(np.uint8)
    dataset = named("sofa", "aeroplane", a=SemanticMap(ground_truth))
    by_hand = np.array([1, 255, 0], np.uint8)[said]  # airplane -> aeroplane, lamp -> no class, couch -> sofa

    def scored(folder, labels, **spec):
        save_prediction(SemanticMap(labels), tmp_path / folder, "a")
        case = Case(
            id="c",
            model=model(spec.pop("trained_on", None), **spec),
            dataset=DatasetSpec(name="d", label="d"),
            target=Target(),
            recipe=None,
            measurement=Measurement(),
            timeouts=Timeouts(),
        )
        task = TaskSpec(kind="semantic", classes=dataset.classes)
        return score_case(case, task, dataset, tmp_path / folder, ["mean_iou"], predict_key="k", seed=0).scores

    mapped = scored("raw", said, trained_on=("airplane", "lamp", "couch"), unmapped="ignore")
    hand = scored("hand", by_hand)
    assert mapped.scores == hand.scores
    assert (bool(mapped.mapping), hand.mapping) == (True, "")
