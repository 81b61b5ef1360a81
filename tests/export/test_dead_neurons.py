"""Branches of few weights without their dead neurons: the same spikes of the rest, everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.cli.export import show_manifest
from neurozsl.core.errors import VerificationFailed
from neurozsl.core.signals import BranchSpec, ChipInput, Conv, InputCode, LayerSpec, Trace
from neurozsl.export.backends.registry import Parts
from neurozsl.export.bundle import manifest
from neurozsl.export.bundle.build_branch import TrainedIntegers, build_bundle
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.dead_neurons import remove_dead
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.hardware.arithmetic.emulate import emulate as run_chip
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.lower.lower import lower

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]

FORMS: dict[str, dict[str, Any]] = {
    "lif": {"gain": 8.0},
    "synaptic current": {"gain": 8.0, "synaptic": True},
    "integrate and fire": {"gain": 3.0, "kappa": 0.0},
    "table": {"gain": 8.0, "policy": "table"},
    "dynamic": {"gain": 8.0, "policy": "dynamic"},
}


def thinned(spec: BranchSpec, seed: int, density: float = 0.12) -> BranchSpec:
    """The branch with few weights; a third of its biases strong, a third faint, the rest 0."""
    rng = np.random.default_rng(seed)

    def thin(layer: LayerSpec) -> LayerSpec:
        kept = rng.random(layer.weight.shape) < density
        size = rng.choice([0.0, 0.02, 2.0], layer.size) * rng.choice([-1, 1], layer.size)
        return replace(
            layer, weight=layer.weight * kept, bias=size.astype(np.float32) * layer.threshold
        )

    return canonical(replace(spec, layers=tuple(thin(layer) for layer in spec.layers)))


def same(whole: Trace, lean: Trace) -> None:
    assert whole.spikes.keys() == lean.spikes.keys()
    for name, spikes in whole.to_numpy().spikes.items():
        assert np.array_equal(spikes, lean.to_numpy().spikes[name]), name


@pytest.mark.parametrize("form", FORMS)
def test_the_rest_spikes_the_same_bit_for_bit_in_float_and_in_integers(
    form: str, make_branch: MakeBranch, make_input: MakeInput
) -> None:
    left = spikes = 0
    for seed in range(25):
        spec = thinned(make_branch((12, 20, 16, 6), seed=seed, **FORMS[form]), seed)
        lowered, chip = lower(to_nir(spec)), make_input(spec, 6, seed=seed)
        program = quantize(lowered, "loihi2")
        removal = remove_dead(Parts(spec, lowered, program))
        left += removal.count
        small = lower(to_nir(removal.spec))
        whole = simulate(lowered, chip)
        same(removal.trace(whole), simulate(small, chip))
        same(removal.trace(run_norse(spec, chip)), run_norse(removal.spec, chip))
        integers = emulate(program, chip)
        assert removal.program is not None
        lean = emulate(removal.program, chip)  # type: ignore[arg-type]
        same(removal.trace(integers), lean)
        assert removal.differences(integers, lean) == ()
        spikes += int(sum(v.sum() for v in lean.spikes.values()))
        again = remove_dead(Parts(removal.spec, small, removal.program))
        assert again.layers == ()
        sizes = {layer.name: layer.size for layer in removal.spec.layers}
        assert {n: sizes[n] for n in spec.outputs} == dict.fromkeys(spec.outputs, 6)
    assert left > 100 and spikes > 1000


def test_integers_of_the_rest_stay_even_where_the_largest_weight_leaves(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = thinned(make_branch((12, 20, 16, 6), gain=8.0, seed=1), 1)
    weight = spec.layers[1].weight.copy()
    weight[:, 3] = 0  # nobody reads neuron 3
    first = spec.layers[0].weight.copy()
    first[3, 5] = 100.0  # and it has the largest weight
    layers = (replace(spec.layers[0], weight=first), replace(spec.layers[1], weight=weight))
    spec = replace(spec, layers=(*layers, *spec.layers[2:]))
    lowered = lower(to_nir(spec))
    program = quantize(lowered, "loihi2")
    removal = remove_dead(Parts(spec, lowered, program))
    row = removal.layers[0]
    assert 3 in row.unread and removal.program is not None
    kept = program.layers[0].weight[row.kept]
    assert np.array_equal(removal.program.layers[0].synapses[0].weight, kept)
    anew = quantize(lower(to_nir(removal.spec)), "loihi2")  # rounded anew it would be another
    assert not np.array_equal(anew.layers[0].weight, kept)


@pytest.mark.parametrize(("bias", "wakes"), [(0.0999, False), (0.0999999, True), (0.11, True)])
def test_a_bias_that_comes_near_the_threshold_in_t_steps_keeps_its_neuron(
    bias: float, wakes: bool, make_branch: MakeBranch
) -> None:
    spec = make_branch((4, 3, 2), kappa=0.0, steps=5)  # v after 5 steps is 5 bias, theta 0.5
    first = spec.layers[0]
    weight, biases = first.weight.copy(), np.zeros(3, np.float32)
    weight[1], biases[1] = 0, bias
    spec = replace(spec, layers=(replace(first, weight=weight, bias=biases), *spec.layers[1:]))
    removal = remove_dead(Parts(spec, lower(to_nir(spec))))
    assert (removal.count == 0) is wakes


def test_thresholds_of_the_host_may_wake_every_neuron_but_not_an_unread_one(
    make_branch: MakeBranch,
) -> None:
    spec = thinned(make_branch((12, 20, 16, 6), policy="dynamic"), 0)
    removal = remove_dead(Parts(spec, lower(to_nir(spec))))
    assert [row.silent for row in removal.layers] == [()] * len(removal.layers)
    assert removal.count > 0


def _bundle(spec: BranchSpec, chip: ChipInput, out: Path, **options: Any) -> manifest.Manifest:
    return build_bundle(spec, target="lava", out_dir=out, calibration=chip, samples=chip, **options)


@pytest.fixture(name="sparse")
def _sparse(make_branch: MakeBranch, make_input: MakeInput) -> tuple[BranchSpec, ChipInput]:
    """A branch of 256-128-64 with 5 % of its weights."""
    spec = make_branch((256, 256, 128, 64), gain=12.0, seed=2)
    return thinned(spec, 2, 0.05), make_input(spec, 6)


@pytest.mark.slow
@pytest.mark.lava
def test_five_percent_of_256_128_64_on_lava(
    sparse: tuple[BranchSpec, ChipInput],
    lava: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec, chip = sparse
    made = _bundle(spec, chip, tmp_path / "lava")
    assert made.verdict == "PASS-WITH-LOSS"
    show_manifest(made.as_json())
    told = " ".join(capsys.readouterr().err.split())
    assert "lava: 6 of 6 synapses ran as Sparse" in told
    assert "dead neurons left out" in told and "if every weight were stored" in told
    ran = made.verification["processes"]["lava"]
    assert {x.rsplit(": ")[-1] for names in ran.values() for x in names} == {"Sparse"}
    assert all(
        x["agree"] == 1.0 for x in made.verification["backends"]["emulator_vs_lava_fixed"]["layers"]
    )
    assert made.dead_neurons is not None
    assert made.dead_neurons.neurons == sum(
        len(x.silent) + len(x.unread) for x in made.dead_neurons.layers
    )
    assert made.dead_neurons.updates == made.dead_neurons.neurons * spec.steps
    opened = open_bundle(tmp_path / "lava")
    program = opened.program
    assert program is not None and made.mapping is not None
    assert made.mapping["sparse"] and "if every weight were stored" in made.mapping["notes"][-1]
    for real, layer, loss in zip(opened.spec.layers, program.layers, program.loss, strict=True):
        zeros = int((layer.synapses[0].weight == 0).sum())
        assert zeros == int((real.weight == 0).sum()) + loss.weight_zeroed
        left = spec.layers[[x.name for x in spec.layers].index(layer.name)].size
        assert layer.size <= left
    assert opened.verify().verdict == "PASS-WITH-LOSS"


def test_dead_neurons_stay_where_they_are_asked_to(
    sparse: tuple[BranchSpec, ChipInput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, chip = sparse
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", "/nowhere")
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)
    lean, whole = (
        _bundle(spec, chip, tmp_path / str(keep), keep_dead_neurons=keep) for keep in (False, True)
    )
    assert whole.dead_neurons is None and "dead_neurons" not in whole.as_json()
    assert lean.dead_neurons is not None
    sizes = {x.name: x.size for x in spec.layers}
    opened = {keep: open_bundle(tmp_path / str(keep)) for keep in (False, True)}
    assert {x.name: x.size for x in opened[True].spec.layers} == sizes
    for row in lean.dead_neurons.layers:
        kept = np.setdiff1d(np.arange(row.neurons), (*row.silent, *row.unread))
        assert row.neurons == sizes[row.layer]
        a, b = (opened[keep].golden_trace.spikes[row.layer] for keep in (False, True))
        assert np.array_equal(a, b[:, :, kept])
        assert not b[:, :, list(row.silent)].any()


@pytest.mark.lava
@pytest.mark.slow
def test_integers_of_a_training_pass_without_their_dead_neurons(
    sparse: tuple[BranchSpec, ChipInput], lava: Path, tmp_path: Path
) -> None:
    spec, chip = sparse
    program = quantize(to_nir(spec), "loihi2")
    trained = TrainedIntegers(program, emulate(program, chip))
    made = _bundle(spec, chip, tmp_path / "lava", integers=trained)
    assert (made.verdict, made.losses) == ("PASS", ())
    assert made.dead_neurons is not None and made.dead_neurons.neurons > 0
    opened = open_bundle(tmp_path / "lava")
    assert opened.program is not None
    for real, layer in zip(opened.spec.layers, opened.program.layers, strict=True):
        assert int((real.weight == 0).sum()) == int((layer.synapses[0].weight == 0).sum())
    assert opened.verify().verdict == "PASS"


def test_a_wrong_removal_is_found_by_the_samples(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = thinned(make_branch((12, 20, 16, 6), gain=8.0, seed=3), 3)
    chip, lowered = make_input(spec, 6), lower(to_nir(spec))
    removal = remove_dead(Parts(spec, lowered))
    whole = simulate(lowered, chip)
    lean = removal.trace(whole)
    row = removal.layers[0]
    busy = int(np.argmax(whole.spikes[row.layer].sum(axis=(0, 1))))
    wrong = replace(removal, layers=(replace(row, silent=(*row.silent, busy)),))
    (text,) = wrong.differences(whole, wrong.trace(whole))
    assert "silent neurons gave" in text
    flipped = {**lean.spikes, row.layer: 1 - lean.spikes[row.layer]}
    assert "bits without its dead neurons" in removal.differences(whole, Trace(flipped))[0]


def test_a_layer_in_which_nothing_can_spike_is_refused_as_dead(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((6, 5, 4))
    first = replace(
        spec.layers[0], weight=0 * spec.layers[0].weight, bias=np.full(5, -1, np.float32)
    )
    spec = replace(spec, layers=(first, *spec.layers[1:]))
    with pytest.raises(VerificationFailed, match=r"'audio\.0' is dead"):
        build_bundle(
            spec,
            target="nir",
            out_dir=tmp_path / "nir",
            calibration=make_input(spec),
            samples=make_input(spec),
        )
    left = manifest.read(tmp_path / "nir.rejected").dead_neurons
    assert left is not None and left.layers[0].silent == (1, 2, 3, 4)


def test_neurons_of_speck_leave_and_the_rest_spikes_the_same(make_branch: MakeBranch) -> None:
    left = 0
    for seed in range(10):
        spec = make_branch((12, 20, 16, 6), gain=3.0, kappa=0.0, seed=seed)
        binary = {name: InputCode(12, "binary", 1, False, 1.0) for name in spec.inputs}
        spec = thinned(replace(spec, inputs=binary, policy="frozen"), seed)
        lowered = lower(to_nir(spec))
        program = quantize(lowered, "speck2f")
        removal = remove_dead(Parts(spec, lowered, program))
        assert removal.program is not None
        rng = np.random.default_rng(seed)
        codes = {name: rng.integers(0, 2, (6, spec.steps, 12)) for name in binary}
        chip = ChipInput(codes, binary)
        same(removal.trace(run_chip(program, chip)), run_chip(removal.program, chip))
        left += removal.count
    assert left > 50


def test_a_layer_that_a_kernel_reaches_or_reads_keeps_its_neurons() -> None:
    """audio -> a (on a map, nothing reaches channel 1) -> b, whose neuron 2 is read by nobody."""
    kernel = np.ones((2, 1, 1, 3), np.float32)
    kernel[1] = 0
    on_map = LayerSpec(
        "a", "audio", kernel, *_neurons(2, 8), conv=Conv((1, 1, 6), padding=(0, 0, 0, 0))
    )
    b = LayerSpec("b", "a", np.ones((3, 8), np.float32), *_neurons(3, 3))
    out = LayerSpec("out", "b", np.array([[1, 1, 0]], np.float32), *_neurons(1, 1))
    inputs = {"audio": InputCode(6, "binary", 1, False, 1.0)}
    spec = BranchSpec(inputs, (on_map, b, out), ("out",), 1e-3, 5)
    removal = remove_dead(Parts(spec, lower(to_nir(spec))))
    assert [(x.layer, x.silent, x.unread) for x in removal.layers] == [("b", (), (2,))]
    assert [x.size for x in removal.spec.layers] == [8, 2, 1]


def _neurons(channels: int, size: int) -> tuple[Any, Any, Any]:
    """Bias, kappa and threshold of neurons that their bias holds down."""
    return np.full(channels, -0.5, np.float32), np.full(size, 0.5), np.ones(size, np.float32)
