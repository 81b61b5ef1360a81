"""A chip with an arithmetic of its own comes in by four lines, and no product file changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.deploy import deploy
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import suggested
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.arithmetic.registry import load_program, notes
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.diagnose import membrane_thresholds
from neurozsl.hardware.count.host_link import host_link
from neurozsl.hardware.energy import estimate
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.neurobench import neurobench
from neurozsl.hardware.place.place import place
from neurozsl.report.sections import build
from neurozsl.runs import run as runs
from tests.toys import arithmetic as toy
from tests.toys.target import register

CODE = {"in": InputCode(12, "graded", 4, False, 0.25)}


@pytest.fixture(name="toy", autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def lowered() -> Lowered:
    """Two dense layers with leaks, biases and thresholds of their own in every neuron."""
    rng = np.random.default_rng(3)
    layers, source, width = [], "in", 12
    for name, size in (("a", 10), ("b", 6)):
        layers.append(
            LoweredLayer(
                name=name,
                source=source,
                weight=rng.normal(0, 0.5, (size, width)),
                bias=rng.normal(0, 0.1, size),
                leak=rng.uniform(0.1, 0.6, size),
                syn_leak=np.ones(size),
                threshold=rng.uniform(0.4, 0.9, size),
            )
        )
        source, width = name, size
    return Lowered(CODE, tuple(layers), ("b",), 1e-3, 8, "fixed")


def codes() -> ChipInput:
    return ChipInput({"in": np.random.default_rng(4).integers(0, 16, (9, 8, 12))}, CODE)


def test_its_integers_are_made_run_placed_counted_and_saved(tmp_path: Path) -> None:
    program = quantize(lowered(), "toychip")
    trace = emulate(program, codes(), record=("spikes", "membrane"))
    assert 0.02 < trace.rates()["b"] < 0.9
    assert np.abs(trace.membrane["a"]).max() > 10
    twin = simulate(dequantize(program), codes())
    assert np.mean(twin.spikes["b"] == trace.spikes["b"]) > 0.95
    assert [part.layer for part in place(program, program.chip).parts] == ["a", "b"]
    assert fit(lowered(), "toychip").cores_used == 2
    counts = count(program, codes(), trace)
    assert counts.leaky and counts.total("synops") > 0
    assert estimate(counts, "toychip").joules is not None
    again = neurobench(program, codes(), emulate(program, codes()))  # membranes run once more
    assert again == neurobench(program, codes(), trace)
    assert "weights of 6 bits and biases of 16" in again.differences[0].why
    assert host_link(program, codes(), trace).dense_bytes > 0
    assert membrane_thresholds(program)["a"] == np.mean(program.layers[0].membrane_threshold)
    assert notes(program) == ("Toy chip (made up) cannot be bought",)
    assert suggested(program) == "toy"
    program.save(tmp_path / "program.npz")
    loaded = load_program(tmp_path / "program.npz", "toychip")
    np.testing.assert_array_equal(emulate(loaded, codes()).spikes["b"], trace.spikes["b"])


def test_what_it_does_not_have_is_refused_with_its_chip() -> None:
    program = quantize(lowered(), "toychip")
    with pytest.raises(BadInput, match="chip 'toychip': device='cuda', kernel='torch'; its emul"):
        emulate(program, codes(), device="cuda", kernel="torch")
    with pytest.raises(BadInput, match="chip 'toychip': has one scale"):
        quantize(lowered(), "toychip", scale="mse")
    with pytest.raises(BadInput, match=r"loihi_cuba and speck_if and toy_shift; choose .* toychip"):
        quantize(lowered(), "gpu_v100")


def test_a_run_is_exported_verified_and_profiled_for_it(run_dir: Path, tmp_path: Path) -> None:
    run = runs.open_run(run_dir)
    folder = tmp_path / "toy"
    manifest = deploy.deploy(run, target="toy", out=folder, max_hm_drop=100)
    assert (manifest.verdict, manifest.oracle) == ("PASS-WITH-LOSS", "toy 1.0")
    assert manifest.versions["toy"] == "1.0"
    assert (folder / "toychip.toml").is_file() and "toychip.toml" in manifest.files
    assert manifest.weight_bits == 6 and "largest_error" in manifest.quantisation[0]
    assert all(0.5 < row["spike_agreement"] < 1 for row in manifest.quantisation)
    assert [step.backend for step in manifest.steps][-1] == "emulator"

    opened = open_bundle(folder)
    assert isinstance(opened.program, toy.ToyProgram)
    found = opened.verify()
    assert found.verdict == "PASS-WITH-LOSS" and found.skipped == ()
    for row in found.checks["emulator_vs_toy_reference"]:
        assert (row.differing, row.membrane) == (0, 0.0)
    for row in found.checks["emulator_vs_norse"]:
        assert row.membrane is not None and 0 < row.membrane < 3
    slow = opened.backend("toy_reference")(opened.golden.take(slice(0, 2)))
    assert sum(spikes.sum() for spikes in slow.spikes.values()) > 0

    report = build.build(run, bundle=folder, devices=(load_chip("toychip"),))
    assert report.verification is not None and report.verification.oracle == "toy 1.0"
    assert report.mapping is not None and report.mapping.chip == "toychip"
    [energy] = [x for x in report.energy if x.device == "toychip"]
    assert energy.joules is not None and energy.joules > 0
    assert report.neurobench is not None
    assert "weights of 6 bits" in report.neurobench.differences[0].why


def test_without_its_lines_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    program = quantize(lowered(), "toychip")
    monkeypatch.undo()
    with pytest.raises(BadInput, match="chip 'toychip' is unknown"):
        quantize(lowered(), "toychip")
    assert program.arithmetic == "toy_shift"
