"""OpenVINO's own files: a colour picker, converted from ONNX."""

from __future__ import annotations

import pytest

openvino = pytest.importorskip("openvino", reason="openvino is not installed; make install")
pytest.importorskip("onnx", reason="onnx is not installed; make install")

import numpy as np

from bench.adapter import load_adapter, predict
from bench.errors import BenchError
from bench.records import ModelSpec, Target
from tests.adapters.onnxruntime.test_adapter import TASK, drawn, write
from tests.adapters.test_contract import MIXED, checked

pytestmark = pytest.mark.openvino


def converted(folder):
    openvino.save_model(openvino.convert_model(write(folder / "m.onnx")), folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


def built(file, task=TASK, **options):
    adapter = load_adapter("openvino")
    model = ModelSpec(
        name="openvino/file", label="mine", adapter="openvino", task=task.kind, description="", options=options
    )
    adapter.build(model, task, Target(threads=1), file)
    return adapter


def test_a_network_of_openvino_answers_images_of_several_sizes(tmp_path):
    adapter = built(converted(tmp_path))
    checked(adapter, MIXED, TASK)
    ((image, ground_truth),) = drawn((40, 24))
    np.testing.assert_array_equal(predict(adapter, [image])[0].labels, ground_truth)


def test_classes_are_those_of_the_metadata_beside_the_file(tmp_path):
    file = converted(tmp_path)
    (tmp_path / "metadata.yaml").write_text("names: {0: green, 1: red, 2: blue}\n")
    ((image, ground_truth),) = drawn((40, 24))
    np.testing.assert_array_equal(predict(built(file), [image])[0].labels, np.array([1, 0, 2], np.uint8)[ground_truth])


def test_what_the_model_api_left_in_the_file_is_followed(tmp_path):
    model = openvino.convert_model(write(tmp_path / "m.onnx"))
    said = {"model_type": "Segmentation", "labels": "green red blue", "mean_values": "127.5 127.5 127.5"}
    said |= {"scale_values": "127.5 127.5 255", "resize_type": "fit_to_window_letterbox"}
    for name, value in said.items():
        model.set_rt_info(value, ["model_info", name])
    openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=False)
    ((image, _),) = drawn((40, 24))
    adapter = built(tmp_path / "m.xml", input={"size": [40, 40]})
    contract = adapter.describe()["input_contract"]
    assert (contract["mean"], contract["std"], contract["fit"]) == ([0.5] * 3, [0.5, 0.5, 1], "letterbox")
    assert predict(adapter, [image])[0].size == image.shape[:2]
    model.set_rt_info("True", ["model_info", "embedded_processing"])
    openvino.save_model(model, tmp_path / "e.xml", compress_to_fp16=False)
    assert built(tmp_path / "e.xml").describe()["input_contract"]["from"]["mean"] == "the default"


def test_a_file_without_its_weights_is_told(tmp_path):
    file = converted(tmp_path)
    file.with_suffix(".bin").unlink()
    with pytest.raises(BenchError, match=r"has no m\.bin beside it"):
        built(file)
