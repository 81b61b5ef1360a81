"""Convolutions, pools, delays, loops and read-outs on lava-nc against a slow reference, every bit.

Each network below is an input of its own with a few layers, so that one worker runs them all, one
Lava network after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.backends.lava import limits
from neurozsl.export.backends.lava.limits import check_network, short_loop
from neurozsl.export.backends.lava.run import run_lava
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.export.step_reference import reference
from tests.factories.networks import lowered_layer

STEPS, SAMPLES = 9, 4
READ_OUT = NeuronRule(spiking=False)


@dataclass(frozen=True)
class Cell:
    """A layer of a test network: synapses as (source, weight shape, link)."""

    name: str
    synapses: tuple[tuple[str, tuple[int, ...], Link], ...]
    rule: NeuronRule = field(default_factory=NeuronRule)
    to_current: bool = False


def late(delay: int) -> Link:
    return Link(delay=delay)


# name -> (size of the input, its kind, layers)
NETWORKS: dict[str, tuple[int, str, tuple[Cell, ...]]] = {
    "convs": (
        2 * 7 * 6,
        "binary",
        (
            Cell(
                "convs.a", (("convs", (4, 2, 3, 2), Link(Conv((2, 7, 6), (2, 1), (1, 1, 2, 2)))),)
            ),
            Cell(
                "convs.b",
                (
                    (
                        "convs.a",
                        (6, 2, 2, 3),
                        Link(Conv((4, 4, 9), (1, 2), dilation=(2, 1), groups=2)),
                    ),
                ),
            ),
            Cell("convs.c", (("convs.b", (5, 48), Link()),)),
        ),
    ),
    "graded conv": (
        3 * 5 * 5,
        "graded",
        (Cell("graded conv.a", (("graded conv", (3, 3, 3, 3), Link(Conv((3, 5, 5)))),)),),
    ),
    "one-sided padding": (
        1 * 6 * 5,
        "ternary",
        (
            Cell(
                "one-sided padding.a",
                (("one-sided padding", (2, 1, 3, 3), Link(Conv((1, 6, 5), (1, 1), (0, 2, 1, 0)))),),
            ),
        ),
    ),
    "pools": (
        2 * 8 * 8,
        "graded",
        (
            Cell(
                "pools.a",
                (
                    (
                        "pools",
                        (4, 2, 3, 3),
                        Link(
                            Conv((2, 4, 4), padding=(1, 1, 1, 1)),
                            (Pool((2, 8, 8), (2, 2), (2, 2)),),
                        ),
                    ),
                ),
            ),
            # overlapping windows: weights add up beyond what one synapse holds
            Cell(
                "pools.b",
                (
                    (
                        "pools.a",
                        (2, 4, 2, 2),
                        Link(Conv((4, 4, 4)), (Pool((4, 4, 4), (3, 3), (1, 1), (1, 1)),)),
                    ),
                ),
            ),
            Cell(
                "pools.c",
                (
                    (
                        "pools.b",
                        (3, 2),
                        Link(
                            pools=(Pool((2, 3, 3), (2, 2), (1, 1)), Pool((2, 2, 2), (2, 2), (2, 2)))
                        ),
                    ),
                ),
            ),
        ),
    ),
    "recurrent": (
        8,
        "binary",
        (
            Cell("recurrent.a", (("recurrent", (7, 8), Link()), ("recurrent.a", (7, 7), late(1)))),
            Cell(
                "recurrent.b", (("recurrent.a", (4, 7), Link()), ("recurrent.b", (4, 4), late(3)))
            ),
        ),
    ),
    "recurrent conv": (
        1 * 4 * 5,
        "binary",
        (
            Cell(
                "recurrent conv.a",
                (
                    ("recurrent conv", (2, 1, 3, 3), Link(Conv((1, 4, 5), padding=(1, 1, 1, 1)))),
                    (
                        "recurrent conv.a",
                        (2, 2, 3, 3),
                        Link(Conv((2, 4, 5), padding=(1, 1, 1, 1)), delay=1),
                    ),
                ),
                to_current=True,
            ),
        ),
    ),
    "two sources": (
        6,
        "graded",
        (
            Cell("two sources.a", (("two sources", (5, 6), Link()),)),
            Cell("two sources.b", (("two sources.a", (5, 5), Link()),)),
            Cell(
                "two sources.c",
                (
                    ("two sources.b", (4, 5), Link()),
                    ("two sources.a", (4, 5), late(2)),
                    ("two sources", (4, 6), Link()),
                ),
            ),
        ),
    ),
    "late input": (
        6,
        "binary",
        (
            Cell("late input.a", (("late input", (5, 6), late(4)),)),
            Cell("late input.b", (("late input.a", (3, 5), Link()),)),
        ),
    ),
    "loop": (
        6,
        "binary",
        (
            Cell("loop.a", (("loop", (5, 6), Link()), ("loop.b", (5, 4), late(2)))),
            Cell("loop.b", (("loop.a", (4, 5), Link()),)),
        ),
    ),
    "read-out": (
        6,
        "binary",
        (
            Cell("read-out.a", (("read-out", (8, 6), Link()),)),
            Cell("read-out.b", (("read-out.a", (3, 8), Link()),), READ_OUT),
        ),
    ),
}
CODES = {
    "binary": ("binary", 1, False),
    "ternary": ("ternary", 1, True),
    "graded": ("graded", 3, True),
}


def chip_input(networks: dict[str, Any], seed: int) -> ChipInput:
    rng = np.random.default_rng(seed)
    inputs, codes = {}, {}
    for name, (size, kind, _) in networks.items():
        word, bits, signed = CODES[kind]
        code = inputs[name] = InputCode(size, word, bits, signed, 0.5 if kind == "graded" else 1.0)  # type: ignore[arg-type]
        codes[name] = rng.integers(code.low, code.high + 1, (SAMPLES, STEPS, size))
    return ChipInput(codes, inputs)


def random_program(networks: dict[str, Any] = NETWORKS, seed: int = 9) -> tuple[Program, ChipInput]:
    rng, chip = np.random.default_rng(seed), chip_input(networks, seed)
    layers = []
    for _, _, cells in networks.values():
        for cell in cells:
            synapses = [
                Synapse(source, (2 * rng.integers(-128, 128, shape)).astype(np.int16), link)
                for source, shape, link in cell.synapses
            ]
            first, *also = synapses
            bias = rng.integers(-1500, 4000, first.size_out)
            layers.append(
                ProgramLayer(
                    name=cell.name,
                    source=first.source,
                    weight=first.weight,
                    weight_bits=8,
                    weight_exp=0,
                    bias_mant=(bias >> 7 if cell.to_current else bias).astype(np.int32),
                    bias_exp=7 if cell.to_current else 1,
                    du=int(rng.choice([4095, 1000])),
                    dv=int(rng.integers(50, 1500)),
                    vth=int(rng.integers(200, 500)),
                    unit=0.5,
                    bias_to="current" if cell.to_current else "membrane",
                    link=first.link,
                    also=tuple(also),
                    rule=cell.rule,
                )
            )
    outputs = (layers[-1].name,)
    return Program("loihi2", chip.code, tuple(layers), outputs, STEPS, 1e-3, "fixed"), chip


def random_lowered(networks: dict[str, Any] = NETWORKS, seed: int = 9) -> tuple[Lowered, ChipInput]:
    rng, chip = np.random.default_rng(seed), chip_input(networks, seed)
    layers = []
    for _, _, cells in networks.values():
        for cell in cells:
            first, *also = [
                Synapse(source, rng.normal(size=shape), link)
                for source, shape, link in cell.synapses
            ]
            layers.append(
                lowered_layer(
                    cell.name,
                    first.source,
                    first.weight,
                    bias=rng.normal(0.1, 0.3, first.size_out),
                    leak=rng.uniform(0.05, 0.5),
                    syn_leak=rng.choice([1.0, 0.5]),
                    threshold=rng.uniform(0.7, 1.5),
                    bias_to="current" if cell.to_current else "membrane",
                    link=first.link,
                    also=tuple(also),
                    rule=cell.rule,
                )
            )
    outputs = (layers[-1].name,)
    return Lowered(chip.code, tuple(layers), outputs, 1e-3, STEPS, "fixed"), chip


@pytest.mark.lava
@pytest.mark.parametrize("make", [random_program, random_lowered])
def test_every_kind_of_synapse_on_lava_equals_the_slow_reference(
    make: Callable[[], tuple[Any, ChipInput]], lava: Path
) -> None:
    network, chip = make()
    spikes, membrane = reference(network, chip)
    found = run_lava(network, chip)
    for layer in network.layers:
        name, wanted = layer.name, spikes[layer.name]
        differing = int((found.spikes[name] != wanted).sum())
        assert differing == 0, f"{name}: {differing} of {wanted.size} bits differ"
        if layer.rule.spiking:
            assert 0.02 < wanted.mean() < 0.98, f"{name} compares nothing: rate {wanted.mean():.3f}"
    fast = emulate(network, chip) if isinstance(network, Program) else simulate(network, chip)
    for name, wanted in spikes.items():
        assert np.array_equal(fast.spikes[name], wanted), name
    assert list(found.membrane) == ["read-out.b"]
    assert np.abs(membrane["read-out.b"]).min() > 0
    if make is random_program:
        assert np.array_equal(found.membrane["read-out.b"], membrane["read-out.b"])
    else:
        np.testing.assert_allclose(found.membrane["read-out.b"], membrane["read-out.b"], atol=1e-12)


@pytest.mark.lava
def test_a_sample_that_runs_alone_gives_what_it_gives_in_the_stream(lava: Path) -> None:
    chosen = {name: NETWORKS[name] for name in ("recurrent", "loop", "late input")}
    program, chip = random_program(chosen)
    together = run_lava(program, chip)
    alone = run_lava(program, chip.take(slice(2, 3)))
    for name, spikes in alone.spikes.items():
        assert np.array_equal(spikes, together.spikes[name][2:3]), name


def changed(rule: NeuronRule | None = None, **fields: Any) -> Program:
    """The program "two sources" with other fields in its last layer."""
    program, _ = random_program({"two sources": NETWORKS["two sources"]})
    last = replace(program.layers[-1], rule=rule or NeuronRule(), **fields)
    return replace(program, layers=(*program.layers[:-1], last))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (changed(NeuronRule(reset="subtract")), "reset subtract, Lava's neurons reset to zero"),
        (changed(NeuronRule(reset="zero-late")), "reset zero-late, Lava's neurons reset to zero"),
        (changed(NeuronRule(max_spikes=4)), "sends up to 4 spikes a step"),
        (changed(NeuronRule(compare=">=")), "spikes at v >= threshold"),
        (changed(NeuronRule(low=-1.0)), "keeps v above -1, Lava's neurons have no lower bound"),
        (changed(weight_exp=-1), "weight_exp -1 on a sum that Lava splits"),
    ],
)
def test_neurons_that_stock_lava_lacks_are_refused_before_it_starts(
    program: Program, message: str
) -> None:
    _, chip = random_program({"two sources": NETWORKS["two sources"]})
    with pytest.raises(BadInput, match=rf"'two sources\.c': {message}.*in the emulator"):
        run_lava(program, chip)


def test_a_loop_with_shorter_delays_than_synapses_is_named() -> None:
    _, _, (a, b) = NETWORKS["loop"]
    short = replace(a, synapses=(a.synapses[0], ("loop.b", (5, 4), late(1))))
    program, _ = random_program({"loop": (6, "binary", (short, b))})
    loop = short_loop(program.layers)
    assert sorted(loop) == ["loop.a", "loop.b"]
    with pytest.raises(BadInput, match=rf"loop {loop[0]} -> {loop[1]} -> {loop[0]}: its delays"):
        check_network(program)


def test_a_synapse_whose_matrix_would_be_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LARGEST_MATRIX", 1151)
    program, _ = random_program({"pools": NETWORKS["pools"]})
    # 64 neurons, each of which reads 2 channels x 3 x 3 windows of 2 x 2
    message = r"'pools\.a'.* from 'pools' has 4,608 entries, at most 1,151 are run"
    with pytest.raises(BadInput, match=message):
        check_network(program)
