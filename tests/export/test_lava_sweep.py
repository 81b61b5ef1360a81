"""A sweep over random small networks: lava-nc's fixed-point models and the emulator, every bit.

A network here is an input of its own with one to three layers of neurons behind it, each layer with
its own size, signs, bits, exponents, decays, bias and threshold. Twenty of them make one Program;
the worker builds and runs each as a separate Lava network, one after another in one interpreter,
because starting an interpreter costs more than a network. Networks of a Program share T, the number
of samples and the threshold policy. The count goes to `build/lava_sweep.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, InputCode, Policy
from neurozsl.export.backends.lava.run import run_lava
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import REGISTER_LIMIT, Program, ProgramLayer
from neurozsl.hardware.lower.lower import BiasTo
from neurozsl.hardware.network.ranges import worst_sums
from neurozsl.hardware.network.synapse import Synapse

ROOT = Path(__file__).resolve().parents[2]
PER_GROUP = 20


@dataclass(frozen=True)
class Group:
    """What the networks of one Program share."""

    steps: int
    samples: int
    policy: Policy = "frozen"


GROUPS = (
    Group(1, 6),
    Group(2, 5),
    Group(3, 1),
    Group(5, 4),
    Group(7, 3),
    Group(8, 2),
    Group(10, 4),
    Group(13, 2),
    Group(24, 1),
    Group(6, 3, "table"),
    Group(6, 3, "dynamic"),
)


def random_code(rng: np.random.Generator) -> InputCode:
    kind = str(rng.choice(["binary", "ternary", "graded", "graded"]))
    size = int(rng.choice([1, 2, 5, 9, 17, 33]))
    if kind == "binary":
        return InputCode(size, "binary", 1, False, 1.0)
    if kind == "ternary":
        return InputCode(size, "ternary", 1, True, 1.0)
    return InputCode(size, "graded", int(rng.integers(2, 9)), bool(rng.random() < 0.5), 1.0)


def random_layer(
    rng: np.random.Generator, name: str, source: str, width: int, code: InputCode | None, steps: int
) -> ProgramLayer:
    bits = int(rng.integers(4, 9))
    step = fp.weight_step(bits)
    size = (int(rng.choice([1, 3, 8, 16, 24])), width)
    low, high = {"mixed": (-256, 255), "positive": (0, 255), "negative": (-256, 0)}[
        str(rng.choice(["mixed", "mixed", "mixed", "positive", "negative"]))
    ]
    weight = step * rng.integers(low // step, high // step + 1, size)
    reach = {} if code is None else {source: (code.low, code.high)}
    worst = int(worst_sums((Synapse(source, weight),), reach).max()) + 1
    exponent = int(rng.integers(-3, 5))
    while worst << max(exponent, 0) >= REGISTER_LIMIT // 2:  # a bias may join
        exponent -= 1
    to: BiasTo = "current" if rng.random() < 0.25 else "membrane"
    faint = rng.random() < 0.3  # states of a few LSBs around a threshold of 0: rounding decides
    if faint:
        weight, to = weight * (rng.random(size) < 0.1), "membrane"
    usual = max(1, int(worst * 2.0**exponent / 4))
    vth = int(rng.choice([0, usual, usual, usual, fp.THRESHOLD_MAX]))
    mantissa = rng.integers(fp.MANTISSA_MIN, fp.MANTISSA_MAX + 1, size[0])
    return ProgramLayer(
        name=name,
        source=source,
        weight=weight.astype(np.int16),
        weight_bits=bits,
        weight_exp=exponent,
        bias_mant=mantissa.astype(np.int32) >> (10 if faint else int(rng.choice([0, 4, 8]))),
        bias_exp=7 if to == "current" else 0 if faint else int(rng.integers(0, 8)),
        du=int(rng.choice([0, 4094, 4095, 4095, int(rng.integers(1, 4094))])),
        dv=int(rng.choice([0, 4095, *rng.integers(1, 4095, 2).tolist()])),
        vth=0 if faint else min(vth, fp.THRESHOLD_MAX),
        unit=0.5,
        vth_table=rng.integers(0, 2 * min(usual, 1 << 15), steps).astype(np.int32),
        bias_to=to,
    )


def random_program(seed: int, group: Group) -> tuple[Program, ChipInput]:
    """PER_GROUP networks, and input in which every second step of a sample is rather silent."""
    rng = np.random.default_rng([3, seed])
    inputs: dict[str, InputCode] = {}
    layers: list[ProgramLayer] = []
    codes: dict[str, Any] = {}
    for n in range(PER_GROUP):
        source = f"in{n}"
        code = inputs[source] = random_code(rng)
        shape = (group.samples, group.steps, code.size)
        codes[source] = rng.integers(code.low, code.high + 1, shape)
        codes[source][:, 1::2] *= rng.random(codes[source][:, 1::2].shape) < 0.3
        width, read = code.size, source
        for depth in range(int(rng.integers(1, 4))):
            name = f"net{n}.{depth}"
            layers.append(random_layer(rng, name, read, width, inputs.get(read), group.steps))
            # Now and then two layers read the same source.
            if rng.random() < 0.8:
                width, read = len(layers[-1].weight), name
    program = Program(
        "loihi2", inputs, tuple(layers), (layers[-1].name,), group.steps, 1e-3, group.policy
    )
    theta = None
    if group.policy == "dynamic":
        size = (group.samples, group.steps)
        theta = {x.name: rng.uniform(0, x.unit * (x.vth % 40000), size) for x in layers}
    return program, ChipInput(codes, inputs, theta)


def test_the_sweep_spans_what_it_claims() -> None:
    seen: dict[str, Counter[Any]] = {
        key: Counter() for key in ("du", "dv", "weight_bits", "bias_exp", "bias_to", "weight_exp")
    }
    signs, kinds, rates = Counter[str](), Counter[str](), []
    overflow = saturation = quiet = 0
    for seed, group in enumerate(GROUPS):
        program, given = random_program(seed, group)
        trace = emulate(program, given)
        rates += list(trace.rates().values())
        overflow += sum(count > 0 for count in trace.overflow.values())
        saturation += sum(count > 0 for count in trace.saturation.values())
        quiet += sum(count == 0 for count in trace.overflow.values())
        kinds.update(code.kind for code in program.inputs.values())
        for layer in program.layers:
            for key in seen:
                seen[key][getattr(layer, key)] += 1
            low, high = int(layer.weight.min()), int(layer.weight.max())
            signs["positive" if low >= 0 else "negative" if high <= 0 else "mixed"] += 1
    assert len(GROUPS) * PER_GROUP >= 200
    for key in ("du", "dv"):
        assert seen[key][0] > 20 and seen[key][4095] > 20 and len(seen[key]) > 40, key
    assert all(seen["weight_bits"][bits] > 20 for bits in range(4, 9))
    assert all(seen["bias_exp"][exponent] > 10 for exponent in range(8))
    assert all(seen["bias_to"][to] > 40 for to in get_args(BiasTo))
    assert all(seen["weight_exp"][exponent] > 10 for exponent in range(-3, 5))
    assert all(signs[sign] > 20 for sign in ("positive", "negative", "mixed"))
    assert all(kinds[kind] > 20 for kind in ("binary", "ternary", "graded"))
    assert overflow > 10 and saturation > 10 and quiet > 200
    assert sum(0.02 < rate < 0.98 for rate in rates) > len(rates) / 2


@pytest.mark.lava
def test_every_fourth_of_the_random_networks_equals_lava_in_every_bit(lava: Path) -> None:
    assert compared(range(0, len(GROUPS), 4))["networks"] >= 50


@pytest.mark.lava
@pytest.mark.slow
def test_more_than_200_random_networks_equal_lava_in_every_bit(lava: Path) -> None:
    report = compared(range(len(GROUPS)))
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    (folder / "lava_sweep.json").write_text(json.dumps(report, indent=1) + "\n")
    assert int(report["networks"]) >= 200


def compared(seeds: range) -> dict[str, Any]:
    """Programs of these groups on lava-nc and the emulator: what was equal, in every bit."""
    networks = layers = bits = spikes = 0
    for seed in seeds:
        group = GROUPS[seed]
        program, given = random_program(seed, group)
        found, wanted = run_lava(program, given), emulate(program, given)
        for layer in program.layers:
            a, b = found.spikes[layer.name], wanted.spikes[layer.name]
            assert np.array_equal(a, b), (
                f"group {seed}, {layer}: {int((a != b).sum())} of {a.size} bits differ"
            )
            layers, bits, spikes = layers + 1, bits + a.size, spikes + int(a.sum())
        networks += len(program.inputs)
    return {
        "networks": networks,
        "layers": layers,
        "bits": bits,
        "spikes": spikes,
        "differing_bits": 0,
        "oracle": "lava-nc 0.10.0, fixed_pt",
        "network": "an input of its own with one to three layers, run as a Lava network of its own",
    }
