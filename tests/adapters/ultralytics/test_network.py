from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from adapters.ultralytics.network import make_network
from adapters.ultralytics.options import FAMILIES, SIZES
from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.suite.model_configs import model_config_files, resolve_model
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES, Recorder
from tests.adapters.ultralytics.yolo import built, images, recipe, scenes, spec

CONFIGS = [name for name in sorted(model_config_files()) if name.startswith("ultralytics/")]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("instance", {"network": "yolo11-seg"}, "no instance network named 'yolo11-seg'. Did you mean 'yolo11"),
        ("instance", {"network": "yolo26n-sem"}, "no instance network named 'yolo26n-sem'"),
        ("instance", {"retina_mask": True}, "no option named 'retina_mask'. Did you mean 'retina_masks'?"),
        ("instance", {"conf": 1.5}, "option 'conf': .*less than or equal to 1"),
        ("instance", {"mask_ratio": 3}, "option 'mask_ratio'"),
        ("semantic", {"conf": 0.1}, "no option named 'conf'"),
    ],
)
def test_a_wrong_option_is_told_with_its_name_and_what_is_allowed(kind, options, message):
    with pytest.raises(BenchError, match=message):
        built(kind, **options)


@pytest.mark.parametrize(
    ("kind", "task", "message"),
    [
        ("instance", PANOPTIC, "it has no panoptic prediction"),
        ("instance", THREE_CLASSES, "it has no semantic prediction"),
        ("instance", TaskSpec(kind="instance", classes=INSTANCES.classes[:1]), "no class of the task is one"),
        ("semantic", TaskSpec(kind="semantic", classes=THREE_CLASSES.classes[:1]), "the task has 1"),
    ],
)
def test_a_task_that_the_network_has_no_answer_for_is_unsupported(kind, task, message):
    with pytest.raises(Unsupported, match=message):
        built(kind, task=task)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_names_a_network_of_the_framework_and_both_floors(config):
    model = resolve_model(config)
    assert model.options["network"] in [f.format(s) for f in FAMILIES[model.task] for s in SIZES]
    assert (model.task == "semantic") == ("conf" not in model.options) == ("user_conf" not in model.options)


def test_the_description_counts_the_published_parameters_and_keeps_both_floors():
    facts = built(task=with_things(80)).describe()
    assert facts["parameters"] == 2_876_848  # the framework's yolo11-seg.yaml, for 80 classes
    assert facts["trainable_parameters"] == 2_876_832
    assert facts["folded_parameters"] < facts["parameters"]
    assert facts["confidence_floor"] == {"scored": 0.001, "user": 0.25}


def with_things(count):
    things = tuple(ClassSpec(name=f"thing {i}", is_thing=True, colour=(i, 0, 0)) for i in range(count))
    return TaskSpec(kind="instance", classes=things)


def test_weights_that_are_not_loaded_are_drawn_from_a_seed():
    first, second, other = (make_network(spec(), INSTANCES, seed=seed).module.state_dict() for seed in (4, 4, 5))
    name = "model.0.conv.weight"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])


# ------------------------------------------------------------------ the framework's own checkpoints


def published(path, names, network="yolo11n-seg", module=None):
    """Write a checkpoint as the framework publishes them: a pickled model in half precision."""
    task = TaskSpec(kind="instance", classes=tuple(ClassSpec(name=n, is_thing=True, colour=(0, 0, 0)) for n in names))
    module = module or make_network(spec(network=network), task, seed=1).module
    torch.save({"model": module.half(), "ema": None, "train_args": {}, "version": "8.4.190"}, path)
    return path


@pytest.mark.slow
def test_a_published_checkpoint_answers_with_the_classes_that_the_task_has(tmp_path, trained):
    red_first = make_network(spec(), INSTANCES, seed=0)
    red_first.module.load_state_dict(torch.load(trained("instance").weights, weights_only=True)["state_dict"])
    red_first.module.names = {0: "Red", 1: "zebra"}  # what was green is now of no class of the task
    path = published(tmp_path / "yolo11n-seg.pt", [], module=red_first.module)
    red = INSTANCES.model_copy(update={"classes": INSTANCES.classes[:2]})
    target, pictures = Target(threads=1, image_size=Size(64, 64)), images(Size(24, 32), seed=21)
    (ours,) = predict(built(weights=trained("instance").weights, target=target), pictures)
    for _ in range(2):  # the first reading allows classes for the rest of the process
        (found,) = predict(built(task=red, weights=path, target=target, named_weights=str(path)), pictures)
        assert set(found.class_ids) == {1}
        best, expected = (p.masks[p.class_ids == 1][0] for p in (found, ours))
        assert np.mean(best == expected) > 0.99  # half precision on disk


