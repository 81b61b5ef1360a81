"""The five losses of AVCA (Mercea et al. 2022, Eq. 4-10), as its public code computes them.

t(anchor, positive, negative) is torch's triplet loss: mean over the batch of
[d(anchor, positive) - d(anchor, negative) + margin]_+ with d(x, y) = ||x - y + 1e-6||_2 (the paper
prints the max without its 0). MSE is the mean over batch and width. theta_a, theta_v, theta_w are
the projected audio, video and class vector, rho their decoded forms, phi the encoder outputs
*before* attention, w the class vector; a minus marks a sample of another class::

    l_t   = t(theta_a, theta_w, theta_a-) + t(theta_v, theta_w, theta_v-)
          + t(theta_w, theta_a, theta_w-) + t(theta_w, theta_v, theta_w-)             (Eq. 5)
    l_rec = MSE(rho_a, w) + MSE(rho_v, w) + MSE(rho_w, w)                             (Eq. 7)
    l_ct  = t(rho_w, rho_a, rho_a-) + t(rho_w, rho_v, rho_v-)                         (Eq. 8)
    l_w   = t(theta_w, theta_a, theta_a-) + t(theta_w, theta_v, theta_v-)
          + t(theta_a, theta_w, theta_w-) + t(theta_v, theta_w, theta_w-)             (Eq. 9)
    l_r   = MSE(phi_a_rec, phi_a) + MSE(phi_v_rec, phi_v)
          + MSE(theta_a, theta_w) + MSE(theta_v, theta_w)                             (Eq. 10)

A branch that is not trained (section 4.5: "along with their associated losses") takes with it every
term that names its theta, rho or phi; MSE(rho_w, w) is of neither and stays.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, triplet_margin_loss

Modality = Literal["audio", "video"]
NAMES = ("l_t", "l_rec", "l_ct", "l_w", "l_r")
BRANCHES: tuple[Modality, ...] = ("audio", "video")


class Three(NamedTuple):
    """One vector per sample from audio, from video and from the class vector, `(batch, width)`."""

    audio: Tensor
    video: Tensor
    word: Tensor

    def of(self, negative: Tensor) -> "Three":
        """The rows `negative` `(batch,)`: per sample those of a sample of another class."""
        return Three(*(x[negative] for x in self))

    def first(self, count: int) -> "Three":
        """The first rows alone."""
        return Three(*(x[:count] for x in self))


def losses(
    theta: Three,
    rho: Three,
    phi: tuple[Tensor, Tensor],
    phi_rec: tuple[Tensor, Tensor],
    vectors: Tensor,
    negative: Tensor,
    *,
    margin: float,
    branches: Sequence[Modality] = BRANCHES,
) -> Mapping[str, Tensor]:
    """The five losses by name, each a scalar, unweighted.

    `theta` `(batch, proj)`, `rho` and the samples' class `vectors` `(batch, words)`, `phi` and
    `phi_rec` (audio, video) `(batch, embed)`; `negative` `(batch,)`: per sample, the row of a
    sample of another class in `theta` and `rho`, which may have further rows behind the samples'
    own; `margin` of the triplets; `branches` whose terms are summed, audio first. What is given of
    another is not read.
    """

    def t(anchor: Tensor, positive: Tensor, other: Tensor) -> Tensor:
        return triplet_margin_loss(anchor, positive, other, margin=margin)

    theta_n, rho_n = theta.of(negative), rho.of(negative)
    theta, rho = theta.first(len(negative)), rho.first(len(negative))
    places = [BRANCHES.index(name) for name in branches]

    def pull(x: Three, other: Three) -> list[Tensor]:
        """From the word to each branch, away from the branch of another sample."""
        return [t(x.word, x[i], other[i]) for i in places]

    return {
        "l_t": total(
            [t(theta[i], theta.word, theta_n[i]) for i in places]
            + [t(theta.word, theta[i], theta_n.word) for i in places]
        ),
        "l_rec": total([mse_loss(rho[i], vectors) for i in places] + [mse_loss(rho.word, vectors)]),
        "l_ct": total(pull(rho, rho_n)),
        "l_w": total(
            pull(theta, theta_n) + [t(theta[i], theta.word, theta_n.word) for i in places]
        ),
        # The encoder outputs are targets that receive a gradient too, as in the public code.
        "l_r": total(
            [mse_loss(phi_rec[i], phi[i]) for i in places]
            + [mse_loss(theta[i], theta.word) for i in places]
        ),
    }


def total(terms: Sequence[Tensor]) -> Tensor:
    """From left to right, so that the rounding is that of the printed sum."""
    return reduce(torch.add, terms)
