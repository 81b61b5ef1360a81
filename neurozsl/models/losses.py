"""The three losses of MDFT (Eq. 13-15), in readings that are losses.

d is the Euclidean distance, O_av the audio-visual embedding `(batch, proj)`, O_w the class
embedding of the sample, minus the same of a sample of another class, gamma the margin:

    L_n = mean [gamma + d(O_av, O_w) - d(O_av-, O_w)]_+ + [gamma + d(O_w, O_av) - d(O_w-, O_av)]_+
    L_p = MSE(O_av, O_w)
    L_r = MSE(D(O_av), w) + MSE(D(O_w), w)

Eq. 13 prints differences of vectors inside the hinge and a second term that grows with the
negative; Eq. 14 is a mean of signed differences, unbounded below; Eq. 15 compares with the
projected O_w although it should "keep the original distribution": it compares with w, as AVCA does.
"""

import torch
from torch import Tensor


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distance of paired rows, `(batch,)`; eps keeps the gradient finite at 0."""
    return torch.sqrt((x - y).square().sum(-1) + 1e-12)


def triplet(joint: Tensor, word: Tensor, negative: Tensor, *, margin: float) -> Tensor:
    """L_n of Eq. 13: `negative` `(batch,)` is the row of a sample of another class."""
    near = distance(joint, word)
    far_joint, far_word = distance(joint[negative], word), distance(word[negative], joint)
    return (torch.relu(margin + near - far_joint) + torch.relu(margin + near - far_word)).mean()


def projection(joint: Tensor, word: Tensor) -> Tensor:
    """L_p of Eq. 14."""
    return torch.nn.functional.mse_loss(joint, word)


def reconstruction(from_joint: Tensor, from_word: Tensor, vectors: Tensor) -> Tensor:
    """L_r of Eq. 15 against the raw class vectors `(batch, words)` of the samples."""
    mse = torch.nn.functional.mse_loss
    return mse(from_joint, vectors) + mse(from_word, vectors)
