"""TorchScript files, behind the common contract of files of networks."""

from __future__ import annotations

from pathlib import Path

from adapters._torch.runtimes.cpu_sessions import Session, SessionSettings
from adapters._torch.runtimes.file_contract import contract_of
from adapters._torch.runtimes.file_model import FileModel
from adapters.torchscript.session import TorchScriptSession
from bench.records import Target


class Adapter(FileModel):
    """A scripted or traced module, run by torch on the CPU."""

    runtimes = ("eager",)
    file_format, example = "a TorchScript file", "model.pt"

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters.torchscript.session.TorchScriptSession`."""
        return TorchScriptSession(
            file, settings, output=self._options.output, size=contract_of(self._options, None).size
        )
