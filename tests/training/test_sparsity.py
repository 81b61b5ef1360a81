"""Sparse training: which weights are kept, that they can come back, and where the zeros end up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.deploy import finetune
from neurozsl.export.bundle.twin import unfolded
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.nir.nirfile import read, write
from neurozsl.hardware.arithmetic.quantize import dequantize
from neurozsl.hardware.lower.lower import lower
from neurozsl.models.base import needed_branch
from neurozsl.models.motion import SpikingBranch
from neurozsl.runs import run as runs
from neurozsl.training import checkpoint, sparsity
from neurozsl.training.economy import Scope, Sparsity, Structure, pruned
from neurozsl.training.protocol import TrainConfig, train_config_from
from neurozsl.training.pruner import Kept, pruner
from neurozsl.training.qat import IntegerForward, Rounding

CODES = {
    "audio": InputCode(20, "graded", 4, False, 0.25),
    "video": InputCode(16, "ternary", 1, True, 1.0),
}
SMALL = {"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32}


def branch(*, norm: bool = True) -> SpikingBranch:
    torch.manual_seed(0)
    return SpikingBranch(CODES, (24, 16, 12), steps=8, norm=norm)


def drawn(samples: int = 12) -> ChipInput:
    rng = np.random.default_rng(1)
    codes = {
        name: torch.tensor(rng.integers(x.low, x.high + 1, (samples, 8, x.size))).float()
        for name, x in CODES.items()
    }
    return ChipInput(codes, CODES)


def test_every_layer_keeps_its_largest_weights_and_no_other() -> None:
    made = branch()
    sparsity.apply(made, Sparsity(0.1), 0.1)
    for layer in made.named_layers().values():
        own = layer.synapse.weight.detach().numpy()
        limit = np.sort(np.abs(own).ravel())[-round(0.1 * own.size)]
        wanted = np.where(np.abs(own) >= limit, own, 0)
        assert np.array_equal(layer.weight.detach().numpy(), wanted)


def test_what_is_pruned_computes_as_zeros_and_gets_the_gradient_of_a_used_weight() -> None:
    made, plain = branch(norm=False), branch(norm=False)
    with torch.no_grad():  # large enough that every layer spikes
        for layer in made.named_layers().values():
            layer.synapse.weight.mul_(8.0)
    sparsity.apply(made, Sparsity(0.3), 0.3)
    with torch.no_grad():
        for name, layer in plain.named_layers().items():
            layer.synapse.weight.copy_(made.named_layers()[name].weight)
    given = drawn()
    for one in (made, plain):
        sum(x.sum() for x in one(given).spikes.values()).backward()
    for name, layer in made.named_layers().items():
        other = plain.named_layers()[name]
        assert layer.kept is not None and not layer.kept.all()
        assert layer.synapse.weight.grad is not None
        assert other.synapse.weight.grad is not None
        assert torch.equal(layer.synapse.weight.grad, other.synapse.weight.grad)
        assert bool((layer.synapse.weight.grad[~layer.kept] != 0).any())


def test_a_pruned_weight_that_outgrows_a_kept_one_takes_its_place() -> None:
    made = branch()
    layer = made.named_layers()["audio.0"]
    sparsity.apply(made, Sparsity(0.1), 0.1)
    assert layer.kept is not None
    first = torch.nonzero(~layer.kept)[0]
    before = int(layer.kept.sum())
    with torch.no_grad():
        layer.synapse.weight[tuple(first)] = 10.0
    sparsity.apply(made, Sparsity(0.1), 0.1)
    assert bool(layer.kept[tuple(first)]) and int(layer.kept.sum()) == before


@pytest.mark.parametrize("structure", ["weights", "inputs", "neurons"])
@pytest.mark.parametrize("norm", [True, False])
def test_the_zeros_that_are_written_at_the_end_give_the_spikes_of_the_masks(
    structure: Structure, norm: bool
) -> None:
    made, given = branch(norm=norm).eval(), drawn()
    sparsity.apply(made, Sparsity(0.3, structure), 0.3)
    with torch.no_grad():
        before = made(given).spikes
        sparsity.settle(made)
        after = made(given).spikes
    assert any(bool(x.any()) for x in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(layer.kept is None for layer in made.named_layers().values())


def test_a_pruned_neuron_never_spikes_and_what_the_host_reads_keeps_its_neurons() -> None:
    made = branch().eval()
    with torch.no_grad():  # a drive that would make every neuron spike without an input
        for layer in made.named_layers().values():
            assert layer.norm is not None
            layer.norm.norm.bias.fill_(50.0)
    sparsity.apply(made, Sparsity(0.25, "neurons"), 0.25)
    with torch.no_grad():
        spikes = made(drawn()).spikes
    alive = {name: layer.alive for name, layer in made.named_layers().items()}
    assert alive["audio.2"] is None and alive["video.2"] is None
    for name in ("audio.0", "audio.1", "video.0", "video.1"):
        living = alive[name]
        assert living is not None and int(living.sum()) == spikes[name].shape[2] // 4
        assert torch.equal(spikes[name].any(0).any(0), living)


def test_pruned_inputs_are_whole_columns_of_a_layer() -> None:
    made = branch()
    sparsity.apply(made, Sparsity(0.25, "inputs"), 0.25)
    for layer in made.named_layers().values():
        own = layer.synapse.weight.detach()
        columns = torch.linalg.vector_norm(own, dim=0).argsort(descending=True)
        kept = columns[: max(1, round(0.25 * own.shape[1]))]
        used = (layer.weight != 0).any(0)
        assert set(torch.nonzero(used).flatten().tolist()) == set(kept.tolist())


@pytest.mark.parametrize("scope", ["layer", "erk", "global"])
def test_every_scope_keeps_the_share_that_was_asked_for_in_all(scope: Scope) -> None:
    made = branch()
    sparsity.apply(made, Sparsity(0.2, scope=scope), 0.2)
    assert sparsity.density_of(made) == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("scope", ["layer", "erk", "global"])
def test_a_pruned_branch_can_be_given_more_weights_again(scope: Scope) -> None:
    made = branch()
    how = Sparsity(0.05, scope=scope)
    sparsity.apply(made, how, 0.05)
    sparsity.settle(made)
    sparsity.apply(made, how, 0.5)
    kept = [x.kept for x in made.named_layers().values() if x.kept is not None]
    share = sum(int(x.sum()) for x in kept) / sum(x.numel() for x in kept)
    assert share == pytest.approx(0.5, abs=0.01)


def test_the_erdos_renyi_shares_follow_the_sizes_of_the_layers() -> None:
    made = branch()
    sparsity.apply(made, Sparsity(0.2, scope="erk"), 0.2)
    found = {}
    for name, layer in made.named_layers().items():
        out, inputs = layer.synapse.weight.shape
        share = int(torch.count_nonzero(layer.weight)) / layer.synapse.weight.numel()
        found[name] = share / ((out + inputs) / (out * inputs))
    assert max(found.values()) == pytest.approx(min(found.values()), rel=0.05)


def test_a_dense_small_layer_leaves_its_surplus_to_the_others() -> None:
    made = branch()
    sparsity.apply(made, Sparsity(0.8, scope="erk"), 0.8)
    kept = {
        name: (int(torch.count_nonzero(layer.weight)), layer.synapse.weight.numel())
        for name, layer in made.named_layers().items()
    }
    assert kept["audio.2"][0] == kept["audio.2"][1]
    assert sparsity.density_of(made) == pytest.approx(0.8, rel=0.02)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((1.0, "weights", "layer"), "below 1"),
        ((-0.1, "weights", "layer"), "share of zeros"),
        ((0.5, "synapses", "layer"), "weights, inputs, neurons"),
        ((0.5, "weights", "all"), "layer, erk, global"),
    ],
)
def test_a_pruning_that_cannot_be_is_refused(asked: tuple[float, str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pruned(*asked)


def test_a_model_without_spikes_cannot_be_pruned() -> None:
    model = models.build("avca", audio_dim=8, video_dim=8)
    with pytest.raises(BadInput, match=r"AVCA.*no spiking branch"):
        sparsity.prunable(model)


@pytest.mark.parametrize("name", ["mdft", "stft", "mdst++"])
def test_the_branch_of_every_spiking_model_can_be_pruned(name: str) -> None:
    made = sparsity.prunable(models.build(name, audio_dim=12, video_dim=12, steps=4))
    sparsity.apply(made, Sparsity(0.2), 0.2)
    sparsity.settle(made)
    assert sparsity.density_of(made) == pytest.approx(0.2, rel=0.05)


# --- in training -----------------------------------------------------------------------------


def trained(path: Path, data_dir: Path, **config: Any) -> runs.Run:
    train = TrainConfig(epochs=3, **config)
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    return runs.train(path)


def zeros_of(run: runs.Run) -> dict[str, int]:
    tensors, _ = checkpoint.read(run.path / "model.safetensors")
    own = "model/branch.pathways."
    found = {k[len(own) :]: v for k, v in tensors.items() if k.startswith(own)}
    return {
        name.removesuffix(".linear.weight"): int((value == 0).sum())
        for name, value in found.items()
        if name.endswith("linear.weight")
    }


@pytest.fixture(scope="module")
def sparse_run(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> runs.Run:
    return trained(tmp_path_factory.mktemp("sparse") / "run", data_dir, sparsity=Sparsity(0.3))


def test_a_run_ends_with_the_zeros_that_were_asked_for(sparse_run: runs.Run) -> None:
    for name, layer in sparsity.prunable(sparse_run.model).named_layers().items():
        size = layer.synapse.weight.numel()
        assert zeros_of(sparse_run)[name] == size - sparsity.number(size, 0.3)
    assert sparse_run.settings.train.sparsity == Sparsity(0.3)
    assert train_config_from(
        json.loads((sparse_run.path / "run.json").read_text())["train"]
    ) == replace(TrainConfig(epochs=3), sparsity=Sparsity(0.3))


def test_the_epoch_is_chosen_among_those_at_the_final_density(sparse_run: runs.Run) -> None:
    lines = [json.loads(x) for x in (sparse_run.path / "log.jsonl").read_text().splitlines()]
    first = [line for line in lines if line["stage"] == 1]
    assert [line["density"] for line in first][-1] == pytest.approx(0.3, rel=0.02)
    assert first[0]["density"] > 0.4
    assert sparse_run.selected.epochs == 3  # the only one behind 70 % of the steps


def test_a_sparse_run_that_stops_between_epochs_goes_on_to_the_same_numbers(
    tmp_path: Path, data_dir: Path, sparse_run: runs.Run
) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise Stopped

    path = tmp_path / "run"
    train = TrainConfig(epochs=3, sparsity=Sparsity(0.3))
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    with pytest.raises(Stopped):
        runs.train(path, progress=stop)
    again = runs.train(path)
    assert again.result == sparse_run.result
    first, second = (checkpoint.read(x / "model.safetensors")[0] for x in (path, sparse_run.path))
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_best_model_of_stage_1_can_be_opened_with_its_zeros(sparse_run: runs.Run) -> None:
    model = runs.first_stage_model(sparse_run.path)
    assert sparsity.density_of(sparsity.prunable(model)) == pytest.approx(0.3, rel=0.02)


def test_fine_tuning_a_pruned_model_keeps_the_number_of_weights_of_each_layer(
    sparse_run: runs.Run,
) -> None:
    model = runs.load_model(sparse_run.path)
    found = pruner(model, TrainConfig(), sparse_run.data.stage(2).train)
    assert isinstance(found, Kept)
    made = sparsity.prunable(model)
    before = sparsity.nonzeros(made)
    with torch.no_grad():
        for layer in made.named_layers().values():
            layer.synapse.weight.add_(0.01 * torch.randn_like(layer.synapse.weight))
    found.before_step(0.5)
    assert sparsity.nonzeros(made) == before
    found.settle()
    assert sparsity.nonzeros(made) == before


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("structure", ["neurons", "inputs"])
def test_fine_tuning_brings_no_pruned_neuron_or_input_back(
    structure: Structure, norm: bool
) -> None:
    made = branch(norm=norm).eval()
    sparsity.apply(made, Sparsity(0.25, structure), 0.25)
    sparsity.settle(made)
    layers = made.named_layers()
    used = {name: layer.weight != 0 for name, layer in layers.items()}
    zeros = sparsity.zeros_of(made)
    with torch.no_grad():
        for layer in layers.values():
            layer.synapse.weight.add_(torch.randn_like(layer.synapse.weight))
            layer.synapse.get_parameter("bias").add_(10.0)
    sparsity.keep_zeros(made, zeros)
    with torch.no_grad():
        spikes = made(drawn()).spikes
    sparsity.settle(made)
    read = made.read_layers()
    for name, layer in layers.items():
        if structure == "neurons" and name in read:
            assert int((layer.weight != 0).sum()) == int(used[name].sum())
            continue
        assert torch.equal(layer.weight != 0, used[name])
        if structure == "neurons":
            dead = ~used[name].any(1)
            assert dead.any() and not spikes[name][:, :, dead].any()
            assert not np.any(layer.folded(name)[1][dead.numpy()])


def test_weights_that_round_to_nothing_become_zeros_with_the_others() -> None:
    made = branch(norm=False)
    made.freeze({name: 1.0 for name in made.named_layers()})
    with torch.no_grad():
        for layer in made.named_layers().values():
            layer.synapse.weight[0, :3] = 1e-6
    made.override = IntegerForward(Rounding())
    sparsity.apply(made, Sparsity(0.9), 0.9)
    before = made.integers()
    sparsity.settle(made)
    after = made.integers()
    assert before is not None and after is not None
    for old, new in zip(before.layers, after.layers, strict=True):
        rounded = new.synapses[0].weight
        assert np.array_equal(old.synapses[0].weight, rounded)
        float_zeros = (made.named_layers()[new.name].synapse.weight == 0).numpy()
        assert np.array_equal(float_zeros, rounded == 0)


def test_a_finished_run_is_pruned_and_fine_tuned_with_equal_zeros_everywhere(
    tmp_path: Path, data_dir: Path
) -> None:
    dense = trained(tmp_path / "dense", data_dir)
    train = replace(dense.settings.train, epochs=2, lr=1e-3, sparsity=Sparsity(0.4))
    path = finetune.create(dense, rounding=None, train=train, frozen=False)
    assert path.name == "dense-sparse60"
    pruned_run = runs.train(path)
    assert pruned_run.result["before"][0]["HM"] == pytest.approx(dense.result["test"]["HM"])
    own = replace(pruned_run.settings.train, sparsity=None, epochs=1)
    after = runs.train(finetune.create(pruned_run, rounding=Rounding(), train=own))
    assert after.path.name == "dense-sparse60-qat8" and after.program is not None
    left = zeros_of(after)
    assert all(left[name] >= n for name, n in zeros_of(pruned_run).items())
    assert {x.name: int((x.weight == 0).sum()) for x in after.program.layers} == left
    with pytest.raises(BadInput, match="was fine-tuned itself, folded and frozen"):
        finetune.create(after, rounding=Rounding(), train=own)

    both = replace(dense.settings.train, epochs=2, lr=1e-3, sparsity=Sparsity(0.8))
    tuned = runs.train(finetune.create(dense, rounding=Rounding(), train=both))
    assert tuned.program is not None
    zeros = zeros_of(tuned)
    assert {x.name: int((x.weight == 0).sum()) for x in tuned.program.layers} == zeros
    assert all(
        n >= 0.19 * x.weight.size for n, x in zip(zeros.values(), tuned.program.layers, strict=True)
    )
    # The file of a bundle is written so.
    write(tmp_path / "motion.nir", to_nir(unfolded(dequantize(tuned.program))))
    network = lower(read(tmp_path / "motion.nir"))
    assert {x.name: int((x.weight == 0).sum()) for x in network.layers} == zeros
    spec = canonical(needed_branch(tuned.model).spec())
    assert {x.name: int((x.weight == 0).sum()) for x in spec.layers} == zeros
