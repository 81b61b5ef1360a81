"""Hyper-alignment, -single and -multiple: AVCA with an alignment of modalities in hyperbolic space.

The public code of Hyper-AVZSL (commit 8460954) is AVCA and one more loss. In: the encodings phi_v,
phi_a `(batch, embed)` *before* attention, of the samples and of their negatives (minus)::

    L     = L_AVCA + 1e-3 [A(phi_v, phi_a) + A(phi_v-, phi_a-)]
    A     = MSE(S(x), S(y)),  S = cosines between the rows of log_0(clip(phi)), (batch, batch)
    clip  = into the Poincare ball of radius 0.999 / sqrt(c)
    log_0 = artanh(sqrt(c) |x|) x / (sqrt(c) |x|)                  the tangent space at the origin

The curvature c is where the three differ: `hyper-alignment` has the constant `curvature`, the
others `curvature` sigmoid(Linear([phi_v; phi_a])) per sample, one (`hyper-single`) or as many as
`curvatures` says (`hyper-multiple`, A averaged over them; 2 in the history of the public code).

Clip and log_0 only stretch a row, and a cosine does not see that: A is the alignment of Euclidean
cosines whatever c is, the three have one and the same loss, and the curvature learns nothing (its
gradient is 0 but for rounding). What is scored is AVCA's. So the published differences between them
do not come from the curvature.

Reading: a row of zeros has no direction; its cosines are 0 here, NaN in the public code. At 512/512
features the models have 1,693,108, 1,693,709 and 1,694,310 parameters, at 128/4096 3,331,508,
3,332,109 and 3,332,710.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from neurozsl.models.avca import AVCA
from neurozsl.models.avca_config import AVCAConfig, resolve
from neurozsl.models.base import Embedding, LossTerms
from neurozsl.models.options import check_rules

BALL = 0.999  # share of the ball's radius that the public code lets points reach


@dataclass(frozen=True)
class HyperConfig(AVCAConfig):
    """Options beside AVCA's.

    curvature: c of the ball, or the largest one where it is learnt. curvatures: how many are learnt
    per sample; 0: `curvature` is a constant. weight_align: of the alignment in the loss.
    """

    curvature: float = 0.01
    curvatures: int = 0
    weight_align: float = 1e-3


def tangent(x: Tensor, curvature: Tensor) -> Tensor:
    """Rows `(batch, width)`, clipped into the ball of their `curvature` `(batch, 1)`, under log_0.

    Every row keeps its direction; the row of zeros stays where it is.
    """
    root = curvature.sqrt()
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    length = length.clamp_min(torch.finfo(x.dtype).tiny)
    inside = torch.minimum(length, BALL / root)
    mapped: Tensor = x * (torch.atanh(root * inside) / (root * length))
    return mapped


def alignment(x: Tensor, y: Tensor, curvature: Tensor) -> Tensor:
    """A of two modalities `(batch, width)`, in balls of `curvature` `(batch, 1)`."""
    x, y = (normalize(tangent(z, curvature), dim=-1) for z in (x, y))
    return mse_loss(x @ x.T, y @ y.T)


class HyperAVCA(AVCA):
    """Hyper-alignment; see the module's docstring."""

    name: ClassVar[str] = "hyper-alignment"
    curvatures: ClassVar[int] = 0  # of the option's default
    config: HyperConfig

    def __init__(self, config: HyperConfig) -> None:
        super().__init__(config)
        count = config.curvatures
        self.curve = nn.Linear(2 * config.embed, count) if count else None

    @classmethod
    def build(
        cls, *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
    ) -> Self:
        """Make the model; as AVCA it averages over time, whatever `encode` and `steps` are.

        Raises:
            BadInput: an option does not exist or has a value that is not allowed.
        """
        options = {"curvatures": cls.curvatures, **options}
        c = resolve(cls.name, HyperConfig, audio_dim, video_dim, options)
        rules = {
            f"curvature={c.curvature}, expected a number above 0": c.curvature > 0,
            f"curvatures={c.curvatures}, expected 0 (constant) or more": c.curvatures >= 0,
            f"weight_align={c.weight_align}, expected 0 or more": c.weight_align >= 0,
        }
        check_rules(cls.name, rules)
        return cls(c)

    def curvature_of(self, phi_v: Tensor, phi_a: Tensor) -> Tensor:
        """Curvature c of every sample, `(batch, 1)`, or as many columns as are learnt."""
        if self.curve is None:
            return phi_v.new_full((len(phi_v), 1), self.config.curvature)
        logits: Tensor = self.curve(torch.cat([phi_v, phi_a], -1))
        return self.config.curvature * torch.sigmoid(logits)

    def _aligned(self, phi_v: Tensor, phi_a: Tensor) -> Tensor:
        """A, averaged over the curvatures."""
        columns = self.curvature_of(phi_v, phi_a).unbind(-1)
        return torch.stack([alignment(phi_v, phi_a, c[:, None]) for c in columns]).mean()

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """AVCA's loss and the weighted alignment of samples and negatives, `l_align` in `parts`.

        Raises:
            BadInput: as AVCA's.
        """
        terms = super().loss(output, label, negative, vectors)
        sample, other = self.pairs(negative)
        phi_v, phi_a = output.aux["phi_v"], output.aux["phi_a"]
        aligned = self._aligned(phi_v[sample], phi_a[sample])
        aligned = aligned + self._aligned(phi_v[other], phi_a[other])
        total = terms.total + self.config.weight_align * aligned
        return LossTerms(total, {**terms.parts, "l_align": aligned})


class HyperSingle(HyperAVCA):
    """One learnt curvature per sample."""

    name = "hyper-single"
    curvatures = 1


class HyperMultiple(HyperAVCA):
    """Several learnt curvatures per sample."""

    name = "hyper-multiple"
    curvatures = 2


build_alignment = HyperAVCA.build
build_single = HyperSingle.build
build_multiple = HyperMultiple.build
