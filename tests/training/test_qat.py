"""The integer forward in training: the emulator's spikes, and a gradient that is Norse's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.nir.graph import canonical
from neurozsl.hardware.arithmetic.quantize import dequantize
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.neurons import NeuronConfig, Surrogate
from neurozsl.training.qat import (
    FineTuning,
    IntegerForward,
    Rounding,
    fine_tuning_from,
    program_of,
    rounding_from,
    same_integers,
)

CODES = {
    "audio": InputCode(20, "graded", 4, False, 0.25),
    "video": InputCode(16, "ternary", 1, True, 1.0),
}


def frozen_branch(*, decay_u12: int = 2048, surrogate: Surrogate = "tanh") -> SpikingBranch:
    torch.manual_seed(0)
    branch = SpikingBranch(
        CODES,
        (24, 16, 12),
        steps=8,
        norm=False,
        neuron=NeuronConfig(decay_u12=decay_u12, surrogate=surrogate),
    )
    with torch.no_grad():
        for layer in branch.named_layers().values():
            layer.synapse.weight.mul_(4.0)
    theta = {name: float(np.float32(0.6)) for name in branch.named_layers()}
    branch.freeze(theta)
    return branch


def drawn(samples: int = 12, seed: int = 1) -> ChipInput:
    """Float tensors that hold integers, as the model's `prepare` gives them."""
    rng = np.random.default_rng(seed)
    codes = {
        name: torch.tensor(
            rng.integers(code.low, code.high + 1, (samples, 8, code.size)), dtype=torch.float32
        )
        for name, code in CODES.items()
    }
    return ChipInput({k: v.requires_grad_() for k, v in codes.items()}, CODES)


@pytest.mark.parametrize("rounding", [Rounding(), Rounding(bits=4), Rounding(bits=4, scale="mse")])
def test_training_spikes_equal_the_emulator_in_every_bit_at_every_step(rounding: Rounding) -> None:
    branch = frozen_branch().train()
    branch.override = IntegerForward(rounding)
    optimiser = torch.optim.Adam(branch.parameters(), lr=0.02)
    programs = []
    for step in range(5):
        chip = drawn(seed=step)
        trace = branch(chip)
        program = program_of(branch.spec(), rounding)
        wanted = emulate(program, chip.to_numpy()).spikes
        for name, spikes in trace.spikes.items():
            assert np.array_equal(spikes.detach().numpy(), wanted[name]), (step, name)
            assert 0.02 < float(spikes.detach().mean()) < 0.9
        programs.append(program)
        loss = sum((trace.spikes[f"{k}.2"].mean((0, 1)) - 0.5).square().sum() for k in CODES)
        optimiser.zero_grad()
        assert isinstance(loss, torch.Tensor)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for a, b in zip(programs[0].layers, programs[-1].layers, strict=True):
        assert not np.array_equal(a.weight, b.weight), f"training did not move {a.name}"


def test_gradients_reach_every_weight_bias_and_input() -> None:
    branch, chip = frozen_branch(), drawn()
    branch.override = IntegerForward(Rounding())
    trace = branch(chip)
    torch.stack([trace.spikes[f"{k}.2"].mean() for k in CODES]).sum().backward()  # type: ignore[no-untyped-call]
    for name, value in branch.named_parameters():
        assert value.grad is not None and bool(value.grad.abs().sum() > 0), name
    for name, codes in chip.codes.items():
        assert codes.grad is not None and bool(codes.grad.abs().sum() > 0), name


def on_the_grid(branch: SpikingBranch, rounding: Rounding) -> SpikingBranch:
    """The same branch with weights that are whole numbers of units, so that nothing is rounded."""
    program = program_of(branch.spec(), rounding)
    twin = dequantize(program)
    with torch.no_grad():
        for layer, real in zip(branch.named_layers().values(), twin.layers, strict=True):
            layer.synapse.weight.copy_(torch.from_numpy(real.weight / real.leak[:, None]))
            layer.synapse.get_parameter("bias").copy_(torch.from_numpy(real.bias / real.leak))
    branch.freeze({x.name: float(x.threshold[0]) for x in twin.layers})
    return branch


