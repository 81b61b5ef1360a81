"""What TCaF and ClipClap share: one output embedding beside the class embedding, and their loss.

In: o `(batch, inputs)`, what a model makes of sound and picture, and w `(batch, words)`, a class
vector. Out::

    theta_o = O_proj(o)     two blocks to `proj`    rho_o = D_o(theta_o)    two blocks to `words`
    theta_w = W_proj(w)     one block to `proj`     rho_w = D_w(theta_w)    one block to `words`

    ce    = CE(softmax over classes c of  theta_o . theta_w(c),  class)
    reg   = MSE(theta_o, theta_w)
    rec_o = MSE(w, rho_o),   rec_w = MSE(w, rho_w)

and the total is their plain sum. A block is Linear - BatchNorm - ReLU - Dropout. The classes of
`ce` are those that are trained on, no others. W_proj sees the batch's vectors, one per sample, and
then each of these classes once, in two calls: each call has BatchNorm statistics of its own, and
both move the running ones (the public codes do the same).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.baselines.trained_classes import TrainedClasses
from neurozsl.models.blocks import Encoder, LinearBlock
from neurozsl.models.dead_channels import dead_channels


class AlignedHeads(nn.Module):
    """The four maps; `drop_dec`: dropout of O_proj and D_o, `drop_word`: that of the others."""

    def __init__(
        self, inputs: int, words: int, *, hidden: int, proj: int, drop_dec: float, drop_word: float
    ) -> None:
        super().__init__()
        self.project_output = Encoder(inputs, hidden, proj, drop_dec)
        self.decode_output = Encoder(proj, hidden, words, drop_dec)
        self.project_word = LinearBlock(words, proj, drop_word)
        self.decode_word = LinearBlock(proj, words, drop_word)

    def loss_terms(
        self, theta_o: Tensor, own: Tensor, classes: Tensor, label: Tensor
    ) -> Mapping[str, Tensor]:
        """ce, reg, rec_o and rec_w, each a scalar, unweighted.

        `theta_o` `(batch, proj)`; `own` `(batch, words)` the samples' class vectors; `classes`
        `(K, words)` those of all classes, of which `label` `(batch,)` are rows. Whatever made
        `own` receives a gradient.
        """
        theta_w = self.project_word(own)
        rho_o, rho_w = self.decode_output(theta_o), self.decode_word(theta_w)
        scores = theta_o @ self.project_word(classes).T  # (batch, K)
        return {
            "ce": functional.cross_entropy(scores, label),
            "reg": functional.mse_loss(theta_o, theta_w),
            "rec_o": functional.mse_loss(rho_o, own),
            "rec_w": functional.mse_loss(rho_w, own),
        }


def summed(parts: Mapping[str, Tensor]) -> Tensor:
    """The plain sum of the terms."""
    return torch.stack(list(parts.values())).sum()


class Aligned(TrainedClasses):
    """Base of a model with these heads; how it makes its output is its own."""

    name: ClassVar[str]  # in messages
    config: Any
    aligned: AlignedHeads

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def prepare(self, batch: AVBatch) -> Prepared:
        """The model's own part."""
        raise NotImplementedError

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """The model's own part."""
        raise NotImplementedError

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return self.finish(None, self.prepare(batch).context)

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say where ReLU left hardly any channel to tell classes apart."""
        with torch.no_grad():
            return dead_channels(self.name, self(batch).heads)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)
