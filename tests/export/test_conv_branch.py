"""Branches with convolutions: NIR and back, Norse, and every chip's integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, Conv, InputCode, LayerSpec, Trace
from neurozsl.export.bundle.agreement import compare, worst_margins
from neurozsl.export.bundle.build_branch import build_bundle
from neurozsl.export.bundle.policy import apply_policy
from neurozsl.export.bundle.twin import unfolded
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import canonical, from_nir, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.dequantize import dequantize
from neurozsl.hardware.lower.lower import lower

STEPS = 7
WIDE = 12


def layer(name: str, source: str, weight: Any, conv: Conv | None, kappa: float) -> LayerSpec:
    rng = np.random.default_rng(len(name) + weight.shape[0])
    made = LayerSpec(
        name,
        source,
        weight.astype(np.float32),
        (0.1 * rng.normal(size=weight.shape[0])).astype(np.float32),
        np.zeros(1),
        np.zeros(1),
        conv=conv,
    )
    return replace(
        made, kappa=np.full(made.size, kappa), threshold=np.full(made.size, 0.5, np.float32)
    )


def branch(kappa: float = 0.5, height: int = 1, binary: bool = False, dense: bool = True) -> Any:
    """Two kernels (the second with stride 2), then a matrix on the flattened map."""
    rng = np.random.default_rng(1)
    code = InputCode(WIDE * height, "graded", 4, False, 0.25)
    if binary:
        code = InputCode(WIDE * height, "binary", 1, False, 1.0)
    tall = 1 if height == 1 else 3
    pad = (tall // 2, tall // 2, 1, 1)
    one = Conv((1, height, WIDE), padding=pad)
    layers = [layer("a.0", "a", rng.normal(size=(3, 1, tall, 3)), one, kappa)]
    two = Conv(one.out_shape((3, 1, tall, 3)), stride=(1, 2), padding=pad)
    layers.append(layer("a.1", "a.0", rng.normal(size=(4, 3, tall, 3)), two, kappa))
    if dense:
        size = layers[-1].size
        layers.append(layer("a.2", "a.1", rng.normal(0.2, 0.5, (5, size)), None, kappa))
    return BranchSpec({"a": code}, tuple(layers), (layers[-1].name,), 1e-3, STEPS)


def samples(spec: BranchSpec, count: int = 8) -> ChipInput:
    code = spec.inputs["a"]
    rng = np.random.default_rng(5)
    return ChipInput({"a": rng.integers(0, code.high + 1, (count, STEPS, code.size))}, spec.inputs)


def slow_spikes(spec: BranchSpec, chip: ChipInput) -> dict[str, Any]:
    """Every output value by its own loops; the neuron of `signals` in plain Python floats."""
    values: dict[str, Any] = {"a": chip.codes["a"] * spec.inputs["a"].scale}
    for x in spec.layers:
        out = np.zeros((chip.batch, STEPS, x.size))
        for b in range(chip.batch):
            v = np.zeros(x.size)
            for t in range(STEPS):
                drive = slow_drive(x, values[x.source][b, t])
                v = v + (drive if x.kappa[0] == 0 else x.kappa * (drive - v))
                out[b, t] = v > x.threshold
                v = np.where(out[b, t] > 0, 0.0, v)
        values[x.name] = out
    return values


def slow_drive(x: LayerSpec, row: Any) -> Any:
    if x.conv is None:
        return x.weight.astype(float) @ row + x.bias
    maps, (channels, high, wide) = row.reshape(x.conv.shape), x.shape
    top, _, left, _ = x.conv.padding
    found = np.zeros(x.shape)
    for c in range(channels):
        for i in range(high):
            for j in range(wide):
                total = float(x.bias[c])
                for s in range(x.conv.shape[0]):
                    for di in range(x.weight.shape[2]):
                        for dj in range(x.weight.shape[3]):
                            p = i * x.conv.stride[0] + di - top
                            q = j * x.conv.stride[1] + dj - left
                            if 0 <= p < x.conv.shape[1] and 0 <= q < x.conv.shape[2]:
                                total += float(x.weight[c, s, di, dj]) * maps[s, p, q]
                found[c, i, j] = total
    return found.reshape(-1)


FORMS: dict[str, dict[str, Any]] = {"lif": {}, "if": {"kappa": 0.0}, "2d": {"height": 4}}


@pytest.mark.parametrize("form", FORMS)
def test_a_branch_with_kernels_survives_the_way_through_a_file(form: str, tmp_path: Path) -> None:
    spec = branch(**FORMS[form])
    path = nirfile.write(tmp_path / "motion.nir", to_nir(spec))
    again = from_nir(nirfile.read(path))
    assert [(x.name, x.source, x.conv) for x in again.layers] == [
        (x.name, x.source, x.conv) for x in spec.layers
    ]
    for one, other in zip(spec.layers, again.layers, strict=True):
        for key in ("weight", "bias", "kappa", "threshold"):
            assert np.array_equal(getattr(one, key), getattr(other, key)), key


def test_the_graph_holds_kernels_with_one_bias_a_channel() -> None:
    nodes = to_nir(branch()).nodes
    assert isinstance(nodes["a.0.w"], nir.Conv1d) and isinstance(nodes["a.2.flat"], nir.Flatten)
    assert nodes["a.0.w"].bias.shape == (3,)
    assert nodes["a.0"].v_threshold.shape == (3, WIDE)
    assert isinstance(to_nir(branch(height=4)).nodes["a.1.w"], nir.Conv2d)


@pytest.mark.parametrize("form", FORMS)
def test_norse_and_the_lowered_graph_give_the_spikes_of_slow_loops(form: str) -> None:
    spec = canonical(branch(**FORMS[form]))
    chip = samples(spec, 3)
    slow = slow_spikes(spec, chip)
    norse = run_norse(spec, chip)
    lowered = simulate(lower(to_nir(spec)), chip)
    for x in spec.layers:
        assert np.array_equal(norse.spikes[x.name], slow[x.name]), x.name
        assert np.array_equal(lowered.spikes[x.name], slow[x.name]), x.name
        assert 0 < slow[x.name].mean() < 1


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("nir", {}),
        ("sinabs", {}),
        ("speck", {"kappa": 0.0, "binary": True, "height": 4, "dense": False}),
    ],
)
def test_targets_verify_a_branch_with_kernels(
    target: str, options: dict[str, Any], tmp_path: Path
) -> None:
    spec = branch(**options)
    chip = samples(spec, 16)
    manifest = build_bundle(
        spec, target=target, out_dir=tmp_path / target, calibration=chip, samples=chip
    )
    assert manifest.verdict in ("PASS", "PASS-WITH-LOSS")


@pytest.mark.lava
def test_lava_gives_the_emulators_spikes_of_a_branch_with_kernels(
    tmp_path: Path, lava_python: Path
) -> None:
    spec = branch()
    chip = samples(spec, 4)
    manifest = build_bundle(
        spec, target="lava", out_dir=tmp_path / "lava", calibration=chip, samples=chip
    )
    assert manifest.verdict == "PASS-WITH-LOSS"
    assert manifest.oracle != "none"


def test_integers_of_a_kernel_have_a_float_twin_with_the_same_kernel() -> None:
    spec = branch()
    twin = unfolded(dequantize(quantize(lower(to_nir(spec)), "loihi2")))
    assert [x.conv for x in twin.layers] == [x.conv for x in spec.layers]
    for one, other in zip(spec.layers, twin.layers, strict=True):
        assert np.abs(one.weight - other.weight).max() < 0.02 * np.abs(one.weight).max()
        assert one.bias.shape == other.bias.shape


def test_a_margin_is_known_where_a_kernels_spikes_differ() -> None:
    spec = canonical(branch())
    chip = samples(spec)
    trace = run_norse(spec, chip)
    flipped = trace.spikes["a.1"].copy()
    flipped[0, 2, 3] ^= 1
    other = Trace({**trace.spikes, "a.1": flipped})
    assert compare(trace, other, ("a.1",))[0].differing == 1
    margins = worst_margins(lower(to_nir(spec)), chip, trace, other)
    assert list(margins) == ["a.1"] and margins["a.1"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv": Conv((1, 1, 9), padding=(0, 0, 1, 1))}, "'a' has 12 values"),
        ({"conv": Conv((1, 1, WIDE), padding=(0, 0, 1, 0))}, "pads both ends"),
        ({"conv": Conv((2, 1, 6), padding=(0, 0, 1, 1))}, "on 2 channels"),
        ({"bias": np.zeros(36, np.float32)}, r"bias has shape \(36,\), expected \(3,\)"),
        ({"kappa": np.full(3, 0.5)}, r"kappa has shape \(3,\), expected \(36,\)"),
    ],
)
def test_a_kernel_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    spec = branch()
    first = replace(spec.layers[0], **change)
    with pytest.raises(BadInput, match=message):
        to_nir(replace(spec, layers=(first, *spec.layers[1:])))


def test_a_closed_loop_is_frozen_or_refused_with_the_reason() -> None:
    spec = canonical(replace(branch(), policy="closed"))
    chip = samples(spec)
    theta = {x.name: np.linspace(0.4, 0.8, 8 * STEPS).reshape(8, STEPS) for x in spec.layers}
    known = replace(chip, theta=theta)
    frozen, loss = apply_policy(spec, "frozen", known)
    assert frozen.policy == "frozen" and "own spikes" in loss
    assert frozen.layers[0].threshold == pytest.approx(np.full(36, 0.6), rel=1e-6)
    table, _ = apply_policy(spec, "table", known)
    assert table.layers[0].theta_table is not None
    np.testing.assert_allclose(table.layers[0].theta_table, theta["a.0"].mean(0))
    with pytest.raises(BadInput, match="controller that would make them on the chip"):
        apply_policy(spec, "dynamic", known)
    with pytest.raises(BadInput, match="freeze them first"):
        lower(to_nir(spec))
    with pytest.raises(BadInput, match="own spikes"):
        run_norse(spec, chip)
