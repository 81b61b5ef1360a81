"""A file is read as its own writer means it, or as nobody's: never as another's.

The recorded files of the frameworks first, then graphs by hand that miss one sign each.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.dialects.registry import DIALECTS, spoken
from neurozsl.export.nir.foreign import Network, from_graph
from neurozsl.export.nir.said import Said
from neurozsl.hardware.floatsim.floatsim import simulate
from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.conftest import Folder
from tests.frameworks.run import gives_every_spike

DT_S = 1e-4
# What a framework does by default, so that its file alone gives every spike.
BARE = [case for case in CASES if case.said == {"dialect": case.writer}]


def _id(case: Case) -> str:
    return f"{case.writer}-{case.name}"


def _key(graph: nir.NIRGraph) -> str | None:
    found = spoken(graph, None)
    return None if found is None else found.dialect.key


@pytest.mark.parametrize("writer", record.WRITERS)
def test_every_recorded_file_shows_who_wrote_it(recorded: Folder, writer: str) -> None:
    cases = [case for case in CASES if case.writer == writer]
    assert len(cases) > 20
    folder = recorded(writer)
    keys = {case.name: _key(nirfile.read(folder / f"{case.name}.nir")) for case in cases}
    assert {name: key for name, key in keys.items() if key != writer} == {}


@pytest.mark.parametrize("case", BARE, ids=_id)
def test_the_file_alone_gives_every_spike_of_what_is_done_by_default(
    recorded: Folder, case: Case
) -> None:
    assert gives_every_spike(recorded(case.writer), case, {})


def test_the_files_of_every_framework_have_such_cases() -> None:
    assert {case.writer for case in BARE} == set(record.WRITERS)
    assert len(BARE) > 100


def test_what_a_file_cannot_say_is_needed(recorded: Folder) -> None:
    """The option that a case names changes spikes: no option stands there for nothing."""
    idle = [
        _id(case)
        for case in CASES
        if case not in BARE and gives_every_spike(recorded(case.writer), case, {})
    ]
    assert idle == []


# Graphs by hand.


def _chain(*nodes: Any, names: Iterable[str] | None = None, sample: Any = (3,)) -> nir.NIRGraph:
    inner = nodes[-1].v_threshold.shape or (2,)
    every = (
        nir.Input({"input": np.array(sample)}),
        *nodes,
        nir.Output({"output": np.array(inner)}),
    )
    called = ("input", *(names or map(str, range(len(nodes)))), "output")
    named = dict(zip(called, every, strict=True))
    return nir.NIRGraph(nodes=named, edges=list(pairwise(named)))


def _weights(kind: Any = np.float32) -> Any:
    return nir.Linear(np.array([[0.5, -0.3, 0.7], [0.2, 0.9, -0.1]], kind))


def _lif(
    kind: Any = np.float32, *, tau: Any = (2e-3, 3e-3), r: Any = 1.0, reset: Any = None
) -> Any:
    """Two neurons; r is one value or two."""
    node = nir.LIF(
        tau=np.asarray(tau, kind),
        r=np.asarray(np.broadcast_to(r, np.shape(tau)), kind),
        v_leak=np.zeros(np.shape(tau), kind),
        v_threshold=np.asarray(np.broadcast_to(0.9, np.shape(tau)), kind),
    )
    return node if reset is None else _stores(node, np.asarray(reset, kind))


def _if(kind: Any = np.float32, *, r: Any = (1.0, 1.0), reset: Any = None) -> Any:
    node = nir.IF(r=np.asarray(r, kind), v_threshold=np.asarray(np.full(np.shape(r), 0.9), kind))
    return node if reset is None else _stores(node, np.asarray(reset, kind))


def _stores(node: Any, reset: Any) -> Any:
    """As a reader of nir >= 1.0.6 files returns it."""
    node.v_reset = np.broadcast_to(reset, node.v_threshold.shape)
    return node


SNNTORCH_TAU = np.array([5e-4, 2e-3])
NOBODY: dict[str, Callable[[], nir.NIRGraph]] = {
    "hand-written double precision, r = 1": lambda: _chain(
        _weights(np.float64), _lif(np.float64, reset=0.0), names=("fc", "lif")
    ),
    "the same, one value each, no v_reset": lambda: _chain(
        _weights(np.float64), _lif(np.float64, tau=2e-3), names=("fc", "lif")
    ),
    "SpikingJelly's names in single precision": lambda: _chain(
        _weights(), _lif(tau=(2e-3, 2e-3), reset=0.0), names=("_0", "_1")
    ),
    "SpikingJelly's names, no v_reset": lambda: _chain(
        _weights(), _lif(np.float64, tau=(2e-3, 2e-3)), names=("_0", "_1")
    ),
    "SpikingJelly's names, a time constant for every neuron": lambda: _chain(
        _weights(), _lif(np.float64, reset=0.0), names=("_0", "_1")
    ),
    "snnTorch's gain in double precision": lambda: _chain(
        _weights(), _lif(np.float64, tau=SNNTORCH_TAU, r=SNNTORCH_TAU / DT_S)
    ),
    "snnTorch's gain at another step": lambda: _chain(
        _weights(), _lif(tau=SNNTORCH_TAU, r=SNNTORCH_TAU / 1e-3, reset=0.0)
    ),
    "snnTorch's gain, a v_reset": lambda: _chain(
        _weights(), _lif(tau=SNNTORCH_TAU, r=SNNTORCH_TAU / DT_S, reset=-0.2)
    ),
    "Sinabs' LIF in seconds": lambda: _chain(_weights(), _lif(tau=(2e-3, 3e-3), reset=0.0)),
    "Sinabs' LIF in double precision": lambda: _chain(_weights(), _lif(np.float64, tau=(4.0, 9.0))),
    "Sinabs' IF under other names": lambda: _chain(_weights(), _if(reset=0.0), names=("fc", "if")),
    "an IF of 37": lambda: _chain(_weights(), _if(r=(37.0, 37.0))),
    "an IF of Norse or Sinabs, exported with a batch of 4": lambda: _chain(
        _weights(), _if(), sample=(4, 3)
    ),
    "Norse's LIF with a value for every neuron, exported with a batch of 4": lambda: _chain(
        _weights(), _lif(), sample=(4, 3)
    ),
    "an IF of SpikingJelly behind a LIF of snnTorch": lambda: _chain(
        _weights(),
        _lif(tau=SNNTORCH_TAU, r=SNNTORCH_TAU / DT_S, reset=0.0),
        nir.Linear(np.eye(2)),
        _if(np.float64, r=(1e4, 1e4), reset=0.0),
    ),
    "a LIF of Sinabs beside one of Norse": lambda: _chain(
        _weights(), _lif(tau=(4.0, 9.0)), nir.Linear(np.eye(2)), _lif(tau=(2e-3, 3e-3))
    ),
    "no neuron": lambda: nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([3])}),
            "_0": _weights(),
            "output": nir.Output({"output": np.array([2])}),
        },
        edges=[("input", "_0"), ("_0", "output")],
    ),
}  # fmt: skip
SOMEBODY: dict[str, tuple[str, Callable[[], nir.NIRGraph]]] = {
    "SpikingJelly's LIF": (
        "spikingjelly",
        lambda: _chain(
            _weights(), _lif(np.float64, tau=(2e-4, 2e-4), reset=0.0), names=("_0", "_1")
        ),
    ),
    "SpikingJelly's IF": (
        "spikingjelly", lambda: _chain(_weights(), _if(np.float64, r=(1e4, 1e4), reset=0.0))
    ),
    "snnTorch's Leaky": (
        "snntorch",
        lambda: _chain(_weights(), _lif(tau=SNNTORCH_TAU, r=SNNTORCH_TAU / DT_S, reset=0.0)),
    ),
    "Sinabs' LIF": ("sinabs", lambda: _chain(_weights(), _lif(tau=(4.0, 9.0)))),
    "Sinabs' IAF, exported with a time of 60": (
        "sinabs", lambda: _chain(_weights(), _if(reset=0.0), sample=(60, 3))
    ),
    "Norse's IAFCell with a value for every neuron": (
        "norse", lambda: _chain(_weights(), _if(), sample=(1, 3))
    ),
    "Norse's LIFBoxCell": ("norse", lambda: _chain(_weights(), _lif(tau=1e-5), sample=(4, 3))),
}  # fmt: skip


@pytest.mark.parametrize("make", NOBODY.values(), ids=NOBODY)
def test_a_file_that_misses_a_sign_is_nobodys(make: Callable[[], nir.NIRGraph]) -> None:
    assert _key(make()) is None


@pytest.mark.parametrize(("key", "make"), SOMEBODY.values(), ids=SOMEBODY)
def test_a_file_with_every_sign_is_its_writers(key: str, make: Callable[[], nir.NIRGraph]) -> None:
    found = spoken(make(), None)
    assert found is not None and found.dialect.key == key
    assert found.why.startswith("recognised by ")


def test_integers_of_lava_are_not_taken_for_snntorchs_cells_nor_the_other_way() -> None:
    """Both gains are 1 in both; Lava's script writes doubles on coarse grids, one decay a layer."""
    decay = np.full(2, 1024) / 4096
    weight = nir.Linear((np.array([[32, -20, 45], [13, 58, -6]]) / 64).astype(np.float32))

    def graph(decays: Any, theta: float, kind: Any = np.float64) -> nir.NIRGraph:
        tau = (DT_S / decays).astype(kind)
        gain = (tau / DT_S).astype(kind)
        every, none = np.full(2, theta, kind), np.zeros(2, kind)
        cell = nir.CubaLIF(
            tau_syn=tau, tau_mem=tau, r=gain, v_leak=none, v_threshold=every, w_in=gain
        )
        return _chain(weight, cell)

    assert _key(graph(decay, 58 / 64)) == "lava"
    assert _key(graph(decay, 58 / 64, np.float32)) == "snntorch"  # quantised, but not by Lava
    assert _key(graph(decay, 0.9)) is None
    assert _key(graph(decay + 1e-4, 58 / 64)) is None
    assert _key(graph(np.array([1024, 512]) / 4096, 58 / 64)) is None


