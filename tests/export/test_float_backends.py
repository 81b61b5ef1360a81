"""Norse, the numpy reference and Sinabs give the same bits in float64, under every policy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.thresholds import theta_of

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]

FORMS: dict[str, dict[str, Any]] = {
    "lif": {},
    "lif, values per neuron": {"vectors": True, "kappa": 0.3, "gain": 6.0},
    "synaptic current": {"synaptic": True},
    "integrate and fire": {"kappa": 0.0, "gain": 1.0},
    "table": {"policy": "table"},
    "dynamic": {"policy": "dynamic"},
    "dynamic, synaptic current": {"policy": "dynamic", "synaptic": True, "vectors": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_three_float_simulators_agree_in_every_bit(
    form: str, make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = canonical(make_branch(**FORMS[form]))
    parts, chip = Parts(spec, lower(to_nir(spec))), make_input(spec, 32)
    wanted = backend("norse", parts)(chip).to_numpy()
    assert all(0.005 < rate < 0.9 for rate in wanted.rates().values())
    for name in ("floatsim", "sinabs"):
        found = backend(name, parts)(chip).to_numpy()
        for layer in spec.layers:
            assert np.array_equal(found.spikes[layer.name], wanted.spikes[layer.name]), name


def test_a_value_equal_to_the_threshold_does_not_spike_in_any_simulator(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_branch((4, 1), kappa=1.0)
    layer = replace(spec.layers[0], weight=np.zeros((1, 4), np.float32), bias=np.array([0.5]))
    spec = replace(spec, layers=(layer,), outputs=("audio.0",))
    chip = make_input(spec, 1)
    for bias, expected in ((0.5, 0), (np.nextafter(np.float32(0.5), 1), 10)):
        spec = replace(spec, layers=(replace(layer, bias=np.array([bias], np.float32)),))
        parts = Parts(spec, lower(to_nir(spec)))
        for name in ("norse", "floatsim", "sinabs"):
            assert backend(name, parts)(chip).to_numpy().spikes["audio.0"].sum() == expected, name


def test_samples_do_not_influence_each_other(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = canonical(make_branch(synaptic=True))
    parts, chip = Parts(spec, lower(to_nir(spec))), make_input(spec, 5)
    for name in ("norse", "sinabs"):
        run = backend(name, parts)
        together = run(chip).to_numpy().spikes["video.2"]
        alone = run(chip.take(slice(3, 4))).to_numpy().spikes["video.2"]
        assert np.array_equal(together[3:4], alone)


def test_thresholds_broadcast_to_batch_time_neuron(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    shapes = {"fixed": (1, 1, 10), "table": (1, 10, 1), "dynamic": (8, 10, 1)}
    for policy, shape in shapes.items():
        spec = make_branch(policy=policy)
        assert theta_of(spec.layers[0], spec.policy, make_input(spec)).shape == shape


def test_a_half_silent_synaptic_memory_is_refused_by_sinabs(
    make_branch: MakeBranch, make_input: MakeInput
) -> None:
    spec = make_branch(synaptic=True)
    half = np.where(np.arange(10) < 5, 1.0, 0.25)
    spec = replace(spec, layers=(replace(spec.layers[0], syn_kappa=half), *spec.layers[1:]))
    run = backend("sinabs", Parts(spec, lower(to_nir(spec))))
    with pytest.raises(BadInput, match=r"'audio\.0': syn_kappa is 1 in some"):
        run(make_input(spec))


def test_backends_are_chosen_by_name(make_branch: MakeBranch) -> None:
    spec = canonical(make_branch())
    parts = Parts(spec, lower(to_nir(spec)))
    with pytest.raises(BadInput, match="'loihi' is unknown; use norse, floatsim"):
        backend("loihi", parts)
    with pytest.raises(BadInput, match="--target lava"):
        backend("emulator", parts)


_GUARD = """
import sys, warnings
import torch
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse.cells import LIFBoxCell
from neurozsl.core.signals import ChipInput
from torch import nn
x = torch.ones(1, 4, 3)
lowered = lower(from_norse(nn.Sequential(nn.Linear(3, 2), LIFBoxCell()), x))
run_sinabs(lowered, ChipInput({"input": x.numpy()}, lowered.inputs))
print([m for m in sys.modules if "samna" in m or m.startswith("sinabs.backend.dynapcnn")])
"""


def test_running_the_sinabs_target_imports_neither_samna_nor_dynapcnn() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GUARD], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