@pytest.mark.parametrize("surrogate", ["tanh", "heavi_erfc", "super"])
@pytest.mark.parametrize("decay_u12", [2048, 1024])
def test_the_gradient_is_norses_where_nothing_is_rounded(
    surrogate: Surrogate, decay_u12: int
) -> None:
    rounding = Rounding()
    branch = on_the_grid(frozen_branch(decay_u12=decay_u12, surrogate=surrogate), rounding)
    weight_of = torch.linspace(-1, 1, 12 * 8).reshape(8, 12)  # (time, neuron), not symmetric
    found = []
    for override in (None, IntegerForward(rounding)):
        branch.override = override
        chip = drawn()
        branch.zero_grad()
        trace = branch(chip)
        sum((trace.spikes[f"{k}.2"] * weight_of).sum() for k in CODES).backward()
        spikes = {k: v.detach().clone() for k, v in trace.spikes.items()}
        grads = {k: p.grad.clone() for k, p in branch.named_parameters() if p.grad is not None}
        found.append((spikes, grads, {k: v.grad for k, v in chip.codes.items()}))
    (norse, theirs, their_input), (ours, mine, my_input) = found
    for name, spikes in norse.items():
        assert torch.equal(spikes, ours[name]), name
    for one, other in ((theirs, mine), (their_input, my_input)):
        assert set(one) == set(other)
        for name, wanted in one.items():
            assert wanted is not None
            scale = float(wanted.abs().max())
            assert scale > 0
            assert float((wanted - other[name]).abs().max()) < 2e-3 * scale, name


def test_the_same_weights_round_to_the_same_integers_and_others_do_not() -> None:
    branch = frozen_branch()
    first = program_of(branch.spec(), Rounding())
    assert same_integers(first, program_of(branch.spec(), Rounding()))
    assert same_integers(first, program_of(canonical(branch.spec()), Rounding()))
    assert not same_integers(first, program_of(branch.spec(), Rounding(bits=7)))
    layer = first.layers[0]
    other = replace(first, layers=(replace(layer, vth=layer.vth + 1), *first.layers[1:]))
    assert not same_integers(first, other)


def test_thresholds_that_follow_the_sample_are_refused() -> None:
    branch = frozen_branch()
    branch.policy = "dynamic"
    branch.override = IntegerForward(Rounding())
    with pytest.raises(BadInput, match=r"policy is 'dynamic'.*--threshold frozen"):
        branch(drawn())


def test_settings_survive_json_and_unknown_names_are_refused() -> None:
    for rounding in (Rounding("loihi1", 5, "mse"), None):
        tuning = FineTuning(rounding, "../parent")
        raw = {**vars(tuning), "rounding": None if rounding is None else vars(rounding)}
        assert fine_tuning_from(raw) == tuning
    assert rounding_from("loihi2", 6, "percentile") == Rounding("loihi2", 6, "percentile")
    with pytest.raises(BadInput, match="'median' is not known"):
        rounding_from("loihi2", 8, "median")
    with pytest.raises(BadInput, match="weight bits: 9"):
        program_of(frozen_branch().spec(), Rounding(bits=9))


def test_a_branch_is_frozen_layer_by_layer_and_by_name() -> None:
    branch = frozen_branch()
    assert branch.spec().policy == "frozen"
    with pytest.raises(BadInput, match="thresholds for"):
        branch.freeze({"audio.0": 1.0})


def test_default_folders_lie_beside_the_run() -> None:
    from neurozsl.training.qat import default_folder

    assert default_folder(Path("r/a"), Rounding(bits=4)) == Path("r/a-qat4")
    assert default_folder(Path("r/a"), None) == Path("r/a-qat-none")
