"""The shape of one sample at an Input, where the stored one holds time, batch or other channels.

In: the stored shape and the nodes that the Input feeds. Out: the shape of a sample, and a sentence
where it is not the stored one. Exporters store the shape of the tensor that they were shown:

    (5, 16, 2, 34, 34)   time, batch, then what a Conv2d of 2 channels takes
    (60, 10)             time, then what a matrix of 10 columns takes
    (12,)                a matrix of 38 columns takes (38,): a wrong label, the weights decide

The trailing dimensions are a sample where parameters prove it: columns, channels, `input_shape`,
neurons with a value each, directly or behind nodes that take any shape (neurons of one value,
pools, Flatten). Where no parameter does, the shape stays, or is refused with what it most likely
means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import nir

from neurozsl.core.errors import BadInput
from neurozsl.export.nir import settle as rules
from neurozsl.export.nir.inline import some
from neurozsl.export.nir.parameters import Feed, Shape, absent, shape_of

MOST_DIMENSIONS: Final = 3  # (channel, row, column): no node of NIR needs a fourth
MAX_FOLLOWED: Final = 100_000  # nodes that are tried, for all Inputs and readings together
_LABELLED: Final = (nir.Flatten, nir.SumPool2d, nir.AvgPool2d)  # what follows says more
_REMEDY: Final = "store the shape of one sample"
Nodes = Mapping[str, Any]
Neighbours = Mapping[str, list[str]]
Labels = Mapping[str, list[Shape]]  # node -> what ports and Outputs behind it declare


@dataclass(frozen=True)
class Sample:
    """The shape of one sample, and what was changed to get it, if anything."""

    shape: Shape
    note: str = ""


def declared_shape(node: Any) -> Any:
    """The shape that an Input or Output stores, None where it stores none."""
    port = node.input_type if isinstance(node, nir.Input) else node.output_type
    return next(iter((port or {}).values()), None)


class Samples:
    """The readings of the Inputs of one graph, with the nodes as they are stored."""

    def __init__(self, nodes: Nodes, after: Neighbours, labels: Labels) -> None:
        self.nodes = nodes
        self.after = after
        self.labels = labels
        self.followed = 0
        self.known: dict[tuple[Shape, tuple[str, ...]], list[str] | None] = {}

    def of(self, name: str) -> Sample:
        """The sample that the Input `name` takes.

        Raises:
            BadInput: the shape is missing, has two readings, or nothing says what of it is time.
        """
        declared = declared_shape(self.nodes[name])
        stored = shape_of(name, "shape", declared)
        what = f"Input '{name}'"
        found = self._taken(name, stored)
        if len(found) > 1:
            raise BadInput(
                f"{what}: its shape {stored or f'is {absent(declared)} and'} reads as "
                f"{' or '.join(f'{s} for {t!r}' for s, t in found.items())}; {_REMEDY}"
            )
        if not stored and not found:
            fed = f" ({some(self.after[name])})" if self.after[name] else ""
            raise BadInput(
                f"{what}: its shape is {absent(declared)}, and does not follow from what it feeds"
                f"{fed}; {_REMEDY}"
            )
        for shape, target in found.items():
            if not stored:
                return Sample(
                    shape,
                    f"{what}: its shape was {absent(declared)}, {shape} follows from '{target}'",
                )
            return _without_lead(what, stored, shape, f"'{target}' takes {shape}")
        proofs = self._follow(name, stored)
        if proofs is None:
            return self._trailing(name, stored)
        if len(stored) > MOST_DIMENSIONS and not proofs:
            raise BadInput(
                f"{what}: its shape {stored} has {len(stored)} dimensions, and no parameter behind "
                "it says which belong to a sample; most likely time and batch stand before a "
                f"sample of {stored[-MOST_DIMENSIONS:]}; {_REMEDY}"
            )
        return Sample(stored)

    def _taken(self, name: str, stored: Shape) -> dict[Shape, str]:
        """Shape -> the fed node whose own parameters ask for it."""
        found: dict[Shape, str] = {}
        for target in self.after[name]:
            node = self.nodes[target]
            want = rules.wanted(target, node)
            if want is None or (stored and isinstance(node, _LABELLED)):
                continue
            spread = rules.is_elementwise(node) and 1 in want  # it may hold for a larger shape
            if stored:
                shape = rules.unbatched(stored, want)
            else:
                shape = () if spread or None in want else tuple(n for n in want if n is not None)
            if shape:
                found[shape] = target
        return found

    def _follow(self, name: str, shape: Shape) -> list[str] | None:
        """The nodes whose parameters ask for this shape at an Input; None where one refuses it."""
        key = (shape, tuple(self.after[name]))
        if key not in self.known:
            self.known[key] = self._walk(name, shape)
        return self.known[key]

    def _walk(self, name: str, shape: Shape) -> list[str] | None:
        proofs: list[str] = []
        pending, seen = [(name, shape)], {name}
        while pending:
            source, given = pending.pop()
            for target in self.after[source]:
                node = self.nodes[target]
                if target in seen or isinstance(node, nir.Output):
                    continue
                seen.add(target)
                self.followed += 1
                if self.followed > MAX_FOLLOWED:
                    raise BadInput(
                        f"Input '{name}': the shapes of the Inputs were looked for in more than "
                        f"{MAX_FOLLOWED} nodes; {_REMEDY} in each"
                    )
                try:
                    done = rules.settle(node, Feed(target, given, source))
                except BadInput:
                    return None
                if rules.is_proof(target, node):
                    proofs.append(target)
                if not isinstance(node, rules.SYNAPSES):
                    pending.append((target, done.gives))
        return proofs

    def _trailing(self, name: str, stored: Shape) -> Sample:
        """The one reading without leading dimensions, or with other channels; else as stored."""
        found: dict[Shape, str] = {}
        for extra in range(1, len(stored)):
            proofs = self._follow(name, stored[extra:])
            shape = stored[extra:]
            if proofs:
                found[shape] = proofs[0]
            elif proofs is not None and prod(stored[:extra]) == 1:
                found[shape] = self.after[name][0]
        if len({prod(shape) for shape in found}) > 1:
            raise BadInput(
                f"Input '{name}': its shape {stored} reads as "
                f"{' or '.join(f'{s} for {t!r}' for s, t in found.items())}; {_REMEDY}"
            )
        for shape, target in found.items():  # the others are this one without leading ones
            why = f"a sample is {shape}, as '{target}' asks"
            return _without_lead(f"Input '{name}'", stored, shape, why)
        target, shape = self._other_channels(name, stored)
        takes = f"all that it feeds takes {shape} ('{target}')"
        says = f"Input '{name}': its shape says {stored}, {takes}"
        return Sample(shape, says if shape != stored else "")

    def _other_channels(self, name: str, stored: Shape) -> tuple[str, Shape]:
        """The one shape that all fed nodes ask for, if its channels alone are not as stored."""
        asked: dict[rules.Wanted, str] = {}
        declared: list[Shape] = []
        pending, seen = [name], {name}
        while pending:
            source = pending.pop()
            declared += self.labels.get(source, [])
            for target in self.after[source]:
                node = self.nodes[target]
                if target in seen or isinstance(node, nir.Output):
                    continue
                seen.add(target)
                if rules.is_proof(target, node):
                    asked[rules.wanted(target, node) or ()] = target
                if rules.is_elementwise(node):
                    pending.append(target)
                elif not isinstance(node, rules.SYNAPSES):
                    return name, stored
        if len(asked) != 1:
            return name, stored
        ((want, target),) = asked.items()
        # One value for many neurons may mean that they share it.
        shared = prod(stored) == 1 and rules.is_elementwise(self.nodes[target])
        if None in want or shared or len(want) != len(stored) or want[1:] != stored[1:]:
            return name, stored
        # A second label agrees with this one, or Inputs of 4 and 5 mean a matrix of 9 columns.
        declared += self._beside(name, seen)
        if any(rules.unbatched(label, want) is None for label in declared):
            return name, stored
        return target, tuple(n for n in want if n is not None)

    def _beside(self, name: str, targets: set[str]) -> list[Shape]:
        """What other Inputs declare that feed one of the targets."""
        others = (n for n, node in self.nodes.items() if isinstance(node, nir.Input) and n != name)
        stored = (
            shape_of(n, "shape", declared_shape(self.nodes[n]))
            for n in others
            if not targets.isdisjoint(self.after[n])
        )
        return [shape for shape in stored if shape]


def likely(name: str, shape: Shape, target: str, node: Any) -> str:
    """What an Input that `target` refuses most likely means; '' where there is no telling."""
    want = rules.wanted(target, node)
    if want is None or rules.fits(shape, want):
        return ""
    takes = f"({', '.join('any' if n is None else str(n) for n in want)}{',' * (len(want) == 1)})"
    extra = len(shape) - len(want)
    if extra > 0 and rules.fits(shape[extra:], want):
        means = f"{shape[:extra]} is time or batch before a sample of {shape[extra:]}"
    elif extra > 0:
        means = f"Input '{name}' holds time or batch, and one sample is {takes}"
    elif extra == -1 and rules.fits((1, *shape), want):
        means = f"Input '{name}' leaves out its one channel"
    elif len(want) > 1 and rules.fits((shape[-1], *shape[:-1]), want):
        means = f"the channels of Input '{name}' stand last, and '{target}' takes them first"
    elif extra == 0 and rules.fits(shape[1:], want[1:]):
        means = f"Input '{name}' names {shape[0]} channels and means {want[0]}"
    else:
        return ""
    return f"most likely {means}: {_REMEDY}, {takes}"


def _without_lead(what: str, stored: Shape, shape: Shape, why: str) -> Sample:
    if stored == shape:
        return Sample(shape)
    lead = time_or_batch(stored[: len(stored) - len(shape)])
    return Sample(shape, f"{what}: {stored} has {lead}, {why}")


def time_or_batch(lead: Shape) -> str:
    """How leading dimensions that are no part of a sample are called."""
    if len(lead) == 1:
        return f"a batch or time dimension of {lead[0]}, left out"
    return f"batch and time dimensions {lead}, left out"
