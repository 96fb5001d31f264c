"""ONNX files, behind the common contract: NumPy, OpenCV and a runtime, no torch."""

from adapters._torch.runtimes.file_model import FileModel


class Adapter(FileModel):
    """An ONNX file run by ONNX Runtime, or with `runtime: openvino` by OpenVINO."""

    runtimes = ("eager", "onnxruntime", "openvino")
    file_format, example, eager = "an ONNX file", "model.onnx", "onnxruntime"
