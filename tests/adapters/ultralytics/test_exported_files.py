"""Files that Ultralytics' own exporter writes find what the network finds, by NumPy and OpenCV instead of torch."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.ultralytics.network import load_for_prediction
from bench.adapter import load_adapter, predict
from bench.errors import BenchError
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.run.predict.weight_classes import classes_of_weights
from bench.run.predict.weight_files import kind_of
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES
from tests.adapters.ultralytics.yolo import built, environment, images, spec

SIZE = Size(64, 96)
PACKAGES = {"onnx": "onnxruntime", "torchscript": "torch", "openvino": "openvino"}
ADAPTERS = {"onnx": "onnxruntime", "torchscript": "torchscript", "openvino": "openvino"}


def exported(form, weights, folder, monkeypatch):
    """The file that the framework's exporter makes of a network, with its metadata."""
    from ultralytics import YOLO

    monkeypatch.chdir(folder)
    model = YOLO("yolo11n-seg.yaml")
    fresh = model.model
    model.model = load_for_prediction(spec(), INSTANCES, weights, seed=0).module
    model.model.args, model.model.task = fresh.args, fresh.task
    with environment.contained():
        made = model.export(format=form, imgsz=[*SIZE], device="cpu", verbose=False)
    found = folder / made
    return next(found.glob("*.xml")) if found.is_dir() else found


@pytest.mark.slow  # a training and an export
@pytest.mark.parametrize("form", ["onnx", "torchscript", "openvino"])
def test_an_exported_file_finds_what_the_network_finds(form, trained, tmp_path, monkeypatch):
    pytest.importorskip(PACKAGES[form])
    weights = trained("instance").weights
    file = exported(form, weights, tmp_path, monkeypatch)
    assert classes_of_weights(file) == ("red", "green")
    assert kind_of(file).runs == f"{ADAPTERS[form]}/yolo_seg"
    adapter = load_adapter(ADAPTERS[form])
    adapter.build(resolve_model(f"{ADAPTERS[form]}/yolo_seg"), INSTANCES, Target(threads=1), file)
    whole = built(weights=weights, target=Target(threads=1, image_size=SIZE))
    shown = images(Size(24, 32), Size(30, 26), Size(40, 52), seed=20)
    answers = predict(whole, shown)
    assert sum(len(expected.scores) for expected in answers)  # else nothing would be compared
    for found, expected in zip(predict(adapter, shown), answers, strict=True):
        assert found.class_ids.tolist() == expected.class_ids.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        assert np.count_nonzero(found.masks != expected.masks) <= 1e-3 * expected.masks.size


def test_a_thing_that_the_file_does_not_name_is_refused_with_both_sides(tmp_path):
    from adapters._torch.runtimes.cpu_sessions import Port
    from adapters._torch.runtimes.file_objects import YoloReader
    from adapters._torch.runtimes.file_options import ObjectFileOptions

    task = TaskSpec(kind="instance", classes=(ClassSpec(name="disc", colour=(0, 0, 0), is_thing=True),))
    ports = (Port("a", (1, 38, 9), np.dtype("f4")), Port("b", (1, 32, 8, 8), np.dtype("f4")))
    with pytest.raises(BenchError, match=r"only the weights have red, green; only the task has disc.*trained_on"):
        YoloReader(ObjectFileOptions(), ("red", "green"), task, ports, "x")
    with pytest.raises(BenchError, match="as Ultralytics exports a network of segments"):
        YoloReader(ObjectFileOptions(), ("disc",), task, ports[:1], "x")


def test_a_checkpoint_of_a_network_of_the_users_own_is_run_whatever_it_is_called(tmp_path):
    import torch
    from ultralytics.nn.tasks import SegmentationModel

    module = SegmentationModel("yolo11n-seg.yaml", nc=2, verbose=False)
    module.names, module.yaml["yaml_file"] = {0: "red", 1: "green"}, "my-parts-seg.yaml"
    torch.save({"model": module, "ema": None, "train_args": {"imgsz": 64}}, tmp_path / "best.pt")
    weights = tmp_path / "best.pt"
    for options in ({}, {"network": "my-parts-seg"}):
        adapter = built(weights=weights, named_weights=str(weights), **options)
        assert predict(adapter, images(Size(40, 64)))[0].size == (40, 64)
    with pytest.raises(BenchError, match="my-parts-seg"):
        built(network="my-parts-seg")  # nothing to run it from
