"""Counts against slow loops and against values that NeuroBench 2.3.0 printed for one network."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.errors import BadInput
from neurozsl.hardware.counts import LayerCounts, count
from neurozsl.hardware.emulator import emulate
from neurozsl.hardware.lower import Lowered, LoweredLayer
from neurozsl.hardware.program import Program, ProgramLayer
from neurozsl.signals import ChipInput, InputCode, Trace

Floats = npt.NDArray[np.float64]


def lowered(*weights: Any, code: InputCode, steps: int) -> Lowered:
    layers, source = [], "x"
    for i, weight in enumerate(weights):
        out = np.asarray(weight).shape[0]
        ones = np.ones(out)
        layers.append(
            LoweredLayer(f"l{i}", source, np.asarray(weight, float), 0 * ones, 0 * ones, ones, ones)
        )
        source = f"l{i}"
    return Lowered({"x": code}, tuple(layers), (source,), 1e-3, steps, "frozen")


def neurobench_network() -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """The formulas of the published golden network: 20-16-5, weights in 1/16, 12 samples."""

    def weight(out: int, fan_in: int, k: int) -> Floats:
        o, i = np.mgrid[:out, :fan_in]
        value = (((7 * o + 13 * i + k) % 17) - 6) / 16
        return np.where((o + 2 * i) % 5 == 0, 0.0, value)

    s, t, i = np.mgrid[:12, :8, :20]
    x = ((3 * s + 5 * t + 7 * i + s * i) % 11 < 4).astype(np.int64)
    return weight(16, 20, 1), weight(5, 16, 5), x


def leaky_like_snntorch(inputs: npt.NDArray[Any], weight: Floats, reset: str) -> Any:
    """snnTorch's Leaky, slow: beta 0.875, threshold 1, reset from the previous membrane."""
    samples, steps, _ = inputs.shape
    spikes = np.zeros((samples, steps, len(weight)), np.uint8)
    for s in range(samples):
        for n in range(len(weight)):
            m = 0.0
            for t in range(steps):
                current = float(np.dot(weight[n], inputs[s, t]))
                fired_before = m > 1.0
                m = 0.875 * m * (0.0 if fired_before and reset == "zero" else 1.0) + current
                if fired_before and reset == "subtract":
                    m -= 1.0
                spikes[s, t, n] = m > 1.0
    return spikes


@pytest.mark.parametrize(
    ("reset", "acs", "sparsity"),
    [("subtract", 910.916667, 0.5198412698), ("zero", 873.333333, 0.6220238095)],
)
def test_the_golden_values_of_neurobench_are_reproduced(
    reset: str, acs: float, sparsity: float
) -> None:
    w1, w2, x = neurobench_network()
    assert (w1.sum(), w2.sum(), x.sum()) == (27.8125, 8.3125, 700)
    z1 = leaky_like_snntorch(x, w1, reset)
    z2 = leaky_like_snntorch(z1, w2, reset)
    if reset == "subtract":
        assert (int(z1.sum()), int(z2.sum())) == (705, 263)
    code = InputCode(20, "binary", 1, False, 1.0)
    found = count(
        lowered(w1, w2, code=code, steps=8),
        ChipInput({"x": x}, {"x": code}),
        Trace({"l0": z1, "l1": z2}),
    )
    assert found.total("effective_acs") == pytest.approx(acs, abs=1e-6)
    assert found.total("effective_macs") == 0
    assert found.total("dense") == 3200
    assert found.total("parameters") == 400
    zeros = 1 - (z1.sum() + z2.sum()) / (z1.size + z2.size)
    assert zeros == pytest.approx(sparsity, abs=1e-9)
    assert 1 - sum(layer.nonzero_weights for layer in found.layers) / 400 == pytest.approx(0.2575)
    if reset == "subtract":
        assert [layer.effective_acs * 12 for layer in found.layers] == pytest.approx([8296, 2635])


def test_one_graded_value_turns_the_step_of_the_whole_batch_into_multiplies() -> None:
    w1, w2, x = neurobench_network()
    x = x.copy()
    x[5, 2, np.flatnonzero(x[5, 2])[0]] = 2
    code = InputCode(20, "graded", 2, False, 1.0)
    z1 = leaky_like_snntorch(x, w1, "subtract")
    z2 = leaky_like_snntorch(z1, w2, "subtract")
    found = count(
        lowered(w1, w2, code=code, steps=8),
        ChipInput({"x": x}, {"x": code}),
        Trace({"l0": z1, "l1": z2}),
    )
    step = sum(int(np.sum(w1[:, x[s, 2] != 0] != 0)) for s in range(12))
    assert found.layers[0].effective_macs * 12 == step
    assert found.layers[0].synops * 12 == 8296
    assert found.layers[1].effective_macs == 0


