"""Where the network lies on a chip."""

from __future__ import annotations

from neurozsl.report.schema.value import Value


class CoreUse(Value):
    """How much of one resource is used; `limit` None: unpublished."""

    used: int
    limit: int | None


class CorePart(Value):
    """Neurons `first..last` of one layer on one core.

    tile: the channels, rows and columns of a map that are here; None: all of `first..last` are.
    """

    core: int
    layer: str
    first: int
    last: int
    use: dict[str, CoreUse]
    tile: tuple[tuple[int, int], ...] | None = None


class LayerCores(Value):
    """One layer on `cores` cores; `nonzero` of its weights are not zero."""

    name: str
    cores: int
    neurons: int
    weights: int
    nonzero: int | None
    weight_bits: int


class Placement(Value):
    """The branch on the cores of a chip; `left_out`: what the accounting does not count."""

    chip: str
    name: str
    cores: int
    cores_used: int
    layers: tuple[LayerCores, ...]
    parts: tuple[CorePart, ...]
    totals: dict[str, CoreUse]
    left_out: str = ""
    notes: tuple[str, ...] = ()


class Fit(Value):
    """One chip: the cores that the integers of the network take, or the reason why there are none.

    placement: None where it does not fit; then `reason` says why.
    """

    chip: str
    name: str
    fits: bool
    cores: int
    cores_used: int | None
    reason: str | None
    placement: Placement | None
