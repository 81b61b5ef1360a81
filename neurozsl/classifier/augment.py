"""Random changes of training frames: events of the same scene, seen a little differently.

A sample is moved, turned, scaled and sheared as a whole, all of its steps alike; every pixel takes
the nearest one of the original, so counts stay counts. Then a share of the events is left out.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurozsl.core.errors import BadInput


@dataclass(frozen=True)
class Augment:
    """Largest changes; 0 leaves one out.

    Attributes:
        shift: px, in x and y.
        rotate: degrees, either way.
        zoom: as a share: 0.1 makes a sample up to a tenth larger or smaller.
        shear: columns moved per row.
        drop: share of the events left out.
        flip: 1: half of the samples are mirrored left to right.
    """

    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    drop: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        limits = {"rotate": 180.0, "zoom": 1.0, "shear": 1.0, "drop": 1.0, "flip": 1.0}
        for each in fields(self):
            value, most = getattr(self, each.name), limits.get(each.name, 1e4)
            if not 0 <= value <= most or (each.name == "drop" and value == 1):
                raise BadInput(
                    f"augmentation {each.name}={value:g}: expected 0 to {most:g}"
                    f"{' (below 1)' if each.name == 'drop' else ''}; 0 leaves it out"
                )

    @staticmethod
    def read(text: str) -> "Augment":
        """The changes that a command line names.

        Raises:
            BadInput: an unknown name, or no number.

        >>> Augment.read("shift=2,flip")
        Augment(shift=2.0, rotate=0.0, zoom=0.0, shear=0.0, drop=0.0, flip=1.0)
        """
        known, found = [x.name for x in fields(Augment)], dict[str, float]()
        for part in filter(None, text.replace(" ", "").split(",")):
            name, _, value = part.partition("=")
            if name not in known:
                raise BadInput(
                    f"augmentation '{part}': no '{name}' is known; use {', '.join(known)}, as in "
                    "shift=2,rotate=10"
                )
            try:
                found[name] = float(value) if value else 1.0
            except ValueError:
                raise BadInput(f"augmentation '{part}': '{value}' is no number") from None
            if not value and name != "flip":
                raise BadInput(f"augmentation '{name}': how much? as in {name}=2")
        return Augment(**found)

    @property
    def moves(self) -> bool:
        """Whether pixels change places."""
        return any((self.shift, self.rotate, self.zoom, self.shear, self.flip))

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """Changed frames `(batch, time, channel, height, width)`; what is drawn is from `rng`."""
        if self.moves:
            flat = frames.flatten(1, 2)
            grid = functional.affine_grid(
                self._maps(len(frames), frames.shape[3], frames.shape[4], rng),
                list(flat.shape),
                align_corners=False,
            )
            moved = functional.grid_sample(flat, grid, mode="nearest", align_corners=False)
            frames = moved.reshape(frames.shape)
        if self.drop:
            share = rng.uniform(0, self.drop, (len(frames), 1, 1, 1, 1)).astype(np.float32)
            drawn = rng.random(tuple(frames.shape), dtype=np.float32)
            frames = frames * torch.from_numpy(drawn >= share)
        return frames

    def _maps(self, samples: int, high: int, wide: int, rng: np.random.Generator) -> Tensor:
        """Per sample the map from new to old places, `(batch, 2, 3)`, in halves of a frame."""
        turn = rng.uniform(-1, 1, samples) * math.radians(self.rotate)
        size = np.exp(rng.uniform(-1, 1, samples) * math.log1p(self.zoom))
        lean = rng.uniform(-1, 1, samples) * self.shear
        mirror = np.where((rng.random(samples) < 0.5) & (self.flip > 0), -1.0, 1.0)
        move: Any = rng.uniform(-1, 1, (samples, 2)) * self.shift * 2 / np.array([wide, high])
        maps = np.empty((samples, 2, 3))
        maps[:, 0, 0] = mirror * np.cos(turn) / size
        maps[:, 0, 1] = (lean - np.sin(turn)) / size * (high / wide)
        maps[:, 1, 0] = np.sin(turn) / size * (wide / high)
        maps[:, 1, 1] = np.cos(turn) / size
        maps[:, :, 2] = move
        return torch.from_numpy(maps.astype(np.float32))
