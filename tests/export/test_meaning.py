"""What a file means that does not say it: assumptions, their other sides, and dialects that say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.network.build_network import build_network_bundle
from neurozsl.export.network.network_run import Source, feed, run_network
from neurozsl.export.network.other_choices import other_choices
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said, Saying
from neurozsl.hardware.floatsim.floatsim import simulate

WIDE, NEURONS, STEPS = 6, 5, 40
Network = Callable[..., nir.NIRGraph]


def graph(node: Any, bias: float = 0.05) -> nir.NIRGraph:
    rng = np.random.default_rng(4)
    weight = rng.normal(0.2, 0.5, (NEURONS, WIDE))
    nodes = {
        "in": nir.Input({"input": np.array([WIDE])}),
        "fc": nir.Affine(weight, np.full(NEURONS, bias)),
        "n": node,
        "out": nir.Output({"output": np.array([NEURONS])}),
    }
    return nir.NIRGraph(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")])


def ones(value: float = 1.0) -> Any:
    return np.full(NEURONS, value)


def lif(tau: float = 1e-3, r: float = 10.0) -> Any:
    return nir.LIF(tau=ones(tau), r=ones(r), v_leak=ones(0), v_threshold=ones())


def stimulus() -> Any:
    return np.random.default_rng(8).integers(0, 2, (3, STEPS, WIDE))


def spikes(of: nir.NIRGraph, **said: Any) -> Any:
    network = from_graph(of, "net.nir", Said(steps=STEPS, **said))
    given = ChipInput({"in": stimulus()}, network.lowered.inputs)
    return simulate(network.lowered, given).spikes["n"]


def drive(of: nir.NIRGraph) -> Any:
    node = of.nodes["fc"]
    return stimulus() @ node.weight.T + node.bias


def test_the_exponential_decay_is_exp_of_dt_over_tau() -> None:
    one, v, found = graph(lif(2e-4, 3.0)), np.zeros((3, NEURONS)), []
    for x in np.moveaxis(drive(one), 1, 0):
        keep = np.exp(-1e-4 / 2e-4)
        v = keep * v + (1 - keep) * 3.0 * x
        found.append(v > 1)
        v = np.where(v > 1, 0, v)
    wanted = np.stack(found, 1)
    assert 0.05 < wanted.mean() < 0.95
    assert np.array_equal(spikes(one, discretisation="exponential"), wanted)
    assert (spikes(one) != wanted).any()  # explicit Euler is another network


def test_the_rate_of_an_integrator_is_r_times_dt() -> None:
    for r, said in ((1.0, {"if_gain": "step"}), (1e4, {"if_gain": "rate"}), (1.0, {}), (1e4, {})):
        one, v, found = graph(nir.IF(ones(r), ones())), np.zeros((3, NEURONS)), []
        for x in np.moveaxis(drive(one), 1, 0):
            v = v + x
            found.append(v > 1)
            v = np.where(v > 1, 0, v)
        assert np.array_equal(spikes(one, **said), np.stack(found, 1)), (r, said)


def test_the_step_follows_from_rates_that_are_all_one_over_it() -> None:
    network = from_graph(graph(nir.IF(ones(1e3), ones())), "net.nir")
    assert network.lowered.dt_s == pytest.approx(1e-3)
    assert any(text.startswith("IF: r is near 1 / dt") for text in network.assumptions)


def test_a_gain_that_is_neither_is_asked_for_with_both_readings() -> None:
    one = graph(nir.IF(ones(37.0), ones()))
    with pytest.raises(BadInput, match=r"'n': r 37 .*--if-gain step .*37 times.*0\.0037 times"):
        from_graph(one, "net.nir")
    assert spikes(one, if_gain="step").any() and not spikes(one, if_gain="rate").any()


@pytest.mark.parametrize("reset", [None, np.zeros(NEURONS)])
def test_a_reset_to_zero_is_called_assumed_whether_the_file_holds_v_reset_or_not(
    reset: Any,
) -> None:
    node = lif()
    if reset is not None:
        node.v_reset = reset
    network = from_graph(graph(node), "net.nir")
    [text] = [text for text in network.assumptions if text.startswith("reset: ")]
    why = "the file does not say" if reset is None else "proves no reset"
    assert "to zero" in text and why in text and "--reset subtract" in text


def test_another_v_reset_is_a_reset_to_it_and_nothing_is_assumed() -> None:
    node = lif()
    node.v_reset = ones(-0.2)
    network = from_graph(graph(node), "net.nir")
    assert not any(text.startswith("reset: ") for text in network.assumptions)


def test_the_other_side_of_an_assumption_is_counted_on_the_input(tmp_path: Path) -> None:
    path = nirfile.write(tmp_path / "net.nir", graph(lif()))
    np.savez(tmp_path / "x.npz", stimulus())
    fed = feed(path, Said(), Source(tmp_path / "x.npz"))
    found = {changed.option: changed for changed in other_choices(fed)}
    base = spikes(graph(lif()))
    options: dict[str, Saying] = {
        "--reset subtract": {"reset": "subtract"},
        "--discretisation exponential": {"discretisation": "exponential"},
        "--compare '>='": {"compare": ">="},
        "--reset subtract --compare '>=' --max-spikes 255": {
            "reset": "subtract", "compare": ">=", "max_spikes": 255,
        },
    }  # fmt: skip
    assert set(found) == set(options)
    for option, said in options.items():
        wanted = int(np.count_nonzero(base != spikes(graph(lif()), **said)))
        assert (found[option].differing, found[option].of) == (wanted, base.size), option
    assert found["--reset subtract"].differing > 0
    stated = Said(dialect="norse:times-dt", reset="zero")
    assert other_choices(feed(path, stated, Source(tmp_path / "x.npz"))) == ()


def test_of_a_large_input_the_first_samples_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nirfile.write(tmp_path / "net.nir", graph(lif()))
    np.savez(tmp_path / "x.npz", stimulus())
    monkeypatch.setattr("neurozsl.export.network.other_choices._RUN", STEPS * NEURONS)
    found = other_choices(feed(path, Said(), Source(tmp_path / "x.npz")))
    assert all((x.samples, x.given, x.of) == (1, 3, STEPS * NEURONS) for x in found)
    assert "1 samples of it" in str(found[0])


def test_where_nothing_spikes_at_an_assumed_step_the_advice_names_the_step(tmp_path: Path) -> None:
    slow = graph(nir.LIF(tau=ones(20.0), r=ones(), v_leak=ones(0), v_threshold=ones(9.0)))
    path = nirfile.write(tmp_path / "net.nir", slow)
    source = Source(rate=0.2, samples=2)
    advice = run_network(feed(path, Said(), source)).diagnoses()["n"].advice
    assert "--dt" in advice and "nobody said" in advice and "200,000 steps" in advice
    said = run_network(feed(path, Said(dt_s=1e-4), source)).diagnoses()["n"].advice
    assert "--dt" not in said and "threshold" in said


def test_a_word_that_no_dialect_has_is_answered_with_all_words() -> None:
    for word in ("snntoch", "snntorch:late", "norse:zero"):
        with pytest.raises(BadInput, match=rf"dialect '{word}' is unknown.*snntorch:zero.*norse"):
            from_graph(graph(lif()), "net.nir", Said(dialect=word))


@pytest.mark.parametrize(
    "said", [{"if_gain": "both"}, {"discretisation": "midpoint"}, {"tau_unit": "h"}]
)
def test_other_words_are_refused_with_the_known_ones(said: Any) -> None:
    with pytest.raises(BadInput, match="expected one of"):
        from_graph(graph(lif()), "net.nir", Said(**said))


def test_what_is_made_of_a_network_says_its_dialect_and_is_not_read_in_another(
    tmp_path: Path,
) -> None:
    network = from_graph(graph(lif()), "net.nir", Said(dialect="snntorch:zero", steps=STEPS))
    path = nirfile.write(tmp_path / "made.nir", network.graph)
    again = from_graph(nirfile.read(path), "made.nir")
    assert (again.dialect, again.why) == ("snntorch:zero", "stored in the file")
    assert again.lowered.layers[0].rule == network.lowered.layers[0].rule
    assert np.array_equal(again.lowered.layers[0].weight, network.lowered.layers[0].weight)
    with pytest.raises(BadInput, match="says dialect 'snntorch:zero', asked for 'norse'"):
        from_graph(nirfile.read(path), "made.nir", Said(dialect="norse"))


def test_what_is_said_wins_over_the_dialect() -> None:
    rule = (
        from_graph(
            graph(lif()), "net.nir", Said(dialect="sinabs", max_spikes=1, reset="zero", low=-1.0)
        )
        .lowered.layers[0]
        .rule
    )
    assert (rule.reset, rule.max_spikes, rule.compare, rule.low) == ("zero", 1, ">=", -1.0)


def test_keyword_arguments_are_the_fields_of_said() -> None:
    assert set(Saying.__annotations__) == set(Said.__dataclass_fields__)
    assert "euler" in get_args(get_args(Said.__dataclass_fields__["discretisation"].type)[0])


# ---------------------------------------------------------------- what one writer's files hide


def norse_graph(*taus: float) -> nir.NIRGraph:
    """A chain of LIF nodes as Norse 1.1 stores them, one value a layer in single precision."""
    one = np.float32(1)
    nodes: dict[str, Any] = {"in": nir.Input({"input": np.array([1, WIDE])})}
    edges, last, rng = [], "in", np.random.default_rng(5)
    for i, tau in enumerate(taus):
        wide = WIDE if i == 0 else NEURONS
        weight = rng.normal(0.3, 3.0, (NEURONS, wide)).astype(np.float32)
        nodes[f"fc{i}"] = nir.Affine(weight, np.zeros(NEURONS, np.float32))
        nodes[f"n{i}"] = nir.LIF(tau=np.float32(tau), r=one, v_leak=np.float32(0), v_threshold=one)
        edges += [(last, f"fc{i}"), (f"fc{i}", f"n{i}")]
        last = f"n{i}"
    nodes["out"] = nir.Output({"output": np.array([1, NEURONS])})
    return nir.NIRGraph(nodes, [*edges, (last, "out")])


def tau_steps(of: nir.NIRGraph, **said: Any) -> list[float]:
    layers = from_graph(of, "net.nir", Said(**said)).lowered.layers
    return [round(1 / float(layer.leak[0]), 3) for layer in layers]


def test_a_slow_layer_of_norse_is_on_the_scale_of_the_whole_file() -> None:
    """300/s and 0.5/s, stored with the factor dt: 3.333e-6 and 2e-3."""
    fast, slow = 1e-3 / 300, 1e-3 / 0.5
    assert tau_steps(norse_graph(fast, slow)) == [3.333, 2000.0]
    assert tau_steps(norse_graph(slow, slow)) == [2.0, 2.0]  # nothing shows the factor
    network = from_graph(norse_graph(slow, slow), "net.nir")
    assert {x.option for x in network.choices} >= {"--dialect norse:times-dt"}
    assert any(text.startswith("time constants:") for text in network.assumptions)
    assert tau_steps(norse_graph(slow, slow), dialect="norse:times-dt") == [2000.0, 2000.0]


def test_norses_step_is_assumed_and_another_dt_of_its_exporter_has_an_option() -> None:
    network = from_graph(norse_graph(1e-5), "net.nir")
    assert any(text.startswith("dt: 0.001 s, usual with Norse") for text in network.assumptions)
    # Cells at 1e-4 s with tau 10 ms, to_nir at 1e-3: stored 1e-5, decays by 0.01.
    assert tau_steps(norse_graph(1e-5), dialect="norse:in-seconds", dt_s=1e-4 * 1e-3) == [100.0]


def test_the_decay_of_snntorch_is_the_single_precision_number_that_it_computes() -> None:
    for beta in (0.5, 0.9, 0.375, 0.0, 0.8125, 0.99, 0.123):
        beta32 = np.float32(beta)
        tau = (np.float32(1e-4) / (1 - beta32)).astype(np.float32)
        node = nir.LIF(
            tau=np.full(NEURONS, tau),
            r=np.full(NEURONS, np.float32(tau / np.float32(1e-4))),
            v_leak=np.zeros(NEURONS, np.float32),
            v_threshold=np.ones(NEURONS, np.float32),
        )
        [layer] = from_graph(graph(node), "net.nir", Said(dialect="snntorch")).lowered.layers
        assert np.all(1 - layer.leak == float(beta32)), beta
        assert np.array_equal(layer.weight, graph(node).nodes["fc"].weight)  # a gain of exactly 1


@pytest.mark.parametrize("word", ["snntorch", "snntorch:zero", "lava", "norse", "sinabs", "nir"])
def test_every_word_reads_or_refuses_every_kind_of_neuron(word: str) -> None:
    cuba = nir.CubaLIF(
        tau_mem=ones(1e-3), tau_syn=ones(5e-4), r=ones(10), w_in=ones(5), v_leak=ones(0),
        v_threshold=ones(),
    )  # fmt: skip
    for node in (lif(), cuba, nir.IF(ones(1e4), ones()), nir.IF(ones(), ones())):
        try:
            from_graph(graph(node), "net.nir", Said(dialect=word))
        except BadInput as error:
            assert "'n'" in str(error)


def test_a_dialect_that_the_file_does_not_look_like_is_told_so() -> None:
    network = from_graph(norse_graph(1e-5), "net.nir", Said(dialect="spikingjelly", dt_s=1e-6))
    assert network.why.startswith("as said, although it looks like norse")
    assert from_graph(norse_graph(1e-5), "net.nir", Said(dialect="norse")).why == "as said"


def test_an_empty_variant_is_none() -> None:
    with pytest.raises(BadInput, match="dialect 'snntorch:' is unknown"):
        from_graph(graph(lif()), "net.nir", Said(dialect="snntorch:"))


@pytest.mark.parametrize("dt_s", [0, -1.0, float("nan"), float("inf"), "1"])
def test_a_step_that_is_none_is_refused(dt_s: Any) -> None:
    with pytest.raises(BadInput, match=r"dt_s .*expected seconds above 0"):
        from_graph(graph(lif()), "net.nir", Said(dt_s=dt_s))


def test_decays_at_and_beyond_their_ends_are_named(tmp_path: Path) -> None:
    endless = graph(lif())
    endless.nodes["n"].tau = ones(np.inf)
    endless.nodes["n"].r = ones(np.inf)
    with pytest.raises(BadInput, match="not written"):
        nirfile.write(tmp_path / "net.nir", endless)
    nir.write(tmp_path / "net.nir", endless)
    with pytest.raises(BadInput, match=r"a decay of 1 \(no leak, as snnTorch's beta = 1\)"):
        nirfile.read(tmp_path / "net.nir")
    with pytest.raises(BadInput, match=r"tau -0.002 s.*beta or alpha above 1"):
        from_graph(graph(lif(-2e-3)), "net.nir")


def test_the_other_rules_of_a_framework_are_choices_too() -> None:
    network = from_graph(graph(nir.IF(ones(), ones())), "net.nir", Said(dialect="sinabs"))
    assert {x.option for x in network.choices} == {"--max-spikes 1", "--reset zero"}
    said = Said(dialect="sinabs", max_spikes=1, reset="zero")
    assert from_graph(graph(nir.IF(ones(), ones())), "net.nir", said).choices == ()


def test_spikes_at_the_end_of_the_count_are_told_and_no_bundle_is_made(tmp_path: Path) -> None:
    path = nirfile.write(tmp_path / "net.nir", graph(nir.IF(ones(), ones(1e-3))))
    fed = feed(path, Said(dialect="sinabs"), Source(rate=0.5, samples=2))
    [text] = run_network(fed).warnings()
    assert "'n': 255 spikes in" in text and "larger threshold" in text
    with pytest.raises(BadInput, match="255 spikes in"):
        build_network_bundle(
            fed.network, target="nir", out_dir=tmp_path / "b", samples=fed.given.chip_input
        )
    assert sorted(x.name for x in tmp_path.iterdir()) == ["net.nir"]


def test_a_rule_that_one_simulator_alone_has_is_unverified_not_refused(tmp_path: Path) -> None:
    network = from_graph(graph(lif()), "net.nir", Said(reset="zero-late", steps=STEPS))
    given = ChipInput({"in": stimulus()}, network.lowered.inputs)
    made = build_network_bundle(network, target="nir", out_dir=tmp_path / "b", samples=given)
    assert made.verdict == "UNVERIFIED"
    assert "no second simulator here has reset zero-late" in str(made.verification)
    again = open_bundle(tmp_path / "b").backend("floatsim")(given)
    assert np.array_equal(again.spikes["n"], simulate(network.lowered, given).spikes["n"])