# What is read.


def _network(graph: nir.NIRGraph, **options: Any) -> Network:
    return from_graph(graph, "net.nir", Said(**options))


def _counts(network: Network, spikes: Any) -> Any:
    given = ChipInput({"input": spikes.astype(np.int16)}, network.lowered.inputs)
    [counts] = simulate(network.lowered, given).spikes.values()
    return counts


def _spikes(steps: int = 40) -> Any:
    return np.random.default_rng(4).random((3, steps, 3)) < 0.4


def test_a_file_of_our_own_says_what_it_is_and_is_not_recognised_again(tmp_path: Path) -> None:
    """It holds a v_reset of snnTorch's look, and is read as its metadata say."""
    graph = SOMEBODY["snnTorch's Leaky"][1]()
    first = _network(graph, dialect="snntorch:zero")
    path = nirfile.write(tmp_path / "ours.nir", first.graph)
    again = from_graph(nirfile.read(path), "ours.nir")
    assert (again.dialect, again.why) == ("snntorch:zero", "stored in the file")
    assert [x.rule for x in again.lowered.layers] == [x.rule for x in first.lowered.layers]
    assert again.lowered.layers[0].rule.reset == "zero"
    assert _network(graph).lowered.layers[0].rule.reset == "subtract-late"
    with pytest.raises(BadInput, match="says dialect 'snntorch:zero', asked for 'sinabs'"):
        from_graph(nirfile.read(path), "ours.nir", Said(dialect="sinabs"))


