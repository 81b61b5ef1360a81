"""Sinabs layers with maps, delays, loops and other rules against a slow reference, every spike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.export.step_reference import reference
from tests.factories import networks
from tests.factories.networks import lowered_layer

STEPS, SAMPLES = 12, 3
PLAIN = NeuronRule()
Wire = tuple[str, tuple[int, ...], Link]

CONVS: list[Wire] = [
    ("x", (4, 2, 3, 2), Link(Conv((2, 6, 5), (2, 1), (1, 1, 2, 2)))),
    ("0", (6, 2, 2, 3), Link(Conv((4, 3, 8), (1, 2), dilation=(2, 1), groups=2))),
    ("1", (5, 18), Link()),
]
POOLS: list[Wire] = [
    (
        "x",
        (3, 2, 3, 3),
        Link(Conv((2, 3, 2), padding=(0, 2, 1, 1)), (Pool((2, 6, 5), (2, 2), (2, 2)),)),
    ),
    ("0", (2, 3, 2, 2), Link(Conv((3, 2, 2)), (Pool((3, 3, 2), (2, 3), (1, 1), (0, 1)),))),
]
SKIP: list[list[Wire]] = [
    [("x", (5, 60), Link())],
    [("0", (5, 5), Link(delay=1)), ("x", (5, 60), Link(delay=3))],
    [("1", (4, 5), Link()), ("0", (4, 5), Link()), ("x", (4, 60), Link(delay=20))],
]
LOOP: list[list[Wire]] = [
    [("x", (5, 60), Link()), ("0", (5, 5), Link(delay=1)), ("1", (5, 4), Link(delay=2))],
    [("0", (4, 5), Link())],
]
LOOPED_CONV: list[list[Wire]] = [
    [
        ("x", (2, 2, 3, 3), Link(Conv((2, 6, 5), padding=(1, 1, 1, 1)))),
        ("0", (2, 2, 3, 3), Link(Conv((2, 6, 5), padding=(1, 1, 1, 1)), delay=1)),
    ]
]


def network(
    wiring: list[list[Wire]], *, rule: NeuronRule = PLAIN, memory: bool = False, leak: float = 0.3
) -> tuple[Lowered, ChipInput]:
    rng = np.random.default_rng(5)
    code = InputCode(60, "graded", 3, True, 0.5)
    layers = []
    for i, wires in enumerate(wiring):
        first, *also = [
            Synapse(source, 0.7 * rng.normal(size=s), link) for source, s, link in wires
        ]
        size = first.size_out
        layers.append(
            lowered_layer(
                str(i),
                first.source,
                first.weight,
                bias=rng.normal(0.2, 0.2, size),
                leak=leak,
                syn_leak=0.4 if memory else 1.0,
                threshold=rng.uniform(0.6, 1.2, size),
                bias_to="current" if memory and i % 2 else "membrane",
                link=first.link,
                also=tuple(also),
                rule=rule,
            )
        )
    codes = rng.integers(-3, 4, (SAMPLES, STEPS, 60))
    lowered = networks.lowered(*layers, code=code, steps=STEPS)
    return lowered, ChipInput({"x": codes}, lowered.inputs)


SUBTRACT = NeuronRule("subtract")
FORMS: dict[str, tuple[list[list[Wire]], dict[str, Any]]] = {
    "convolutions": ([[w] for w in CONVS], {}),
    "convolutions, synaptic memory": ([[w] for w in CONVS], {"memory": True}),
    "pools": ([[w] for w in POOLS], {}),
    "several synapses": (SKIP, {}),
    "several synapses, synaptic memory": (SKIP, {"memory": True}),
    "loops": (LOOP, {}),
    "loops, synaptic memory": (LOOP, {"memory": True}),
    "a convolution on itself": (LOOPED_CONV, {}),
    "subtract": (LOOP, {"rule": SUBTRACT}),
    "subtract, several spikes": (SKIP, {"rule": NeuronRule("subtract", 255, ">=")}),
    "at most 3 spikes, reset to zero": (SKIP, {"rule": NeuronRule("zero", 3)}),
    "subtract, at most 2 spikes": (LOOP, {"rule": NeuronRule("subtract", 2)}),
    "lower bound": (SKIP, {"rule": NeuronRule("subtract", 255, ">=", -0.5), "leak": 0.0}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_layer_gives_the_spikes_of_the_slow_reference(form: str) -> None:
    wiring, options = FORMS[form]
    lowered, chip = network(wiring, **options)
    spikes, membrane = reference(lowered, chip)
    found = run_sinabs(lowered, chip, record=("spikes", "membrane"))
    for layer in lowered.layers:
        wanted = spikes[layer.name]
        assert 0.02 < wanted.mean(), f"{layer.name} compares nothing"
        assert np.array_equal(found.spikes[layer.name], wanted), layer.name
        np.testing.assert_allclose(found.membrane[layer.name], membrane[layer.name], atol=1e-9)


def test_more_spikes_than_the_rule_allows_are_cut_and_counted_spikes_are_seen() -> None:
    lowered, chip = network(SKIP, rule=NeuronRule("subtract", 255, ">="))
    assert int(run_sinabs(lowered, chip).spikes["0"].max()) > 3
    lowered, chip = network(SKIP, rule=NeuronRule("subtract", 3, ">="))
    assert int(run_sinabs(lowered, chip).spikes["0"].max()) == 3


def one_neuron(rule: NeuronRule, values: list[int]) -> tuple[list[int], list[float]]:
    """Spikes and membrane of one integrating neuron with the threshold 2."""
    layer = lowered_layer("a", "x", np.ones((1, 1)), threshold=2.0, rule=rule)
    code = InputCode(1, "graded", 6, True, 1.0)
    lowered = networks.lowered(layer, code=code, steps=len(values))
    chip = ChipInput({"x": np.array(values).reshape(1, -1, 1)}, lowered.inputs)
    trace = run_sinabs(lowered, chip, record=("spikes", "membrane"))
    return trace.spikes["a"].ravel().tolist(), trace.membrane["a"].ravel().tolist()


@pytest.mark.parametrize(
    ("rule", "spikes", "membrane"),
    [
        (NeuronRule(), [0, 1, 0, 1, 0], [2, 0, -9, 0, 1]),
        (NeuronRule(compare=">="), [1, 0, 0, 1, 0], [0, 1, -8, 0, 1]),
        (NeuronRule("subtract"), [0, 1, 0, 1, 1], [2, 1, -8, 7, 6]),
        (NeuronRule("subtract", compare=">="), [1, 0, 0, 1, 1], [0, 1, -8, 7, 6]),
        (NeuronRule("subtract", 255), [0, 1, 0, 4, 0], [2, 1, -8, 1, 2]),
        (NeuronRule("subtract", 255, ">=", -2.0), [1, 0, 0, 7, 1], [0, 1, -2, 1, 0]),
        (NeuronRule("zero", 3), [0, 1, 0, 3, 0], [2, 0, -9, 0, 1]),
        (NeuronRule(spiking=False), [0, 0, 0, 0, 0], [2, 3, -6, 11, 12]),
    ],
)
def test_rules_on_integers_that_meet_the_threshold_exactly(
    rule: NeuronRule, spikes: list[int], membrane: list[float]
) -> None:
    values = [2, 1, -9, 17, 1]
    assert one_neuron(rule, values) == (spikes, membrane)


def test_a_read_out_keeps_its_membrane_and_sends_no_spikes() -> None:
    lowered, chip = network([[("x", (5, 60), Link())], [("0", (4, 5), Link())]], memory=True)
    last = replace(lowered.layers[1], rule=NeuronRule(spiking=False))
    lowered = replace(lowered, layers=(lowered.layers[0], last))
    trace = run_sinabs(lowered, chip)
    _, membrane = reference(lowered, chip)
    assert list(trace.membrane) == ["1"]
    np.testing.assert_allclose(trace.membrane["1"], membrane["1"], rtol=1e-12, atol=1e-12)
    assert not trace.spikes["1"].any()
