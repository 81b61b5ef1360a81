"""What the writers share: values as parameters, and the spikes that layers send, step by step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tests.frameworks.networks import Drawn, Layer


def tensor(values: Any) -> torch.Tensor:
    """A tensor of its own in float32."""
    return torch.tensor(np.asarray(values, np.float32))


def weighted(layer: Layer, linear: Callable[..., Any], conv: Callable[..., Any]) -> Any:
    """The framework's Linear or Conv2d with the drawn weights and bias."""
    out, fan_in = layer.weight.shape[:2]
    if layer.weight.ndim == 2:
        module = linear(fan_in, out)
    else:
        module = conv(fan_in, out, 3, stride=layer.stride, padding=1)
    module.weight.data, module.bias.data = tensor(layer.weight), tensor(layer.bias)
    return module


def input_steps(drawn: Drawn) -> torch.Tensor:
    """Input `(steps, samples, ...)` in float32."""
    return tensor(np.swapaxes(drawn.spikes, 0, 1))


@contextmanager
def recorded(cells: list[Any]) -> Iterator[list[list[Any]]]:
    """What each cell returns, call by call; the first of a tuple."""
    seen: list[list[Any]] = [[] for _ in cells]

    def keep(into: list[Any]) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            into.append(first.detach().clone())

        return hook

    hooks = [cell.register_forward_hook(keep(into)) for cell, into in zip(cells, seen, strict=True)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def as_counts(steps: Any) -> Any:
    """`(steps, samples, ...)` to uint8 `(samples, steps, neuron)`; a spike count is an integer."""
    values = np.swapaxes(np.asarray(steps), 0, 1)
    values = values.reshape(*values.shape[:2], -1)
    counts = values.astype(np.uint8)
    if not np.array_equal(counts, values):
        raise ValueError("what a cell sent is no count of spikes")
    return counts
