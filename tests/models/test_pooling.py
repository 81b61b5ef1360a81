"""One pass over time-pooled inputs: what it reads, what it answers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.models import mdft
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.pooling import over_time

CODES = {
    "audio": InputCode(5, "graded", 4, False, 0.5),
    "video": InputCode(4, "ternary", 1, True, 1.0),
}


def branch(*, norm: bool = False) -> SpikingBranch:
    torch.manual_seed(0)
    made = SpikingBranch(
        CODES, (6, 3), steps=7, neuron=NeuronConfig("mlp"), norm=norm, pool_time=True
    )
    return made.eval()


def read(samples: int = 3, steps: int = 7) -> ChipInput:
    drawn = torch.Generator().manual_seed(1)
    audio = torch.randint(0, 16, (samples, steps, 5), generator=drawn).float()
    video = torch.randint(-1, 2, (samples, steps, 4), generator=drawn).float()
    return ChipInput({"audio": audio, "video": video}, CODES)


def test_the_layers_read_the_mean_of_the_codes_once() -> None:
    made, given = branch(), read()
    trace = made(given)
    for name, scale in (("audio", 0.5), ("video", 1.0)):
        for sample in range(3):
            x = sum(given.codes[name][sample, t] for t in range(7)) / 7 * scale
            for layer in (made.named_layers()[f"{name}.{k}"] for k in (0, 1)):
                x = torch.relu(nn.functional.linear(x, layer.synapse.weight, layer.synapse.bias))
            torch.testing.assert_close(trace.spikes[f"{name}.1"][sample, 0], x)


def test_its_answer_stands_in_every_step() -> None:
    spikes = branch()(read()).spikes["audio.1"]
    assert spikes.shape == (3, 7, 3)
    assert all(torch.equal(spikes[:, 0], spikes[:, t]) for t in range(7))
    assert torch.any(spikes > 0)


def test_padded_steps_are_not_in_the_mean() -> None:
    made, whole = branch(norm=True), read(samples=2)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, 4:] = False
    short = ChipInput({name: x[:1, :4] for name, x in whole.codes.items()}, CODES)
    padded, alone = made(whole, mask), made(short)
    torch.testing.assert_close(padded.spikes["video.1"][0, 0], alone.spikes["video.1"][0, 0])
    unpadded = made(whole)
    assert not torch.equal(padded.spikes["video.1"][0, 0], unpadded.spikes["video.1"][0, 0])


def test_opposite_events_cancel() -> None:
    video = torch.zeros(1, 2, 4)
    video[0, 0, 0], video[0, 1, 0], video[0, 1, 1] = 1.0, -1.0, 1.0
    pooled = over_time(ChipInput({"video": video}, {"video": CODES["video"]}), None)
    assert pooled.codes["video"].tolist() == [[[0.0, 0.5, 0.0, 0.0]]]


def test_spiking_neurons_cannot_pool_and_the_reason_is_given() -> None:
    with pytest.raises(BadInput, match="needs the steps that a mean over time takes away"):
        mdft.build(audio_dim=8, video_dim=8, pool_time=True)
    model = mdft.build(audio_dim=8, video_dim=8, pool_time=True, neuron="mlp")
    assert model.branch is not None and model.branch.pool_time
    with pytest.raises(BadInput, match="does not spike"):
        model.branch.spec()