def slow_counts(weight: Floats, arriving: Any, spikes: Any) -> dict[str, float]:
    """One event at a time."""
    found = dict.fromkeys(
        ("events", "synops", "weighted", "active", "inactive", "spikes", "dense"), 0.0
    )
    samples, steps, width = arriving.shape
    for s in range(samples):
        for t in range(steps):
            touched = [False] * len(weight)
            for i in range(width):
                value = int(arriving[s, t, i])
                found["events"] += value != 0
                found["weighted"] += abs(value) * len(weight)
                for o in range(len(weight)):
                    found["dense"] += 1
                    if value != 0 and weight[o, i] != 0:
                        found["synops"] += 1
                        touched[o] = True
            found["active"] += sum(touched)
            found["inactive"] += len(weight) - sum(touched)
            found["spikes"] += int(spikes[s, t].sum())
    return {key: value / samples for key, value in found.items()}


@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_counts_equal_a_loop_over_events(zeros: float) -> None:
    rng = np.random.default_rng(4)
    code = InputCode(6, "graded", 3, True, 1.0)
    weight = rng.normal(0, 1, (5, 6)) * (rng.random((5, 6)) >= zeros)
    weight[0, 0] = 0.0 if zeros else weight[0, 0]
    x = rng.integers(-3, 4, (7, 4, 6)) * (rng.random((7, 4, 6)) < 0.3)
    z = (rng.random((7, 4, 5)) < 0.2).astype(np.uint8)
    found = count(
        lowered(weight, code=code, steps=4), ChipInput({"x": x}, {"x": code}), Trace({"l0": z})
    ).layers[0]
    slow = slow_counts(weight, x, z)
    fast = {
        "events": found.input_events,
        "synops": found.synops,
        "weighted": found.synops_weighted,
        "active": found.active_updates,
        "inactive": found.inactive_updates,
        "spikes": found.spikes,
        "dense": found.dense,
    }
    assert fast == pytest.approx(slow)
    assert found.neuron_updates == 5 * 4
    assert found.spike_rate == pytest.approx(z.mean())


def test_a_program_counts_its_integer_weights() -> None:
    code = InputCode(3, "ternary", 1, False, 1.0)
    layer = ProgramLayer(
        "a", "x", np.array([[2, 0, -4]]), 8, 0, np.array([7]), 0, 4095, 2048, 1, 1.0
    )
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 2, 1e-3, "frozen")
    given = ChipInput({"x": np.array([[[1, 1, -1], [0, 1, 0]]])}, {"x": code})
    found = count(program, given, emulate(program, given))
    only: LayerCounts = found.layers[0]
    assert (only.synops, only.active_updates, only.inactive_updates) == (2, 1, 1)
    assert (only.parameters, only.nonzero_weights, only.effective_macs) == (4, 2, 0)
    assert found.leaky
    assert not count(
        lowered([[1.0, 0, 1]], code=code, steps=2), given, Trace({"l0": np.zeros((1, 2, 1))})
    ).leaky


def test_counts_are_per_sample_so_a_repeated_batch_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    code = InputCode(6, "binary", 1, False, 1.0)
    x = (rng.random((3, 4, 6)) < 0.4).astype(int)
    z = (rng.random((3, 4, 5)) < 0.2).astype(np.uint8)
    network = lowered(rng.normal(0, 1, (5, 6)), code=code, steps=4)
    once = count(network, ChipInput({"x": x}, {"x": code}), Trace({"l0": z}))
    twice = count(
        network,
        ChipInput({"x": np.concatenate([x, x])}, {"x": code}),
        Trace({"l0": np.concatenate([z, z])}),
    )
    assert (once.samples, twice.samples) == (3, 6)
    for key in ("synops", "spikes", "active_updates", "dense", "input_events"):
        assert once.total(key) == pytest.approx(twice.total(key))


def test_a_trace_of_another_run_is_refused() -> None:
    code = InputCode(2, "binary", 1, False, 1.0)
    network = lowered([[1.0, 1.0]], code=code, steps=2)
    given = ChipInput({"x": np.zeros((3, 2, 2))}, {"x": code})
    with pytest.raises(BadInput, match=r"'l0' is \(4, 2, 1\), expected \(3, 2, 1\)"):
        count(network, given, Trace({"l0": np.zeros((4, 2, 1))}))
    with pytest.raises(BadInput, match="'l0' is missing"):
        count(network, given, Trace({}))
