"""Projections into the shared space and back (AVCA's layout, MDFT Eq. 12, STFT Eq. 15)."""

from typing import Literal

from torch import nn

from neurozsl.models.blocks import LinearBlock

Output = Literal["linear", "relu"]


def last_map(inputs: int, outputs: int, dropout: float, form: Output) -> nn.Module:
    """The last map of a projection: linear, or AVCA's block that ends in ReLU and dropout."""
    return nn.Linear(inputs, outputs) if form == "linear" else LinearBlock(inputs, outputs, dropout)


def projection_map(
    inputs: int, hidden: int, outputs: int, dropout: float, form: Output
) -> nn.Sequential:
    """A block to `hidden`, then the last map."""
    return nn.Sequential(
        LinearBlock(inputs, hidden, dropout), last_map(hidden, outputs, dropout, form)
    )
