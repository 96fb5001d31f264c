"""ONNX files as exporters leave them: read right, flagged, or refused with what to write."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
from onnx import TensorProto, helper

from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from tests.adapters.onnxruntime.test_adapter import IDENTITY, TASK, TWO, adapter_of, answers_right, drawn, write

TO_FLOATS = [("Cast", {"to": TensorProto.FLOAT})]
LABELS = [("ArgMax", {"axis": 1, "keepdims": 0})]


def saying(file, **texts):
    model = onnx.load(file)
    helper.set_model_props(model, texts)
    onnx.save(model, file)
    return file


def flags(adapter):
    return {flag.name: flag.text for flag in adapter.doubts([drawn((16, 24))[0][0]])}


def remarks(adapter):
    return " ".join(adapter.describe().get("weights_read", {}).get("remarks", ()))


def test_classes_that_the_file_names_in_part_are_refused_with_both_sides(tmp_path):
    file = saying(write(tmp_path / "m.onnx"), names="{0: 'red', 1: 'verde', 2: 'blue'}")
    with pytest.raises(
        BenchError, match=r"only the file has verde; only the task has green\. Say trained_on: \[red, ve"
    ):
        adapter_of(file)
    assert "only the task has green" in remarks(adapter_of(file, {"classes": ["red", "verde", "blue"]}))


def test_a_list_of_names_beside_the_file_is_met_by_name_or_told(tmp_path):
    file = write(tmp_path / "m.onnx", matrix=IDENTITY[[2, 0, 1]])
    (tmp_path / "labels.txt").write_text("0 blue\n1 red\n2 green\n")
    answers_right(adapter_of(file), (16, 24))
    assert "those of labels.txt" in remarks(adapter_of(file))
    (tmp_path / "labels.txt").write_text("blue\nred\nverde\n")
    assert "names the classes blue, red, verde" in remarks(adapter_of(file))


def test_the_only_name_of_a_sigmoid_is_that_of_its_foreground(tmp_path):
    file = saying(write(tmp_path / "m.onnx", matrix=[[-1, 1, 0]]), names="{0: 'green'}")
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 0, 0] = image[0, 1, 1] = 200  # a red and a green pixel
    assert predict(adapter_of(file, {"output_is": "sigmoid_logit"}, TWO), [image])[0].labels.tolist() == [[0, 1]]


def test_an_output_of_one_channel_is_told_with_the_option_to_set_before_anything_runs(tmp_path):
    file = write(tmp_path / "m.onnx", matrix=[[0, 1, 0]])
    with pytest.raises(BenchError, match=r"1 channel, a sigmoid's.*\{output_is: sigmoid_logit\}"):
        adapter_of(file, task=TWO)


def test_ids_of_no_class_and_fractions_are_told(tmp_path):
    labels = write(tmp_path / "m.onnx", after=[*LABELS, *TO_FLOATS])
    answers_right(adapter_of(labels, {"output_is": "labels"}), (16, 24))
    assert flags(adapter_of(labels, {"output_is": "labels"})) == {}
    seen = flags(adapter_of(labels, {"output_is": "labels"}, TWO))["outputs_unlike_head"]
    assert "holds 2, which are ids of none of its 2 classes" in seen
    probabilities = write(tmp_path / "p.onnx", matrix=[[0, 1, 0]], after=[("Sigmoid", {})])
    with pytest.raises(
        BenchError, match="fractions, which are no ids, and option 'output_is' calls them so; correct it"
    ):
        flags(adapter_of(probabilities, {"output_is": "labels"}, TWO))


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64, TensorProto.UINT16])
def test_inputs_of_whole_numbers_are_given_bytes_as_they_are(kind, tmp_path):
    imagenet = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    adapter = adapter_of(write(tmp_path / "m.onnx", kind=kind), imagenet)
    answers_right(adapter, (16, 24))
    assert adapter.describe()["input_contract"]["said_by"] == "the file, which takes bytes as they are"


def test_an_input_of_int8_without_a_scale_is_refused(tmp_path):
    with pytest.raises(BenchError, match="takes int8 and does not say"):
        adapter_of(write(tmp_path / "m.onnx", kind=TensorProto.INT8))


def test_a_file_of_batches_alone_is_filled_up_and_its_surplus_is_cut_off(tmp_path):
    file = write(tmp_path / "m.onnx", shape=(4, 3, 16, 24))
    with pytest.raises(Unsupported, match="batches of 4 images alone; set batch_size: 4"):
        adapter_of(file)
    adapter = adapter_of(file, batch_size=4)
    answers_right(adapter, (16, 24), (16, 24), (16, 24))
    answers_right(adapter, (16, 24))


def test_what_the_metadata_say_of_the_input_is_held_against_what_is_fed(tmp_path):
    bytes_of_bgr = {"mean": "[123.675, 116.28, 103.53]", "std": "[58.395, 57.12, 57.375]", "color_order": "BGR"}
    seen = flags(adapter_of(saying(write(tmp_path / "m.onnx"), **bytes_of_bgr)))["input_unlike_training"]
    assert "set options: {input: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], channels: bgr}}" in seen
    halves = {"preprocessing": json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3})}
    file = saying(write(tmp_path / "h.onnx"), **halves)
    assert "input_unlike_training" not in flags(adapter_of(file, {"mean": 0.5, "std": 0.5}))


def test_which_of_several_outputs_was_read_is_told(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Neg", ["image"], ["aux"]), helper.make_node("Identity", ["image"], ["out"])],
        "two",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, "h", "w"))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("aux", "out")],
    )
    file = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    assert "the first, aux, was read; option 'output' takes out" in remarks(adapter_of(file))
    assert "was read" not in remarks(adapter_of(file, {"output": "out"}))


def test_a_file_of_another_number_of_channels_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"has the shape \(\?, 4, \?, \?\)"):
        adapter_of(write(tmp_path / "m.onnx", shape=("b", 4, "h", "w")), task=TASK)