def test_an_if_between_both_gains_is_asked_for() -> None:
    graph = NOBODY["an IF of 37"]()
    with pytest.raises(BadInput) as caught:
        _network(graph)
    text = str(caught.value)
    assert "NIR node '1': r 37 is neither the gain of a step" in text
    assert "nor 1 / dt, so near 10000" in text
    assert "--if-gain step (every spike counts 37 times)" in text
    assert "--if-gain rate (0.0037 times; --dt changes it)" in text


# r of the file, what is said, the factor that one spike of weight 1 then adds to the membrane
GAINS: list[tuple[float, dict[str, Any], float]] = [
    (1.0, {}, 1.0),
    (1.0, {"if_gain": "rate"}, 1e-4),
    (1.0, {"if_gain": "rate", "dt_s": 0.5}, 0.5),
    (1e4, {}, 1.0),
    (1e3, {}, 1.0),
    (1e4, {"if_gain": "step"}, 1e4),
    (37.0, {"if_gain": "step"}, 37.0),
    (37.0, {"if_gain": "rate", "dt_s": 0.01}, 0.37),
    (1e4, {"dialect": "sinabs"}, 1e4),
    (1.0, {"dialect": "spikingjelly", "dt_s": 0.25}, 0.25),
    (1e4, {"dialect": "spikingjelly", "if_gain": "step"}, 1e4),
]


