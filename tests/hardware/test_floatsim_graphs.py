"""The float simulator against torch's float64 layers, a loop over steps, and sinabs' neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.floatsim import floatsim
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.floatsim.rules import at_rest, replay, run_neurons
from neurozsl.hardware.floatsim.rules import fire as fire_step
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule, Reset
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from neurozsl.hardware.network.turns import stages

STEPS, SAMPLES = 8, 4
CODE = InputCode(2 * 9 * 7, "ternary", 1, False, 0.5)
RULES = (
    NeuronRule(),
    NeuronRule("subtract"),
    NeuronRule("zero", 1, ">="),
    NeuronRule("subtract", 255, ">=", -1.0),
    NeuronRule("zero", 3, ">", -0.5),
    NeuronRule("none"),
    NeuronRule("zero-late"),
    NeuronRule("zero-late", 2, ">=", -0.5),
    NeuronRule("subtract-late"),
    NeuronRule("subtract-late", 4, ">=", -1.0),
    NeuronRule("subtract-nodelay"),
    NeuronRule("subtract-nodelay", 1, ">=", -1.0),
    NeuronRule(spiking=False),
)


def layer(
    rng: np.random.Generator, name: str, first: Synapse, *also: Synapse, **changes: Any
) -> LoweredLayer:
    size = first.size_out
    values: dict[str, Any] = {
        "bias": rng.integers(-16, 33, size) / 64,
        "leak": rng.choice([0.0, 0.1, 0.5], size),
        "syn_leak": rng.choice([0.2, 1.0], size),
        "threshold": rng.choice([0.75, 1.0, 1.3], size),
        "bias_to": str(rng.choice(["membrane", "current"])),
    }
    values |= changes
    return LoweredLayer(name, first.source, first.weight, link=first.link, also=also, **values)


def grid(rng: np.random.Generator, *shape: int) -> Any:
    """Weights whose sums are exact in float64, whatever the order."""
    return rng.integers(-64, 81, shape) / 128


def network(seed: int, rule: NeuronRule) -> Lowered:
    rng = np.random.default_rng(seed)
    strided = Conv((2, 9, 7), (2, 1), (1, 0, 2, 1), (1, 2), 2)
    a = layer(rng, "a", Synapse("x", grid(rng, 4, 1, 3, 2), Link(strided)), rule=rule)
    pool = Pool(a.shape, (2, 2), (2, 2), (0, 1))  # type: ignore[arg-type]
    width = int(np.prod(pool.out_shape))
    b = layer(rng, "b", Synapse("a", grid(rng, 6, width), Link(pools=(pool,), delay=3)), rule=rule)
    c = layer(
        rng,
        "c",
        Synapse("b", grid(rng, 5, 6)),
        Synapse("c", grid(rng, 5, 5), Link(delay=1)),
        Synapse("x", grid(rng, 5, CODE.size), Link(delay=2)),
        Synapse("d", grid(rng, 5, 3), Link(delay=3)),
        rule=rule,
    )
    d = layer(rng, "d", Synapse("c", grid(rng, 3, 5)), rule=rule)
    return Lowered({"x": CODE}, (a, b, c, d), ("d",), 1e-3, STEPS, "frozen")


def given(seed: int) -> ChipInput:
    codes = np.random.default_rng(seed).integers(-1, 2, (SAMPLES, STEPS, CODE.size))
    return ChipInput({"x": codes}, {"x": CODE})


def torch_sums(synapse: Synapse, x: torch.Tensor) -> torch.Tensor:
    """One step `(samples, size)` by torch's own pooling and convolution."""
    for pool in synapse.link.pools:
        maps = x.reshape(-1, *pool.shape)
        area = pool.kernel[0] * pool.kernel[1]
        pooled = functional.avg_pool2d(
            maps, pool.kernel, pool.stride, pool.padding, count_include_pad=True
        )
        x = torch.round(area * pooled).flatten(1)
    weight, conv = torch.from_numpy(synapse.weight), synapse.link.conv
    if conv is None:
        return functional.linear(x, weight)
    top, bottom, left, right = conv.padding
    maps = functional.pad(x.reshape(-1, *conv.shape), (left, right, top, bottom))
    sums = functional.conv2d(maps, weight, None, conv.stride, 0, conv.dilation, conv.groups)
    return sums.flatten(1)


