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
    assert other_choices(feed(path, Said(dialect="norse"), Source(tmp_path / "x.npz"))) == ()


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
