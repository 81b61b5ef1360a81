import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.neuron import NeuronRule

RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(0, 1, (3, 4)).astype(np.float32)
BIAS = RNG.normal(0, 1, 3).astype(np.float32)
ONES = np.ones(3, np.float32)
DT = 1e-3


def lif(**changes: Any) -> nir.NIRNode:
    values = {"tau": 4 * DT * ONES, "r": ONES, "v_leak": 0 * ONES, "v_threshold": ONES}
    return nir.LIF(**{**values, **changes})


def graph(neuron: nir.NIRNode, synapse: nir.NIRNode | None = None) -> nir.NIRGraph:
    return nir.NIRGraph(
        nodes={
            "in": nir.Input(input_type={"input": np.array([4])}),
            "w": nir.Affine(weight=WEIGHT, bias=BIAS) if synapse is None else synapse,
            "n": neuron,
            "out": nir.Output(output_type={"output": np.array([3])}),
        },
        edges=[("in", "w"), ("w", "n"), ("n", "out")],
    )


def test_lif_gain_is_folded_once() -> None:
    layer = lower(graph(lif(r=2 * ONES)), dt_s=DT, steps=5).layers[0]
    tau = np.float64(np.float32(4 * DT))
    kappa = DT / tau
    np.testing.assert_array_equal(layer.weight, kappa * 2 * WEIGHT.astype(np.float64))
    np.testing.assert_array_equal(layer.bias, kappa * 2 * BIAS.astype(np.float64))
    np.testing.assert_array_equal(layer.leak, np.full(3, kappa))
    np.testing.assert_array_equal(layer.syn_leak, ONES)
    assert (layer.name, layer.source, layer.bias_to) == ("n", "in", "membrane")


def test_if_has_no_leak_and_gain_r_per_step() -> None:
    layer = lower(graph(nir.IF(r=3 * ONES, v_threshold=ONES)), dt_s=DT, steps=5).layers[0]
    np.testing.assert_array_equal(layer.weight, 3 * WEIGHT.astype(np.float64))
    np.testing.assert_array_equal(layer.leak, 0 * ONES)


def test_cuba_bias_passes_through_the_current_with_the_gain_of_the_synapse() -> None:
    node = nir.CubaLIF(
        tau_mem=4 * DT * ONES,
        tau_syn=2 * DT * ONES,
        r=ONES,
        v_leak=0 * ONES,
        v_threshold=ONES,
        w_in=3 * ONES,
    )
    layer = lower(graph(node), dt_s=DT, steps=5).layers[0]
    np.testing.assert_allclose(layer.weight, 0.25 * 0.5 * 3 * WEIGHT, rtol=1e-6)
    np.testing.assert_allclose(layer.syn_leak, 0.5, rtol=1e-6)
    assert layer.bias_to == "current"


def test_cuba_written_as_norse_jumps_by_exactly_one() -> None:
    syn = 0.3
    node = nir.CubaLIF(
        tau_mem=(DT / 0.5 * ONES).astype(np.float32),
        tau_syn=(DT / syn * ONES).astype(np.float32),
        r=ONES,
        v_leak=0 * ONES,
        v_threshold=ONES,
        w_in=(1 / syn * ONES).astype(np.float32),
    )
    made = graph(node)
    made.metadata = with_metadata(kappa={"n": np.full(3, 0.5)}, syn_kappa={"n": np.full(3, syn)})
    layer = lower(made).layers[0]
    np.testing.assert_array_equal(layer.weight, 0.5 * WEIGHT.astype(np.float64))
    np.testing.assert_array_equal(layer.syn_leak, np.full(3, syn))


def with_metadata(*, schema: int = 1, **arrays: Any) -> dict[str, Any]:
    header = {
        "schema": schema,
        "dt_s": DT,
        "steps": 7,
        "policy": "frozen",
        "inputs": {"in": {"size": 4, "kind": "graded", "bits": 4, "signed": False, "scale": 0.25}},
        "outputs": ["n"],
        "layers": ["n"],
    }
    return {"neurozsl": json.dumps(header), **arrays}


