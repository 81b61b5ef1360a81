"""The target of a chip that nobody built, with its own oracle, and the lines that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.export.backends.registry import Backend, Parts, RunOptions, integers
from neurozsl.export.targets import FEATURES, TARGETS, Check, Target
from neurozsl.export.targets.base import Oracle
from neurozsl.hardware.arithmetic.registry import ARITHMETICS
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.arithmetics import ASKED, AskedFigures
from neurozsl.hardware.network.synapse import matrix
from tests.toys.arithmetic import CHIP, ENTRY, KEY, ToyProgram


def slow_reference(parts: Parts, options: RunOptions) -> MotionBackend:
    """Neuron by neuron in Python's integers, on the integers that the bundle holds."""
    program = integers(parts, "toy_reference", ToyProgram, "the toy", "toy")

    def run(chip: ChipInput) -> Trace:
        values: dict[str, Any] = dict(program.check(chip).codes)
        membranes: dict[str, Any] = {}
        for layer in program.layers:
            arriving = values[layer.source].astype(np.int64) @ matrix(layer.synapses[0]).T
            spikes = np.zeros(arriving.shape, np.uint8)
            v_after = membranes[layer.name] = np.zeros(arriving.shape, np.int64)
            for sample, neuron in np.ndindex(arriving.shape[0], arriving.shape[2]):
                v, dv = 0, int(layer.dv[neuron])
                for t, arrives in enumerate(arriving[sample, :, neuron].tolist()):
                    v += arrives + int(layer.bias[neuron]) - (v * dv // 4096)
                    if v > int(layer.threshold[neuron]):
                        spikes[sample, t, neuron], v = 1, 0
                    v_after[sample, t, neuron] = v
            values[layer.name] = spikes
        return Trace({x.name: values[x.name] for x in program.layers}, membrane=membranes)

    return run


TARGET: Final = Target(
    name="toy",
    chip=CHIP,
    fidelity=("float", "fixed"),
    backends=("emulator", "toy_reference", "sinabs", "floatsim", "norse"),
    checks=(
        Check("emulator_vs_toy_reference", "emulator", "toy_reference"),
        Check("norse_vs_sinabs", "norse", "sinabs"),
        Check("emulator_vs_norse", "emulator", "norse", exact=False),
    ),
    features={key: "no" if key in ("table", "dynamic") else "yes" for key in FEATURES},
    oracle=Oracle("toy 1.0", ("toy_reference",)),
    own_backends={"toy_reference": Backend(slow_reference, chip=CHIP)},
    ships=lambda: (Path(__file__).with_name(f"{CHIP}.toml"),),
    runs=lambda network: getattr(network, "arithmetic", None) == KEY,
)


def register(patch: pytest.MonkeyPatch) -> None:
    """The lines that the product would have: one in each table."""
    tables: tuple[tuple[Any, str, object], ...] = (
        (ARITHMETICS, KEY, ENTRY),
        (ASKED, KEY, AskedFigures()),
        (CHIPS, CHIP, Path(__file__).with_name(f"{CHIP}.toml")),
        (TARGETS, TARGET.name, TARGET),
    )
    for table, key, value in tables:
        patch.setitem(table, key, value)
