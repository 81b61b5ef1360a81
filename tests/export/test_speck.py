"""Target `speck`: sinabs' integers beside ours, the process it runs in, bundles, and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput, DoesNotFit, MissingPart, VerificationFailed
from neurozsl.core.signals import BranchSpec, ChipInput, InputCode
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.backends.speck import run as speck_run
from neurozsl.export.backends.speck.run import (
    SinabsRunFailed,
    hand_over,
    require_device,
    run_discretised,
    samna_version,
    save_floats,
)
from neurozsl.export.bundle.build_branch import build_bundle
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.verify import verify
from neurozsl.export.nir.graph import canonical, from_nir, to_nir
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.neuron import NeuronRule, Reset
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckProgram
from neurozsl.hardware.speck.quantize import quantize_speck

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]


@pytest.fixture(name="make_if")
def _make_if(make_branch: MakeBranch) -> MakeBranch:
    """An integrate-and-fire branch with binary inputs, as the profile `speck` trains it."""

    def make(sizes: tuple[int, ...] = (32, 24, 16, 12), **options: Any) -> BranchSpec:
        spec = make_branch(sizes, kappa=0.0, gain=1.5, **options)
        size = sizes[0]
        inputs = {
            "audio": InputCode(size, "binary", 1, False, 1.0, "rate", 2, 0.75),
            "video": InputCode(size, "binary", 1, False, 1.0, "on_off"),
        }
        return canonical(replace(spec, inputs=inputs))

    return make


def parts_of(spec: BranchSpec) -> tuple[Parts, SpeckProgram]:
    lowered = lower(to_nir(spec))
    program = quantize(lowered, "speck2f")
    return Parts(spec, lowered, program), program


# ---------------------------------------------------------------- sinabs in its own process


@pytest.mark.parametrize("seed", [0, *(pytest.param(x, marks=pytest.mark.slow) for x in (1, 2))])
def test_our_integers_and_spikes_are_those_of_sinabs_discretisation(
    seed: int, make_if: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_if(seed=seed)
    parts, program = parts_of(spec)
    chip_input = make_input(spec, 16, seed=seed)
    theirs = run_discretised(parts.lowered, program, chip_input)
    ours = emulate_speck(program, chip_input)
    assert list(theirs.spikes) == [layer.name for layer in program.layers]
    for name, spikes in theirs.spikes.items():
        assert np.array_equal(spikes, ours.spikes[name]), name
        assert 0.01 < spikes.mean() < 0.99


@pytest.mark.parametrize(
    ("reset", "max_spikes", "lower_bound"),
    [("subtract", 1, "lowest"), ("subtract", 255, -1.5), ("zero", 3, -0.5)],
)
def test_resets_several_spikes_and_lower_bounds_are_those_of_sinabs_too(
    reset: Reset, max_spikes: int, lower_bound: Any, make_if: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_if()
    lowered = lower(to_nir(spec))
    rule = NeuronRule(reset, max_spikes)
    lowered = replace(lowered, layers=tuple(replace(x, rule=rule) for x in lowered.layers))
    program = quantize_speck(lowered, lower_bound=lower_bound)
    chip_input = make_input(spec, 8)
    theirs = run_discretised(lowered, program, chip_input)
    ours = emulate_speck(program, chip_input)
    assert (max_spikes == 1) == (max(s.max() for s in ours.spikes.values()) == 1)
    assert (lower_bound == "lowest") == (not any(ours.saturation.values()))
    for name, spikes in theirs.spikes.items():
        assert np.array_equal(spikes, ours.spikes[name]), name


@pytest.mark.parametrize("bits", [4, 6])
def test_fewer_weight_bits_are_sinabs_discretisation_on_the_coarser_grid(
    bits: int, make_if: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_if(seed=2)
    parts, eight = parts_of(spec)
    program = quantize(parts.lowered, "speck2f", bits=bits)
    chip_input = make_input(spec, 3)
    theirs = run_discretised(parts.lowered, program, chip_input)
    ours = emulate_speck(program, chip_input)
    for layer, finer in zip(program.layers, eight.layers, strict=True):
        assert not np.array_equal(layer.weight, finer.weight)
        assert np.array_equal(theirs.spikes[layer.name], ours.spikes[layer.name])
        assert ours.spikes[layer.name].any()


def test_an_integer_that_differs_from_sinabs_is_named(
    make_if: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_if((8, 4))
    parts, program = parts_of(spec)
    wrong = program.layers[0].weight.copy()
    wrong[0, 0] -= 1
    layers = (replace(program.layers[0], weight=wrong, threshold=7), *program.layers[1:])
    with pytest.raises(
        VerificationFailed, match=r"audio\.0: 1 of 32 in weight; audio\.0: 1 of 1 in threshold"
    ):
        run_discretised(parts.lowered, replace(program, layers=layers), make_input(spec, 2))


def test_sinabs_own_reading_of_no_lower_bound_silences_the_layer(
    make_if: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    """The trap itself, in sinabs' code: why `quantize_speck` refuses a bound of None."""
    spec = make_if((32, 12))
    parts, program = parts_of(spec)
    save_floats(tmp_path / "network.npz", parts.lowered, program)
    with np.load(tmp_path / "network.npz") as file:
        arrays = dict(file)
    network = json.loads(str(arrays["json"]))
    for layer in network["layers"]:
        layer["min_v"] = None
    arrays["json"] = np.array(json.dumps(network))
    np.savez(tmp_path / "network.npz", **arrays)
    codes = {f"codes/{k}": v for k, v in make_input(spec, 4).codes.items()}
    np.savez(tmp_path / "input.npz", **codes)
    out = tmp_path / "out.npz"
    command = [sys.executable, str(speck_run.WORKER), "--network", str(tmp_path / "network.npz")]
    command += ["--input", str(tmp_path / "input.npz"), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with np.load(out) as found:
        assert np.abs(found["audio.0/weight"]).max() <= 1
        assert found["audio.0/low"] == -32768
    assert np.abs(program.layers[0].weight).max() >= 127
    with pytest.raises(BadInput, match="falls silent"):
        quantize_speck(parts.lowered, lower_bound=None)


def test_the_whole_verification_imports_neither_samna_nor_the_dynapcnn_backend(
    make_if: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_if((16, 8))
    build_bundle(
        spec,
        target="speck",
        out_dir=tmp_path / "speck",
        calibration=make_input(spec, 4),
        samples=make_input(spec, 4),
    )
    code = (
        "import sys; from pathlib import Path;"
        "from neurozsl.export.bundle.bundle import open_bundle;"
        f"found = open_bundle(Path({str(tmp_path / 'speck')!r})).verify();"
        "print(found.verdict, found.references['emulator_vs_sinabs_discretised']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('samna', 'samnagui')"
        " or m.startswith('sinabs.backend')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.strip().splitlines()
    assert first.startswith("PASS-WITH-LOSS sinabs 3.1.3 discretisation, samna replaced")
    assert second == "[]"


def test_a_worker_that_fails_or_hangs_is_one_error_with_its_last_words(
    make_if: MakeBranch, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = make_if((8, 4))
    parts, program = parts_of(spec)
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.exit('no sinabs today')")
    monkeypatch.setattr(speck_run, "WORKER", broken)
    with pytest.raises(SinabsRunFailed, match=r"exit code 1:\s+no sinabs today"):
        run_discretised(parts.lowered, program, make_input(spec, 1))
    broken.write_text("pass")
    with pytest.raises(SinabsRunFailed, match="left no readable result"):
        run_discretised(parts.lowered, program, make_input(spec, 1))
    broken.write_text("import time; time.sleep(60)")
    with pytest.raises(SinabsRunFailed, match=r"longer than 0\.3 s"):
        run_discretised(parts.lowered, program, make_input(spec, 1), timeout_s=0.3)


# ---------------------------------------------------------------- samna and the device


class _Distribution:
    version = "0.48.6"

    def __init__(self, *files: str) -> None:
        self.files = list(files)


@pytest.mark.parametrize(
    ("files", "version"),
    [
        (("samna/__init__.py", "samna-0.48.6.dist-info/METADATA"), None),
        (("samna/__init__.py", "samna/_samna.cpython-311-x86_64-linux-gnu.so"), "0.48.6"),
        ((), None),
    ],
)
def test_the_stub_of_the_index_is_told_from_samna_without_importing_it(
    files: tuple[str, ...], version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speck_run, "distribution", lambda name: _Distribution(*files))
    assert samna_version() == version
    assert "samna" not in sys.modules


def test_a_device_needs_samna_and_a_known_name(make_if: MakeBranch) -> None:
    parts, program = parts_of(make_if((8, 4)))
    with pytest.raises(BadInput, match="device 'loihi': speck2f is known as speck2edevkit"):
        require_device("loihi", "speck2f")
    assert samna_version() is None  # if it is installed here, this test has to learn of it
    with pytest.raises(MissingPart, match="samna is not installed") as error:
        hand_over(parts.lowered, program, "speck2fdevkit:0")
    assert error.value.exit_code == 5


@pytest.mark.parametrize("chosen", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_configuration_for_the_chip_holds_our_integers_on_the_cores_of_the_placement(
    chosen: bool, make_if: MakeBranch, tmp_path: Path
) -> None:
    """The code that meets the device, up to the closed module, which is stood in for here."""
    spec = make_if((512, 128, 64, 15))
    parts, program = parts_of(spec)
    names = [layer.name for layer in program.layers]
    cores = dict(zip(names, (6, 3, 0, 5, 8, 1), strict=True)) if chosen else None
    save_floats(tmp_path / "network.npz", parts.lowered, program, cores)
    script = tmp_path / "drive.py"
    script.write_text(_DRIVE)
    command = [sys.executable, str(script), str(speck_run.WORKER), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    config: Mapping[str, Any] = json.loads((tmp_path / "config.json").read_text())
    used = {int(core): x for core, x in config.items() if x["weights"] is not None}
    if cores is not None:
        assert set(used) == set(cores.values())
    first = {core for core, x in used.items() if np.shape(x["weights"])[:2] == (128, 512)}
    assert first == {5, 6}  # the two cores that hold 512 x 128
    by_weights = {json.dumps(np.squeeze(x["weights"]).tolist()): core for core, x in used.items()}
    placed = {}
    for layer in program.layers:
        core = by_weights[json.dumps(layer.weight.tolist())]
        placed[layer.name] = core
        x = used[core]
        assert x["biases"] == layer.bias.tolist()
        assert (x["threshold_high"], x["threshold_low"]) == (layer.threshold, layer.low)
        assert x["return_to_zero"] is True
    assert cores is None or placed == cores
    for layer in program.layers:
        fed = [placed[x.name] for x in program.layers if x.source == layer.name]
        enabled = [d["layer"] for d in used[placed[layer.name]]["destinations"] if d["enable"]]
        assert enabled == fed
        assert used[placed[layer.name]]["monitor_enable"] is (layer.name in program.outputs)


_DRIVE = """
import json, runpy, sys
from pathlib import Path
from types import SimpleNamespace as Plain

worker, folder = runpy.run_path(sys.argv[1]), Path(sys.argv[2])
worker["stand_in"]()
import samna.speck2f
import samna.speck2f.configuration

keys = ("weights", "biases", "threshold_high", "threshold_low", "return_to_zero", "monitor_enable")

def layer():
    destinations = [Plain(layer=None, enable=False, pooling=1) for _ in range(2)]
    return Plain(destinations=destinations, **dict.fromkeys(keys))

class Configuration:
    def __init__(self):
        self.cnn_layers = [layer() for _ in range(9)]
        self.dvs_layer = Plain()

def apply(config):
    rows = {
        i: {k: getattr(x, k) for k in keys} | {"destinations": [vars(d) for d in x.destinations]}
        for i, x in enumerate(config.cnn_layers)
    }
    (folder / "config.json").write_text(json.dumps(rows))

samna.speck2f.configuration.SpeckConfiguration = Configuration
samna.speck2f.validate_configuration = lambda config: (True, "")
import sinabs.backend.dynapcnn.io as io
io.open_device = lambda device: Plain(get_model=lambda: Plain(apply_configuration=apply))
worker["configure"](worker["read_layers"](folder / "network.npz"), "speck2fdevkit:0")
"""


# ---------------------------------------------------------------- bundles and verdicts


def test_a_speck_bundle_passes_with_its_loss_and_opens_again(
    make_if: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_if()
    manifest = build_bundle(
        spec,
        target="speck",
        out_dir=tmp_path / "speck",
        calibration=make_input(spec, 32, seed=5),
        samples=make_input(spec, 16),
    )
    assert manifest.verdict == "PASS-WITH-LOSS"
    assert (manifest.chip, manifest.weight_bits, manifest.policy) == ("speck2f", 8, "fixed")
    assert set(manifest.files) == {"motion.nir", "program.npz", "golden.npz"}
    assert manifest.oracle.startswith("sinabs 3.1.3 discretisation, samna replaced by a stand-in")
    assert manifest.versions["sinabs"] == "3.1.3"
    checks = manifest.verification["backends"]
    assert list(checks) == [
        "emulator_vs_sinabs_discretised",
        "norse_vs_sinabs",
        "emulator_vs_norse",
    ]
    assert "stand-in" in checks["emulator_vs_sinabs_discretised"]["reference"]
    assert all("reference" not in checks[name] for name in list(checks)[1:])
    assert {row["limited_by"] for row in manifest.quantisation} <= {"weights", "bias", "threshold"}
    opened = open_bundle(tmp_path / "speck")
    assert isinstance(opened.program, SpeckProgram)
    assert opened.spec.inputs["audio"] == spec.inputs["audio"]  # the spike code travels
    again = opened.verify()
    assert (again.verdict, again.reasons) == ("PASS-WITH-LOSS", ())
    samples = make_input(spec, 3, seed=9)
    for name in opened.program.outputs:
        ours = opened.backend()(samples).spikes[name]
        assert np.array_equal(ours, opened.backend("sinabs_discretised")(samples).spikes[name])


def test_a_bundle_whose_emulator_disagrees_with_sinabs_fails(
    make_if: MakeBranch, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_if((16, 8))
    parts, program = parts_of(spec)
    samples = make_input(spec, 4)
    right = emulate_speck(program, samples)
    flipped = {k: v.copy() for k, v in right.spikes.items()}
    flipped["video.0"][2, 3, 1] ^= 1
    monkeypatch.setattr(
        speck_run, "run_discretised", lambda *_, **__: replace(right, spikes=flipped)
    )
    found = verify(parts, samples, target_name="speck")
    assert found.verdict == "FAIL"
    assert found.reasons == (
        "emulator_vs_sinabs_discretised: layer 'video.0' differs in 1 bits, first at step 3",
    )


def test_a_branch_that_leaks_and_is_too_wide_is_told_both_and_the_profile(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((512, 512, 64))
    samples = make_input(spec, 1)
    with pytest.raises(DoesNotFit) as error:
        build_bundle(
            spec, target="speck", out_dir=tmp_path / "x", calibration=samples, samples=samples
        )
    text = str(error.value)
    assert "layers audio.0, audio.1, video.0, video.1 leak" in text
    assert "input 'audio' has graded codes" in text and "input 'video' has ternary codes" in text
    assert "layer 'audio.0': 512 x 512 takes 262144 kernel words" in text
    assert "--motion-profile speck" in text
    assert not (tmp_path / "x").exists()


def test_an_integrate_and_fire_branch_that_is_too_wide_does_not_fit(
    make_if: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_if((512, 512, 64))
    samples = make_input(spec, 1)
    with pytest.raises(DoesNotFit, match=r"at most 128 outputs.*--motion-profile speck") as error:
        build_bundle(
            spec, target="speck", out_dir=tmp_path / "x", calibration=samples, samples=samples
        )
    assert error.value.exit_code == 4


def test_the_spike_code_travels_through_the_graph(make_if: MakeBranch) -> None:
    spec = make_if((8, 4))
    assert from_nir(to_nir(spec)).inputs == spec.inputs
    assert lower(to_nir(spec)).inputs["audio"].step == 0.75


@pytest.mark.parametrize("name", ["lava", "sinabs_discretised"])
def test_a_backend_of_another_chip_says_which_target_it_needs(
    name: str, make_if: MakeBranch
) -> None:
    spec = make_if((8, 4))
    lowered = lower(to_nir(spec))
    other = "loihi2" if name == "sinabs_discretised" else "speck2f"
    target = "speck" if name == "sinabs_discretised" else "lava"
    parts = Parts(spec, lowered, quantize(lowered, other))
    with pytest.raises(
        BadInput, match=f"'{name}' runs .*for {other}; export with --target {target}"
    ):
        backend(name, parts)