@dataclass
class SlowNeuron:
    """One neuron: v is its membrane after a step, sent how often it spiked then."""

    v: float = 0.0
    sent: int = 0

    def fire(self, rule: NeuronRule, v: float, theta: float) -> int:
        """Spikes of a step whose input and decay lead to v."""
        if rule.reset == "subtract-late" and self.sent:
            v -= self.sent * theta
        if rule.reset == "zero-late" and self.sent:
            v = 0.0
        level = v
        if rule.reset == "subtract-nodelay" and self.v > theta:
            level = v - theta
        self.sent = 0
        if rule.spiking and (level >= theta if rule.compare == ">=" else level > theta):
            self.sent = 1 if rule.max_spikes == 1 else min(int(v / theta), rule.max_spikes)
        if self.sent and rule.reset == "zero":
            v = 0.0
        if self.sent and rule.reset in ("subtract", "subtract-nodelay"):
            v = v - self.sent * theta
        if rule.low is not None:
            v = max(v - rule.low, 0.0) + rule.low
        self.v = v
        return self.sent


def by_hand(lowered: Lowered, chip: ChipInput) -> tuple[dict[str, Any], dict[str, Any]]:
    sent = {"x": torch.from_numpy(chip.codes["x"] * CODE.scale)}
    kept = {}
    u, neurons = {}, {}
    for row in lowered.layers:
        sent[row.name] = torch.zeros(SAMPLES, STEPS, row.size, dtype=torch.float64)
        kept[row.name] = np.zeros((SAMPLES, STEPS, row.size))
        u[row.name] = np.zeros((SAMPLES, row.size))
        neurons[row.name] = [[SlowNeuron() for _ in range(row.size)] for _ in range(SAMPLES)]
    for t in range(STEPS):
        for row in lowered.layers:
            total = torch.zeros(SAMPLES, row.size, dtype=torch.float64)
            for synapse in row.synapses:
                if t >= synapse.link.delay:
                    seen = sent[synapse.source][:, t - synapse.link.delay]
                    total = total + torch_sums(synapse, seen)
            for i in range(SAMPLES):
                for n in range(row.size):
                    drive, bias = float(total[i, n]), float(row.bias[n])
                    current = drive + bias if row.bias_to == "current" else drive
                    state = (1 - row.syn_leak[n]) * u[row.name][i, n] + current
                    u[row.name][i, n] = state
                    state = state if row.bias_to == "current" else state + bias
                    neuron = neurons[row.name][i][n]
                    state = (1 - row.leak[n]) * neuron.v + state
                    count = neuron.fire(row.rule, state, float(row.threshold[n]))
                    kept[row.name][i, t, n] = neuron.v
                    sent[row.name][i, t, n] = count
    return {name: x.numpy() for name, x in sent.items() if name != "x"}, kept


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_graphs_equal_torch_and_a_loop_in_every_bit(seed: int, rule: NeuronRule) -> None:
    lowered, chip = network(seed, rule), given(seed)
    spikes, membrane = by_hand(lowered, chip)
    trace = simulate(lowered, chip, record=("spikes", "membrane"), batch=3)
    for name in spikes:
        np.testing.assert_array_equal(trace.spikes[name], spikes[name], err_msg=name)
        np.testing.assert_array_equal(trace.membrane[name], membrane[name], err_msg=name)
        assert (trace.spikes[name].any() or not rule.spiking) and trace.membrane[name].any(), name
    assert max(x.max() for x in trace.spikes.values()) <= rule.max_spikes


def test_few_rows_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered, chip = network(5, RULES[3]), given(5)
    wanted = simulate(lowered, chip, record=("membrane",))
    monkeypatch.setattr(floatsim, "_PATCHES", 500)
    monkeypatch.setattr(floatsim, "_HELD", 1)
    calls: list[tuple[int, int]] = []
    found = simulate(lowered, chip, record=("membrane",), progress=lambda *x: calls.append(x))
    for name in wanted.spikes:
        np.testing.assert_array_equal(found.membrane[name], wanted.membrane[name])
    assert calls == [(i + 1, SAMPLES) for i in range(SAMPLES)]


