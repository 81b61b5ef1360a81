"""A change that would fit, found by search: fewer weight bits, narrower layers, fewer inputs.

Every resource grows with every one of these, so the largest value that fits is found by
bisection; the value that is returned was itself placed. Single changes come first. Where none is
enough, two of them together, then fewer layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from neurozsl.hardware.mapping import LayerShape

Fits = Callable[[tuple[LayerShape, ...]], bool]
_SHOWN = 6  # layers that a description lists


@dataclass(frozen=True)
class Change:
    """Caps on a network; None leaves it as it is.

    weight_bits: of every layer. width: output channels of every layer. inputs: channels that a
    dense layer reads from an input of the network (the host reduces it). layers: only the first.
    """

    weight_bits: int | None = None
    width: int | None = None
    inputs: int | None = None
    layers: int | None = None

    def apply(self, layers: Sequence[LayerShape]) -> tuple[LayerShape, ...]:
        """The network with the caps; a layer reads as many channels fewer as its sources lose."""
        lost: dict[str, int] = {}
        names, made = {layer.name for layer in layers}, []
        for layer in layers[: self.layers]:
            old = layer.kernel
            wide = old.channels_in - sum(lost.get(name, 0) for name in layer.sources)
            if old.is_dense and not names & set(layer.sources):
                wide = min(wide, self.inputs or wide)
            kernel = replace(
                old,
                channels_in=wide,
                channels_out=min(old.channels_out, self.width or old.channels_out),
            )
            lost[layer.name] = old.channels_out - kernel.channels_out
            bits = min(layer.weight_bits, self.weight_bits or layer.weight_bits)
            made.append(replace(layer, kernel=kernel, weight_bits=bits, nonzero=None))
        return tuple(made)

    def describe(self, layers: Sequence[LayerShape]) -> str:
        """The change in words, with the layers that it alters."""
        words = [
            text
            for value, text in (
                (self.layers, f"only the first {self.layers} layers"),
                (self.weight_bits, f"weights of {self.weight_bits} bits"),
                (self.width, f"layers at most {self.width} wide"),
                (self.inputs, f"inputs at most {self.inputs} wide (reduced on the host)"),
            )
            if value is not None
        ]
        changed = [
            f"{new.name} {new.kernel.channels_in}->{new.kernel.channels_out}"
            for old, new in zip(layers, self.apply(layers), strict=False)
            if old.kernel != new.kernel
        ]
        more = [f"{len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        listed = ", ".join(changed[:_SHOWN] + more)
        return " and ".join(words) + (f": {listed}" if listed else "")


def changes_that_fit(
    layers: tuple[LayerShape, ...], fits: Fits, *, min_bits: int
) -> tuple[Change, ...]:
    """The mildest change of each kind that makes the network fit; () where none was found.

    Args:
        layers: a network that does not fit.
        fits: True for layers that the chip holds.
        min_bits: fewest weight bits that programs are made with.
    """
    widest = max(layer.kernel.channels_out for layer in layers)
    deepest = max(layer.kernel.channels_in for layer in layers)
    bits = max(layer.weight_bits for layer in layers)

    def find(make: Callable[[int], Change], low: int, high: int) -> Change | None:
        most = _largest(lambda value: fits(make(value).apply(layers)), low, high)
        return None if most is None else make(most)

    single = [
        find(lambda value: Change(weight_bits=value), min_bits, bits - 1),
        find(lambda value: Change(width=value), 1, widest - 1),
        find(lambda value: Change(inputs=value), 1, deepest - 1),
    ]
    found = tuple(change for change in single if change is not None)
    if found:
        return found

    def combined() -> Iterator[Change | None]:
        low, top = min(min_bits, bits), max(widest, deepest) - 1
        yield find(lambda value: Change(weight_bits=low, width=value), 1, widest - 1)
        yield find(lambda value: Change(width=value, inputs=value), 1, top)
        yield find(lambda value: Change(layers=value), 1, len(layers) - 1)
        slim = find(lambda value: Change(layers=value, width=1, inputs=1), 1, len(layers) - 1)
        if slim is not None:
            yield find(lambda value: replace(slim, width=value, inputs=value), 1, top)

    return tuple(change for change in combined() if change is not None)[:1]


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest value in low..high that fits, where smaller values fit as well; else None."""
    if low > high or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
