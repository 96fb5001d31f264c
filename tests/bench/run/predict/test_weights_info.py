"""`bench weights info`: what a file is, what it fits and how to use it, said without running anything of it."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import zipfile

import pytest
import torch
import yaml

from adapters._torch.weights_info import CLASSES, _classes_in
from adapters.unet.adapter import make_unet
from bench.cli.main import main
from bench.errors import BenchError
from bench.records import ClassSpec, TaskSpec
from bench.run.environments.interpreters import Interpreters
from bench.run.predict import weights_info
from bench.run.predict.weight_classes import classes_of_weights
from bench.run.predict.weight_files import kind_of
from bench.run.predict.weights_info import describe_weights
from bench.suite.load import load_suite
from bench.suite.model_configs import read_model_config, resolve_model


def unet(classes):
    """The network of unet/shallow, made by hand."""
    spec = tuple(ClassSpec(name=f"c{n}", colour=(0, 0, 0)) for n in range(classes))
    return make_unet(resolve_model("unet/shallow"), TaskSpec(kind="semantic", classes=spec)).module


def info(capsys, path, *words):
    code = main(["weights", "info", str(path), *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def suite_in(said):
    """The lines of a suite that an answer ends with, as YAML."""
    return yaml.safe_load(said.partition("in a suite:\n")[2])


@pytest.mark.slow
def test_a_checkpoint_of_a_shipped_network_names_its_model_config_and_the_lines_to_use(tmp_path, capsys):
    module = unet(5)
    file = tmp_path / "last.ckpt"
    raw = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save({"epoch": 3, "args": argparse.Namespace(lr=1), "net": raw, "model_ema": module.state_dict()}, file)
    code, said, _ = info(capsys, file, "--adapter", "unet")
    assert code == 0
    assert "argparse.Namespace" in said
    assert "moving averages" in said
    assert "taken from model_ema; as many tensors lie in net.module" in said
    (model,) = suite_in(said)["models"]
    assert model["name"] == "unet/shallow"
    assert model["weights"] == str(file)
    assert "5 classes apart" in said


@pytest.mark.slow
def test_the_lines_make_a_suite_that_loads(tmp_path, capsys):
    file = tmp_path / "w.pth"
    torch.save({"state_dict": unet(3).state_dict(), "class_names": ["background", "cat, wild", "dog"]}, file)
    _, said, _ = info(capsys, file, "--adapter", "unet")
    suite = tmp_path / "s.yaml"
    suite.write_text(yaml.safe_dump({**suite_in(said), "datasets": ["shapes"]}))
    (entry,) = load_suite(suite).models
    assert entry.trained_on == ("background", "cat, wild", "dog")


@pytest.mark.slow
def test_a_network_that_none_fits_is_told_with_the_nearest_and_what_differs(tmp_path, capsys):
    state = unet(3).state_dict()
    first = next(iter(state))
    torch.save({**state, first: torch.zeros(1, 2, 3)}, tmp_path / "w.pth")
    code, said, _ = info(capsys, tmp_path / "w.pth", "--adapter", "unet")
    assert code == 0
    assert "fits none" in said
    assert f"unet/shallow: {len(state) - 1} of its {len(state)} tensors; {first} differs" in said


def test_classes_are_read_from_the_layers_whose_outputs_they_are():
    own = {"a": (CLASSES, 8), "b": (4 * CLASSES,), "c": (7, 3)}
    assert _classes_in({"a": (6, 8), "b": (24,), "c": (7, 3)}, own, CLASSES) == 6
    assert _classes_in({"a": (6, 8), "b": (20,), "c": (7, 3)}, own, CLASSES) is None
    assert _classes_in({"a": (6, 9), "b": (24,), "c": (7, 3)}, own, CLASSES) is None
    assert _classes_in(own, own, CLASSES) == 0


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))])
def test_nothing_of_a_file_is_run(tmp_path, capsys, wrap):
    file = tmp_path / "w.pkl"
    wrap({"state_dict": {"a": torch.zeros(2)}, "trap": Trap(tmp_path / "sprung")}, file)
    _, said, error = info(capsys, file, "--adapter", "unet")
    assert not (tmp_path / "sprung").exists()
    assert "open" in said + error


def test_other_kinds_of_files_are_told_by_their_bytes(tmp_path):
    def written(name, content):
        (tmp_path / name).write_bytes(content)
        return kind_of(tmp_path / name)

    assert written("m.tflite", b"\x1c\0\0\0TFL3" + b"\0" * 99).name == "TensorFlow Lite"
    assert written("m.h5", b"\x89HDF\r\n\x1a\n").name.startswith("HDF5")
    assert written("m.onnx", b"\x08\x08\x12\x07pytorch").runs == "onnxruntime/file"
    with pytest.raises(BenchError, match=r"m\.bin beside it, which holds its weights"):
        written("m.xml", b'<?xml version="1.0"?><net name="m" version="11">')
    (tmp_path / "m.bin").touch()
    assert kind_of(tmp_path / "m.xml").runs == "openvino/file"
    with zipfile.ZipFile(tmp_path / "ts.pt", "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}))
        archive.writestr("m/code/__torch__.py", "")
    found = kind_of(tmp_path / "ts.pt")
    assert (found.name, found.runs) == ("TorchScript", "torchscript/file")
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["SegformerForSemanticSegmentation"]}))
    (folder / "model.safetensors").touch()
    found = kind_of(folder)
    assert found.has_tensors
    assert "SegformerForSemanticSegmentation" in found.facts[0]


def test_a_folder_that_detectron2_left_is_told_with_the_lines_that_run_it(tmp_path):
    (tmp_path / "config.yaml").write_text("MODEL: {META_ARCHITECTURE: GeneralizedRCNN, MASK_ON: true}\n")
    for name in ("model_0000999.pth", "model_final.pth"):
        (tmp_path / name).touch()
    found = kind_of(tmp_path)
    assert (found.runs, found.weights) == ("detectron2/mask_rcnn", tmp_path / "model_final.pth")
    answer = describe_weights(tmp_path, Interpreters())
    assert f"weights: {tmp_path / 'model_final.pth'}" in answer
    assert f"options: {{config: {tmp_path / 'config.yaml'}}}" in answer
    one = kind_of(tmp_path / "model_0000999.pth")
    assert (one.name, one.runs, one.weights) == (
        "a checkpoint of Detectron2",
        "detectron2/mask_rcnn",
        tmp_path / "model_0000999.pth",
    )


def test_the_metadata_of_an_onnx_file_is_read_without_its_packages(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
    graph = onnx.helper.make_graph([], "g" * 300, [], [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.helper.set_model_props(model, {"names": "{0: 'cat', 1: 'dog'}", "task": "segment", "imgsz": "[64, 64]"})
    onnx.save(model, tmp_path / "m.onnx")
    assert classes_of_weights(tmp_path / "m.onnx") == ("cat", "dog")
    found = kind_of(tmp_path / "m.onnx")
    assert found.runs == "onnxruntime/yolo_seg"
    assert "its metadata says imgsz [64, 64]" in found.facts
    content = (tmp_path / "m.onnx").read_bytes()
    for end in range(0, len(content), 7):  # cut off anywhere, it says nothing or something, and does not fail
        (tmp_path / "cut.onnx").write_bytes(content[:end])
        assert classes_of_weights(tmp_path / "cut.onnx") in (None, ("cat", "dog"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "page of a web site"),
        (b"hello", "no weight file that is known"),
        ((20).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "safetensors"),
    ],
)
def test_what_is_no_weight_file_is_refused_with_the_reason(tmp_path, content, said):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(BenchError, match=said):
        kind_of(tmp_path / "w.pth")


def test_a_safetensors_file_that_is_cut_off_is_told_before_it_is_read(tmp_path):
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 5)
    with pytest.raises(BenchError, match="cut off: 3 bytes are missing"):
        kind_of(tmp_path / "w.safetensors")


def test_a_tflite_file_with_its_metadata_behind_it_is_no_zip_archive(tmp_path):
    file = tmp_path / "a.tflite"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labels.txt", "person")
    file.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64) + file.read_bytes())
    assert zipfile.is_zipfile(file)
    kind = kind_of(file)
    assert (kind.name, kind.runs) == ("TensorFlow Lite", "litert/file")


def test_weights_that_a_model_config_names_by_hash_are_known_as_its_own(tmp_path, capsys, monkeypatch):
    file = tmp_path / "somebody.onnx"
    file.write_bytes(b"weights that are published")
    own = read_model_config("onnxruntime/u2netp")
    source = own.source.model_copy(update={"sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    known = {"onnxruntime/u2netp": own.model_copy(update={"source": source})}
    monkeypatch.setattr(weights_info, "read_model_config", lambda name: known.get(name) or read_model_config(name))
    code, said, _ = info(capsys, file)
    assert code == 0
    assert suite_in(said) == {"models": ["onnxruntime/u2netp"]}


def test_a_folder_of_transformers_is_built_from_its_own_configuration_for_each_form_there_is(tmp_path, capsys):
    def folder(kind):
        made = tmp_path / kind
        made.mkdir()
        (made / "config.json").write_text(json.dumps({"model_type": kind, "id2label": {"0": "sky", "1": "sea"}}))
        (made / "model.safetensors").touch()
        return made

    beit = folder("data2vec-vision")
    code, said, _ = info(capsys, beit)
    assert code == 0
    assert "2 classes: sky, sea" in said
    (model,) = suite_in(said)["models"]
    assert model["name"] == "transformers/data2vec_small"
    assert model["options"] == {"pretrained": str(beit)}
    models = suite_in(info(capsys, folder("mask2former"))[1])["models"]
    assert {resolve_model(model["name"]).task for model in models} == {"semantic", "instance", "panoptic"}


def test_an_onnx_file_tells_what_goes_in_and_comes_out(tmp_path, capsys):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
    kind = onnx.TensorProto
    sides = ["batch", 3, "height", "width"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["logits"])],
        "g",
        [onnx.helper.make_tensor_value_info("image", kind.FLOAT, sides)],
        [onnx.helper.make_tensor_value_info("logits", kind.FLOAT, sides)],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(made, {"names": "{0: 'sky'}"})
    onnx.save(made, tmp_path / "m.onnx")
    code, said, _ = info(capsys, tmp_path / "m.onnx")
    assert code == 0
    assert "input image: tensor(float), batch x 3 x height x width" in said
    assert "output logits: tensor(float), batch x 3 x height x width" in said
    assert "its metadata say names: {0: 'sky'}" in said
    assert "3 channels, one for each class" in said
    assert suite_in(said)["models"][0]["name"] == "onnxruntime/file"


def test_a_tflite_file_tells_what_goes_in_and_comes_out(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; make install")
    from tests.adapters.litert.made import colour_picker

    file = colour_picker(tmp_path / "m.tflite", [[1, 0, 0], [0, 1, 0]], height=8, width=6)
    code, said, _ = info(capsys, file)
    assert code == 0
    assert "input image: float32, 1 x 8 x 6 x 3" in said
    assert "channels are last" in said
    assert "2 channels, one for each class" in said


def test_a_file_that_its_runtime_cannot_read_is_told_with_the_reason(tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    _, said, _ = info(capsys, tmp_path / "m.onnx")
    assert "it cannot be read:" in said


def exported(path, channels, kind, **texts):
    """An ONNX file of one output of so many channels."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
    floats, sides = onnx.TensorProto.FLOAT, ["batch", 3, 8, 8]
    weights = onnx.helper.make_tensor("w", floats, (channels, 3, 1, 1), [1.0] * 3 * channels)
    nodes = [onnx.helper.make_node("Conv", ["image", "w"], ["scores"])]
    nodes.append(onnx.helper.make_node("Cast", ["scores"], ["answer"], to=kind or floats))
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("image", floats, sides)],
        [onnx.helper.make_tensor_value_info("answer", kind or floats, ["batch", channels, 8, 8])],
        [weights],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(made, texts)
    onnx.save(made, path)
    return path


