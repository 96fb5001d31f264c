"""ONNX files, behind the common contract: NumPy, OpenCV and a runtime, no torch."""

from __future__ import annotations

from pathlib import Path

from adapters._torch.runtimes.cpu_sessions import Session, SessionSettings, open_session
from adapters._torch.runtimes.file_model import FileModel
from bench.records import Target


class Adapter(FileModel):
    """An ONNX file run by ONNX Runtime, or with `runtime: openvino` by OpenVINO."""

    runtimes = ("eager", "onnxruntime", "openvino")
    file_format, example = "an ONNX file", "model.onnx"

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters._torch.runtimes.cpu_sessions.open_session`."""
        return open_session("openvino" if target.runtime == "openvino" else "onnxruntime", file, settings)
