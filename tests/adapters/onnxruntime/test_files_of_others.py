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
from bench.records import ClassSpec, TaskSpec
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
        BenchError, match="fractions, which are no ids of classes, and option 'output_is' calls them so; correct it"
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


BYTES_OF_BGR = {"mean": "[123.675, 116.28, 103.53]", "std": "[58.395, 57.12, 57.375]", "color_order": "BGR"}
PROCESSOR = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5] * 3, "size": {"height": 32, "width": 48}, "resample": 2}


def test_a_file_is_fed_as_its_metadata_say_unless_the_model_config_says_otherwise(tmp_path):
    file = saying(write(tmp_path / "m.onnx"), **BYTES_OF_BGR)
    assumed = {"default_input": {"mean": 0.5, "std": 0.5}}
    adapter = adapter_of(file, assumed)
    fed = adapter.preprocess([np.full((1, 1, 3), (255, 0, 51), np.uint8)]).arrays[0][0, :, 0, 0]
    assert fed.tolist() == pytest.approx([(0.2 - 0.406) / 0.225, -0.456 / 0.224, (1 - 0.485) / 0.229], abs=1e-4)
    contract = adapter.describe()["input_contract"]
    assert {contract["from"][name] for name in ("mean", "std", "channels")} == {"the file's metadata"}
    assert "input_unlike_training" not in flags(adapter)
    for said in ({"mean": 0.5, "std": 0.5, "channels": "rgb"}, {"input": {"mean": 0.5, "std": 0.5, "channels": "rgb"}}):
        other = adapter_of(file, assumed | said)
        assert other.describe()["input_contract"]["mean"] == [0.5] * 3
        advice = "set options: {input: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], channels: bgr}}"
        assert advice in flags(other)["input_unlike_training"]
    silent = adapter_of(write(tmp_path / "s.onnx"), assumed).describe()["input_contract"]
    assert (silent["mean"], silent["from"]["mean"]) == ([0.5] * 3, "the model config, for files that say nothing")


def test_a_file_is_fed_as_the_preprocessor_of_transformers_beside_it_says(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    adapter = adapter_of(write(tmp_path / "m.onnx"), {"default_input": {"mean": 0.5, "std": 0.5}})
    contract = adapter.describe()["input_contract"]
    assert (contract["mean"], contract["size"], contract["interpolation"]) == ([0.1, 0.2, 0.3], [32, 48], "pil_linear")
    assert contract["from"]["mean"] == "preprocessor_config.json"
    assert adapter.preprocess([np.zeros((9, 9, 3), np.uint8)]).arrays[0].shape == (1, 3, 32, 48)
    halves = {"preprocessing": json.dumps({"mean": [0.5] * 3, "std": [0.25] * 3})}  # the file itself comes first
    adapter = adapter_of(saying(write(tmp_path / "m.onnx"), **halves))
    assert adapter.describe()["input_contract"]["std"] == [0.25] * 3


@pytest.mark.parametrize(("shift", "scale", "most"), [(0.5, 0.25, 1), (127.5, 63.75, 255)])
def test_a_file_that_normalises_images_itself_is_fed_them_as_they_are(shift, scale, most, tmp_path):
    values = {"shift": [shift] * 3, "scale": [scale]}
    graph = helper.make_graph(
        [helper.make_node("Sub", ["image", "shift"], ["x"]), helper.make_node("Div", ["x", "scale"], ["answer"])],
        "normalises",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, "h", "w"))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [helper.make_tensor(name, TensorProto.FLOAT, (len(v), 1, 1), v) for name, v in values.items()],
    )
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    saying(file, mean="[0.5, 0.5, 0.5]", std="[0.25, 0.25, 0.25]")  # what it does itself
    adapter = adapter_of(file, {"default_input": {"mean": 0.4, "std": 0.2}})
    assert adapter.preprocess([np.full((1, 1, 3), 255, np.uint8)]).arrays[0].ravel().tolist() == [most] * 3
    assert "begins with Sub and Div by constants" in adapter.describe()["input_contract"]["from"]["mean"]
    assert "input_unlike_training" not in flags(adapter)
    assert "normalises images itself" in flags(adapter_of(file, {"mean": 0.4, "std": 0.2}))["input_unlike_training"]


def test_classes_of_the_exporters_folder_are_the_files_own(tmp_path):
    file = write(tmp_path / "m.onnx", matrix=IDENTITY[[2, 0, 1]])
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"id2label": {"0": "blue", "1": "red", "2": "green"}}))
    answers_right(adapter_of(file), (16, 24))
    config.write_text(json.dumps({"id2label": {"0": "blue", "1": "red", "2": "verde"}}))
    with pytest.raises(BenchError, match="only the file has verde; only the task has green"):
        adapter_of(file)


def test_what_ultralytics_exports_without_a_word_is_fed_as_ultralytics_does(tmp_path):
    file = saying(write(tmp_path / "m.onnx"), author="Ultralytics", imgsz="[64, 64]")
    adapter = adapter_of(file, {"default_input": {"mean": 0.5, "std": 0.5}})
    contract = adapter.describe()["input_contract"]
    assert (contract["mean"], contract["std"], contract["fit"], contract["size"]) == (
        [0] * 3,
        [1] * 3,
        "letterbox",
        [64, 64],
    )
    assert contract["fill"] == [114] * 3
    assert "input_unlike_training" not in flags(adapter)


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.UINT8])
def test_an_output_of_whole_numbers_is_taken_for_ids(kind, tmp_path):
    file = write(tmp_path / "m.onnx", after=[*LABELS, ("Cast", {"to": kind})], out_kind=kind)
    answers_right(adapter_of(file), (16, 24))
    assert "of whole numbers, which were taken for ids" in remarks(adapter_of(file))
    with pytest.raises(BenchError):  # a model config that says otherwise is held to it
        answers_right(adapter_of(file, {"output_is": "logits"}), (16, 24))


def several(path, *outputs):
    """A file of several outputs, each the picture repeated along its channels a number of times."""
    graph = helper.make_graph(
        [helper.make_node("Concat", ["image"] * times, [name], axis=1) for name, times in outputs],
        "several",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, "h", "w"))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ("b", 3 * t, "h", "w")) for n, t in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_of_several_outputs_the_one_of_the_tasks_classes_is_read_and_an_auxiliary_one_last(tmp_path):
    two = several(tmp_path / "two.onnx", ("first", 1), ("second", 1))
    assert "the first, first, was read; option 'output' takes second" in remarks(adapter_of(two))
    assert "was read" not in remarks(adapter_of(two, {"output": "second"}))
    wide = several(tmp_path / "wide.onnx", ("features", 4), ("aux", 1), ("out", 1))
    assert "out was read; option 'output' takes features, aux" in remarks(adapter_of(wide))
    answers_right(adapter_of(wide), (16, 24))


def test_the_one_output_of_a_sigmoid_is_never_taken_for_the_background(tmp_path):
    file = write(tmp_path / "m.onnx", matrix=[[10, 0, 0]], bias=[-5])  # sure of what is red
    names = ("thing", "background")
    task = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, i, i)) for i, n in enumerate(names)))
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 0, 0] = 255
    adapter = adapter_of(file, {"output_is": "sigmoid_logit"}, task)
    assert predict(adapter, [image])[0].labels.tolist() == [[0, 1]]
    assert "was taken for that of thing, not of the background" in remarks(adapter)


def test_a_file_of_another_number_of_channels_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"has the shape \(\?, 4, \?, \?\)"):
        adapter_of(write(tmp_path / "m.onnx", shape=("b", 4, "h", "w")), task=TASK)
