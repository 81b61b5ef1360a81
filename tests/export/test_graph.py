"""BranchSpec <-> NIR graph: nothing is lost, nothing wrong is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import BranchSpec, InputCode
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import canonical, from_nir, to_nir
from neurozsl.hardware.lower.lower import lower

MakeBranch = Callable[..., BranchSpec]

FORMS: dict[str, dict[str, Any]] = {
    "lif": {},
    "vectors": {"vectors": True, "kappa": 0.3},
    "cuba": {"synaptic": True},
    "if": {"kappa": 0.0},
    "table": {"policy": "table"},
    "dynamic": {"policy": "dynamic"},
}


def _assert_same(a: BranchSpec, b: BranchSpec) -> None:
    assert (a.inputs, a.outputs, a.dt_s, a.steps, a.policy) == (
        b.inputs,
        b.outputs,
        b.dt_s,
        b.steps,
        b.policy,
    )
    assert [(x.name, x.source) for x in a.layers] == [(x.name, x.source) for x in b.layers]
    for x, y in zip(a.layers, b.layers, strict=True):
        for key in ("weight", "bias", "kappa", "threshold", "syn_kappa", "theta_table"):
            one, other = getattr(x, key), getattr(y, key)
            assert (one is None) == (other is None), key
            assert one is None or np.array_equal(one, other), key


@pytest.mark.parametrize("form", FORMS)
def test_a_branch_survives_the_way_through_a_file_exactly(
    form: str, make_branch: MakeBranch, tmp_path: Path
) -> None:
    spec = make_branch(**FORMS[form])
    path = nirfile.write(tmp_path / "motion.nir", to_nir(spec))
    _assert_same(spec, from_nir(nirfile.read(path)))


def test_kappa_comes_back_exactly_although_tau_is_float32(make_branch: MakeBranch) -> None:
    spec = make_branch(kappa=0.1)
    graph = to_nir(spec)
    tau = graph.nodes["audio.0"].tau
    assert tau.dtype == np.float32
    assert (spec.dt_s / tau.astype(np.float64) != 0.1).any()  # why the metadata exists
    assert (from_nir(graph).layers[0].kappa == 0.1).all()


def test_the_file_holds_plain_nir_in_seconds_and_unfolded_weights(make_branch: MakeBranch) -> None:
    spec = make_branch(synaptic=True)
    graph = to_nir(spec)
    node = graph.nodes["video.1"]
    assert isinstance(node, nir.CubaLIF)
    np.testing.assert_allclose(node.tau_mem, spec.dt_s / 0.5, rtol=1e-6)
    np.testing.assert_allclose(node.w_in, 4.0)  # tau_syn / dt, the jump of Norse's LIFCell
    assert (node.r == 1).all() and (node.v_leak == 0).all()
    assert np.array_equal(graph.nodes["video.1.w"].weight, spec.layers[4].weight)


def test_lowering_reads_what_the_graph_says(make_branch: MakeBranch) -> None:
    spec = make_branch(kappa=0.3, vectors=True)
    layers = {layer.name: layer for layer in lower(to_nir(spec)).layers}
    for layer in spec.layers:
        folded = layer.kappa[:, None] * layer.weight.astype(np.float64)
        assert np.array_equal(layers[layer.name].weight, folded)
        assert np.array_equal(layers[layer.name].leak, layer.kappa)


def test_canonical_is_idempotent(make_branch: MakeBranch) -> None:
    spec = make_branch()
    first = spec.layers[0]
    wide = replace(spec, layers=(replace(first, weight=first.weight / np.pi), *spec.layers[1:]))
    _assert_same(canonical(wide), canonical(canonical(wide)))


def test_one_error_names_every_fault_of_a_branch(make_branch: MakeBranch) -> None:
    spec = make_branch()
    broken = np.array(spec.layers[0].weight)
    broken[0, 0] = np.nan
    layers = (
        replace(spec.layers[0], weight=broken),
        replace(spec.layers[1], kappa=np.full(8, 1.5)),
        replace(spec.layers[2], source="nobody", threshold=np.zeros(6, np.float32)),
    )
    with pytest.raises(BadInput) as caught:
        to_nir(replace(spec, layers=layers, outputs=("absent",)))
    for part in ("1 values of weight are NaN", "kappa 1.5", "'nobody'", "threshold", "'absent'"):
        assert part in str(caught.value)


def test_input_scales_must_be_powers_of_two(make_branch: MakeBranch) -> None:
    spec = make_branch()
    inputs = {**spec.inputs, "audio": InputCode(12, "graded", 4, False, 0.3)}
    with pytest.raises(BadInput, match="power of two"):
        to_nir(replace(spec, inputs=inputs))
    for scale in (0.0, float("nan")):  # no code at all
        with pytest.raises(BadInput, match=f"scale {scale}"):
            InputCode(12, "graded", 4, False, scale)


def test_metadata_that_contradicts_tau_is_refused(make_branch: MakeBranch) -> None:
    graph = to_nir(make_branch())
    graph.nodes["audio.1"].tau = graph.nodes["audio.1"].tau * 2
    with pytest.raises(BadInput, match=r"audio\.1.*contradicts tau"):
        from_nir(graph)


def test_a_graph_of_another_tool_is_sent_to_the_reader_that_takes_it(
    make_branch: MakeBranch,
) -> None:
    graph = to_nir(make_branch())
    graph.metadata = {}
    with pytest.raises(BadInput, match=r"nz\.lower"):
        from_nir(graph)


def test_a_resting_potential_other_than_zero_is_refused(make_branch: MakeBranch) -> None:
    graph = to_nir(make_branch())
    graph.nodes["audio.1"].v_leak = graph.nodes["audio.1"].v_leak + 0.5
    with pytest.raises(BadInput, match="v_leak"):
        from_nir(graph)


def test_a_gain_that_another_tool_wrote_is_refused(make_branch: MakeBranch) -> None:
    graph = to_nir(make_branch())
    graph.nodes["audio.1"].r = 3 * graph.nodes["audio.1"].r
    with pytest.raises(BadInput, match=r"'audio\.1' has an input gain other than 1"):
        from_nir(graph)


def test_every_unknown_node_is_listed(make_branch: MakeBranch) -> None:
    graph = to_nir(make_branch())
    graph.nodes["scale"] = nir.Scale(scale=np.ones(3))
    graph.nodes["late"] = nir.Delay(delay=np.ones(3))
    with pytest.raises(UnsupportedNode) as caught:
        from_nir(graph)
    assert caught.value.found == ("scale (Scale)", "late (Delay)")


def test_recurrence_is_refused_by_name(make_branch: MakeBranch) -> None:
    graph = to_nir(make_branch())
    graph.nodes["back"] = nir.Linear(weight=np.eye(8))
    graph.edges += [("audio.1", "back"), ("back", "audio.1")]
    with pytest.raises(BadInput, match=r"audio\.1 <- audio\.1\.w, back"):
        from_nir(graph)