def test_training_starts_from_a_published_checkpoint_wherever_shapes_agree(tmp_path):
    path = published(tmp_path / "yolo11n-seg.pt", ["zebra", "green", "red"])
    barely = recipe(1, learning_rate=1e-12, warmup_fraction=0.0)
    adapter = built(weights=published(tmp_path / "red.pt", ["red"]), training_follows=True)
    adapter.build(spec(), INSTANCES, Target(threads=1), path)
    result = adapter.train(scenes("instance", 4, 0), barely, tmp_path / "out", Recorder())
    given = torch.load(path, weights_only=False)["model"].float().state_dict()["model.0.conv.weight"]
    taken = torch.load(result.weights, weights_only=True)["state_dict"]["model.0.conv.weight"]
    torch.testing.assert_close(given, taken, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("names", "network", "message"),
    [
        (
            ["zebra", "lion"],
            "yolo11n-seg",
            r"have zebra, lion; only the task has red, green.*trained_on: \[zebra, lion\]",
        ),
        (["Red", "leaf"], "yolo11n-seg", "only the weights have leaf; only the task has green"),
        (["red"], "yolo26n-seg", "holds a yolo26n-seg; set option 'network' to that"),
    ],
)
def test_a_published_checkpoint_that_does_not_fit_is_refused(tmp_path, names, network, message):
    path = published(tmp_path / "given.pt", names, network)
    with pytest.raises(BenchError, match=message):
        built(weights=path)


def test_images_are_scaled_to_the_size_of_the_checkpoints_training(tmp_path):
    task = TaskSpec(kind="instance", classes=(ClassSpec(name="red", is_thing=True, colour=(0, 0, 0)),))
    module = make_network(spec(), task, seed=1).module
    torch.save({"model": module.half(), "train_args": {"imgsz": 128}}, tmp_path / "best.pt")
    adapter = built(task=task, weights=tmp_path / "best.pt")
    shapes = [adapter.preprocess(images(size)).pixels.shape[-2:] for size in (Size(640, 640), Size(480, 640))]
    assert [tuple(shape) for shape in shapes] == [(128, 128), (96, 128)]
    fixed = built(task=task, weights=tmp_path / "best.pt", target=Target(threads=1, image_size=Size(64, 64)))
    assert tuple(fixed.preprocess(images(Size(640, 640))).pixels.shape[-2:]) == (64, 64)


def test_a_network_from_a_yaml_file_of_the_users_own_is_taken_as_it_is(tmp_path):
    task = TaskSpec(kind="instance", classes=(ClassSpec(name="red", is_thing=True, colour=(0, 0, 0)),))
    module = make_network(spec(), task, seed=1).module
    module.yaml["yaml_file"] = "my-parts-seg.yaml"
    adapter = built(task=task, weights=published(tmp_path / "best.pt", ["red"], module=module))
    assert adapter.describe()["weights_read"]["taken"] == "model"


@pytest.mark.slow
def test_weights_key_takes_the_raw_network_or_its_moving_average(tmp_path):
    task = TaskSpec(kind="instance", classes=(ClassSpec(name="red", is_thing=True, colour=(0, 0, 0)),))
    raw, average = (make_network(spec(), task, seed=seed).module for seed in (1, 2))
    torch.save({"model": raw, "ema": average, "train_args": {"imgsz": 64}}, tmp_path / "last.pt")
    taken = {None: average, "ema": average, "model": raw}
    for key, expected in taken.items():
        adapter = built(task=task, weights=tmp_path / "last.pt", weights_key=key)
        head = "model.23.proto.upsample.weight"  # of no batch normalisation, which is folded in
        torch.testing.assert_close(adapter._module.state_dict()[head], expected.state_dict()[head])
        assert adapter.describe()["weights_read"]["taken"] == (key or "ema")
    with pytest.raises(BenchError, match="no network under weights_key 'emma'; it has: ema, model"):
        built(task=task, weights=tmp_path / "last.pt", weights_key="emma")


class Runs:
    """Code in a weight file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_weight_file_is_not_run(tmp_path):
    torch.save({"model": Runs(tmp_path / "made")}, tmp_path / "evil.pt")
    with pytest.raises(BenchError, match="neither a file of plain tensors nor a checkpoint of Ultralytics"):
        built(weights=tmp_path / "evil.pt")
    assert not (tmp_path / "made").exists()


def test_a_damaged_weight_file_is_refused(tmp_path):
    (tmp_path / "torn.pt").write_bytes(b"not weights")
    with pytest.raises(BenchError, match=r"torn\.pt is n"):
        built(weights=tmp_path / "torn.pt")


def test_weights_that_are_not_here_are_never_fetched(tmp_path):
    with pytest.raises(BenchError, match=r"Download it yourself, for example yolo11n-seg.pt from https://github.com"):
        built(weights=tmp_path / "yolo11n-seg.pt")
    with pytest.raises(BenchError, match=r"nothing is fetched from 'https://example.org/yolo11n-seg.pt'"):
        built(named_weights="https://example.org/yolo11n-seg.pt")
