"""Refusals of adapters that no other test comes by: options, devices and files, without a forward pass of a network."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adapters._torch import device as devices
from adapters._torch.input import _for_each
from adapters._torch.runtimes import cpu_sessions, quantisation
from adapters._torch.runtimes.cpu_sessions import OpenVinoSession, SessionSettings
from adapters._torch.runtimes.file_inputs import _channels
from adapters._torch.runtimes.file_model import FileModel
from adapters._torch.runtimes.file_options import FileOptions
from adapters._torch.runtimes.file_reading import OutputReader
from adapters._torch.semantic import SemanticAdapter
from bench.errors import BenchError, Unsupported
from bench.records import Size, Target
from bench.records.case import InferenceAugmentation
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES
from tests.bench.builders import make_model

CPU = torch.device("cpu")
PROMPTED = THREE_CLASSES.model_copy(update={"kind": "prompted"})


def refused(call, *arguments, **named) -> str:
    with pytest.raises(BenchError) as found:
        call(*arguments, **named)
    return str(found.value)


def test_a_gpu_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert refused(devices.open_device, "cuda:7") == "device 'cuda:7' is not here; the last CUDA device is cuda:1"


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_gpu_of_before_ampere(monkeypatch, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    said = refused(devices.check_precision, torch.device("cuda", 0), precision)
    assert said == f"{precision} needs compute capability 8.0; T4 has 7.5"


def test_as_many_numbers_as_there_are_channels_or_one():
    assert _for_each("mean", (1.0,), 2) == (1.0, 1.0)
    said = refused(_for_each, "mean", (1.0, 2.0, 3.0), 4)
    assert "option 'input.mean' has 3 numbers and the network sees 4 channels; give one for each" in said
    assert _channels((1.0, 1.0), 4, "std", "m") == (1.0,) * 4
    said = refused(_channels, (1.0, 2.0), 4, "std", "m")
    assert said.startswith("m: option 'std' has 2 numbers and the file sees 4 channels; give one for each")


@pytest.mark.parametrize(
    ("precision", "told"),
    [
        ("tf32", "runtime openvino has no tf32 on a CPU; use fp32 or bf16"),
        ("bf16", "runtime openvino finds no bf16 arithmetic in this processor; use fp32"),
    ],
)
def test_arithmetic_that_openvino_or_the_processor_lacks(tmp_path, monkeypatch, precision, told):
    core = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(cpu_sessions, "package", lambda _: SimpleNamespace(Core=lambda: core))
    assert refused(OpenVinoSession, tmp_path / "m.xml", SessionSettings(threads=1, precision=precision)) == told


def test_a_file_is_not_trained():
    with pytest.raises(Unsupported, match="ONNX is not trained; train its network where it comes from and export"):
        FileModel.train(SimpleNamespace(file_format="ONNX"), None, None, None, None)  # type: ignore[arg-type]


def reader(**options: object) -> OutputReader:
    return OutputReader(FileOptions.model_validate(options), THREE_CLASSES, "m")


def test_thresholds_that_are_neither_one_nor_one_for_each_class():
    said = refused(reader, output_is="multilabel_logits", threshold=[0.1, 0.2, 0.3, 0.4, 0.5])
    assert "option 'threshold' has 5 numbers for" in said
    assert "give one for each, or one for all" in said


def test_a_file_of_labels_has_no_probabilities():
    with pytest.raises(Unsupported, match="m: its file gives labels, and no probabilities"):
        reader(output_is="labels").probabilities(np.zeros((2, 2)), None, Size(2, 2))  # type: ignore[arg-type]


def test_a_network_that_cannot_be_quantised(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make = onnx.helper
    ports = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1]) for name in ("input", "output")]
    graph = make.make_graph([make.make_node("Relu", ["input"], ["output"])], "g", ports[:1], ports[1:])
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)]), tmp_path / "m.onnx")
    said = refused(quantisation._quantise, tmp_path / "m.onnx", tmp_path / "q.onnx", [])
    assert said.startswith("the network cannot be quantised to int8 (")
    assert said.endswith("; use precision fp32")


def test_a_head_that_reads_outputs_as_what_they_cannot_be():
    logits = torch.linspace(-5, 5, 16).reshape(1, 1, 4, 4)
    own = SimpleNamespace(
        _network=SimpleNamespace(head=SimpleNamespace(gives="probabilities", is_sigmoid=True)),
        _model=SimpleNamespace(label="m"),
        infer=lambda _: SimpleNamespace(logits=logits),
    )
    said = refused(SemanticAdapter._doubts_of_output, own, None)
    assert said.startswith("m: its outputs lie between -5 and 5, which are no probabilities, and its head reads")
    assert said.endswith("; make it with gives='logits'")


# ------------------------------------------------------------------ frameworks


def test_operators_of_torchvision_have_no_half_precision_on_a_cpu():
    detection = pytest.importorskip("adapters.torchvision.detection")
    own = detection.DetectionAdapter.__new__(detection.DetectionAdapter)
    assert "bf16 on a CPU: RoIAlign and NMS of torchvision have no such kernels" in refused(
        own.check_precision, CPU, "bf16"
    )
    own.check_precision(CPU, "fp32")


def test_a_configuration_of_detectron2_has_no_such_key():
    pytest.importorskip("detectron2")
    from detectron2.config import get_cfg

    from adapters.detectron2.config import _override

    said = refused(_override, get_cfg(), {"SOLVER.BASE_LRR": 1.0}, "m")
    assert "m: option 'overrides': Detectron2's configuration has no key 'SOLVER.BASE_LRR'." in said
    assert "Did you mean 'SOLVER.BASE_LR'?" in said


def test_objects_of_detectron2_have_no_half_precision_on_a_cpu():
    pytest.importorskip("detectron2")
    from adapters.detectron2.adapter import Adapter

    own = Adapter.__new__(Adapter)
    own._options = SimpleNamespace(task="instance")  # type: ignore[assignment]
    said = refused(own.check_precision, CPU, "bf16")
    assert "bf16 on a CPU: RoIAlign and NMS of torchvision have no such kernels; use fp32" in said
    own._options = SimpleNamespace(task="semantic")  # type: ignore[assignment]
    own.check_precision(CPU, "bf16")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"chanels": [8]}, "option 'arguments': attention_unet has no 'chanels'. Did you mean 'channels'?"),
        ({"channels": [8], "strides": [2, 2, 2]}, "option 'arguments': MONAI cannot build attention_unet: "),
    ],
)
def test_arguments_that_monai_does_not_take(arguments, told):
    pytest.importorskip("monai")
    from adapters.monai.adapter import make_network

    model = make_model(adapter="monai", label="m", options={"network": "attention_unet", "arguments": arguments})
    assert told in refused(make_network, model, THREE_CLASSES)


def test_sam_makes_one_forward_pass():
    pytest.importorskip("transformers")
    from adapters.sam.adapter import Adapter

    target = Target(test_time=InferenceAugmentation())
    with pytest.raises(Unsupported, match="makes one forward pass; it has none over windows and none for test_time"):
        Adapter().build(resolve_model("sam/sam_vit_b"), PROMPTED, target, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"decoder_chanels": [8]}, "m: option 'arguments': unet has no 'decoder_chanels'. Did you mean"),
        ({"decoder_channels": [8]}, "m: unet with encoder resnet18: "),
    ],
)
def test_arguments_that_smp_does_not_take(arguments, told):
    pytest.importorskip("segmentation_models_pytorch")
    from adapters.smp.adapter import make_network

    options = {"decoder": "unet", "encoder": "resnet18", "encoder_weights": None, "arguments": arguments}
    model = make_model(adapter="smp", label="m", options=options)
    assert told in refused(make_network, model, THREE_CLASSES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"depts": [1]}, "m: option 'arguments': SegformerConfig has no 'depts'. Did you mean 'depths'?"),
        ({"depths": "x"}, "m: option 'arguments': transformers cannot build it: "),
    ],
)
def test_arguments_that_transformers_does_not_take(arguments, told):
    transformers = pytest.importorskip("transformers")
    from adapters.transformers.pixels import _fresh, read_config

    family = SimpleNamespace(network=transformers.SegformerForSemanticSegmentation)
    assert told in refused(lambda: _fresh(family, read_config(transformers.SegformerConfig, None, arguments, "m"), "m"))


def test_a_folder_whose_configuration_holds_values_of_other_types(tmp_path):
    transformers = pytest.importorskip("transformers")
    from adapters.transformers.pixels import read_config

    transformers.SegformerConfig().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    for value in ("x", {"a": 1}, [["x"]], 7):
        file.write_text(json.dumps({**json.loads(file.read_text()), "depths": value}))
        said = refused(read_config, transformers.SegformerConfig, str(tmp_path), {}, "m")
        assert "m: option 'pretrained': nothing to load at" in said
