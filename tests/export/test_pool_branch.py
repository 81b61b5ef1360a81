"""Branches with sums in front of weights: NIR and back, Norse, and every chip's integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import Conv, Pool
from neurozsl.core.signals import BranchSpec, ChipInput, InputCode, LayerSpec
from neurozsl.export.bundle.build_branch import build_bundle
from neurozsl.export.bundle.twin import unfolded
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import canonical, from_nir, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.dequantize import dequantize
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.synapse import Link

STEPS, SIDE = 6, 8
ONE, TWO = (2, SIDE, SIDE), (3, SIDE // 2, SIDE // 2)
HALF = Pool((3, SIDE, SIDE), (2, 2), (2, 2))
LAST = Pool((4, SIDE // 2, SIDE // 2), (2, 2), (2, 2))


def layer(name: str, source: str, weight: Any, kappa: float, **geometry: Any) -> LayerSpec:
    bias = (0.05 * np.random.default_rng(len(weight)).normal(size=len(weight))).astype(np.float32)
    made = LayerSpec(
        name, source, weight.astype(np.float32), bias, np.zeros(1), np.zeros(1), **geometry
    )
    return replace(
        made, kappa=np.full(made.size, kappa), threshold=np.full(made.size, 0.75, np.float32)
    )


def branch(kappa: float = 0.5) -> BranchSpec:
    """ON and OFF maps -> kernel -> sums, kernel -> sums, matrix -> matrix."""
    rng = np.random.default_rng(2)
    code = InputCode(2 * SIDE * SIDE, "binary", 1, False, 1.0)
    near = (1, 1, 1, 1)
    layers = (
        layer("v.0", "v", 0.6 * rng.normal(size=(3, 2, 3, 3)), kappa, conv=Conv(ONE, padding=near)),
        layer(
            "v.1",
            "v.0",
            0.3 * rng.normal(size=(4, 3, 3, 3)),
            kappa,
            conv=Conv(TWO, padding=near),
            pools=(HALF,),
        ),
        layer("v.2", "v.1", 0.4 * rng.normal(size=(6, 16)), kappa, pools=(LAST,)),
        layer("v.3", "v.2", 3.0 * rng.normal(size=(5, 6)), kappa),
    )
    return BranchSpec({"v": code}, layers, ("v.3",), 1e-3, STEPS)


def samples(spec: BranchSpec, count: int = 4) -> ChipInput:
    rng = np.random.default_rng(5)
    drawn = rng.random((count, STEPS, spec.inputs["v"].size)) < 0.3
    return ChipInput({"v": drawn.astype(np.int16)}, spec.inputs)


def slow_sums(pool: Pool, row: Any) -> Any:
    maps, (channels, high, wide) = row.reshape(pool.shape), pool.out_shape
    found = np.zeros((channels, high, wide))
    for c in range(channels):
        for i in range(high * pool.stride[0]):
            for j in range(wide * pool.stride[1]):
                found[c, i // pool.stride[0], j // pool.stride[1]] += maps[c, i, j]
    return found


def slow_drive(x: LayerSpec, row: Any) -> Any:
    for pool in x.pools:
        row = slow_sums(pool, row).reshape(-1)
    if x.conv is None:
        return x.weight.astype(float) @ row + x.bias
    maps = np.pad(row.reshape(x.conv.shape), ((0, 0), (1, 1), (1, 1)))
    found = np.zeros(x.shape)
    for c, i, j in np.ndindex(x.shape):
        found[c, i, j] = (x.weight[c].astype(float) * maps[:, i : i + 3, j : j + 3]).sum()
        found[c, i, j] += x.bias[c]
    return found.reshape(-1)


def slow_spikes(spec: BranchSpec, chip: ChipInput) -> dict[str, Any]:
    """Every step of every sample; the neuron of `signals` in plain floats."""
    values: dict[str, Any] = {"v": np.asarray(chip.codes["v"], float)}
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


@pytest.mark.parametrize("kappa", [0.5, 0.0])
def test_a_branch_with_sums_survives_the_way_through_a_file(kappa: float, tmp_path: Path) -> None:
    spec = branch(kappa)
    again = from_nir(nirfile.read(nirfile.write(tmp_path / "motion.nir", to_nir(spec))))
    for one, other in zip(spec.layers, again.layers, strict=True):
        assert (one.name, one.source, one.conv, one.pools) == (
            other.name,
            other.source,
            other.conv,
            other.pools,
        )
        for key in ("weight", "bias", "kappa", "threshold"):
            assert np.array_equal(getattr(one, key), getattr(other, key)), key


def test_the_graph_holds_a_node_of_sums_before_the_weights_and_lowers_to_pools() -> None:
    graph = to_nir(branch())
    assert isinstance(graph.nodes["v.1.pool0"], nir.SumPool2d)
    edges = set(map(tuple, graph.edges))
    assert {("v.0", "v.1.pool0"), ("v.1.pool0", "v.1.w"), ("v.1.w", "v.1")} <= edges
    assert {("v.1", "v.2.pool0"), ("v.2.pool0", "v.2.flat"), ("v.2.flat", "v.2.w")} <= edges
    links = {x.name: x.link for x in lower(graph).layers}
    conv = branch().layers[1].conv
    assert (links["v.1"], links["v.2"]) == (Link(conv, (HALF,)), Link(None, (LAST,)))


@pytest.mark.parametrize("kappa", [0.5, 0.0])
def test_norse_and_the_lowered_graph_give_the_spikes_of_slow_loops(kappa: float) -> None:
    spec = canonical(branch(kappa))
    chip = samples(spec)
    slow, norse = slow_spikes(spec, chip), run_norse(spec, chip)
    lowered = simulate(lower(to_nir(spec)), chip)
    for x in spec.layers:
        assert np.array_equal(norse.spikes[x.name], slow[x.name]), x.name
        assert np.array_equal(lowered.spikes[x.name], slow[x.name]), x.name
        assert 0 < slow[x.name].mean() < 1, x.name


@pytest.mark.parametrize(("target", "kappa"), [("nir", 0.5), ("sinabs", 0.5), ("speck", 0.0)])
def test_targets_verify_a_branch_with_sums(target: str, kappa: float, tmp_path: Path) -> None:
    spec = branch(kappa)
    chip = samples(spec, 8)
    manifest = build_bundle(
        spec, target=target, out_dir=tmp_path / target, calibration=chip, samples=chip
    )
    assert manifest.verdict in ("PASS", "PASS-WITH-LOSS")


@pytest.mark.lava
def test_lava_gives_the_emulators_spikes_of_a_branch_with_sums(
    tmp_path: Path, lava_python: Path
) -> None:
    spec = branch()
    chip = samples(spec)
    manifest = build_bundle(
        spec, target="lava", out_dir=tmp_path / "lava", calibration=chip, samples=chip
    )
    assert manifest.verdict == "PASS-WITH-LOSS"
    assert manifest.oracle != "none"


def test_integers_with_sums_have_a_float_twin_that_spikes_alike() -> None:
    spec = branch()
    program = quantize(lower(to_nir(spec)), "loihi2")
    twin = unfolded(dequantize(program))
    assert [x.pools for x in twin.layers] == [x.pools for x in spec.layers]
    chip = samples(spec)
    whole, real = emulate(program, chip), run_norse(twin, chip)
    for x in spec.layers:
        same = np.mean(whole.spikes[x.name] == real.spikes[x.name])
        assert same > 0.98, (x.name, same)


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (1, {"pools": (Pool((3, 4, 4), (2, 2), (2, 2)),)}, "the kernel reads a map"),
        (2, {"pools": (Pool((4, 2, 8), (2, 2), (2, 2)),)}, "'v.1' is one of"),
        (2, {"pools": (Pool((4, 4, 4), (4, 4), (4, 4)),)}, "16 columns, the pool before makes"),
        (2, {"pools": (Pool((4, 1, 16), (1, 4), (1, 4)),)}, "maps of height 2 or more"),
        (3, {"name": "v.pool0"}, "ends with '.w', '.flat' or '.pool' and a number"),
    ],
)
def test_sums_that_do_not_fit_are_named(number: int, change: dict[str, Any], message: str) -> None:
    spec = branch()
    layers = list(spec.layers)
    layers[number] = replace(layers[number], **change)
    with pytest.raises(BadInput, match=message):
        to_nir(replace(spec, layers=tuple(layers), outputs=(layers[-1].name,)))
