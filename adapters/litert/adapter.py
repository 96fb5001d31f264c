"""TensorFlow Lite files, behind the common contract: NumPy, OpenCV and LiteRT, no torch."""

from __future__ import annotations

from pathlib import Path

from adapters._torch.runtimes.cpu_sessions import Session, SessionSettings
from adapters._torch.runtimes.file_model import FileModel
from adapters._torch.runtimes.litert_session import LiteRtSession
from bench.records import Target


class Adapter(FileModel):
    """A .tflite file run by LiteRT."""

    runtimes = ("eager",)
    file_format, example = "a .tflite file", "model.tflite"

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters._torch.runtimes.litert_session.LiteRtSession`."""
        return LiteRtSession(file, settings)
