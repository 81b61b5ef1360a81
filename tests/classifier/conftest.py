"""A small set of recordings, and a Python file that makes a network for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from tests.factories.event_sets import recordings

OWN = """
import torch
from torch import nn
from norse.torch.functional.iaf import IAFParameters
from norse.torch.module.iaf import IAFCell


def make(shape, classes):
    channels, high, wide = shape
    cell = lambda: IAFCell(p=IAFParameters(method="tanh", alpha=torch.tensor(1.0)))
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), cell(),
        nn.Flatten(), nn.Linear(4 * ((high + 1) // 2) * ((wide + 1) // 2), classes), cell(),
    )


def broken(shape, classes):
    raise RuntimeError("no weights today")


def nothing():
    return 3
"""


@pytest.fixture(scope="session")
def event_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars that move left or right: 4 recordings to train, 2 to validate, 2 to test."""
    folder = recordings(tmp_path_factory.mktemp("recordings"))
    out = tmp_path_factory.mktemp("sets") / "bars"
    write_event_set(folder, folder / "labels.csv", out, grid=EventGrid(8, size=(10, 10)))
    return out


@pytest.fixture
def own_network(tmp_path: Path) -> Callable[[str], str]:
    """`FILE.py:NAME` of the file above."""
    file = tmp_path / "net.py"
    file.write_text(OWN)
    return lambda name: f"{file}:{name}"
