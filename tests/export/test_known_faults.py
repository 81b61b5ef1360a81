"""Every known fault of an oracle in the oracle itself, and what it does to a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from sinabs.activation import MembraneReset
from sinabs.layers import IAF
from sinabs.nir import from_nir

from neurozsl.cli.verify import show_tree
from neurozsl.core.errors import BadInput
from neurozsl.core.markdown import table
from neurozsl.core.signals import ChipInput, InputCode, MotionBackend, Trace
from neurozsl.export.backends.lava.environment import clean_environment
from neurozsl.export.backends.lava.limits import check_network
from neurozsl.export.backends.registry import BACKENDS, Backend, Parts, RunOptions
from neurozsl.export.backends.speck.run import WORKER, run_discretised, save_floats
from neurozsl.export.bundle.agreement import LayerAgreement
from neurozsl.export.bundle.oracle_faults import accounted_for, faults_of
from neurozsl.export.bundle.verify import verify
from neurozsl.export.targets import TARGETS, Check
from neurozsl.export.targets import lava as lava_target
from neurozsl.export.targets.known_faults import KNOWN_FAULTS, fault_table
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Link, Synapse
from neurozsl.hardware.speck.emulator import emulate_speck
from tests.factories.networks import lowered, lowered_layer
from tests.factories.programs import program_layer

ROOT = Path(__file__).resolve().parents[2]
FAULTS = {fault.key: fault for fault in KNOWN_FAULTS}
STEPS = 4  # of stock_lava.py; a synapse brings nothing in the first
Shown = Callable[[dict[str, Any]], bool]


@pytest.fixture(name="stock", scope="module")
def _stock(lava: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What stock lava-nc gave, all cases in one process."""
    script = Path(__file__).with_name("stock_lava.py")
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [lava, script, tmp_path_factory.mktemp("process")],
        env=clean_environment() | settings,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def current(steps: int, a: int, *, bits: int) -> int:
    """u after so many steps of one input a, without decay but 1/4096, in registers of `bits`."""
    u, end = 0, 1 << 23
    for _ in range(steps):
        x = (abs(u) * 4095 >> 12) * (1 if u >= 0 else -1) + (a << 6)
        x = (x + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
        u = x - 2 * end if x > end else x + 2 * end if x <= -end else x
    return u


# ---------------------------------------------------------------- lava-nc

LAVA: dict[str, Shown] = {
    "lava-register": lambda found: (
        found["u register"]
        == [current(STEPS - 1, 128 * 262143, bits=32)]
        != [current(STEPS - 1, 128 * 262143, bits=64)]
    ),
    "lava-current-end": lambda found: found["u end"] == [1 << 23],
    "lava-bias-overflow": lambda found: found["v bias"] == [STEPS * (4095 << 5)],
    # A one at the first of three places, padded by one: the kernel 1 2 3 correlates to 2 1 0.
    "lava-conv-flip": lambda found: found["flip"] == [2, 3, 0],
    "lava-conv-exponent": lambda found: found["exponent 4"] == [3, 0, 0],
    "lava-conv-wrap": lambda found: found["sum"] == [3 * 4 * (1 << 20) - (1 << 24)],
    "lava-message-bits": lambda found: (found["no bits"], found["8 bits"]) == ([10], [70]),
    "lava-sign-mode": lambda found: (found["deduced"], found["mixed"]) == ([3 + 5], [2 + 4]),
    "lava-right-shift": lambda found: (
        (found["whole"], found["part 0"], found["part 1"]) == ([4 >> 2], [0], [0])
    ),
    # v is 6400 in every step: above 10 << 6, and below the 131071 << 6 that is set after four.
    "lava-threshold-set": lambda found: found["fired"] == [1] * 7,
    "lava-float-exponent": lambda found: found["v float"] == [3],
    "lava-neighbours": lambda found: found["neighbour executed"] is True,
}


@pytest.mark.lava
@pytest.mark.parametrize("key", LAVA)
def test_stock_lava_does_what_the_list_says(key: str, stock: dict[str, Any]) -> None:
    assert LAVA[key](stock), stock


def test_a_right_shift_of_two_synapses_never_reaches_lava() -> None:
    program = overflowing(weight_exp=-1)
    with pytest.raises(BadInput, match="weight_exp -1 on a sum that Lava splits"):
        check_network(program)


# ---------------------------------------------------------------- sinabs


def beyond_the_state() -> tuple[Lowered, ChipInput]:
    """700 inputs: 400 of weight 1 speak in the first step, 300 of -1 in the second; then b."""
    rule = NeuronRule("subtract", 1, ">=")
    weight = np.concatenate([np.ones(400), -np.ones(300)])[None]
    first = lowered_layer("a", "in", weight, rule=rule)
    second = lowered_layer("b", "a", [[1.0]], rule=replace(rule, reset="zero"))
    network = lowered(first, second, code=InputCode(700, "binary", 1, False, 1.0), steps=2)
    codes = np.zeros((1, 2, 700), np.int16)
    codes[0, 0, :400] = codes[0, 1, 400:] = 1
    return network, ChipInput({"in": codes}, network.inputs)


def shows_no_end_of_the_state(folder: Path) -> bool:
    network, chip = beyond_the_state()
    program = quantize(network, "speck2f")
    theirs = run_discretised(network, program, chip).spikes["a"].ravel().tolist()
    # 400 x 127 = 50,800 - 127 - 300 x 127 is above the threshold, 32,767 - 127 - 38,100 below.
    return (theirs, emulate_speck(program, chip).spikes["a"].ravel().tolist()) == ([1, 1], [1, 0])


def shows_no_bound(folder: Path) -> bool:
    network, chip = beyond_the_state()
    program = quantize(network, "speck2f")
    save_floats(folder / "floats.npz", network, program)
    with np.load(folder / "floats.npz") as file:
        arrays = dict(file)
    text = json.loads(str(arrays["json"]))
    for layer in text["layers"]:
        layer["min_v"] = None
    np.savez(folder / "unbound.npz", **(arrays | {"json": np.array(json.dumps(text))}))
    np.savez(folder / "input.npz", **{f"codes/{k}": v for k, v in chip.codes.items()})
    command = [sys.executable, str(WORKER), "--network", str(folder / "unbound.npz")]
    command += ["--input", str(folder / "input.npz"), "--out", str(folder / "out.npz")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with np.load(folder / "out.npz") as found:
        low, largest = int(found["a/low"]), int(np.abs(found["a/weight"]).max())
    return (low, largest) == (-32768, 1) and np.abs(program.layers[0].weight).max() == 127


def shows_reset_value(folder: Path) -> bool:
    layer = IAF(reset_fn=MembraneReset(reset_value=-0.25), record_states=True)
    sent = layer(torch.zeros(1, 3, 1))
    return not sent.any() and layer.recordings["v_mem"].ravel().tolist() == [-0.25, -0.5, -0.75]


def shows_lower_bound(folder: Path) -> bool:
    layer = IAF(min_v_mem=-1.0, record_states=True)
    layer(torch.full((1, 1, 1), 0.1, dtype=torch.float64))
    return float(layer.recordings["v_mem"]) == (0.1 + 1.0) - 1.0 != 0.1


def shows_batch_states(folder: Path) -> bool:
    layer = IAF(spike_threshold=torch.tensor(100.0))
    layer(torch.tensor([1.0, 2.0]).reshape(2, 1, 1))
    layer(torch.zeros(5, 1, 1))
    return set(layer.v_mem.ravel().tolist()) <= {1.0, 2.0}


def shows_from_nir(folder: Path) -> bool:
    """Linear and LIF leave the LIF, without its gain of 5; Affine and CubaLIF the Affine."""
    one = np.ones(2)
    rest = {"r": 5 * one, "v_leak": 0 * one, "v_threshold": one}
    left = []
    for weights, cell in (
        (nir.Linear(3 * np.eye(2)), nir.LIF(tau=one * 0.02, **rest)),
        (
            nir.Affine(3 * np.eye(2), one),
            nir.CubaLIF(tau_mem=one * 0.02, tau_syn=one * 0.01, **rest),
        ),
    ):
        nodes = {
            "input": nir.Input(input_type={"input": np.array([2])}),
            "weights": weights,
            "cell": cell,
            "output": nir.Output(output_type={"output": np.array([2])}),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of nirtorch, which it calls
            made = from_nir(nir.NIRGraph(nodes, [*pairwise(nodes)]), batch_size=1)
        assert not any(5.0 in x for x in made.state_dict().values())
        left.append({type(module).__name__ for module in made.modules()})
    both = {"GraphExecutor", "Identity"}
    return left == [both | {"LIFSqueeze"}, both | {"Linear"}]


SINABS: dict[str, Callable[[Path], bool]] = {
    "sinabs-state-end": shows_no_end_of_the_state,
    "sinabs-no-bound": shows_no_bound,
    "sinabs-reset-value": shows_reset_value,
    "sinabs-lower-bound": shows_lower_bound,
    "sinabs-batch-states": shows_batch_states,
    "sinabs-from-nir": shows_from_nir,
}


@pytest.mark.parametrize("key", SINABS)
def test_stock_sinabs_does_what_the_list_says(key: str, tmp_path: Path) -> None:
    assert SINABS[key](tmp_path)


# ---------------------------------------------------------------- the list


def test_each_fault_of_the_list_has_its_test_and_each_test_its_fault() -> None:
    assert {*LAVA, *SINABS} == FAULTS.keys() and len(FAULTS) == len(KNOWN_FAULTS) > 10


def test_only_faults_that_stand_can_account_for_a_difference() -> None:
    for fault in KNOWN_FAULTS:
        assert bool(fault.backends) == (fault.standing == "stands")
        assert set(fault.backends) <= BACKENDS.keys()
        assert fault.source and fault.does and fault.shows and fault.here


def test_the_versions_are_those_that_are_installed() -> None:
    import sinabs

    locked = (ROOT / "export/backends/lava/lava.lock").read_text()
    for fault in KNOWN_FAULTS:
        name, version, *_ = fault.oracle.split()
        assert (
            f"lava-nc=={version}" in locked if name == "lava-nc" else version == sinabs.__version__
        )


def test_the_page_shows_the_list() -> None:
    page = (ROOT / "export/README.md").read_text()
    shown = page.split("<!-- faults -->\n")[1].split("<!-- /faults -->")[0]
    rows = fault_table()
    assert shown == "\n".join(table(list(rows[0]), [list(row.values()) for row in rows])) + "\n"


# ---------------------------------------------------------------- the verdict


def overflowing(**changes: Any) -> Program:
    """plain reads in; over (synaptic memory, sums near 2^25) reads in; after reads over."""
    code = InputCode(4, "graded", 15, False, 1.0)
    weight = np.full((3, 4), 254, np.int16)
    weight[1], weight[2, 1:] = -254, 0
    small = np.array([[64, -96, 32], [96, 32, -64]], np.int16)
    layers = (
        program_layer("plain", "in", weight, du=4095, dv=0, vth=131071),
        program_layer("over", "in", weight, du=0, dv=0, vth=131071),
        program_layer(
            "after",
            "over",
            small,
            du=4095,
            dv=4095,
            vth=60,
            also=(Synapse("plain", small, Link()),),
            **changes,
        ),
    )
    return Program(
        inputs={"in": code},
        layers=layers,
        outputs=("after",),
        dt_s=1e-3,
        steps=12,
        policy="fixed",
        chip="loihi2",
    )


def overflowing_parts() -> tuple[Parts, ChipInput]:
    program = overflowing()
    codes = np.random.default_rng(0).integers(0, 1 << 15, (16, 12, 4)).astype(np.int16)
    return Parts(None, dequantize(program), program), ChipInput({"in": codes}, program.inputs)


@pytest.mark.lava
def test_an_overflow_of_lava_is_called_a_fault_of_lava(lava: Path) -> None:
    """The emulator is right by the equation; 32 bits of lava-nc end; no verdict, and no FAIL."""
    parts, chip = overflowing_parts()
    found = verify(parts, chip, target_name="lava")
    rows = {row.name: row for row in found.checks["emulator_vs_lava_fixed"]}
    assert not rows["plain"].differing and rows["over"].differing and rows["after"].differing
    assert (found.verdict, found.reasons, found.skipped) == ("UNVERIFIED", (), ())
    told = found.as_json()["oracle_faults"]
    start = "oracle fault (lava-register): emulator_vs_lava_fixed: layer"
    assert [
        text.startswith(f"{start} '{name}' differs in")
        for text, name in zip(told, ("over", "after"), strict=True)
    ] == [True, True]
    assert "lava-nc 0.10.0 keeps current and membrane in 32 bits" in told[0]


def test_a_difference_where_no_fault_can_start_fails_beside_one_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oracle is played: other bits in two layers, a fault can start in one of them."""
    parts, chip = overflowing_parts()

    def plays(parts: Parts, run: RunOptions) -> MotionBackend:
        def ran(chip: ChipInput) -> Trace:
            spikes = {k: v.copy() for k, v in emulate(overflowing(), chip).spikes.items()}
            spikes["plain"][3, 2, 0] ^= 1
            spikes["over"][:, 4] ^= 1
            return Trace(spikes)

        return ran

    monkeypatch.setattr(lava_target, "locate", lambda: ROOT)
    monkeypatch.setitem(BACKENDS, "lava", Backend(plays, chip="loihi2"))
    monkeypatch.setitem(BACKENDS, "lava_float", BACKENDS["floatsim"])
    found = verify(parts, chip, target_name="lava")
    assert found.verdict == "FAIL"
    assert found.reasons == (
        "emulator_vs_lava_fixed: layer 'plain' differs in 1 bits, first at step 2",
    )
    [told] = found.oracle_faults
    assert "layer 'over' differs in 48 bits, first at step 4; lava-nc 0.10.0 keeps" in told


def test_a_state_beyond_sixteen_bits_is_left_undecided_by_sinabs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, chip = beyond_the_state()
    parts = Parts(None, network, quantize(network, "speck2f"))
    found = verify(parts, chip, target_name="speck")
    assert (found.verdict, found.reasons) == ("UNVERIFIED", ())
    assert [text.split(": ")[0] for text in found.oracle_faults] == [
        "oracle fault (sinabs-state-end)"
    ] * 2
    assert "layer 'a' differs in 1 bits, first at step 1" in found.oracle_faults[0]
    show_tree("bundle", found.as_json())
    told = capsys.readouterr().err
    assert told.count("oracle fault (sinabs-state-end)") == 2 and "no oracle on this" not in told


def row(name: str, first_step: int | None) -> LayerAgreement:
    differing = 0 if first_step is None else 3
    return LayerAgreement(name, 0.9, 0.9, 10, 0.1, differing, first_step)


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ({"a": None, "b": 4, "c": 5}, ""),  # c differs, but nothing that it reads can start it
        ({"a": 2, "b": 2, "c": 5}, "abc"),
        ({"a": 2, "b": None, "c": 5}, "a"),  # what c reads agrees in every bit
        ({"a": 2, "b": 1, "c": 5}, "a"),  # b differs before a does
        ({"a": 2, "b": 3, "c": 4}, "ab"),  # three steps of delay: too early for c
    ],
)
def test_a_fault_reaches_what_reads_it_and_not_before_its_spikes_arrive(
    steps: dict[str, int | None], names: str
) -> None:
    """a -> b -> c, the last with a delay of two steps; the fault can start in a."""
    layers = (
        lowered_layer("a", "in", [[1.0]]),
        lowered_layer("b", "a", [[1.0]]),
        lowered_layer("c", "b", [[1.0]], link=Link(delay=2)),
    )
    rows = [row(name, step) for name, step in steps.items()]
    found = accounted_for(rows, layers, {"a": FAULTS["lava-register"]})
    assert set(found) == set(names)


def test_a_fault_goes_round_a_loop() -> None:
    layers = (
        lowered_layer("a", "in", [[1.0]], also=(Synapse("b", np.eye(1), Link(delay=1)),)),
        lowered_layer("b", "a", [[1.0]]),
    )
    found = accounted_for([row("a", 6), row("b", 5)], layers, {"b": FAULTS["lava-register"]})
    assert set(found) == {"a", "b"}


def test_no_quantised_network_can_reach_the_faults_of_lava() -> None:
    """The scale of a layer keeps its sums below 2^17, so the oracle decides all of it."""
    weight = np.random.default_rng(2).normal(size=(8, 64))
    layer = lowered_layer("a", "in", weight, syn_leak=0.01, leak=0.01)
    network = lowered(layer, code=InputCode(64, "graded", 8, False, 1.0), steps=1000)
    parts = Parts(None, network, quantize(network, "loihi2"))
    [check, *_] = TARGETS["lava"].checks
    assert faults_of(check, parts) == {}
    over, _ = overflowing_parts()
    assert set(faults_of(check, over)) == {"over"}
    assert faults_of(Check("training_vs_emulator", "training", "emulator"), over) == {}


def test_a_neuron_that_starts_again_from_zero_has_no_state_to_lose() -> None:
    network, _ = beyond_the_state()
    zero = replace(
        network,
        layers=tuple(replace(x, rule=replace(x.rule, reset="zero")) for x in network.layers),
    )
    check = TARGETS["speck"].checks[0]
    for one, names in ((network, {"a"}), (zero, set())):
        assert set(faults_of(check, Parts(None, one, quantize(one, "speck2f")))) == names
