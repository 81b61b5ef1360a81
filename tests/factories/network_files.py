"""Small foreign networks for tests: graphs without our metadata; synthetic, none is trained."""

from pathlib import Path
from typing import Any

import nir
import numpy as np

from neurozsl.export.nir import nirfile

DT = 1e-3
SIZES = (6, 8, 4)


def dense(kind: str = "LIF", *, seed: int = 0, leak: float = 0.25) -> nir.NIRGraph:
    """Input(6) -> Affine -> 8 neurons -> Linear -> 4 neurons -> Output, names a to d.

    A LIF takes off `leak` of its membrane in a step of DT. One weight is 0.
    """
    rng = np.random.default_rng(seed)
    first = rng.normal(0.4, 1.0, (8, 6))
    first[0, 0] = 0.0

    def neurons(size: int) -> Any:
        if kind == "IF":
            return nir.IF(r=np.ones(size), v_threshold=np.ones(size))
        return nir.LIF(
            tau=np.full(size, DT / leak),
            r=np.full(size, 1 / leak),
            v_leak=np.zeros(size),
            v_threshold=np.ones(size),
        )

    nodes = {
        "in": nir.Input(input_type={"input": np.array([6])}),
        "a": nir.Affine(weight=first, bias=np.full(8, 0.05)),
        "b": neurons(8),
        "c": nir.Linear(weight=rng.normal(0.3, 1.0, (4, 8))),
        "d": neurons(4),
        "out": nir.Output(output_type={"output": np.array([4])}),
    }
    return nir.NIRGraph(nodes=nodes, edges=list(zip(nodes, list(nodes)[1:], strict=False)))


def write(path: Path, graph: nir.NIRGraph) -> Path:
    """As a foreign tool would."""
    return nirfile.write(path, graph)


def spikes(samples: int = 3, steps: int = 20, size: int = 6, *, seed: int = 1) -> Any:
    """Synthetic input `(samples, steps, size)`, a spike with probability 0.3."""
    return (np.random.default_rng(seed).random((samples, steps, size)) < 0.3).astype(np.uint8)
