"""What a `.nir` file holds, and whether it fits: `inspect_file(path, said) -> Inspection`.

In: a file of any tool. Out: its nodes as they are stored, the layers that lowering makes of them,
every repair and assumption, and per chip the cores that the integers take, or the one reason why
there are none. A file that cannot be lowered gives its nodes and the error; a chip that cannot
take the network gives its line and the error.

Connections of a layer are the pairs (value that arrives, neuron), as a chip stores them unshared;
padding is no value.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import nir
import numpy as np
import numpy.typing as npt

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import Network, from_graph
from neurozsl.export.nir.said import Said
from neurozsl.export.nir.samples import declared_shape
from neurozsl.hardware.arithmetic.fit import ChipFit, fit
from neurozsl.hardware.arithmetic.registry import ARITHMETICS
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.connections import fan_out, present

CHIPS: Final = tuple(chip for one in ARITHMETICS.values() for chip in one.chips)
Range = tuple[float, float]  # smallest, largest


@dataclass(frozen=True)
class NodeRow:
    """One node as stored; nodes of a nested graph are called `outer.inner`."""

    name: str
    type: str
    shapes: dict[str, list[int]]
    feeds: tuple[str, ...]


@dataclass(frozen=True)
class SourceRow:
    """One synapse of a layer: where it comes from, how many steps late, and what it is."""

    source: str
    delay: int
    kind: str
    pools: int
    weights: int
    connections: int


@dataclass(frozen=True)
class LayerRow:
    """One layer after lowering.

    kind: "dense" or "conv", before it "pool", after it "recurrent" and "read-out" where they apply.
    parameters: weights, and biases where any is not zero. tau_steps, tau_syn_steps: time constants
    in steps, tau / dt; None where nothing decays. threshold: None of a read-out.
    """

    name: str
    kind: tuple[str, ...]
    neurons: int
    shape: tuple[int, ...]
    sources: tuple[SourceRow, ...]
    parameters: int
    connections: int
    tau_steps: Range | None
    tau_syn_steps: Range | None
    threshold: Range | None
    rule: dict[str, Any]


@dataclass(frozen=True)
class Inspection:
    """Everything about one file; network and error: exactly one is None."""

    file: Path
    sha256: str
    version: str | None
    nodes: tuple[NodeRow, ...]
    metadata: dict[str, str]
    network: Network | None
    error: BadInput | None
    layers: tuple[LayerRow, ...] = ()
    fits: tuple[ChipFit, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """One document, the same keys for every file."""
        network = self.network
        return {
            "file": str(self.file),
            "sha256": self.sha256,
            "version": self.version,
            "nodes": [asdict(row) for row in self.nodes],
            "metadata": self.metadata,
            "error": None if self.error is None else str(self.error),
            "dt_s": None if network is None else network.lowered.dt_s,
            "steps": None if network is None else network.lowered.steps,
            "layers": [asdict(row) for row in self.layers],
            "outputs": [] if network is None else list(network.lowered.outputs),
            "chips": [fit.as_json() for fit in self.fits],
            "repairs": [] if network is None else list(network.repairs),
            "dialect": None if network is None else network.dialect,
            "why": "" if network is None else network.why,
            "cannot_say": [] if network is None else list(network.cannot_say),
            "assumptions": [] if network is None else list(network.assumptions),
            "notes": [] if network is None else list(network.notes),
        }


def inspect_file(
    path: Path, said: Said | None = None, *, chips: tuple[str, ...] = CHIPS
) -> Inspection:
    """Read, lower and quantise a `.nir` file, and place it on `chips`.

    Raises:
        BadInput: the file cannot be read at all.
    """
    graph = nirfile.read(path)
    network, error = None, None
    try:
        network = from_graph(graph, path.name, said)
    except BadInput as found:
        error = found
    lowered = None if network is None else network.lowered
    return Inspection(
        file=path,
        sha256=sha256(path),
        version=graph.version,
        nodes=tuple(_nodes(graph, "")),
        metadata={k: v for k, v in graph.metadata.items() if isinstance(v, str)},
        network=network,
        error=error,
        layers=() if lowered is None else layer_rows(lowered),
        fits=() if lowered is None else tuple(fit(lowered, chip) for chip in chips),
    )


def layer_rows(lowered: Lowered) -> tuple[LayerRow, ...]:
    """One row per layer, in the order in which they run."""
    place_of = {layer.name: i for i, layer in enumerate(lowered.layers)}
    return tuple(_layer(layer, place_of) for layer in lowered.layers)


def _nodes(graph: nir.NIRGraph, prefix: str) -> Iterator[NodeRow]:
    edges = [(str(a), str(b)) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        feeds = tuple(prefix + b for a, b in edges if a == name)
        yield NodeRow(f"{prefix}{name}", type(node).__name__, _shapes(node), feeds)
        if isinstance(node, nir.NIRGraph):
            yield from _nodes(node, f"{prefix}{name}.")


def _shapes(node: Any) -> dict[str, list[int]]:
    """Shape of every parameter, [] of a single value; of ports the shape that they declare."""
    if isinstance(node, nir.NIRGraph):
        return {}
    if isinstance(node, nir.Input | nir.Output):
        declared = declared_shape(node)
        return {} if declared is None else {"shape": np.ravel(declared).astype(int).tolist()}
    return {
        key: list(getattr(value, "shape", ()))
        for key, value in vars(node).items()
        if key not in ("input_type", "output_type", "metadata") and value is not None
    }


def _layer(layer: LoweredLayer, place_of: dict[str, int]) -> LayerRow:
    sources = tuple(
        SourceRow(
            source=s.source,
            delay=s.link.delay,
            kind="dense" if s.link.conv is None else "conv",
            pools=len(s.link.pools),
            weights=int(exists.sum()),
            connections=int(fan_out(s, exists).sum()),
        )
        for s, exists in zip(layer.synapses, present(layer.synapses), strict=True)
    )
    kind = [*(["pool"] if any(s.pools for s in sources) else []), *(s.kind for s in sources)]
    if any(place_of.get(s.source, -1) >= place_of[layer.name] for s in sources):
        kind.append("recurrent")
    if not layer.rule.spiking:
        kind.append("read-out")
    biases = len(layer.weight) if np.any(layer.bias) else 0  # a convolution has one per channel
    return LayerRow(
        name=layer.name,
        kind=tuple(dict.fromkeys(kind)),
        neurons=layer.size,
        shape=layer.shape,
        sources=sources,
        parameters=sum(s.weights for s in sources) + biases,
        connections=sum(s.connections for s in sources),
        tau_steps=_tau(layer.leak[layer.leak > 0]),
        tau_syn_steps=_tau(layer.syn_leak[layer.syn_leak < 1]),
        threshold=_span(layer.threshold) if layer.rule.spiking else None,
        rule=layer.rule.as_json(),
    )


def _tau(decay: npt.NDArray[np.float64]) -> Range | None:
    """A step takes dt / tau off, so the inverse is tau in steps."""
    return _span(1.0 / decay) if decay.size else None


def _span(values: npt.NDArray[np.float64]) -> Range:
    return float(values.min()), float(values.max())
