"""Threshold policies at export: which thresholds the deployed branch has, and what that changes.

    dynamic -> dynamic   theta stays a value of the sample; the file's constant is its mean
    dynamic -> table     theta_bar_t: mean over the calibration samples, one per step and layer
    dynamic -> frozen    theta_bar: mean over calibration samples and steps, one per layer
    closed  -> table, frozen   the same means, over the thresholds that the branch's own run used
    table   -> frozen    mean of the table

A closed loop (theta follows the layer's own spikes of the step before) stays on the host: it needs
a controller beside the neurons, which no target here has.

Nothing else changes silently: the second value of `apply_policy` says what was given up.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, FloatArray, LayerSpec, Policy

Wanted = Literal["fixed", "frozen", "table", "dynamic"]


def apply_policy(
    spec: BranchSpec, wanted: Wanted, calibration: ChipInput
) -> tuple[BranchSpec, str]:
    """The branch under the policy `wanted`, and one sentence on what it lost, "" for nothing.

    "fixed" and "frozen" both mean one constant per layer. The calibration holds theta
    `(batch, time)` per layer where the branch is dynamic or closed.

    Raises:
        BadInput: the policy cannot be reached from the one the branch was trained with.
    """
    if (spec.policy, wanted) == ("closed", "dynamic"):
        raise BadInput(
            "threshold policy 'dynamic': the thresholds of this branch follow its own spikes, so "
            "they are not known before the run, and the controller that would make them on the "
            "chip does not exist here; choose frozen or table"
        )
    if (spec.policy, wanted) not in _CHANGES:
        allowed = sorted(to for start, to in _CHANGES if start == spec.policy)
        raise BadInput(
            f"threshold policy '{wanted}' cannot be made from a branch trained with "
            f"'{spec.policy}'; choose {' or '.join(allowed)}"
        )
    policy, change, loss = _CHANGES[spec.policy, wanted]
    layers = tuple(change(layer, calibration) for layer in spec.layers)
    return replace(spec, layers=layers, policy=policy), loss


def _keep(layer: LayerSpec, calibration: ChipInput) -> LayerSpec:
    return layer


def _theta(layer: LayerSpec, calibration: ChipInput) -> FloatArray:
    """Thresholds of the calibration samples, float64 `(batch, time)`."""
    theta = calibration.to_numpy().theta or {}
    if layer.name not in theta:
        raise BadInput(
            f"layer '{layer.name}': its threshold changes but the calibration input has no "
            "thresholds for it; make it with the model's prepare() (dynamic), or with the "
            "thresholds() of the branch (closed)"
        )
    return np.asarray(theta[layer.name], np.float64)


def _constant(layer: LayerSpec, value: float) -> LayerSpec:
    # float32, as the graph will store it
    constant = np.full(layer.size, value, np.float32)
    return replace(layer, threshold=constant, theta_table=None)


def _mean(layer: LayerSpec, calibration: ChipInput) -> LayerSpec:
    return _constant(layer, float(_theta(layer, calibration).mean()))


def _mean_per_step(layer: LayerSpec, calibration: ChipInput) -> LayerSpec:
    table = _theta(layer, calibration).mean(axis=0)
    return replace(_mean(layer, calibration), theta_table=table)


def _mean_of_table(layer: LayerSpec, calibration: ChipInput) -> LayerSpec:
    if layer.theta_table is None:
        raise BadInput(f"layer '{layer.name}': the policy is 'table' but it has no theta_table")
    return _constant(layer, float(np.mean(layer.theta_table)))


_Change = Callable[[LayerSpec, ChipInput], LayerSpec]
_PER_SAMPLE = "thresholds no longer follow the sample: dynamic -> "
_PER_SPIKES = "thresholds no longer follow the layer's own spikes: closed -> "
_CHANGES: Mapping[tuple[Policy, Wanted], tuple[Policy, _Change, str]] = {
    ("fixed", "fixed"): ("fixed", _keep, ""),
    ("fixed", "frozen"): ("fixed", _keep, ""),
    ("frozen", "fixed"): ("frozen", _keep, ""),
    ("frozen", "frozen"): ("frozen", _keep, ""),
    ("table", "table"): ("table", _keep, ""),
    ("table", "frozen"): ("frozen", _mean_of_table, "thresholds no longer change with the step"),
    ("dynamic", "dynamic"): ("dynamic", _mean, ""),
    ("dynamic", "table"): ("table", _mean_per_step, _PER_SAMPLE + "one per step and layer"),
    ("dynamic", "frozen"): ("frozen", _mean, _PER_SAMPLE + "one constant per layer"),
    ("closed", "table"): ("table", _mean_per_step, _PER_SPIKES + "one per step and layer"),
    ("closed", "frozen"): ("frozen", _mean, _PER_SPIKES + "one constant per layer"),
}
