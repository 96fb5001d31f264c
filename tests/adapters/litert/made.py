"""Files of TensorFlow Lite of the tests' own making: one 1 × 1 convolution, or nothing but a change of numbers."""

from __future__ import annotations

import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl


def tensor(model, name, shape, kind, *, values=None, quantised=None, free=None):
    """Add a tensor, with its values if it is constant; returns the tensor."""
    made = tfl.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, len(model.buffers)
    if free is not None:
        made.shapeSignature = list(free)
    if quantised is not None:
        made.quantization = tfl.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [quantised[0]], [quantised[1]]
    buffer = tfl.BufferT()
    if values is not None:
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
    model.buffers.append(buffer)
    return made


def with_metadata(path, mean, std, classes=None):
    """Give a file the normalisation of its input, as TensorFlow's metadata writer does, and a list of classes."""
    model = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(path.read_bytes(), 0))
    builder = flatbuffers.Builder(256)

    def floats(values):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return builder.EndVector()

    def table(fields, size):
        builder.StartObject(size)
        for number, (kind, value) in fields.items():
            getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
        return builder.EndObject()

    def only(entry):
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(entry)
        return builder.EndVector()

    vectors = floats(mean), floats(std)
    numbers = table({i: ("UOffsetTRelative", vector) for i, vector in enumerate(vectors)}, 2)
    step = only(table({0: ("Uint8", 1), 1: ("UOffsetTRelative", numbers)}, 2))
    image = only(table({4: ("UOffsetTRelative", step)}, 7))
    graph = only(table({2: ("UOffsetTRelative", image)}, 5))
    builder.Finish(table({3: ("UOffsetTRelative", graph)}, 8), b"M001")
    entry, buffer = tfl.MetadataT(), tfl.BufferT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    buffer.data = np.frombuffer(bytes(builder.Output()), dtype=np.uint8)
    model.buffers.append(buffer)
    model.metadata = [entry]
    whole = flatbuffers.Builder(1024)
    whole.Finish(model.Pack(whole), b"TFL3")
    path.write_bytes(bytes(whole.Output()))
    if classes is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labelmap.txt", "\n".join(classes))
    return path


def empty_model():
    model = tfl.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [tfl.BufferT()], []
    return model


def written(path, model, tensors, operator, code, inputs, outputs):
    """Write a model of one operator."""
    known = tfl.OperatorCodeT()
    known.builtinCode, known.deprecatedBuiltinCode, known.version = code, min(code, 127), 1
    model.operatorCodes = [known]
    operator.opcodeIndex = 0
    graph = tfl.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, inputs, outputs, [operator]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def colour_picker(path, matrix, *, height, width, free=False):
    """A 1 × 1 convolution of float32 (1, H, W, 3) to (1, H, W, K) by a matrix (K, 3); sides are free if wished."""
    model, matrix = empty_model(), np.asarray(matrix, dtype=np.float32)
    signature = [1, -1, -1] if free else None
    tensors = [
        tensor(model, "image", (1, height, width, 3), 0, free=signature and [*signature, 3]),
        tensor(model, "weights", (len(matrix), 1, 1, 3), 0, values=matrix),
        tensor(model, "bias", (len(matrix),), 0, values=np.zeros(len(matrix), dtype=np.float32)),
        tensor(model, "scores", (1, height, width, len(matrix)), 0, free=signature and [*signature, len(matrix)]),
    ]
    operator = tfl.OperatorT()
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, options = tfl.BuiltinOptions.Conv2DOptions, tfl.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    operator.builtinOptions = options
    return written(path, model, tensors, operator, tfl.BuiltinOperator.CONV_2D, [0], [3])


def dequantiser(path, *, height, width, scale, zero):
    """A model whose input is uint8 of a scale and a zero point, and whose output is the floats that it stands for."""
    model = empty_model()
    tensors = [
        tensor(model, "image", (1, height, width, 3), 3, quantised=(scale, zero)),
        tensor(model, "scores", (1, height, width, 3), 0),
    ]
    operator = tfl.OperatorT()
    operator.inputs, operator.outputs = [0], [1]
    return written(path, model, tensors, operator, tfl.BuiltinOperator.DEQUANTIZE, [0], [1])
