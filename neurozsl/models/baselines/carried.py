"""AVMST's branch in the order of its public code, where membranes are carried on.

All of one forward pass, row by row and without a reset between the lines::

    audio      T steps through the audio neurons
    video      step 1 through the video neurons, steps 2 to T through the *audio* neurons
    negatives  in training with passes=apart: both lines again for the second half of the rows,
               from the membranes that the sample of the same row left

So the audio neurons reach the video with what the audio left, and what a sample's negative spikes
depends on the sample. No chip is asked to do that: the branch refuses to be exported.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.neurons import NeuronConfig, stepper


class CarriedBranch(SpikingBranch):
    """Two pathways of equally wide layers, `audio` and `video`, run as the module says.

    codes, widths, steps, dt_s, neuron: as of `SpikingBranch`. apart: in training the second half of
    the rows are the negatives of the first.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        widths: Sequence[int],
        *,
        steps: int,
        dt_s: float,
        neuron: NeuronConfig,
        apart: bool,
    ) -> None:
        super().__init__(codes, widths, steps=steps, dt_s=dt_s, neuron=neuron, norm=False)
        self.apart = apart

    def refusals(self) -> list[str]:
        """Always one."""
        return [
            "order=public carries membranes from audio to video to the next sample and shows video "
            "to the audio neurons; train with order=clean"
        ]

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Spikes `(batch, time, neuron)` of whatever neurons a modality's steps went through."""
        shown = {name: x * chip_input.code[name].scale for name, x in chip_input.codes.items()}
        parts = 2 if self.apart and self.training else 1
        halves = zip(*(shown[name].chunk(parts) for name in ("audio", "video")), strict=True)
        membranes: dict[str, Tensor] = {}
        found: list[dict[str, Tensor]] = []
        for audio, video in halves:
            heard = ["audio"] * self.steps
            seen = ["video", *heard[1:]]
            spikes = self._run("audio", heard, audio, membranes)
            found.append(spikes | self._run("video", seen, video, membranes))
        return Trace({name: torch.cat([half[name] for half in found]) for name in found[0]})

    def _run(
        self, modality: str, through: Sequence[str], x: Tensor, membranes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Spikes of the layers, named as those of the modality; `membranes` are moved on."""
        names = self.layer_names(modality)
        spikes: dict[str, list[Tensor]] = {name: [] for name in names}
        for t, pathway in enumerate(through):
            now = x[:, t]
            for name, own, layer in zip(
                names, self.layer_names(pathway), self._layers(pathway), strict=True
            ):
                drive = layer.drive(now, None)
                step, theta = stepper(layer.config, drive), drive.new_tensor(layer.config.theta)
                before = membranes.get(own, torch.zeros_like(drive))
                now, membranes[own] = step(drive, before, theta)
                spikes[name].append(now)
        return {name: torch.stack(all_steps, 1) for name, all_steps in spikes.items()}
