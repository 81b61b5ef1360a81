"""The four networks of f-VAEGAN-D2 (Xian et al., CVPR 2019) and their losses.

In: features x `(batch, features)` of unit length and class vectors w `(batch, words)`. ::

    E(x, w)  -> mean, log_var     Linear - ReLU on [x; w], then a Linear for each
    G(z, w)  -> x~ in (0, 1)      Linear - ReLU - Linear - sigmoid on [z; w]; the VAE's decoder too
    D(x, w)  -> a number          Linear - LeakyReLU 0.2 - Linear on [x; w]
    D2(x)    -> a number          the same on x alone

    critic   mean D(x~) - mean D(x) + 10 mean (||grad D(u)|| - 1)^2,   u = a x + (1 - a) x~
    VAE      sum BCE(x^, x) - 1/2 sum (1 + log_var - mean^2 - exp(log_var)),   x^ = G(z, w)

with sums over batch and dimensions. The BCE is written out, -x log x^ - (1 - x) log(1 - x^) with
logarithms of at least -100: features may be negative, where torch's own refuses to go on.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

_LOG_FLOOR = -100.0


class LatentEncoder(nn.Module):
    """E: a normal distribution over latent vectors, given a feature and its class."""

    def __init__(self, features: int, words: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features + words, latent)
        self.mean = nn.Linear(latent, latent)
        self.log_var = nn.Linear(latent, latent)

    def forward(self, x: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log_var, `(batch, latent)` each."""
        hidden = torch.relu(self.hidden(torch.cat([x, words], 1)))
        return self.mean(hidden), self.log_var(hidden)


class Generator(nn.Module):
    """G: features of a class from latent vectors."""

    def __init__(self, latent: int, words: int, hidden: int, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent + words, hidden)
        self.out = nn.Linear(hidden, features)

    def forward(self, z: Tensor, words: Tensor) -> Tensor:
        """`(batch, features)` in (0, 1)."""
        return torch.sigmoid(self.out(torch.relu(self.hidden(torch.cat([z, words], 1)))))


class Critic(nn.Module):
    """D, or D2 where `words` is 0; weights from N(0, 0.02), biases 0."""

    def __init__(self, features: int, words: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features + words, hidden)
        self.out = nn.Linear(hidden, 1)
        for layer in (self.hidden, self.out):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, words: Tensor | None = None) -> Tensor:
        """`(batch, 1)`; no bounds."""
        given = x if words is None else torch.cat([x, words], 1)
        scores: Tensor = self.out(nn.functional.leaky_relu(self.hidden(given), 0.2))
        return scores


class CriticTerms(NamedTuple):
    """Means over the batch of a critic on real and on generated features, and its penalty."""

    real: Tensor
    fake: Tensor
    penalty: Tensor

    @property
    def cost(self) -> Tensor:
        """What the critic minimises."""
        return self.fake - self.real + self.penalty


def critic_terms(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    words: Tensor | None,
    share: Tensor,
    *,
    penalty: float,
) -> CriticTerms:
    """Wasserstein terms with gradient penalty, of weight `penalty`.

    real, fake: `(batch, features)`, no gradient flows into them; words: `(batch, words)`, None for
    D2; share: `(batch, 1)`, the part a of `real` in the places where the gradient is taken.
    """
    real, fake = real.detach(), fake.detach()
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, words).sum(), between, create_graph=True)
    steep = penalty * ((slope.norm(dim=1) - 1) ** 2).mean()
    return CriticTerms(critic(real, words).mean(), critic(fake, words).mean(), steep)


class VAETerms(NamedTuple):
    """Reconstruction and divergence, sums over batch and dimensions."""

    bce: Tensor
    kld: Tensor


def vae_terms(rebuilt: Tensor, x: Tensor, mean: Tensor, log_var: Tensor) -> VAETerms:
    """The two terms of the VAE; `rebuilt` in (0, 1), `x` any numbers."""
    log_yes = rebuilt.log().clamp_min(_LOG_FLOOR)
    log_no = (1 - rebuilt).log().clamp_min(_LOG_FLOOR)
    bce = -(x * log_yes + (1 - x) * log_no).sum()
    kld = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
    return VAETerms(bce, kld)


def latent_sample(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """The latent vector mean + noise exp(log_var / 2), all `(batch, latent)`."""
    return mean + noise * (0.5 * log_var).exp()
