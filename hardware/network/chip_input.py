"""Whether a `ChipInput` belongs to a network: every simulation and every program asks here first.

In: inputs, layers, steps and policy of a network of any kind, and what the host prepared. Out: the
same codes and thresholds, ready to be run, or the input that does not fit.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Policy


def check_input(
    inputs: Mapping[str, InputCode],
    layers: tuple[Any, ...],
    steps: int,
    policy: Policy,
    chip_input: ChipInput,
) -> ChipInput:
    """The input as int16 codes and float64 thresholds, refused where the network cannot take it.

    Raises:
        BadInput: an input is missing, has another size, scale or number of samples or steps, holds
            a code out of range, or the policy is dynamic and theta is missing.
    """
    for name, code in inputs.items():
        if name not in chip_input.codes:
            raise BadInput(
                f"chip input: '{name}' is missing; it holds {', '.join(chip_input.codes)}"
            )
        given = chip_input.code[name]
        if given.scale != code.scale or given.size != code.size:
            raise BadInput(
                f"chip input '{name}': size {given.size} at scale {given.scale:g}, the network "
                f"expects {code.size} at {code.scale:g}; prepare it with the code of the network"
            )
    codes = {name: chip_input.codes[name] for name in inputs}
    checked = replace(chip_input, codes=codes, code=dict(inputs)).to_numpy()
    shapes = {name: value.shape[:2] for name, value in checked.codes.items()}
    if len(set(shapes.values())) > 1:
        raise BadInput(f"chip input: (batch, time) differ between inputs: {shapes}")
    if policy == "table" and checked.steps != steps:
        raise BadInput(f"chip input: {checked.steps} steps, the threshold table has {steps}")
    if policy != "dynamic":
        # Table and frozen thresholds are part of the network; the host's theta is not used.
        return replace(checked, theta=None)
    theta = checked.theta or {}
    for layer in layers:
        shape = None if layer.name not in theta else theta[layer.name].shape
        if shape != (checked.batch, checked.steps):
            raise BadInput(
                f"chip input: theta of layer '{layer.name}' is {shape or 'missing'}, expected "
                f"{(checked.batch, checked.steps)}; the policy is dynamic"
            )
    return checked
