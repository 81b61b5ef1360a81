"""Golden files of the baselines: what the public modules computed, and their names as ours.

A file holds weights (`w/`), inputs (`in/`), outputs in training mode (`train/`), losses (`loss/`),
gradients (`gradnorm/`, `gradsum/`), running statistics after the step (`buf_after/`), outputs in
evaluation mode with these (`eval/`) and the public evaluator's metrics (`metric/MODE_NAME`). The
training part is in float64 without dropout, so that is how ours is run; evaluation in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from neurozsl.data.batch import AVBatch
from neurozsl.models.base import LossTerms
from neurozsl.scoring.metrics import Problem, Scores, score, search_beta
from neurozsl.training.protocol import PROTOCOLS

VALUE, GRADIENT = 1e-5, 1e-4  # tolerances, relative and absolute
SEEN, UNSEEN, IDS = (0, 2, 5, 7), (1, 3, 8), (0, 1, 2, 3, 5, 7, 8)  # of every evaluation

# Layers of the public blocks as ours: Linear - BN - ReLU - Dropout - Linear [- BN ...].
MLP2 = {"fc.0": "0.linear", "fc.1": "0.norm.norm", "fc.4": "1"}
BLOCK1 = {"fc.0": "linear", "fc.1": "norm.norm"}
BLOCK2 = {
    "fc.0": "first.linear",
    "fc.1": "first.norm.norm",
    "fc.4": "second.linear",
    "fc.5": "second.norm.norm",
}


def names(**blocks: tuple[str, Mapping[str, str]]) -> dict[str, str]:
    """Public prefix -> ours; blocks: our name -> (public name, its layers)."""
    return {
        f"{public}.{layer}": f"{ours}.{own}"
        for ours, (public, layers) in blocks.items()
        for layer, own in layers.items()
    }


@dataclass(frozen=True)
class Golden:
    """One file; `names`: public prefix of a weight -> ours."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    names: Mapping[str, str]

    def __getitem__(self, key: str) -> Tensor:
        found = torch.from_numpy(np.asarray(self.arrays[key]))
        return found.double() if found.is_floating_point() else found

    def group(self, prefix: str) -> dict[str, Tensor]:
        """All values under a prefix, without it; there are some."""
        found = {k.removeprefix(prefix): self[k] for k in self.arrays if k.startswith(prefix)}
        assert found, f"nothing under {prefix}"
        return found

    def own(self, name: str) -> str:
        """Our name of a public weight."""
        for public, ours in self.names.items():
            if name == public or name.startswith(f"{public}."):
                return ours + name.removeprefix(public)
        raise AssertionError(f"public weight {name} has no name here")

    def renamed(self, prefix: str) -> dict[str, Tensor]:
        """The group, by our names."""
        return {self.own(name): value for name, value in self.group(prefix).items()}

    def load(self, model: nn.Module) -> None:
        """Give the model the public weights, every one of them, and make it float64."""
        model.double()
        state = model.state_dict()
        weights = self.renamed("w/")
        assert weights.keys() == state.keys()
        model.load_state_dict({k: v.reshape(state[k].shape) for k, v in weights.items()})

    def batch(self) -> AVBatch:
        """Samples of the step."""
        return averaged(self["in/audio"], self["in/video"], self["in/label"])

    def pairs(self) -> tuple[AVBatch, Tensor]:
        """Samples and then their negatives in one batch, and each row's negative."""
        audio, video, label = (
            torch.cat([self[f"in/{x}"], self[f"in/neg_{x}"]]) for x in ("audio", "video", "label")
        )
        assert torch.equal(self["in/text"], self["in/classes"][self["in/label"]])
        assert torch.equal(self["in/neg_text"], self["in/classes"][self["in/neg_label"]])
        rows = torch.arange(len(label))
        return averaged(audio, video, label), rows.roll(len(label) // 2)

    def evaluated(self) -> AVBatch:
        """Samples of the evaluation."""
        return averaged(self["eval/audio"], self["eval/video"], self["eval/target"])


def averaged(audio: Tensor, video: Tensor, label: Tensor | None = None) -> AVBatch:
    """Averaged features as a batch of one step; without labels they are unknown."""
    label = torch.full((len(audio),), -1) if label is None else label
    mask = torch.ones(len(label), 1, dtype=torch.bool)
    return AVBatch(audio.unsqueeze(1), video.unsqueeze(1), mask, label)


def open_golden(shared_data: Path, name: str, own: Mapping[str, str] | None = None) -> Golden:
    """A file of the given data, own: names as of `Golden`; the test skips where it is absent."""
    path = shared_data / "golden_baselines" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the given data")
    with np.load(path, allow_pickle=False) as file:
        return Golden({key: file[key] for key in file.files}, own or {})


def close(found: Tensor, expected: Tensor, tolerance: float = VALUE) -> bool:
    """Equal to a tolerance, relative and absolute."""
    pair = found.detach().double(), expected.double()
    return bool(torch.allclose(*pair, rtol=tolerance, atol=tolerance))


def near(found: Tensor, expected: Tensor, limit: float = VALUE) -> None:
    """Of one shape, and equal to `limit` (1 + |value|)."""
    assert found.shape == expected.shape
    assert close(found, expected, limit), (found - expected).abs().max()


def load(module: nn.Module, tensors: Mapping[str, Tensor], *, missing: Iterable[str] = ()) -> None:
    """Load all of `tensors`, in our names, into the module; `missing` alone may be left over."""
    left = module.load_state_dict(dict(tensors), strict=False)
    assert left.unexpected_keys == []
    assert {key for key in left.missing_keys if not key.startswith(tuple(missing))} == set()


def same_losses(terms: LossTerms, golden: Golden, public: Mapping[str, str]) -> None:
    """Total and every part equal the public ones; public: our name of a part -> theirs."""
    assert terms.parts.keys() == public.keys()
    for ours, theirs in {**public, "": "total"}.items():
        value = terms.parts[ours] if ours else terms.total
        assert close(value, golden[f"loss/{theirs}"]), ours


def same_gradients(model: nn.Module, golden: Golden) -> None:
    """Norm and sum of the gradient of every weight equal the public ones."""
    norms, sums = golden.renamed("gradnorm/"), golden.renamed("gradsum/")
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert norms.keys() == sums.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert close(gradient.norm(), norms[name], GRADIENT), name
        assert close(gradient.sum(), sums[name], GRADIENT), name
    assert max(float(x) for x in norms.values()) > 0.01


def same_statistics(model: nn.Module, golden: Golden) -> None:
    """Running statistics and their counts after the step equal the public ones."""
    expected, buffers = golden.renamed("buf_after/"), dict(model.named_buffers())
    assert len(expected) >= 3
    for name, value in expected.items():
        assert close(buffers[name], value), name


def distances_of(head: Tensor, words: Tensor) -> Tensor:
    """Euclidean, one by one: `(sample, class)`."""
    return (head[:, None] - words[None]).square().sum(-1).sqrt()


def by_id(distance: Tensor) -> npt.NDArray[np.float64]:
    """Distances `(sample, IDS)` in the columns of the class ids; nothing is near another class."""
    found = np.full((len(distance), max(IDS) + 1), np.inf)
    found[:, IDS] = distance.detach().numpy()
    return found


def problem(golden: Golden) -> Problem:
    """What a file's evaluation asks."""
    return Problem(golden["eval/target"].numpy(), np.array(SEEN), np.array(UNSEEN))


def same_metrics(distance: Tensor, golden: Golden, mode: str, beta: float) -> None:
    """Our scoring of distances `(sample, IDS)` gives the public S, U, HM, ZSL and beta.

    beta: the fixed one of the file's second set of metrics; the first searches the grid.
    """
    every, asked = by_id(distance), problem(golden)
    searched = search_beta(every, asked, PROTOCOLS["avca"].betas())
    same_scores(searched, golden, f"metric/{mode}")
    same_scores(score(every, asked, beta), golden, f"metric_beta{beta:g}/{mode}")


def same_scores(found: Scores, golden: Golden, prefix: str) -> None:
    """S, U, HM, ZSL (stored as shares) and beta, equal but for float32."""
    values = {"seen": found.S, "unseen": found.U, "hm": found.HM, "zsl": found.ZSL}
    for key, value in {**{k: v / 100 for k, v in values.items()}, "beta": found.beta}.items():
        assert value == pytest.approx(float(golden[f"{prefix}_{key}"]), abs=1e-6), key
