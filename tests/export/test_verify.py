"""Agreement figures by hand, and the verdict for every way a deployment can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, InputCode, Trace
from neurozsl.export.backends.registry import Parts
from neurozsl.export.bundle.agreement import compare, worst_margins, worst_membranes
from neurozsl.export.bundle.verify import verify
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.export.targets import lava as lava_target
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Synapse
from tests.factories.networks import lowered_layer

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]


def _parts(spec: BranchSpec) -> Parts:
    spec = canonical(spec)
    graph = to_nir(spec)
    return Parts(spec, lower(graph), quantize(graph, "loihi2"))


@pytest.fixture(name="no_lava")
def _no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)


def test_agreement_figures_match_a_case_counted_by_hand() -> None:
    a = np.zeros((1, 3, 4), np.uint8)
    b = a.copy()
    a[0, 0, 0] = a[0, 2, 1] = 1
    b[0, 0, 0] = b[0, 2, 2] = b[0, 1, 3] = 1
    (row,) = compare(Trace({"x": a}), Trace({"x": b}), ("x",))
    assert row.agree == pytest.approx(1 - 3 / 12)
    assert row.matched == pytest.approx(2 * 1 / (2 + 3))
    assert (row.spikes, row.rate, row.differing, row.first_step) == (2, 2 / 12, 3, 1)


def test_two_silent_layers_agree_entirely() -> None:
    silent = Trace({"x": np.zeros((2, 3, 4), np.uint8)})
    (row,) = compare(silent, silent, ("x",))
    assert (row.agree, row.matched, row.first_step) == (1.0, 1.0, None)


def test_traces_of_other_shape_or_without_the_layer_are_refused() -> None:
    one, two = Trace({"x": np.zeros((1, 3, 4))}), Trace({"x": np.zeros((2, 3, 4))})
    with pytest.raises(BadInput, match="'x': traces of shape"):
        compare(one, two, ("x",))
    with pytest.raises(BadInput, match="no layer 'y'"):
        compare(one, one, ("y",))


def test_the_margin_of_a_flipped_bit_is_its_distance_to_the_threshold(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_branch((2, 1), kappa=1.0)
    layer = replace(
        spec.layers[0], weight=np.zeros((1, 2), np.float32), bias=np.array([0.75], np.float32)
    )
    spec = replace(spec, layers=(layer,), outputs=("audio.0",))
    chip = make_input(spec, 2)
    wanted = run_norse(spec, chip)
    flipped = {"audio.0": wanted.spikes["audio.0"].copy()}
    flipped["audio.0"][1, 3, 0] ^= 1
    margins = worst_margins(lower(to_nir(spec)), chip, wanted, Trace(flipped))
    assert margins == {"audio.0": pytest.approx(0.25)}


def test_membranes_are_compared_in_the_unit_of_the_float_model() -> None:
    spikes = {"x": np.zeros((1, 2, 2), np.uint8)}
    integers = Trace(spikes, membrane={"x": np.array([[[64, -32], [0, 10]]], np.int32)})
    floats = Trace(spikes, membrane={"x": np.array([[[0.5, -0.25], [0.0, 0.0]]])})
    # 64 x 0.01 = 0.64 against 0.5; 10 x 0.01 = 0.1 against 0
    assert worst_membranes(integers, floats, ({"x": 0.01}, {})) == {"x": pytest.approx(0.14)}
    assert worst_membranes(integers, Trace(spikes), ({}, {})) == {}


@pytest.mark.usefixtures("no_lava")
def test_the_integers_stay_near_the_membrane_of_the_trained_model(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    """Silent neurons: nothing resets, so only the rounding of weights and states remains."""
    spec = make_branch()
    spec = replace(
        spec, layers=tuple(replace(x, threshold=np.full_like(x.threshold, 50)) for x in spec.layers)
    )
    parts = _parts(spec)
    found = verify(parts, make_input(spec, 16), target_name="lava")
    document = found.as_json()["backends"]
    # 12 inputs of at most 15/4, each weight off by half a step of 2 units at most.
    worst = {row["name"]: row["membrane"] for row in document["emulator_vs_norse"]["layers"]}
    assert parts.program is not None
    for layer in parts.program.layers:
        reach = 12 * 15 if layer.name == "audio.0" else 12
        rounding = 64 * layer.state_unit * (reach + 1) / (1 - 0.5)
        assert 0 < worst[layer.name] < rounding
    assert "membrane" not in document["norse_vs_sinabs"]["layers"][0]
    floats = verify(parts, make_input(spec, 16), target_name="nir").checks["norse_vs_nir_file"]
    assert all(row.membrane is not None and row.membrane < 1e-12 for row in floats)


@pytest.mark.parametrize("target", ["nir", "sinabs"])
def test_float_targets_pass(target: str, make_branch: MakeBranch, make_input: MakeInput) -> None:
    parts = _parts(make_branch())
    found = verify(parts, make_input(parts.spec, 16), target_name=target)
    assert (found.verdict, found.oracle, found.reasons) == ("PASS", "not needed", ())
    changed = verify(
        parts, make_input(parts.spec, 16), target_name=target, policy_loss="thresholds frozen"
    )
    assert (changed.verdict, changed.losses) == ("PASS-WITH-LOSS", ("thresholds frozen",))


@pytest.mark.usefixtures("no_lava")
def test_without_the_oracle_the_verdict_is_unverified(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    parts = _parts(make_branch())
    found = verify(parts, make_input(parts.spec, 16), target_name="lava")
    assert (found.verdict, found.oracle) == ("UNVERIFIED", "none")
    assert found.skipped == ("emulator_vs_lava_fixed", "norse_vs_lava_float")
    assert set(found.checks) == {"norse_vs_sinabs", "emulator_vs_norse"}


@pytest.mark.usefixtures("no_lava")
def test_a_loss_names_the_worst_layer_of_each_figure(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    parts = _parts(make_branch())
    found = verify(parts, make_input(parts.spec, 16), target_name="lava")
    rows = found.checks["emulator_vs_norse"]
    [loss] = found.losses
    for figure, digits, words in (("agree", 2, "equal bits"), ("matched", 1, "matched spikes")):
        worst = min(getattr(row, figure) for row in rows)
        [name] = {row.name for row in rows if f"{words} (layer '{row.name}')" in loss}
        assert f"{100 * worst:.{digits}f} % {words} (layer '{name}')" in loss
        assert getattr({row.name: row for row in rows}[name], figure) == worst


@pytest.mark.usefixtures("no_lava")
def test_a_real_difference_fails_with_layer_step_and_margin(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    parts = _parts(make_branch())
    layers = list(parts.lowered.layers)
    layers[2] = replace(layers[2], threshold=layers[2].threshold * 1.2)
    broken = replace(parts, lowered=replace(parts.lowered, layers=tuple(layers)))
    found = verify(broken, make_input(parts.spec, 16), target_name="sinabs")
    assert found.verdict == "FAIL"
    assert found.reasons[0].startswith(f"norse_vs_sinabs: layer '{layers[2].name}' differs in")
    assert "|v* - theta| up to" in found.reasons[0]


@pytest.mark.parametrize(("theta", "word"), [(50.0, "dead"), (1e-3, "saturated")])
def test_dead_and_saturated_layers_fail(
    theta: float, word: str, make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_branch()
    last = spec.layers[-1]
    bias = np.full(6, 0.0 if word == "dead" else 9.0, np.float32)
    spec = replace(
        spec, layers=(*spec.layers[:-1], replace(last, threshold=np.full(6, theta), bias=bias))
    )
    parts = _parts(spec)
    found = verify(parts, make_input(spec, 16), target_name="nir")
    assert found.verdict == "FAIL" and f"'video.2' is {word}" in found.reasons[0]


def test_other_spikes_than_the_golden_ones_fail(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_branch()
    parts = _parts(spec)
    chip = make_input(parts.spec, 16)
    golden = run_norse(spec, chip)
    golden.spikes["audio.1"][0, 0, 0] ^= 1
    found = verify(parts, chip, target_name="nir", golden=golden)
    assert found.reasons == ("audio.1: 1 bits differ from the golden spikes",)


@pytest.mark.lava
def test_lava_is_verified_by_all_four_comparisons(
    make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    parts = _parts(make_branch((32, 24, 16, 12), policy="dynamic"))
    seen: set[str] = set()
    found = verify(
        parts,
        make_input(parts.spec, 16),
        target_name="lava",
        progress=lambda name, done, total: seen.add(name),
    )
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["verdict"] == "PASS-WITH-LOSS" and document["samples"] == 16
    exact = ("emulator_vs_lava_fixed", "norse_vs_lava_float", "norse_vs_sinabs")
    assert set(document["backends"]) == {*exact, "emulator_vs_norse"}
    for name in exact:
        rows = document["backends"][name]["layers"]
        assert [row["name"] for row in rows] == [layer.name for layer in parts.lowered.layers]
        for row in rows:
            assert row["agree"] == 1.0 and row["matched"] == 1.0
            assert 0.005 < row["rate"] < 0.9 and row["spikes"] > 0
    assert min(row["agree"] for row in document["backends"]["emulator_vs_norse"]["layers"]) < 1
    assert seen == {"emulator", "lava", "norse", "lava_float", "sinabs"}


def test_margins_of_maps_loops_and_several_spikes_are_those_of_the_membrane() -> None:
    """A kernel of one tap into neurons that subtract, send up to 3 and excite themselves."""
    maps = Conv((1, 2, 2), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    kernel, loop = np.full((1, 1, 1, 1), 1.75), np.full((1, 1, 1, 1), 0.5)
    layer = lowered_layer(
        "maps",
        "in",
        kernel,
        link=Link(maps),
        also=(Synapse("maps", loop, Link(maps, delay=1)),),
        rule=NeuronRule("subtract", 3, ">="),
    )
    code = {"in": InputCode(4, "binary", 1, False, 1.0)}
    lowered = Lowered(code, (layer,), ("maps",), 1e-3, 3, "fixed")
    chip = ChipInput({"in": np.ones((1, 3, 4), np.int16)}, code)
    first = simulate(lowered, chip)
    # v* = 1.75, 0.75 + 1.75 + 0.5 = 3.0, 0 + 1.75 + 1.5 = 3.25; counts 1, 3, 3
    assert first.spikes["maps"][0, :, 0].tolist() == [1, 3, 3]
    tie, real = (first.spikes["maps"].copy() for _ in range(2))
    tie[0, 1, 2] = 2  # v* = 3.0 is 3 theta
    real[0, 0, 0], real[0, 2, 1] = 2, 2  # v* = 1.75 below 2 theta, 3.25 above 3 theta
    margins = [worst_margins(lowered, chip, first, Trace({"maps": x})) for x in (tie, real)]
    assert margins == [{"maps": pytest.approx(0.0)}, {"maps": pytest.approx(0.25)}]


def test_equal_counts_of_several_spikes_match_whole() -> None:
    one = Trace({"x": np.array([[[1, 3, 4]]], np.uint8)})
    two = Trace({"x": np.array([[[2, 3, 4]]], np.uint8)})
    assert compare(one, one, ("x",))[0].matched == 1
    assert compare(one, two, ("x",))[0].matched == pytest.approx(2 * 8 / (8 + 9))
