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

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.models.blocks import Encoder, LinearBlock

_DEAD = 0.9  # share of embedding channels that are 0 for every sample, above which we warn


class AlignedHeads(nn.Module):
    """The four maps; `drop_dec` is the dropout of O_proj and D_o, `drop_word` that of the others.

    trained_on: ids of the classes of `ce`, ascending; not stored with the weights.
    """

    trained_on: Tensor

    def __init__(
        self, inputs: int, words: int, *, hidden: int, proj: int, drop_dec: float, drop_word: float
    ) -> None:
        super().__init__()
        self.project_output = Encoder(inputs, hidden, proj, drop_dec)
        self.decode_output = Encoder(proj, hidden, words, drop_dec)
        self.project_word = LinearBlock(words, proj, drop_word)
        self.decode_word = LinearBlock(proj, words, drop_word)
        self.register_buffer("trained_on", torch.empty(0, dtype=torch.long), persistent=False)

    def train_on(self, classes: Tensor) -> None:
        """Take the ids of the classes that are trained on; before, they are all rows of vectors."""
        self.trained_on = torch.unique(classes)  # ascending

    def compared(self, label: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of `vectors` `(classes, words)` that are trained on, and the labels' places."""
        if len(self.trained_on) == 0:
            return vectors, label
        return vectors[self.trained_on], torch.searchsorted(self.trained_on, label)

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


def dead_channels(model: str, theta_o: Tensor) -> list[str]:
    """A warning where ReLU left hardly any channel of `(batch, proj)` to tell classes apart."""
    dead = float((theta_o == 0).all(0).float().mean())
    if dead < _DEAD:
        return []
    return [
        f"{100 * dead:.0f} % of the embedding's channels are 0 for every sample ({model}'s output "
        "ends in ReLU); lower the learning rate or the dropouts"
    ]


def summed(parts: Mapping[str, Tensor]) -> Tensor:
    """The plain sum of the terms."""
    return torch.stack(list(parts.values())).sum()
