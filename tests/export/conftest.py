"""Small two-pathway branches with fixed seeds, their inputs, and the Lava environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.signals import BranchSpec, ChipInput, InputCode, LayerSpec, Policy
from neurozsl.export.backends.lava.environment import locate

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]


def branch(
    sizes: tuple[int, ...] = (12, 10, 8, 6),
    *,
    policy: Policy = "fixed",
    synaptic: bool = False,
    vectors: bool = False,
    steps: int = 10,
    gain: float = 3.0,
    kappa: float = 0.5,
    seed: int = 0,
) -> BranchSpec:
    """Graded audio and ternary video, one Linear + LIF per pair of sizes; non-zero biases.

    vectors: kappa and threshold differ between neurons. kappa 0 makes integrate-and-fire layers.
    """
    rng = np.random.default_rng(seed)
    inputs = {
        "audio": InputCode(sizes[0], "graded", 4, False, 0.25),
        "video": InputCode(sizes[0], "ternary", 1, True, 1.0),
    }
    layers = []
    for name in inputs:
        source = name
        for depth, (width, out) in enumerate(pairwise(sizes)):
            spread = rng.random(out) if vectors else np.zeros(out)
            weight = gain * rng.normal(size=(out, width)) / np.sqrt(width)
            layers.append(
                LayerSpec(
                    name=f"{name}.{depth}",
                    source=source,
                    weight=weight.astype(np.float32),
                    bias=(0.1 * rng.normal(size=out)).astype(np.float32),
                    kappa=kappa * (1 - 0.3 * spread),
                    threshold=(0.5 + 0.2 * spread).astype(np.float32),
                    syn_kappa=np.full(out, 0.25) if synaptic else None,
                    theta_table=np.linspace(0.4, 0.7, steps) if policy == "table" else None,
                )
            )
            source = f"{name}.{depth}"
    last = len(sizes) - 2
    return BranchSpec(
        inputs, tuple(layers), (f"audio.{last}", f"video.{last}"), 1e-3, steps, policy
    )


def chip_input(spec: BranchSpec, samples: int = 8, *, seed: int = 1) -> ChipInput:
    """Random legal codes, 40 % of them non-zero; theta per sample and step where dynamic."""
    rng = np.random.default_rng(seed)
    codes = {}
    for name, code in spec.inputs.items():
        shape = (samples, spec.steps, code.size)
        values = rng.integers(code.low, code.high + 1, shape)
        codes[name] = (values * (rng.random(shape) < 0.4)).astype(np.int16)
    theta = None
    if spec.policy == "dynamic":
        size = (samples, spec.steps)
        theta = {layer.name: 0.4 + 0.4 * rng.random(size) for layer in spec.layers}
    return ChipInput(codes, spec.inputs, theta)


@pytest.fixture(name="make_branch")
def _make_branch() -> MakeBranch:
    return branch


@pytest.fixture(name="make_input")
def _make_input() -> MakeInput:
    return chip_input


@pytest.fixture(scope="session")
def nir_files() -> Path:
    """Graphs written by other tools; third-party material that is not in the repository."""
    folder = SHARED / "nir"
    if not folder.is_dir():
        pytest.skip("../shared/data/nir is not on this machine")
    return folder


@pytest.fixture(scope="session")
def lava() -> Path:
    """The interpreter of the Lava environment."""
    python = locate()
    if python is None:
        message = "no Lava environment (run: neurozsl setup lava)"
        if os.environ.get("NEUROZSL_REQUIRE_LAVA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return python
