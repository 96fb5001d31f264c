"""Files of networks, by their runtimes alone and by the harness."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from bench.records import Size
from tests.adapters.parity_pictures import ANY, NAMES, lively, normalised, ours

IMAGENET = {"default_input": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}


def small_network():
    """Two convolutions and a normalisation between them."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, len(NAMES), 1)]
    return lively(nn.Sequential(*layers), "3")


def onnx_file(folder):
    """The network as ONNX, its sides free."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    first, norm, _, last = small_network()
    values = {
        "w1": first.weight, "b1": first.bias, "scale": norm.weight, "shift": norm.bias, "mean": norm.running_mean,
        "var": norm.running_var, "w2": last.weight, "b2": last.bias,
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["x", "scale", "shift", "mean", "var"], ["y"], epsilon=norm.eps),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Conv", ["z", "w2", "b2"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, "h", "w"))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("b", len(NAMES), "h", "w"))],
        [numpy_helper.from_array(value.detach().numpy(), name) for name, value in values.items()],
    )
    file = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return file


def of_onnx(folder, image):
    """ONNX Runtime."""
    import onnxruntime

    file = onnx_file(folder)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": normalised(image).numpy()})
    return ours("onnxruntime/file", image, weights=file).labels, logits[0].argmax(0)


def of_openvino(folder, image):
    """OpenVINO, of a file of its own format."""
    import openvino

    file = folder / "model.xml"
    openvino.save_model(openvino.convert_model(onnx_file(folder)), file, compress_to_fp16=False)
    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = compiled([normalised(image).numpy()])[0]
    return ours("openvino/file", image, weights=file).labels, logits[0].argmax(0)


def of_torchscript(folder, image):
    """TorchScript."""
    file = folder / "model.pt"
    torch.jit.script(small_network()).save(str(file))
    with torch.inference_mode():
        logits = torch.jit.load(str(file))(normalised(image))
    return ours("torchscript/file", image, weights=file).labels, logits[0].argmax(0).numpy()


def of_litert(folder, image):
    """LiteRT, of a file without a preprocessing: RGB from 0 to 1."""
    from ai_edge_litert.interpreter import Interpreter

    from tests.adapters.litert.made import colour_picker

    matrix = np.random.default_rng(0).normal(size=(len(NAMES), 3))
    size = Size(*image.shape[:2])
    file = colour_picker(folder / "model.tflite", matrix - matrix.mean(axis=1, keepdims=True), **size._asdict())
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None].astype(np.float32) / 255)
    interpreter.invoke()
    logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return ours("litert/file", image, weights=file).labels, logits[0].argmax(-1)


FAMILIES = {
    "onnxruntime/file": (ANY, of_onnx),
    "openvino/file": (ANY, of_openvino),
    "torchscript/file": (ANY, of_torchscript),
    "litert/file": (ANY, of_litert),
}
