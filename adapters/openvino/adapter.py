"""OpenVINO's files (.xml with .bin), behind the common contract: NumPy, OpenCV and OpenVINO, no torch."""

from __future__ import annotations

from pathlib import Path

from adapters._torch.runtimes.cpu_sessions import Session, SessionSettings, open_session
from adapters._torch.runtimes.file_model import FileModel
from bench.records import Target


class Adapter(FileModel):
    """An .xml file, with the .bin of its weights beside it, run by OpenVINO."""

    runtimes = ("eager", "openvino")
    file_format, example = "an OpenVINO .xml file", "model.xml"

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters._torch.runtimes.cpu_sessions.open_session`."""
        return open_session("openvino", file, settings)
