"""A network whose answers are known at every width of its weights, and labelled samples of it."""

from pathlib import Path
from typing import Any

import nir
import numpy as np

from tests.factories import network_files as files

STEPS = 24


def near_tie() -> nir.NIRGraph:
    """Three channels -> two IF neurons, threshold 1.1; the third weight sets the grid.

    Channel 0 gives 0.54 and 0.57, channel 1 the reverse: a spike in every third step and in every
    second. So output 1 answers channel 0, output 0 channel 1, in float and at 8 bits (69 and 72 of
    127). At 4 bits both are 4 of 7, the outputs spike alike, and class 0 is taken.
    """
    nodes = {
        "in": nir.Input(input_type={"input": np.array([3])}),
        "a": nir.Linear(weight=np.array([[0.54, 0.57, 0.0], [0.57, 0.54, 1.0]])),
        "b": nir.IF(r=np.ones(2), v_threshold=np.full(2, 1.1)),
        "out": nir.Output(output_type={"output": np.array([2])}),
    }
    return nir.NIRGraph(nodes=nodes, edges=list(zip(nodes, list(nodes)[1:], strict=False)))


def samples(ones: int, zeros: int) -> tuple[Any, Any]:
    """Input `(sample, STEPS, 3)` and labels: samples of class 1 first, one channel on each."""
    labels = np.array([1] * ones + [0] * zeros)
    codes = np.zeros((len(labels), STEPS, 3), np.uint8)
    codes[np.arange(len(labels)), :, 1 - labels] = 1
    return codes, labels


def write(folder: Path, ones: int = 10, zeros: int = 10) -> tuple[Path, Path, Path]:
    """The network, its input and its labels as files."""
    codes, labels = samples(ones, zeros)
    np.savez(folder / "x.npz", **{"in": codes})
    np.save(folder / "y.npy", labels)
    return files.write(folder / "tie.nir", near_tie()), folder / "x.npz", folder / "y.npy"
