"""`Placement`: a mapping in plain values, as manifest and report hold it.

What is left of shapes and kernels is what a reader asks: which core holds what, and how full it is.
"""

from collections import abc
from dataclasses import asdict, dataclass
from typing import Any

from neurozsl.hardware.place.mapping import Limits, Mapping


@dataclass(frozen=True)
class CoreUse:
    """How much of one resource is used; `limit` None: unpublished."""

    used: int
    limit: int | None


@dataclass(frozen=True)
class PlacedPart:
    """Neurons `first..last` of one layer on one core.

    tile: the channels, rows and columns of a map that are here; None: all of `first..last` are.
    """

    core: int
    layer: str
    first: int
    last: int
    use: dict[str, CoreUse]
    tile: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class LayerCores:
    """One layer on `cores` cores; `nonzero` of its weights are not zero."""

    name: str
    cores: int
    neurons: int
    weights: int
    nonzero: int | None
    weight_bits: int


@dataclass(frozen=True)
class Placement:
    """A network on the cores of a chip; `left_out`: what the accounting does not count.

    sparse: layers that are stored as lists of their weights that are not zero. cores_if_dense:
    cores if every weight were stored; None where no layer is sparse, or where it would not fit.
    """

    chip: str
    name: str
    cores: int
    cores_used: int
    layers: tuple[LayerCores, ...]
    parts: tuple[PlacedPart, ...]
    totals: dict[str, CoreUse]
    left_out: str = ""
    notes: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    cores_if_dense: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The content of a manifest; a part without a tile says nothing of it."""
        document = asdict(self)
        for part in document["parts"]:
            if part["tile"] is None:
                del part["tile"]
        return document


def placement(mapping: Mapping) -> Placement:
    """The plain values of a mapping."""
    cores = {x.name: len(mapping.cores_of(x.name)) for x in mapping.layers}
    return Placement(
        chip=mapping.chip,
        name=mapping.name,
        cores=mapping.cores,
        cores_used=len(mapping.parts),
        layers=tuple(
            LayerCores(x.name, cores[x.name], x.neurons, x.weights, x.nonzero, x.weight_bits)
            for x in mapping.layers
        ),
        parts=tuple(
            PlacedPart(x.core, x.layer, x.first, x.last, _use(x.used, x.limit), x.tile)
            for x in mapping.parts
        ),
        totals=_use(mapping.totals, mapping.capacity),
        left_out=mapping.left_out,
        notes=mapping.notes,
        sparse=mapping.sparse,
        cores_if_dense=mapping.cores_if_dense,
    )


def _use(used: abc.Mapping[str, int], limit: Limits) -> dict[str, CoreUse]:
    return {key: CoreUse(used[key], limit[key]) for key in used}