@pytest.mark.parametrize("nested", [True, False])
def test_the_stored_kappa_wins_over_float32_tau(nested: bool, tmp_path: Path) -> None:
    kappa = np.full(3, 410 / 4096)
    made = graph(lif(tau=(DT / kappa).astype(np.float32)))
    made.metadata = with_metadata(**({"kappa": {"n": kappa}} if nested else {"kappa/n": kappa}))
    nir.write(tmp_path / "x.nir", made)
    for source in (made, nir.read(tmp_path / "x.nir")):
        lowered = lower(source)
        np.testing.assert_array_equal(lowered.layers[0].leak, kappa)
        assert (lowered.steps, lowered.policy, lowered.outputs) == (7, "frozen", ("n",))
        assert lowered.inputs["in"] == InputCode(4, "graded", 4, False, 0.25)


def test_a_stored_kappa_that_contradicts_tau_is_refused() -> None:
    made = graph(lif())
    made.metadata = with_metadata(kappa={"n": np.full(3, 0.3)})
    with pytest.raises(BadInput, match="stored kappa"):
        lower(made)


def test_scalar_parameters_are_broadcast() -> None:
    one = np.ones((), np.float32)
    node = nir.LIF(tau=4 * DT * one, r=one, v_leak=0 * one, v_threshold=one)
    layer = lower(graph(node), dt_s=DT, steps=5).layers[0]
    assert layer.threshold.shape == layer.leak.shape == (3,)


def test_linear_has_no_bias() -> None:
    layer = lower(graph(lif(), nir.Linear(weight=WEIGHT)), dt_s=DT, steps=5).layers[0]
    np.testing.assert_array_equal(layer.bias, 0 * ONES)


def test_layers_come_after_their_sources_whatever_the_order_of_nodes() -> None:
    square = np.eye(3, dtype=np.float32)
    made = nir.NIRGraph(
        nodes={
            "out": nir.Output(output_type={"output": np.array([3])}),
            "second": lif(),
            "w2": nir.Linear(weight=square),
            "first": lif(),
            "w1": nir.Linear(weight=WEIGHT),
            "in": nir.Input(input_type={"input": np.array([4])}),
        },
        edges=[("w2", "second"), ("first", "w2"), ("second", "out"), ("w1", "first"), ("in", "w1")],
    )
    lowered = lower(made, dt_s=DT, steps=3)
    assert [(x.name, x.source) for x in lowered.layers] == [("first", "in"), ("second", "first")]
    assert lowered.outputs == ("second",)


def two_branches(order: list[str]) -> nir.NIRGraph:
    """Branches a and b of two layers each, with our metadata."""
    nodes: dict[str, nir.NIRNode] = {}
    edges = []
    for branch in "ab":
        nodes[branch] = nir.Input(input_type={"input": np.array([3])})
        source = branch
        for i in (0, 1):
            name = f"{branch}.{i}"
            nodes[f"{name}.w"] = nir.Linear(weight=np.eye(3, dtype=np.float32))
            nodes[name] = lif()
            edges += [(source, f"{name}.w"), (f"{name}.w", name)]
            source = name
        nodes[f"out.{source}"] = nir.Output(output_type={"output": np.array([3])})
        edges.append((source, f"out.{source}"))
    made = nir.NIRGraph(nodes=nodes, edges=edges)
    code = {"size": 3, "kind": "ternary", "bits": 1, "signed": False, "scale": 1.0}
    header = {
        "schema": 1,
        "dt_s": DT,
        "steps": 7,
        "policy": "frozen",
        "inputs": {"a": code, "b": code},
        "outputs": ["b.1", "a.1"],
        "layers": order,
    }
    made.metadata = {"neurozsl": json.dumps(header)}
    return made


def test_the_stored_order_of_layers_and_outputs_is_kept() -> None:
    order = ["b.0", "b.1", "a.0", "a.1"]
    lowered = lower(two_branches(order))
    assert [layer.name for layer in lowered.layers] == order
    assert lowered.outputs == ("b.1", "a.1")


