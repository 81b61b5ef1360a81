"""`from_norse(module, example)`: a Norse stack of the user as a flat NIR graph.

    example    a tensor (batch, time, ...): what the stack is fed, one step at a time, samples first
    module     nn.Sequential or Norse's SequentialState, nested ones included, of

    Linear, Conv1d, Conv2d             Affine, Conv1d, Conv2d; a bias of 0 where there is none
    BatchNorm1d, BatchNorm2d           folded into the Linear or convolution before it
    AvgPool2d, LPPool2d (norm 1)       AvgPool2d, SumPool2d
    Flatten; Dropout, Identity         Flatten; nothing (the network as it is used, in eval mode)
    LIFBoxCell, LIFCell, IAFCell       LIF, CubaLIF, IF
    LIBoxCell, LICell                  LI, CubaLI (nir >= 1.0.6 reads it): read-outs
    LIFRecurrentCell                   Linear, CubaLIF and a Linear from it to itself

Norse's recurrent weights act on the spikes of the step before, which is what a loop in a NIR graph
means here. Node names are the paths of the modules with `_` for `.`, shapes have no batch. kappa =
dt tau_mem_inv is computed in the type that Norse computes it in and stored exactly; parameters are
written as float32, with the metadata of `graph`.

From another framework: write a .nir file with its own exporter (`snntorch.export_nir`,
`sinabs.nir.to_nir`, `spikingjelly.activation_based.nir_exchange`, `rockpool`, ...) and run
`neurozsl inspect FILE.nir`; it says what it read, what it repaired and what the file does not say.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import nir
import numpy as np
import torch
from torch import nn

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import FloatArray, InputCode
from neurozsl.export.norse import layers as norse_layers
from neurozsl.export.norse.layers import LAST, Made, ModuleAt, NotCarried, Shape
from neurozsl.export.norse.neurons import CELLS
from neurozsl.hardware.lower.metadata import METADATA_KEY, METADATA_SCHEMA
from neurozsl.hardware.network.neuron import Reset
from neurozsl.norse import cells as norse


def from_norse(
    module: nn.Module,
    example: torch.Tensor,
    *,
    dt_s: float | None = None,
    input_code: InputCode | None = None,
) -> nir.NIRGraph:
    """The stack as a graph from "input" to "output" that `neurozsl` and other NIR readers load.

    Args:
        module: see the module docstring.
        example: input `(batch, time, ...)`; gives the shape of a step, the number of steps, and
            whether the input is binary (0, 1) or ternary (-1, 0, 1).
        dt_s: length of a step in seconds; None takes the cells' own dt.
        input_code: where it holds other values; size counts all values of a step.

    Raises:
        UnsupportedNode: lists every module that cannot be carried over, with its reason.
        BadInput: the example has no batch, time and features; holds values that need a code; no
            cell is there; cells with different dt and no dt_s.

    Example::

        stack = SequentialState(nn.Linear(64, 10), LIFCell())
        graph = nz.from_norse(stack, torch.zeros(1, 40, 64))
    """
    shape, steps, code = _read_example(example, input_code)
    built = _Building({"input": nir.Input(input_type={"input": np.array(shape)})}, shape)
    faults = _walk(module, built)
    if len(built.resets) > 1:
        faults.append("some cells reset to a value and others subtract: one rule holds for a graph")
    if faults:
        raise UnsupportedNode(faults, "Norse stack", "supported: " + _SUPPORTED)
    if not built.layers:
        raise BadInput(f"Norse stack: {type(module).__name__} holds no cell; {_SUPPORTED}")
    if dt_s is None and len(built.dts) > 1:
        raise BadInput(f"Norse stack: cells with different dt ({sorted(built.dts)}); pass dt_s")
    dt = dt_s if dt_s is not None else built.dts.pop()
    if built.last not in built.layers:
        built.layers.append(built.last)  # weights behind the last cell: their sums are read
    built.nodes["output"] = nir.Output(output_type={"output": np.array(built.shape)})
    built.edges.append((built.last, "output"))
    header = {
        "schema": METADATA_SCHEMA,
        "dt_s": dt,
        "time_unit": "s",
        "reset": built.resets.pop() if built.resets else "zero",
        "v_reset": 0,
        "compare": ">",
        "if_gain": "r per step",
        "steps": steps,
        "policy": "fixed",
        "inputs": {"input": asdict(code)},
        "outputs": [built.last],
        "layers": built.layers,
    }
    nodes = {key: _finished(node, dt) for key, node in built.nodes.items()}
    graph = nir.NIRGraph(nodes=nodes, edges=built.edges)
    graph.metadata = {METADATA_KEY: json.dumps(header), **built.decays}
    return graph


@dataclass
class _Building:
    """The graph as far as it was read: shape is that of the value of the node `last`."""

    nodes: dict[str, Any]
    shape: Shape
    last: str = "input"
    edges: list[tuple[str, str]] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    decays: dict[str, dict[str, FloatArray]] = field(default_factory=dict)
    dts: set[float] = field(default_factory=set)
    resets: set[Reset] = field(default_factory=set)

    def add(self, made: Made, *, cell: bool) -> None:
        """Append what a module became."""
        for key, node in made.nodes.items():
            if key != LAST:
                self.edges.append((self.last, key))
                self.last = key
            self.nodes[self.last] = node
        self.shape = made.shape
        if made.loop is not None:
            loop = f"{self.last}_rec"
            self.nodes[loop] = made.loop
            self.edges += [(self.last, loop), (loop, self.last)]
        for key, values in made.decays.items():
            self.decays.setdefault(key, {})[self.last] = values
        if made.reset is not None:
            self.resets.add(made.reset)
        if cell:
            self.layers.append(self.last)
            self.dts.add(float(made.dt or 0))


def _walk(module: nn.Module, built: _Building) -> list[str]:
    """Read all modules into `built`; returns what cannot be carried over, with reasons."""
    faults = []
    known = True  # False behind a module whose shape nobody knows: then only types are checked
    for path, child in modules_of(module):
        kind, where = type(child), f"{path or 'module'} ({type(child).__name__})"
        if kind not in READERS:
            faults.append(f"{where}: {_REASONS.get(kind.__name__, 'not in the table')}")
            known = False
            continue
        if not known and kind in (nn.Linear, norse.LIFRecurrentCell):
            size: Any = child.in_features if kind is nn.Linear else child.input_size
            built.shape, known = (int(size),), True
        if not known:
            continue
        name = _free_name(path or kind.__name__, built.nodes)
        try:
            made = READERS[kind](child, ModuleAt(name, built.shape, built.nodes[built.last]))
        except NotCarried as reason:
            faults.append(f"{where}: {reason}")
            known = kind in CELLS and kind is not norse.LIFRecurrentCell  # keep the shape
            continue
        built.add(made, cell=kind in CELLS)
    return faults


def modules_of(module: nn.Module, path: str = "") -> Iterator[tuple[str, Any]]:
    """The modules of nested sequences in order, with their path."""
    if isinstance(module, nn.Sequential | norse.SequentialState):
        for name, child in module.named_children():
            yield from modules_of(child, f"{path}.{name}" if path else name)
    else:
        yield path, module


def _read_example(example: torch.Tensor, code: InputCode | None) -> tuple[Shape, int, InputCode]:
    """Shape of a step, number of steps, code of the input."""
    if not isinstance(example, torch.Tensor) or example.ndim < 3 or 0 in example.shape:
        found = tuple(getattr(example, "shape", ())) or type(example).__name__
        raise BadInput(
            f"Norse stack: the example is {found}, expected a tensor (batch, time, ...) with one "
            "or more dimensions a step; add what is missing with unsqueeze"
        )
    shape = tuple(int(n) for n in example.shape[2:])
    if code is None:
        values = set(torch.unique(example.detach()).tolist())
        if not values <= {-1, 0, 1}:
            raise BadInput(
                f"Norse stack: the example holds {len(values)} values from {min(values):g} to "
                f"{max(values):g}, not spikes (0, 1 or -1, 0, 1); pass input_code="
            )
        signed = -1 in values
        kind: Any = "ternary" if signed else "binary"
        code = InputCode(math.prod(shape), kind, 1, signed, 1.0)
    if code.size != math.prod(shape):
        raise BadInput(
            f"Norse stack: a step of the example has {math.prod(shape)} values, its code says "
            f"{code.size}"
        )
    return shape, int(example.shape[1]), code


def _free_name(path: str, taken: Mapping[str, Any]) -> str:
    name = path.replace(".", "_")
    while name in taken or name == "output":
        name += "_"
    return name


_TIMES: Final = ("tau", "tau_mem", "tau_syn")


def _finished(node: Any, dt_s: float) -> Any:
    """The node with its float arrays in float32; times, so far in steps, in seconds."""
    for key, value in vars(node).items():
        if key in _TIMES:
            value = value * dt_s
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            setattr(node, key, np.ascontiguousarray(value, np.float32))
    return node


READERS: Final[Mapping[type, Callable[[Any, ModuleAt], Made]]] = {
    nn.Linear: norse_layers.linear,
    nn.Conv1d: norse_layers.conv,
    nn.Conv2d: norse_layers.conv,
    nn.BatchNorm1d: norse_layers.batchnorm,
    nn.BatchNorm2d: norse_layers.batchnorm,
    nn.AvgPool2d: norse_layers.avg_pool,
    nn.LPPool2d: norse_layers.lp_pool,
    nn.Flatten: norse_layers.flatten,
    nn.Dropout: norse_layers.nothing,
    nn.Identity: norse_layers.nothing,
    **CELLS,
}
_SUPPORTED: Final = ", ".join(kind.__name__ for kind in READERS)
_REASONS: Final[Mapping[str, str]] = {
    "LIF": "wraps time itself; use LIFCell",
    "LIFRecurrent": "wraps time itself; use LIFRecurrentCell",
    "LI": "wraps time itself; use LICell",
    "IAF": "wraps time itself; use IAFCell",
    "Lift": "wraps time itself; use the module inside it",
    "MaxPool2d": "a maximum is not a sum of spikes; use AvgPool2d",
    "ReLU": "layers send spikes to each other; use a spiking cell",
}