@pytest.mark.parametrize("spikes", [1, 3, 255])
@pytest.mark.parametrize("low", [None, float(np.float32(-0.7))])  # sinabs keeps it in float32
@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_the_rules_of_sinabs_are_its_own_to_the_last_bit(
    leak: float, low: float | None, spikes: int
) -> None:
    """Random drive that is on no grid: the order of operations shows in the last bits."""
    from sinabs import layers
    from sinabs.activation import MaxSpike, MembraneSubtract, SingleSpike

    rng = np.random.default_rng(spikes)
    size = 24
    theta = rng.uniform(0.3, 0.9, size)
    neuron = layers.LIF(
        tau_mem=10.0,
        spike_threshold=torch.from_numpy(theta),
        spike_fn=SingleSpike if spikes == 1 else MaxSpike(spikes),
        reset_fn=MembraneSubtract(),
        min_v_mem=low,
        norm_input=False,
        train_alphas=True,
        record_states=True,
    )
    neuron.alpha_mem = torch.nn.Parameter(torch.tensor(1.0 - leak, dtype=torch.float64))
    drive = rng.normal(0.2, 0.9, (SAMPLES, 30, size))
    with torch.no_grad():
        neuron.reset_states()
        wanted = neuron(torch.from_numpy(drive)).numpy()
    none, one = np.zeros(size), np.ones(size)
    rule = NeuronRule("subtract", spikes, ">=", low)
    row = LoweredLayer("a", "x", np.eye(size), none, np.full(size, leak), one, theta, rule=rule)
    z, v = run_neurons(row, drive, theta, keep_membrane=True)
    np.testing.assert_array_equal(z, wanted)
    np.testing.assert_array_equal(v, neuron.recordings["v_mem"].numpy())
    assert 1 <= z.max() <= spikes and (low is None or v.min() == low)


@pytest.mark.parametrize("bias_to", ["membrane", "current"])
@pytest.mark.parametrize(
    "rule", [*RULES, NeuronRule("subtract", 3, ">", -0.7), NeuronRule("subtract", spiking=False)]
)
def test_a_replay_of_its_own_spikes_gives_the_same_membranes_to_the_last_bit(
    rule: NeuronRule, bias_to: str
) -> None:
    """Values on no grid, as above; the replay compares nothing, so v* has to bring the spikes."""
    rng = np.random.default_rng(3)
    size = 24
    row = layer(rng, "a", Synapse("x", np.eye(size)), rule=rule, bias_to=bias_to)
    theta = rng.uniform(0.3, 0.9, (SAMPLES, 30, 1))
    current = rng.normal(0.2, 0.9, (SAMPLES, 30, size))
    z, v = run_neurons(row, current, theta, keep_membrane=True)
    assert z.any() == rule.spiking
    np.testing.assert_array_equal(replay(row, current, z, theta), v)
    start = replay(row, current, z, theta, reached=True)
    state, every = at_rest(SAMPLES, row), np.broadcast_to(theta, start.shape)
    for t in range(30):
        again = fire_step(rule, state, start[:, t], every[:, t])
        np.testing.assert_array_equal(again, z[:, t])
        np.testing.assert_array_equal(state.v, v[:, t])


@pytest.mark.parametrize("reset", get_args(Reset))
def test_a_layer_that_never_fires_may_have_an_infinite_threshold(reset: Reset) -> None:
    rule, none = NeuronRule(reset), np.zeros(3)
    row = LoweredLayer("a", "x", np.eye(3), none, none, none + 1, none + np.inf, rule=rule)
    z, v = run_neurons(row, np.ones((1, 4, 3)), row.threshold, keep_membrane=True)
    assert not z.any() and v[0, :, 0].tolist() == [1, 2, 3, 4]


# ---------------------------------------------------------------- which layers take turns


class Named:
    def __init__(self, name: str, *sources: str) -> None:
        self.name = name
        self.synapses = tuple(Synapse(s, np.zeros((1, 1)), Link(delay=1)) for s in sources)


def plan(*layers: Named) -> list[tuple[str, bool]]:
    return [("".join(x.name for x in s.layers), s.in_steps) for s in stages(layers)]


def test_layers_of_a_circle_take_turns_and_others_do_not() -> None:
    assert plan(Named("a", "x"), Named("b", "a", "x")) == [("a", False), ("b", False)]
    assert plan(Named("a", "x", "a"), Named("b", "a")) == [("a", True), ("b", False)]
    # c closes a circle with a; b only listens, and d sits between them.
    found = plan(Named("a", "x", "c"), Named("b", "a"), Named("d", "a"), Named("c", "d"))
    assert found == [("adc", True), ("b", False)]
    # A delay towards an earlier layer that does not feed it closes no circle, but turns the order.
    assert plan(Named("a", "b"), Named("b", "x")) == [("b", False), ("a", False)]
    two = plan(Named("a", "b"), Named("b", "a"), Named("c", "d", "b"), Named("d", "c"))
    assert two == [("ab", True), ("cd", True)]


def test_every_stage_comes_after_what_it_reads() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = "abcdefg"
        every = [Named(n, *rng.choice(list(names), rng.integers(0, 3))) for n in names]
        found = stages(every)
        assert sorted(x.name for s in found for x in s.layers) == list(names)
        before: set[str] = set()
        for stage in found:
            for row in stage.layers:
                reads = {s.source for s in row.synapses}
                assert reads <= before | stage.names
                assert stage.in_steps or not reads & stage.names
            before |= stage.names
