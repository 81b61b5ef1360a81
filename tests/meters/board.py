"""A stand-in for NVML: no GPU is asked for, and torch is told that there is one."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch


class NVMLError(Exception):
    """Root of the stand-in's errors, as in pynvml."""


class NVMLError_NotSupported(NVMLError):
    """The board has no such meter."""


class Board(ModuleType):
    """A stand-in for pynvml: every call of `work` takes `each` millijoules, idle power is 50 W."""

    def __init__(self, each: int = 7000, *, start: int = 123_456, counter: bool = True) -> None:
        super().__init__("pynvml")
        self.NVMLError = NVMLError
        self.NVMLError_NotSupported = NVMLError_NotSupported
        self.each, self.total, self.counter = each, start, counter
        self.calls = self.shut = 0
        self.handles: list[str] = []
        self.broken: set[str] = set()

    def work(self) -> None:
        self.calls += 1
        self.total += self.each

    def _fails(self, name: str) -> None:
        if name in self.broken:
            raise NVMLError(f"{name} failed")

    def nvmlInit(self) -> None:
        self._fails("init")

    def nvmlShutdown(self) -> None:
        self.shut += 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._fails("handle")
        return uuid

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self._fails("handle")
        return f"index {index}"

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        self.handles.append(handle)
        return b"Made-up GPU"

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        self._fails("power")
        return 50_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self._fails("counter")
        if not self.counter:
            raise NVMLError_NotSupported("no counter")
        return self.total


def install(monkeypatch: pytest.MonkeyPatch, board: Board, uuid: str | None = "ab-cd") -> None:
    """Put the board where pynvml is, and tell torch that there is a device."""
    monkeypatch.setitem(sys.modules, "pynvml", board)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    properties = SimpleNamespace() if uuid is None else SimpleNamespace(uuid=uuid)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
