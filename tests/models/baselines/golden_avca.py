"""Golden files of baselines: weights and inputs, and what the public code gave for them.

`../shared/data/golden_baselines`: computed in float64 with dropout 0 and BatchNorm in training
mode, stored partly in float32. The tests run in float64 and load the weights under our names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurozsl.data.batch import AVBatch
from neurozsl.scoring.metrics import Problem, Scores

UNSEEN = (1, 3, 8)  # class ids of every file's evaluation, 9 in all, of which 7 have samples
IDS = (0, 1, 2, 3, 5, 7, 8)
METRICS = ("seen", "unseen", "hm", "zsl", "beta")


class Golden:
    """One file; floats come as float64 tensors."""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / "golden_baselines" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"the golden file {path} is absent")
        with np.load(path, allow_pickle=False) as file:
            self.arrays = dict(file)

    def __getitem__(self, key: str) -> Tensor:
        found = torch.from_numpy(self.arrays[key])
        return found.double() if found.is_floating_point() else found

    def under(self, prefix: str) -> dict[str, Tensor]:
        """What is stored below a prefix such as `w/`, by the rest of the key."""
        keys = [key for key in self.arrays if key.startswith(prefix)]
        assert keys, f"nothing is stored under {prefix}"
        return {key.removeprefix(prefix): self[key] for key in keys}

    def scores(self, prefix: str) -> dict[str, float]:
        """Stored metrics, as ours: percent."""
        raw = {key: float(self[f"{prefix}_{key}"]) for key in METRICS}
        return {key: value if key == "beta" else 100 * value for key, value in raw.items()}


def averaged(audio: Tensor, video: Tensor) -> AVBatch:
    """Features `(batch, width)` as a batch of one step."""
    mask = torch.ones(len(audio), 1, dtype=torch.bool)
    return AVBatch(audio[:, None], video[:, None], mask, torch.full((len(audio),), -1))


def load(module: nn.Module, tensors: Mapping[str, Tensor], *, missing: Iterable[str] = ()) -> None:
    """Load all of `tensors`, in our names, into the module; `missing` alone may be left over."""
    left = module.load_state_dict(dict(tensors), strict=False)
    assert left.unexpected_keys == []
    assert {key for key in left.missing_keys if not key.startswith(tuple(missing))} == set()


def near(found: Tensor, expected: Tensor, limit: float = 1e-5) -> None:
    """Equal to `limit` (1 + |value|)."""
    assert found.shape == expected.shape
    assert ((found - expected).abs() / (1 + expected.abs())).max().item() < limit


def problem(target: Tensor, unseen: Iterable[int] = UNSEEN, ids: Iterable[int] = IDS) -> Problem:
    """What a file's evaluation asks."""
    unseen = np.array(sorted(unseen))
    return Problem(target.numpy(), np.setdiff1d(np.array(list(ids)), unseen), unseen)


def by_id(distance: Tensor, classes: int = 9, ids: Iterable[int] = IDS) -> np.ndarray:
    """Distances `(sample, stored class)` in the columns of the class ids."""
    found = np.full((len(distance), classes), np.inf)
    found[:, list(ids)] = distance.detach().numpy()
    return found


def same_scores(found: Scores, expected: Mapping[str, float]) -> None:
    """S, U, HM, ZSL and beta, equal but for float32."""
    values = (found.S, found.U, found.HM, found.ZSL, found.beta)
    assert values == pytest.approx([expected[key] for key in METRICS], abs=1e-4)
