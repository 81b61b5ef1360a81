"""Which threshold a layer compares with, at every sample and step, under each policy.

fixed, frozen   theta of the layer, one per neuron
table           theta_table, one per step
dynamic         theta of the sample, one per sample and step (made on the host)
closed          not known before the run: freeze it first (`policy`), or run the model itself
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Policy

Theta = npt.NDArray[np.float64]


class HasThreshold(Protocol):
    """A layer of a `BranchSpec` or lowered: thresholds per neuron, and per step or None."""

    @property
    def name(self) -> str: ...
    @property
    def threshold(self) -> Any: ...
    @property
    def theta_table(self) -> Any: ...


def theta_of(layer: HasThreshold, policy: Policy, chip: ChipInput) -> Theta:
    """Thresholds in float64: `(1, 1, neuron)`, `(1, time, 1)` or `(batch, time, 1)`.

    Raises:
        BadInput: the policy is dynamic and the input has no thresholds of this layer.
    """
    if policy == "table":
        if layer.theta_table is None:
            raise BadInput(f"layer '{layer.name}': the policy is 'table' but it has no theta_table")
        return np.asarray(layer.theta_table, np.float64)[None, :, None]
    if policy == "closed":
        raise BadInput(
            f"layer '{layer.name}': its threshold follows its own spikes (policy 'closed'); run "
            "the model's own branch, or freeze it with --threshold frozen"
        )
    if policy != "dynamic":
        return np.asarray(layer.threshold, np.float64)[None, None, :]
    if chip.theta is None or layer.name not in chip.theta:
        raise BadInput(
            f"layer '{layer.name}': the policy is 'dynamic' but the chip input has no thresholds "
            "for it; use the model's prepare(), or export with --threshold frozen"
        )
    theta = np.asarray(chip.theta[layer.name], np.float64)
    if theta.shape != (chip.batch, chip.steps):
        raise BadInput(
            f"layer '{layer.name}': thresholds of shape {theta.shape}, expected (batch, time) = "
            f"({chip.batch}, {chip.steps})"
        )
    return theta[:, :, None]