@pytest.mark.parametrize(("r", "options", "gain"), GAINS)
def test_the_gain_of_an_if_is_the_one_that_is_near_or_said(
    r: float, options: dict[str, Any], gain: float
) -> None:
    """Told by the weights that are run."""
    weights = _weights(np.float64)
    graph = _chain(weights, _if(np.float64, r=(r, r)), names=("fc", "if"))
    [layer] = _network(graph, **options).lowered.layers
    np.testing.assert_allclose(layer.weight, gain * weights.weight, rtol=1e-12)
    assert (layer.threshold == 0.9).all() and (layer.leak == 0).all()


def test_an_exponential_decay_is_that_of_a_line_of_numpy() -> None:
    tau, theta = np.array([2.5e-4, 9e-4]), 0.2
    weights = _weights(np.float64)
    cell = _lif(np.float64, tau=tau)
    cell.v_threshold = np.full(2, theta)
    graph, spikes = _chain(weights, cell, names=("fc", "lif")), _spikes()
    wanted, v = [], np.zeros((len(spikes), 2))
    for t in range(spikes.shape[1]):
        kept = np.exp(-DT_S / tau)
        v = kept * v + (1 - kept) * (spikes[:, t] @ weights.weight.T)
        wanted.append(v > theta)
        v = np.where(wanted[-1], 0.0, v)
    truth = np.stack(wanted, 1)
    assert 0.05 < truth.mean() < 0.9
    assert (_counts(_network(graph, discretisation="exponential"), spikes) == truth).all()
    assert (_counts(_network(graph), spikes) != truth).any()


def test_a_word_that_does_not_exist_gives_the_list() -> None:
    graph = SOMEBODY["Sinabs' LIF"][1]()
    words = [word for one in DIALECTS.values() for word in one.words()]
    assert len(words) > len(DIALECTS) > 4
    for wrong in ("brian", "snntorch:none-nodelay", "norse:zero", "Sinabs"):
        with pytest.raises(BadInput) as caught:
            spoken(graph, wrong)
        assert str(caught.value) == f"dialect '{wrong}' is unknown; use one of {', '.join(words)}"
    for key, options in (
        ("gain of an IF", {"if_gain": "both"}),
        ("discretisation", {"discretisation": "exact"}),
        ("unit of time", {"tau_unit": "h"}),
    ):
        with pytest.raises(BadInput, match=f"{key} '{next(iter(options.values()))}', expected one"):
            _network(graph, **options)
