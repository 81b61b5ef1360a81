"""A linear softmax classifier on features of unit length, as generative baselines end with.

In: features `(rows, width)` and the classes' places; out: log-probabilities. Weights from
N(0, 0.02), Adam with betas 0.5 and 0.999 on the negative log-likelihood. Rows are shuffled once,
before the first epoch, and batches go through them in that order in every epoch.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Judge = Callable[["SoftmaxClassifier"], float]


class SoftmaxClassifier(nn.Linear):
    """Linear - log-softmax on rows that are brought to unit length."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        nn.init.normal_(self.weight, 0.0, 0.02)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(rows, width)` -> log-probabilities `(rows, classes)`."""
        return functional.log_softmax(super().forward(functional.normalize(x)), dim=1)


class Recalls(NamedTuple):
    """Means of per-class recalls, 0 to 1, and their harmonic mean."""

    hm: float
    seen: float
    unseen: float


def fit_classifier(
    classifier: SoftmaxClassifier,
    x: Tensor,
    place: Tensor,
    *,
    epochs: int,
    batch: int,
    lr: float,
    order: Tensor | None = None,
    judge: Judge | None = None,
    ties: Literal["first", "last"] = "first",
) -> float:
    """Train it; with a judge, what is left is the epoch that it likes best.

    x: `(rows, width)`. place: `(rows,)`, the output of each row's class. order: a permutation of
    the rows, None draws one. judge: called after every epoch. ties: which of equal epochs is kept.

    Returns the judge's best value; 0 without one.
    """
    shuffled = torch.randperm(len(x), device=x.device) if order is None else order
    x, place = x[shuffled], place[shuffled]
    optimiser = torch.optim.Adam(classifier.parameters(), lr=lr, betas=(0.5, 0.999))
    best, kept = -1.0, dict[str, Tensor]()
    for _ in range(epochs):
        for start in range(0, len(x), batch):
            rows = slice(start, start + batch)
            loss = functional.nll_loss(classifier(x[rows]), place[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        if judge is None:
            continue
        with torch.no_grad():
            value = judge(classifier)
        if value > best or (ties == "last" and value == best):
            best = value
            kept = {name: w.detach().clone() for name, w in classifier.state_dict().items()}
    if judge is None:
        return 0.0
    classifier.load_state_dict(kept)
    return best


def mean_recall(scores: Tensor, place: Tensor, places: Tensor) -> float:
    """Mean over the classes `places` of the share of their rows whose largest score is theirs."""
    right = scores.argmax(1) == place
    return float(torch.stack([right[place == c].double().mean() for c in places]).mean())


def recalls(scores: Tensor, place: Tensor, seen: Tensor, unseen: Tensor) -> Recalls:
    """GZSL recalls of the largest score over all outputs; no calibration."""
    s, u = mean_recall(scores, place, seen), mean_recall(scores, place, unseen)
    return Recalls(2 * s * u / (s + u) if s + u > 0 else 0.0, s, u)