@pytest.mark.parametrize(
    ("channels", "kind", "options"),
    [(1, None, {"output_is": "sigmoid_logit"}), (1, 7, {"output_is": "labels"}), (3, None, None)],
)
def test_the_lines_for_an_onnx_file_say_what_its_shapes_say(channels, kind, options, tmp_path, capsys):
    _, said, _ = info(capsys, exported(tmp_path / "m.onnx", channels, kind))
    assert suite_in(said)["models"][0].get("options") == options


def test_an_exported_yolo_is_not_advised_to_choose_an_output(tmp_path, capsys):
    file = exported(tmp_path / "m.onnx", 3, None, task="segment", names="{0: 'cat'}", imgsz="[64, 64]")
    _, said, _ = info(capsys, file)
    (model,) = suite_in(said)["models"]
    assert (model["name"], model.get("options")) == ("onnxruntime/yolo_seg", None)
    assert "options:" not in said


@pytest.mark.slow
def test_names_in_a_list_beside_the_file_are_told_with_where_they_stand(tmp_path, capsys):
    torch.save(unet(2).state_dict(), tmp_path / "w.pth")
    (tmp_path / "labels.txt").write_text("0 background\n1 cat\n")
    _, said, _ = info(capsys, tmp_path / "w.pth", "--adapter", "unet")
    assert "classes by labels.txt beside it" in said
    assert suite_in(said)["models"][0]["trained_on"] == ["background", "cat"]
