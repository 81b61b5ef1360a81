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
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import mse_loss, triplet_margin_loss

NAMES = ("l_t", "l_rec", "l_ct", "l_w", "l_r")


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
) -> Mapping[str, Tensor]:
    """The five losses by name, each a scalar, unweighted.

    `theta` `(batch, proj)`, `rho` and the samples' class `vectors` `(batch, words)`, `phi` and
    `phi_rec` (audio, video) `(batch, embed)`; `negative` `(batch,)`: per sample, the row of a
    sample of another class in `theta` and `rho`, which may have further rows behind the samples'
    own; `margin` of the triplets.
    """

    def t(anchor: Tensor, positive: Tensor, other: Tensor) -> Tensor:
        return triplet_margin_loss(anchor, positive, other, margin=margin)

    theta_n, rho_n = theta.of(negative), rho.of(negative)
    theta, rho = theta.first(len(negative)), rho.first(len(negative))
    return {
        "l_t": t(theta.audio, theta.word, theta_n.audio)
        + t(theta.video, theta.word, theta_n.video)
        + t(theta.word, theta.audio, theta_n.word)
        + t(theta.word, theta.video, theta_n.word),
        "l_rec": mse_loss(rho.audio, vectors)
        + mse_loss(rho.video, vectors)
        + mse_loss(rho.word, vectors),
        "l_ct": t(rho.word, rho.audio, rho_n.audio) + t(rho.word, rho.video, rho_n.video),
        "l_w": t(theta.word, theta.audio, theta_n.audio)
        + t(theta.word, theta.video, theta_n.video)
        + t(theta.audio, theta.word, theta_n.word)
        + t(theta.video, theta.word, theta_n.word),
        # The encoder outputs are targets that receive a gradient too, as in the public code.
        "l_r": mse_loss(phi_rec[0], phi[0])
        + mse_loss(phi_rec[1], phi[1])
        + mse_loss(theta.audio, theta.word)
        + mse_loss(theta.video, theta.word),
    }
