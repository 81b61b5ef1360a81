"""What every model with a spiking branch does alike: its options, its frozen copy, its spikes.

A model is described by plain values (`options_of`), from which `build` makes it again; the input
codes and the frozen thresholds of the branch are among them (`restore`). The deployed model is a
second one, made from changed values, with the same weights on the host and the folded ones in the
branch (`frozen_copy`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode, Trace
from neurozsl.models.conv_motion import ConvSpikingBranch
from neurozsl.models.motion import SpikingBranch

M = TypeVar("M", bound=nn.Module)


def options_of(model: Any) -> dict[str, Any]:
    """The resolved configuration and the codes fixed by `calibrate`, as JSON values."""
    codes = {} if model.branch is None else {k: asdict(v) for k, v in model.branch.codes.items()}
    thetas = {} if model.branch is None else model.branch.frozen_theta
    return {**asdict(model.config), "codes": codes, "thetas": dict(thetas)}


def restore(
    branch: SpikingBranch | ConvSpikingBranch | None,
    codes: Mapping[str, Any],
    thetas: Mapping[str, float],
) -> None:
    """Give a branch the input codes and frozen thresholds that `options_of` wrote."""
    if branch is None:
        return
    for name, code in codes.items():
        branch.set_code(name, InputCode(**code))
    if thetas:
        branch.freeze(thetas)


def frozen_copy(
    model: Any, name: str, theta: Mapping[str, float], build: Callable[..., M], **changes: Any
) -> M:
    """A copy that is ready to be deployed: BatchNorm folded, one constant threshold per layer.

    Args:
        model: with `branch` and `options`.
        name: of the model, for errors.
        theta: layer name -> threshold.
        build: makes the copy from the options.
        changes: options of the copy that differ from the model's.

    Raises:
        BadInput: the model has no spiking branch.
    """
    if model.branch is None:
        raise BadInput(f"model '{name}': motion=false, there is no branch to freeze")
    made = build(**{**model.options(), **changes, "thetas": dict(theta)})
    rest = {k: v for k, v in model.state_dict().items() if not k.startswith("branch.")}
    made.load_state_dict(rest, strict=False)  # the branch follows
    branch: Any = made.branch
    branch.load_folded(model.branch)
    return made


def read_spikes(trace: Trace, layer: str, like: Tensor) -> Tensor:
    """Spikes of a layer of the trace as a tensor of the host's type."""
    return torch.as_tensor(trace.spikes[layer], dtype=like.dtype, device=like.device)
