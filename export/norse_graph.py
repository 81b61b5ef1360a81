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

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import nir
import numpy as np
import torch
from torch import nn

from neurozsl import norse_cells as norse
from neurozsl.errors import BadInput, UnsupportedNode
from neurozsl.export.graph import SCHEMA
from neurozsl.export.nodes import CubaLI
from neurozsl.export.norse import Refused, flat_modules, numbers
from neurozsl.hardware.neuron import Reset
from neurozsl.signals import FloatArray, InputCode

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _At:
    """Where a module stands: its node name, the shape before it, the node before it."""

    name: str
    shape: Shape
    last: Any = None


@dataclass(frozen=True)
class _Made:
    """What a module becomes.

    nodes: in a row, by name (`_LAST` replaces the one before). shape: behind them. loop: from the
    last node to itself. dt, reset: of a cell. decays: exact, by key.
    """

    nodes: Mapping[str, Any]
    shape: Shape
    loop: Any = None
    dt: float | None = None
    decays: Mapping[str, FloatArray] = field(default_factory=dict)
    reset: Reset | None = None


def from_norse(
    module: nn.Module,
    example: torch.Tensor,
    *,
    dt_s: float | None = None,
    input_code: InputCode | None = None,
) -> nir.NIRGraph:
    """The stack as a graph that `neurozsl` and other NIR readers load.

    Args:
        module: see the module docstring.
        example: input `(batch, time, ...)`; gives the shape of a step, the number of steps, and
            whether the input is binary (0, 1) or ternary (-1, 0, 1).
        dt_s: length of a step in seconds; None takes the cells' own dt.
        input_code: how the input is coded, where it holds other values; size counts all values of
            a step.

    Returns:
        nir.NIRGraph with `Input` "input" and `Output` "output"; `neurozsl.export.nirfile.write`
        makes a file of it.

    Raises:
        UnsupportedNode: lists every module that cannot be carried over, with its reason.
        BadInput: the example has no batch, time and features; holds values that need a code; no
            cell is there; cells with different dt and no dt_s.
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
        "schema": SCHEMA,
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
    graph.metadata = {"neurozsl": json.dumps(header), **built.decays}
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

    def add(self, made: _Made, *, cell: bool) -> None:
        """Append what a module became."""
        for key, node in made.nodes.items():
            if key != _LAST:
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
    for path, child in flat_modules(module, ""):
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
            made = READERS[kind](child, _At(name, built.shape, built.nodes[built.last]))
        except Refused as reason:
            faults.append(f"{where}: {reason}")
            known = kind in _CELLS and kind is not norse.LIFRecurrentCell  # keep the shape
            continue
        built.add(made, cell=kind in _CELLS)
    return faults


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


# --- weights ----------------------------------------------------------------------------------

_LAST: Final = ""  # instead of a name: the node before takes this form


def _linear(module: Any, at: _At) -> _Made:
    if at.shape != (module.in_features,):
        raise Refused(
            f"reads {module.in_features} values, before it is {at.shape}; put Flatten in front"
        )
    weight = numbers(module.weight)
    bias = np.zeros(len(weight)) if module.bias is None else numbers(module.bias)
    return _Made({at.name: nir.Affine(weight=weight, bias=bias)}, (len(weight),))


def _conv(module: Any, at: _At) -> _Made:
    rank = module.weight.ndim - 1
    if len(at.shape) != rank or at.shape[0] != module.in_channels:
        raise Refused(f"reads a map of {module.in_channels} channels, before it is {at.shape}")
    if module.padding_mode != "zeros":
        raise Refused(f"padding_mode {module.padding_mode!r}: maps here are padded with zeros")
    shape = _behind(module, at, module.weight)
    weight, padding = _geometry(module)
    bias = np.zeros(len(weight)) if module.bias is None else numbers(module.bias)
    geometry: dict[str, Any] = {k: tuple(getattr(module, k)) for k in ("stride", "dilation")}
    geometry["padding"] = padding
    space: Any = at.shape[1:]
    if rank == 2:
        space = space[0]
        geometry = {key: value[0] for key, value in geometry.items()}
    build = nir.Conv1d if rank == 2 else nir.Conv2d
    node = build(input_shape=space, weight=weight, bias=bias, groups=module.groups, **geometry)
    # nir 1.0.4 infers the shape of a square kernel.
    node.output_type = {"output": np.array(shape)}
    return _Made({at.name: node}, shape)


def _geometry(module: Any) -> tuple[FloatArray, tuple[int, ...]]:
    """Kernel and padding in numbers, the same on both sides.

    torch's "same" puts the odd zero of an even kernel last; a kernel with a zero in front of it
    and one more zero in front of the map is the same convolution.
    """
    weight = numbers(module.weight)
    if module.padding == "valid":
        return weight, (0,) * len(module.stride)
    if module.padding != "same":
        return weight, tuple(int(n) for n in module.padding)
    front, padding = [(0, 0), (0, 0)], []
    for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True):
        span = dilation * (kernel - 1)
        if span % 2 and dilation > 1:
            raise Refused(
                f"padding 'same' with kernel {kernel} and dilation {dilation} is not the same on "
                "both sides; pad in numbers"
            )
        front.append((span % 2, 0))
        padding.append(span // 2 + span % 2)
    return np.pad(weight, front), tuple(padding)


def _batchnorm(module: Any, at: _At) -> _Made:
    """Fold y = (x - mean) / sqrt(var + eps) gamma + beta into the weights before."""
    weighted = (nir.Affine, nir.Conv2d) if isinstance(module, nn.BatchNorm2d) else _WEIGHTED
    if not isinstance(at.last, weighted) or len(at.last.weight) != module.num_features:
        raise Refused("no Linear or convolution of its width directly before it to fold into")
    if module.running_mean is None:
        raise Refused("keeps no running statistics (track_running_stats=False)")
    scale = 1 / np.sqrt(numbers(module.running_var) + module.eps)
    shift = -numbers(module.running_mean) * scale
    if module.affine:
        gamma, beta = numbers(module.weight), numbers(module.bias)
        scale, shift = scale * gamma, shift * gamma + beta
    folded = replace(
        at.last,
        weight=at.last.weight * scale.reshape(-1, *[1] * (at.last.weight.ndim - 1)),
        bias=at.last.bias * scale + shift,
    )
    folded.output_type = at.last.output_type
    return _Made({_LAST: folded}, at.shape)


_WEIGHTED: Final = (nir.Affine, nir.Conv1d, nir.Conv2d)


def _avg_pool(module: Any, at: _At) -> _Made:
    kernel, padding = _pair(module.kernel_size), _pair(module.padding)
    if module.divisor_override not in (None, 1, math.prod(kernel)):
        raise Refused(f"divides by {module.divisor_override}; a mean or a sum is carried over")
    if any(padding) and not module.count_include_pad and module.divisor_override is None:
        raise Refused("count_include_pad=False: divides by other numbers at the border")
    total = module.divisor_override == 1 and math.prod(kernel) > 1
    return _pool(module, at, nir.SumPool2d if total else nir.AvgPool2d, padding)


def _lp_pool(module: Any, at: _At) -> _Made:
    if module.norm_type != 1:
        raise Refused(f"norm_type {module.norm_type:g}: only 1, a sum, is linear")
    return _pool(module, at, nir.SumPool2d, (0, 0))


_POOL: Final = ("kernel_size", "stride", "padding")


def _pool(module: Any, at: _At, build: Any, padding: tuple[int, int]) -> _Made:
    if len(at.shape) != 3:
        raise Refused(f"pools a map (channels, height, width), before it is {at.shape}")
    if module.ceil_mode:
        raise Refused("ceil_mode: windows that do not fit whole are left out here")
    kernel = _pair(module.kernel_size)
    stride = kernel if module.stride is None else _pair(module.stride)
    shape = _behind(module, at, torch.zeros(0))
    sizes = zip(_POOL, (kernel, stride, padding), strict=True)
    return _Made({at.name: build(**{key: np.array(value) for key, value in sizes})}, shape)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)


def _flatten(module: Any, at: _At) -> _Made:
    rank = len(at.shape) + 1  # with the batch, as torch counts
    start, end = module.start_dim % rank, module.end_dim % rank
    if start == 0:
        raise Refused(f"start_dim {module.start_dim} joins the samples of a batch; use 1")
    shape = _behind(module, at, torch.zeros(0))
    node = nir.Flatten(
        start_dim=start - 1, end_dim=end - 1, input_type={"input": np.array(at.shape)}
    )
    return _Made({at.name: node}, shape)


def _nothing(module: Any, at: _At) -> _Made:
    return _Made({}, at.shape)


def _behind(module: nn.Module, at: _At, like: torch.Tensor) -> Shape:
    """Shape behind a stateless module."""
    with torch.no_grad():
        try:
            made = module(torch.zeros(1, *at.shape, dtype=like.dtype, device=like.device))
        except (RuntimeError, IndexError) as error:
            raise Refused(f"does not take {at.shape}: {str(error).splitlines()[0]}") from None
    return tuple(int(n) for n in made.shape[1:])


# --- cells ------------------------------------------------------------------------------------


def _lif_box(cell: Any, at: _At) -> _Made:
    methods: dict[Any, Reset] = {norse.reset_value: "zero", norse.reset_subtract: "subtract"}
    if cell.p.reset_method not in methods:
        raise Refused("reset_method is neither reset_value nor reset_subtract")
    kappa = _decay(cell, "tau_mem_inv", at)
    node = nir.LIF(tau=1 / kappa, v_threshold=_values(cell.p.v_th, "v_th", at), **_rest(cell, at))
    exact = {"kappa": kappa.ravel()}
    return _Made({at.name: node}, at.shape, None, cell.dt, exact, methods[cell.p.reset_method])


def _lif(cell: Any, at: _At) -> _Made:
    kappa, syn = _decay(cell, "tau_mem_inv", at), _decay(cell, "tau_syn_inv", at)
    node = nir.CubaLIF(
        tau_mem=1 / kappa,
        tau_syn=1 / syn,
        w_in=1 / syn,  # the input jumps the current by exactly itself
        v_threshold=_values(cell.p.v_th, "v_th", at),
        **_rest(cell, at),
    )
    exact = {"kappa": kappa.ravel(), "syn_kappa": syn.ravel()}
    return _Made({at.name: node}, at.shape, None, cell.dt, exact, "zero")


def _recurrent_lif(cell: Any, at: _At) -> _Made:
    if at.shape != (int(cell.input_size),):
        raise Refused(
            f"reads {int(cell.input_size)} values, before it is {at.shape}; put Flatten in front"
        )
    inside = _lif(cell, replace(at, shape=(int(cell.hidden_size),)))
    into = nir.Linear(weight=numbers(cell.input_weights))
    loop = nir.Linear(weight=numbers(cell.recurrent_weights))
    return replace(inside, nodes={f"{at.name}_in": into, **inside.nodes}, loop=loop)


def _iaf(cell: Any, at: _At) -> _Made:
    rest = _rest(cell, at)
    node = nir.IF(r=rest["r"], v_threshold=_values(cell.p.v_th, "v_th", at))
    return _Made({at.name: node}, at.shape, dt=cell.dt, reset="zero")


def _li_box(cell: Any, at: _At) -> _Made:
    kappa = _decay(cell, "tau_mem_inv", at)
    node = nir.LI(tau=1 / kappa, **_rest(cell, at))
    return _Made({at.name: node}, at.shape, None, cell.dt, {"kappa": kappa.ravel()})


def _li(cell: Any, at: _At) -> _Made:
    kappa, syn = _decay(cell, "tau_mem_inv", at), _decay(cell, "tau_syn_inv", at)
    node = CubaLI(tau_mem=1 / kappa, tau_syn=1 / syn, w_in=1 / syn, **_rest(cell, at))
    exact = {"kappa": kappa.ravel(), "syn_kappa": syn.ravel()}
    return _Made({at.name: node}, at.shape, None, cell.dt, exact)


def _rest(cell: Any, at: _At) -> dict[str, Any]:
    """Gain 1 and rest 0; a Norse cell starts at v_leak, a sample here at 0."""
    for key in ("v_leak", "v_reset"):
        if np.any(numbers(getattr(cell.p, key, 0.0)) != 0):
            raise Refused(f"{key} is not 0; count the membrane from it and move it into the bias")
    return {"r": np.ones(at.shape), "v_leak": np.zeros(at.shape)}


def _decay(cell: Any, key: str, at: _At) -> FloatArray:
    """Decay of a step, dt / tau, rounded as Norse rounds it."""
    kappa = _values(cell.dt * getattr(cell.p, key), key, at)
    if not np.all((kappa > 0) & (kappa <= 1)):
        raise Refused(
            f"dt {key} is {kappa.min():g}..{kappa.max():g}, expected a decay in (0, 1]; Norse's "
            "inverse time constants are in 1/s"
        )
    return kappa


def _values(value: Any, key: str, at: _At) -> FloatArray:
    """A parameter in the shape of the layer."""
    found = numbers(value)
    try:
        return np.array(np.broadcast_to(found, (1, *at.shape))[0])
    except ValueError:
        raise Refused(f"{key} has shape {found.shape}, the layer {at.shape}") from None


_CELLS: Final[Mapping[type, Callable[[Any, _At], _Made]]] = {
    norse.LIFBoxCell: _lif_box,
    norse.LIFCell: _lif,
    norse.IAFCell: _iaf,
    norse.LIBoxCell: _li_box,
    norse.LICell: _li,
    norse.LIFRecurrentCell: _recurrent_lif,
}
READERS: Final[Mapping[type, Callable[[Any, _At], _Made]]] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batchnorm,
    nn.BatchNorm2d: _batchnorm,
    nn.AvgPool2d: _avg_pool,
    nn.LPPool2d: _lp_pool,
    nn.Flatten: _flatten,
    nn.Dropout: _nothing,
    nn.Identity: _nothing,
    **_CELLS,
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
