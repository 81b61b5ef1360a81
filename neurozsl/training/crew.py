"""Devices and processes of a training: Lightning Fabric, started as the user asked.

`alone` is one process on one device. `start` makes several on this machine: Fabric starts the
command again for each. Under torchrun, on one or several machines, the processes are there already:
the environment says so, and its numbers win over `devices`.
"""

import logging
import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from lightning_fabric import Fabric

from neurozsl.core import children
from neurozsl.core.errors import BadInput
from neurozsl.parallel.team import Alone, FabricTeam, Team
from neurozsl.training.protocol import TrainConfig

Strategy = Literal["auto", "ddp"]
_PRECISION = {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed"}


@dataclass(frozen=True)
class Crew:
    """fabric: device and precision; team: the processes; dtype: of weights and features."""

    fabric: Any
    team: Team
    dtype: torch.dtype


def resolve_device(name: str) -> str:
    """`cpu`, `cuda[:n]` as given, `auto` to whichever exists.

    Raises:
        BadInput: a CUDA device is asked for where there is none, or the name is unknown.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise BadInput("device 'cuda': torch finds no CUDA device here; use --device cpu")
    elif name != "cpu":
        raise BadInput(f"device '{name}': expected cpu, cuda, cuda:N or auto")
    return name


def alone(config: TrainConfig) -> Crew:
    """One process on one device."""
    _, _, number = config.device.partition(":")
    fabric = _fabric(config, devices=[int(number)] if number else 1)
    return Crew(fabric, Alone(), _dtype(config))


def processes(devices: int) -> int:
    """Number of processes that `start` will make, or that torchrun made."""
    return int(os.environ["WORLD_SIZE"]) if by_torchrun() else devices


def by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def start(config: TrainConfig, *, devices: int = 1, strategy: Strategy = "auto") -> Crew:
    """Start the processes of a training; the same command runs from its beginning in each.

    devices: processes on this machine; torchrun's own number wins. strategy: `ddp`, or `auto`,
    which is the same for more than one process.

    Raises:
        BadInput: the numbers do not fit together, or dropout would depend on them.
    """
    if strategy not in get_args(Strategy):
        raise BadInput(f"--strategy {strategy}: expected one of {', '.join(get_args(Strategy))}")
    if devices < 1:
        raise BadInput(f"--devices {devices}: expected at least 1")
    count = processes(devices)
    if count == 1:
        return alone(config)
    if config.dropout != "counter":
        raise BadInput(
            f"training in {count} processes: dropout={config.dropout} would give each its own "
            "masks; use --dropout counter, for which the number of processes does not matter"
        )
    if config.batch < count:
        raise BadInput(
            f"training in {count} processes: batch={config.batch} is the batch of all together, "
            f"expected at least {count}; raise --batch"
        )
    if config.device.startswith("cuda:"):
        raise BadInput(f"device '{config.device}': several processes share out cuda themselves")
    nodes = 1
    if by_torchrun():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = count // devices
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # ranks, one line each
    fabric = _fabric(config, devices=devices, num_nodes=nodes, strategy="ddp")
    children.end_with_parent()  # where another command than ours started this process
    with children.inherited():
        fabric.launch()
    return Crew(fabric, FabricTeam(fabric), _dtype(config))


def _fabric(config: TrainConfig, **processes: Any) -> Fabric:
    accelerator = "cuda" if config.device.startswith("cuda") else "cpu"
    return Fabric(accelerator=accelerator, precision=_PRECISION[config.precision], **processes)


def _dtype(config: TrainConfig) -> torch.dtype:
    return torch.float64 if config.precision == "64" else torch.float32
