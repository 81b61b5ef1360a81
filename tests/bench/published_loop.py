"""The loop that v2e publishes, rewritten: whole images, once for every event of the busiest pixel.

From the description in Hu, Liu and Delbruck (CVPRW 2021) and of the tool's behaviour: a frame gap
with N events at most in any pixel has N times; a pixel with k events has them at the first k. The
low-pass is one step a frame, leak has a jitter, shot noise lies at the end of a gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.data.events.camera import Camera

Rows = npt.NDArray[np.float32]


@dataclass
class PublishedLoop:
    """State between frames; settings are those of a `Camera`."""

    camera: Camera
    random: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    before_s: float = -1.0

    def events(self, frame: npt.NDArray[np.uint8], time_s: float) -> Rows:
        """Rows t, x, y, +-1 of the gap that ends with this frame."""
        c = self.camera
        grey = torch.from_numpy(frame).double()
        line = grey * (math.log(20.0) / 20.0)
        log = torch.where(grey <= 20.0, line, torch.log(grey))
        log = (torch.round(log * 1e8) / 1e8).float()
        if self.before_s < 0.0:
            self.followed, self.base, self.before_s = log, log.clone(), time_s
            self.on = self._thresholds(c.threshold_on, log)
            self.off = self._thresholds(c.threshold_off, log)
            self.sent_s = torch.zeros_like(log)
            return np.zeros((0, 4), dtype=np.float32)
        gap_s, self.before_s = time_s - self.before_s, time_s
        share = (grey + 20.0).float() / 275.0
        if c.cutoff_hz:
            step = torch.clamp(share * (gap_s * 2.0 * math.pi * c.cutoff_hz), max=1.0)
            self.followed = (1.0 - step) * self.followed + step * log
        else:
            self.followed = log
        if c.leak_hz:
            jitter = 1.0 + 0.1 * torch.randn(log.shape, generator=self.random)
            self.base = self.base - gap_s * c.leak_hz * self.on * jitter
        change = self.followed - self.base
        ons = torch.floor(torch.relu(change) / self.on).int()
        offs = torch.floor(torch.relu(-change) / self.off).int()
        most = int(torch.maximum(ons.max(), offs.max()))
        found = []
        sent_on, sent_off = torch.zeros_like(ons), torch.zeros_like(offs)
        times = torch.linspace(time_s - gap_s + gap_s / max(most, 1), time_s, max(most, 1))
        for i in range(most):
            on, off = ons >= i + 1, offs >= i + 1
            if c.refractory_s:
                on = on & (on * times[i] - self.sent_s > c.refractory_s)
                off = off & (off * times[i] - self.sent_s > c.refractory_s)
                self.sent_s = torch.where(on | off, times[i], self.sent_s)
            sent_on += on
            sent_off += off
            rows = torch.cat((_rows(on, times[i], 1.0), _rows(off, times[i], -1.0)))
            found.append(rows[torch.randperm(len(rows), generator=self.random)])
        if c.shot_hz:
            dim = 1.0 - 0.75 * share
            chance = torch.rand(log.shape, generator=self.random)
            half = 0.5 * c.shot_hz * gap_s * dim
            on, off = chance > 1.0 - half, chance < half
            found += [_rows(on, times[-1], 1.0), _rows(off, times[-1], -1.0)]
            sent_on += on
            sent_off += off
        self.base = self.base + sent_on * self.on - sent_off * self.off
        return torch.cat(found).numpy() if found else np.zeros((0, 4), dtype=np.float32)

    def _thresholds(self, mean: float, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=self.random)
        return torch.clamp(mean + self.camera.mismatch * noise, min=0.01)


def _rows(chosen: Tensor, time_s: Tensor, polarity: float) -> Tensor:
    y, x = chosen.nonzero(as_tuple=True)
    time, sign = time_s.expand(len(x)), torch.full((len(x),), polarity)
    return torch.stack((time, x.float(), y.float(), sign), dim=1)
