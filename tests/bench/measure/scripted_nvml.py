"""A driver that answers like pynvml, for any GPUs; put in the place of the module."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest


class Refused(Exception):
    """What pynvml raises."""


@dataclass
class Card:
    """A GPU of the scripted driver; `processes` compute on it."""

    name: str
    uuid: str
    capability: tuple[int, int] = (8, 9)
    memory: int = 24 << 30
    lost: bool = False
    slices: tuple[str, ...] = ()
    processes: list[int] = field(default_factory=list)


class ScriptedNvml:
    """Answers like the module pynvml; numbers are handles of whole GPUs, texts those of slices."""

    NVMLError = Refused

    def __init__(self, *cards: Card, cuda: int = 13020, version: str = "580.65.06", installed: bool = True) -> None:
        self.cards, self.cuda, self.version, self.installed = cards, cuda, version, installed
        self.opened = 0

    def nvmlInit(self) -> None:
        if not self.installed:
            raise Refused("NVML Shared Library Not Found")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return self.version.encode()

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if self.cards[index].lost:
            raise Refused("GPU is lost")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        for index, card in enumerate(self.cards):
            if card.uuid == uuid:
                return index
        raise Refused("Not Found")

    def nvmlDeviceGetName(self, handle: object) -> str:
        return f"slice {handle}" if isinstance(handle, str) else self.cards[handle].name

    def nvmlDeviceGetUUID(self, handle: object) -> str:
        return handle if isinstance(handle, str) else self.cards[handle].uuid

    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> list[int]:
        return [8, 0] if isinstance(handle, str) else list(self.cards[handle].capability)

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> object:
        return SimpleNamespace(total=5 << 30 if isinstance(handle, str) else self.cards[handle].memory)

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        if not self.cards[handle].slices:
            raise Refused("Not Supported")
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, number: int) -> str:
        slices = self.cards[handle].slices
        if number >= len(slices):
            raise Refused("Not Found")
        return slices[number]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[object]:
        return [SimpleNamespace(pid=pid) for pid in self.cards[handle].processes]


def install(monkeypatch: pytest.MonkeyPatch, nvml: ScriptedNvml) -> ScriptedNvml:
    """Make the harness ask this driver."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml
