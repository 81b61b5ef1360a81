"""A file of snnTorch's default cells, whose subtraction comes a step late, through the product.

The truth is a line of numpy per layer: v = beta v + u - theta s, u = alpha u + x, s = v > theta.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.signals import ChipInput
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.floatsim.floatsim import simulate

Command = Callable[..., Any]
DT_S, BETA, ALPHA, THETA, STEPS, SAMPLES = 1e-4, 0.8, 0.6, 1.0, 50, 4
CELLS = ("Leaky", "Synaptic")


def _weights() -> list[Any]:
    rng = np.random.default_rng(5)
    return [
        rng.normal(0.1, 0.35, (16, 12)).astype(np.float32),
        rng.normal(0.05, 0.5, (7, 16)).astype(np.float32),
    ]


def _cell(cell: str, size: int) -> Any:
    """As snnTorch writes it, in single precision with both gains 1."""

    def each(value: float) -> Any:
        return np.full(size, value, np.float32)

    tau, rest = DT_S / (1 - BETA), {"v_leak": each(0), "v_threshold": each(THETA)}
    if cell == "Leaky":
        return nir.LIF(tau=each(tau), r=each(tau / DT_S), **rest)
    tau_syn = DT_S / (1 - ALPHA)
    return nir.CubaLIF(
        tau_syn=each(tau_syn), tau_mem=each(tau), r=each(tau / DT_S),
        w_in=each(tau_syn / DT_S), **rest,
    )  # fmt: skip


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def file(cell: str, tmp_path: Path) -> Path:
    first, last = _weights()
    nodes = {
        "input": nir.Input({"input": np.array([12])}),
        "0": nir.Linear(first),
        "1": _cell(cell, 16),
        "2": nir.Linear(last),
        "3": _cell(cell, 7),
        "output": nir.Output({"output": np.array([7])}),
    }
    edges = list(zip(nodes, list(nodes)[1:], strict=False))
    return nirfile.write(tmp_path / "net.nir", nir.NIRGraph(nodes=nodes, edges=edges))


@pytest.fixture
def spikes(tmp_path: Path) -> Any:
    given = (np.random.default_rng(6).random((SAMPLES, STEPS, 12)) < 0.3).astype(np.uint8)
    np.savez(tmp_path / "x.npz", input=given)
    return given


def _truth(cell: str, given: Any, reset: str = "subtract-late") -> dict[str, Any]:
    alpha, found, values = ALPHA if cell == "Synaptic" else 0.0, {}, given.astype(float)
    for name, weight in zip(("1", "3"), _weights(), strict=True):
        u, v = np.zeros((2, SAMPLES, len(weight)))
        sent, owed = [], np.zeros_like(v)
        for t in range(STEPS):
            u = alpha * u + values[:, t] @ weight.T.astype(float)
            v = BETA * v + u - owed
            s = (v > THETA).astype(float)
            sent.append(s)
            owed = THETA * s if reset == "subtract-late" else 0 * s
            v = {"subtract-late": v, "subtract": v - THETA * s, "zero": v * (1 - s)}[reset]
        values = np.stack(sent, axis=1)
        found[name] = values
    return found


def _simulated(neurozsl: Command, file: Path, backend: str) -> dict[str, Any]:
    out = file.parent / f"{backend}.npz"
    fed = ("--input", file.parent / "x.npz", "--backend", backend, "--out", out)
    ran = neurozsl("simulate", file, *fed)
    assert ran.code == 0, ran.err
    with np.load(out) as trace:
        return {name: trace[f"spikes/{name}"] for name in ("1", "3")}


@pytest.mark.parametrize("backend", ["floatsim", "sinabs"])
def test_float_simulators_give_every_spike_of_the_equation(
    backend: str, cell: str, neurozsl: Command, file: Path, spikes: Any
) -> None:
    found, truth = _simulated(neurozsl, file, backend), _truth(cell, spikes)
    for name, counts in truth.items():
        assert 0.05 < counts.mean() < 0.7
        np.testing.assert_array_equal(found[name], counts)
    at_once = _truth(cell, spikes, "subtract")
    assert all((at_once[name] != counts).mean() > 0.02 for name, counts in truth.items())


def test_the_emulators_integers_are_their_float_twin_in_every_spike(
    cell: str, neurozsl: Command, file: Path, spikes: Any
) -> None:
    emulated = _simulated(neurozsl, file, "emulator")
    lowered = from_graph(nirfile.read(file), file.name, Said(steps=STEPS)).lowered
    assert {x.rule.reset for x in lowered.layers} == {"subtract-late"}
    twin = dequantize(quantize(lowered, "loihi2"))
    assert {x.rule.reset for x in twin.layers} == {"subtract-late"}
    given = ChipInput({"input": spikes.astype(np.int16)}, lowered.inputs)
    wanted = simulate(twin, given).spikes
    for name, counts in _truth(cell, spikes).items():
        np.testing.assert_array_equal(emulated[name], wanted[name])
        assert (emulated[name] != counts).mean() < 0.1  # what eight bits cost


def test_profile_counts_the_spikes_of_the_equation(
    cell: str, neurozsl: Command, file: Path, spikes: Any
) -> None:
    document = neurozsl("profile", file, "--input", file.parent / "x.npz", "--json").document
    layers = {layer["name"]: layer for layer in document["layers"]}
    truth, sent = _truth(cell, spikes), spikes
    assert list(layers) == list(truth)
    for (name, counts), size in zip(truth.items(), (16, 7), strict=True):
        layer = layers[name]
        assert layer["spikes"] == pytest.approx(counts.sum() / SAMPLES)
        assert layer["spike_rate"] == pytest.approx(counts.mean())
        assert layer["input_events"] == pytest.approx(sent.sum() / SAMPLES)
        assert layer["synops"] == pytest.approx(size * sent.sum() / SAMPLES)
        sent = counts
    assert document["energy"] and all(row["joules"] >= 0 for row in document["energy"])


@pytest.mark.parametrize(("target", "nearest"), [("lava", "zero"), ("speck", "subtract")])
def test_a_chip_without_late_resets_says_what_the_nearest_one_would_change(
    target: str, nearest: str, cell: str, neurozsl: Command, file: Path, spikes: Any
) -> None:
    bundle = file.parent / "bundle"
    fed = ("--input", file.parent / "x.npz", "--samples", SAMPLES, "--out", bundle)
    ran = neurozsl("export", file, "--target", target, *fed)
    assert ran.code == 2 and not bundle.exists()
    assert "layers '1', '3': reset subtract-late" in ran.err
    assert f"target {target} cannot run" in ran.err and f"(--reset {nearest})" in ran.err
    [(changed, of)] = re.findall(r"changes ([\d,]+) of ([\d,]+) neuron-steps", ran.err)
    late, other = _truth(cell, spikes), _truth(cell, spikes, nearest)
    wanted = sum(int((late[name] != other[name]).sum()) for name in late)
    assert wanted > 100
    assert int(changed.replace(",", "")) == wanted
    assert int(of.replace(",", "")) == sum(x.size for x in late.values())
    leaks = "layers 1, 3 leak and speck2f has integrate-and-fire neurons only"
    assert (leaks in ran.err) == (target == "speck")


def test_the_target_sinabs_ships_it(cell: str, neurozsl: Command, file: Path, spikes: Any) -> None:
    bundle = file.parent / "bundle"
    fed = ("--input", file.parent / "x.npz", "--samples", SAMPLES, "--out", bundle)
    ran = neurozsl("export", file, "--target", "sinabs", *fed)
    assert ran.code == 0 and "verdict PASS;" in ran.err
    again = from_graph(nirfile.read(bundle / "motion.nir"), "motion.nir")
    assert {x.rule.reset for x in again.lowered.layers} == {"subtract-late"}
    given = ChipInput({"input": spikes.astype(np.int16)}, again.lowered.inputs)
    found = simulate(again.lowered, given).spikes
    for name, counts in _truth(cell, spikes).items():
        np.testing.assert_array_equal(found[name], counts)