def test_a_stored_order_that_is_not_topological_or_not_complete_is_refused() -> None:
    with pytest.raises(BadInput, match=r"lists 'b\.1' before its source 'b\.0'"):
        lower(two_branches(["b.1", "a.0", "a.1", "b.0"]))
    with pytest.raises(BadInput, match="metadata lists layers"):
        lower(two_branches(["b.0", "b.1", "a.0"]))


def spoiled(index: tuple[int, int], value: float) -> nir.NIRGraph:
    weight = WEIGHT.copy()
    weight[index] = value
    return graph(lif(), nir.Affine(weight=weight, bias=BIAS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spoiled((1, 2), np.nan), r"NIR node 'w': weight\[1, 2\] is nan, and 1 of 12"),
        (lambda: spoiled((2, 3), np.inf), r"weight\[2, 3\] is inf"),
        (lambda: graph(lif(tau=0 * ONES)), "tau 0 s, expected a positive time"),
        (lambda: graph(lif(tau=0.5 * DT * ONES)), r"dt / tau = 2, expected a decay in \(0, 1\]"),
        (lambda: graph(lif(), nir.Linear(weight=WEIGHT[:, :2])), r"shape \(3, 2\).*\(out, 4\)"),
        (lambda: graph(lif(), nir.Affine(weight=WEIGHT, bias=BIAS[:2])), r"bias has shape \(2,\)"),
    ],
)
def test_a_graph_that_no_chip_can_run_is_refused(
    make: Callable[[], nir.NIRGraph], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        lower(make(), dt_s=DT, steps=5)


def test_a_v_reset_is_refused_where_the_reset_subtracts() -> None:
    node = lif()
    node.v_reset = ONES  # nir 1.0.6 and later have the field
    with pytest.raises(BadInput, match="v_reset 1 and reset subtract; only a reset at once"):
        lower(graph(node), dt_s=DT, steps=5, rule=NeuronRule("subtract"))


@pytest.mark.parametrize("missing", ["dt_s", "steps"])
def test_what_nir_does_not_hold_must_be_given(missing: str) -> None:
    given: dict[str, Any] = {"dt_s": DT, "steps": 5}
    del given[missing]
    with pytest.raises(BadInput, match=f"{missing} .* pass {missing}="):
        lower(graph(lif()), **given)


def test_metadata_of_another_schema_is_refused() -> None:
    made = graph(lif())
    made.metadata = with_metadata(schema=9)
    with pytest.raises(BadInput, match="metadata schema 9"):
        lower(made)


def test_input_scales_are_powers_of_two() -> None:
    code = InputCode(4, "graded", 4, False, 0.3)
    with pytest.raises(BadInput, match="not a power of two"):
        lower(graph(lif()), dt_s=DT, steps=5, inputs={"in": code})


def test_a_file_of_norse_fires_at_the_steps_of_the_exact_solution(shared_data: Path) -> None:
    folder = shared_data / "nir"
    lowered = lower(nir.read(folder / "lif_norse.nir"), dt_s=1e-4, steps=1000)
    # Columns: input, v, spike; the membrane after the step (0 where it fired).
    exact = np.loadtxt(folder / "golden" / "lif_exact.csv", delimiter=",")
    norse = np.loadtxt(folder / "golden" / "lif_norse.csv", delimiter=",")
    codes = exact[None, :, :1]
    trace = simulate(
        lowered, ChipInput({"input": codes}, lowered.inputs), record=("spikes", "membrane")
    )
    layer = lowered.layers[0].name
    assert np.flatnonzero(trace.spikes[layer]).tolist() == [460, 510, 710, 760]
    np.testing.assert_array_equal(trace.spikes[layer][0, :, 0], exact[:, 2])
    np.testing.assert_allclose(trace.membrane[layer][0, :, 0], norse[:, 1], atol=1e-7)
