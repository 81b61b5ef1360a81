"""A change that would fit, found by search: fewer weight bits, narrower layers, fewer inputs.

Every resource grows with every one of these, so the largest value that fits is found by
bisection; the value that is returned was itself placed. Single changes come first. Where none is
enough, two of them together, then fewer layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from neurozsl.hardware.place.mapping import Kernel, LayerShape

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
        """The network with the caps; a layer reads as many channels fewer as its sources lose.

        Groups of a kernel keep their size: its source keeps whole groups, and decides how many. A
        source that is cut off is read no more; a layer that has no other keeps it, as an input.
        """
        kept = layers[: self.layers]
        lost: dict[str, int] = {}
        for layer in kept:
            lost[layer.name] = layer.out_map[0] - self._channels(layer, layers, lost)
        return tuple(self._narrowed(layer, layers, kept, lost) for layer in kept)

    def _channels(
        self, layer: LayerShape, layers: Sequence[LayerShape], lost: Mapping[str, int]
    ) -> int:
        """Channels of the layer that are left."""
        left = min(layer.out_map[0], self.width or layer.out_map[0])
        for source, kernel in zip(layer.sources, layer.kernels, strict=True):
            if kernel.groups > 1:
                groups = _groups(kernel, kernel.channels_in - lost.get(source, 0))
                left = groups * (kernel.channels_out // kernel.groups)
        for reader in layers:
            for source, kernel in zip(reader.sources, reader.kernels, strict=True):
                if source == layer.name and kernel.groups > 1:
                    left = _groups(kernel, left) * (kernel.channels_in // kernel.groups)
        return left

    def _narrowed(
        self,
        layer: LayerShape,
        layers: Sequence[LayerShape],
        kept: Sequence[LayerShape],
        lost: Mapping[str, int],
    ) -> LayerShape:
        names = {other.name for other in layers}
        gone = names - {other.name for other in kept}
        triples = [(s, *pair) for s, pair in zip(layer.sources, layer.pairs, strict=True)]
        triples = [triple for triple in triples if triple[0] not in gone] or triples[:1]
        part = layer.out_map[0] - lost[layer.name]
        kernels, patterns = [], []
        for source, kernel, pattern in triples:
            wide = kernel.channels_in - lost.get(source, 0)
            if kernel.is_dense and source not in names:
                wide = min(wide, self.inputs or wide)
            # A matrix onto a map loses the neurons of the channels that go.
            out = kernel.channels_out // layer.out_map[0] * part
            link, conv = kernel.link, kernel.link.conv
            if conv is not None and conv.groups > 1:
                link = replace(link, conv=replace(conv, groups=_groups(kernel, wide)))
            kernels.append(replace(kernel, channels_in=wide, channels_out=out, link=link))
            patterns.append(pattern and pattern.cut(out, kernels[-1].fan_in))
        return replace(
            layer,
            sources=tuple(source for source, _, _ in triples),
            kernel=kernels[0],
            also=tuple(kernels[1:]),
            weight_bits=min(layer.weight_bits, self.weight_bits or layer.weight_bits),
            nonzero=None,
            patterns=tuple(patterns) if layer.patterns else (),
        )

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
            if (old.kernel.channels_in, old.kernel.channels_out)
            != (new.kernel.channels_in, new.kernel.channels_out)
        ]
        more = [f"{len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        listed = ", ".join(changed[:_SHOWN] + more)
        return " and ".join(words) + (f": {listed}" if listed else "")


def changes_that_fit(
    layers: tuple[LayerShape, ...], fits: Fits, *, min_bits: int
) -> tuple[Change, ...]:
    """The mildest change of each kind that makes a network fit that does not; () without one.

    fits: True for layers that the chip holds. min_bits: fewest weight bits of a program.
    """
    widest = max(layer.out_map[0] for layer in layers)
    deepest = max(kernel.channels_in for layer in layers for kernel in layer.kernels)
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


def _groups(kernel: Kernel, channels: int) -> int:
    """Groups that so many input channels fill."""
    return max(1, channels // (kernel.channels_in // kernel.groups))


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
