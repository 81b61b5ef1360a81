"""Run a network on lava-nc's CPU simulation: stand-alone, Python 3.10, numpy and lava-nc 0.10.0.

In a bundle, beside `program.npz` and `golden.npz`::

    python run_lava.py                 # prints how many spikes agree with golden.npz

The host calls it with files (`--network`, `--input`, `--out`). This file must stay alone in its
folder: Lava executes every .py that lies beside the definition of a Process.

Per connected part of the network one run: source -> synapse -> neuron -> synapse -> neuron ..., all
samples streamed back to back. A synapse sends what it received one step earlier, so every layer
lags the inputs by some steps (`lags`); its reset (`LIFReset`, offset lag + 1) and its record start
there, and users never see the lag. Every synapse of a layer is a Process of its own into the same
neurons: for a matrix `Dense` or `Sparse`, whichever is smaller (`sparse_is_smaller`), `Conv` for a
convolution that Lava's model computes (see `native`), else `Sparse` with pools and kernel
multiplied into one matrix. Which Process ran each synapse stands in the output.

Between neuron and synapse stands a `Line` where spikes have to wait: for the delay of the synapse,
or for a layer that lags more. It also stops the spikes that would arrive in the next sample.

Neurons are Lava's own `LIFReset`, except where the threshold changes with time or differs between
neurons: those run in `ThresholdLIF` below, which needs a programmable neuron on a chip (Loihi 2
microcode). A layer that does not spike is a `ReadOut`, whose membrane is recorded. A bias into the
synaptic current is a second source that always fires.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import BadZipFile

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import AbstractPyLifModelFixed, AbstractPyLifModelFloat
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import coo_matrix, csr_matrix  # type: ignore[import-untyped]  # of lava-nc

Network = dict[str, Any]
Layer = dict[str, Any]
Synapse = dict[str, Any]  # source, weight, link
Link = dict[str, Any]  # as `link` of `program.npz`: conv, pools, delay
Arrays = dict[str, Any]


class ThresholdLIF(LIFReset):  # type: ignore[misc]
    """`LIFReset` whose threshold arrives at a port, once per step; same arithmetic otherwise."""

    def __init__(self, *, theta_size: int, **keywords: Any) -> None:
        super().__init__(vth=1, **keywords)  # vth is not used
        self.th_in = InPort(shape=(theta_size,))


@implements(proc=ThresholdLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyThresholdLIFFloat(AbstractPyLifModelFloat):  # type: ignore[misc]
    """Spikes where v > th_in."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    vth: float = LavaPyType(float, float)
    th_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    def run_spk(self) -> None:
        """One step; the first of a sample starts from rest."""
        self.theta = self.th_in.recv()
        rest_at_sample_start(self)
        super().run_spk()

    def spiking_activation(self) -> Any:
        """Spikes of this step."""
        return self.v > self.theta


@implements(proc=ThresholdLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyThresholdLIFFixed(AbstractPyLifModelFixed):  # type: ignore[misc]
    """Spikes where v > th_in << 6."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)
    th_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=17)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    def scale_threshold(self) -> None:
        """Nothing to prepare: the threshold arrives at every step."""

    def run_spk(self) -> None:
        """One step; the first of a sample starts from rest."""
        self.theta = self.th_in.recv()
        rest_at_sample_start(self)
        super().run_spk()

    def spiking_activation(self) -> Any:
        """Spikes of this step."""
        return self.v > np.left_shift(self.theta, self.vth_shift)


def rest_at_sample_start(neurons: Any) -> None:
    """Clear u and v when `LIFReset` would."""
    interval = neurons.parameters["reset_interval"]
    if neurons.time_step % interval == neurons.parameters["reset_offset"] % interval:
        neurons.u *= 0
        neurons.v *= 0


class ReadOut(LIFReset):  # type: ignore[misc]
    """`LIFReset` without a threshold: what leaves `s_out` is the membrane."""


@implements(proc=ReadOut, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyReadOutFloat(AbstractPyLifModelFloat):  # type: ignore[misc]
    """Integrates."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    vth: float = LavaPyType(float, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    def run_spk(self) -> None:
        """One step; the first of a sample starts from rest."""
        current = self.a_in.recv()
        rest_at_sample_start(self)
        self.subthr_dynamics(current)
        self.s_out.send(self.v)


@implements(proc=ReadOut, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyReadOutFixed(AbstractPyLifModelFixed):  # type: ignore[misc]
    """Integrates in the integers of the chip."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    def run_spk(self) -> None:
        """One step; the first of a sample starts from rest."""
        current = self.a_in.recv()
        rest_at_sample_start(self)
        self.scale_bias()
        self.subthr_dynamics(current)
        self.s_out.send(self.v)


class Line(AbstractProcess):  # type: ignore[misc]
    """Spikes `wait` steps later; those of a sample's last `delay` steps are stopped.

    They would arrive in the next sample, which starts from silence. lag: of the source.
    """

    def __init__(self, *, size: int, wait: int, delay: int, lag: int, steps: int) -> None:
        super().__init__(size=size, wait=wait, delay=delay, lag=lag, steps=steps)
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))


class PyLine(PyLoihiProcessModel):  # type: ignore[misc]
    """Keeps the last `wait` steps."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params
        self.kept: list[Any] = [np.zeros(proc_params["size"])] * proc_params["wait"]

    def run_spk(self) -> None:
        """What waited longest leaves before anything is received, so loops cannot block."""
        kept, parameters = self.kept, self.parameters
        if kept:
            self.s_out.send(kept[0])
        values = self.s_in.recv()
        step = self.time_step - 1 - parameters["lag"]  # of the stream; negative: before it
        if step < 0 or step % parameters["steps"] + parameters["delay"] >= parameters["steps"]:
            values = np.zeros_like(values)
        if kept:
            self.kept = [*kept[1:], values]
        else:
            self.s_out.send(values)


@implements(proc=Line, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyLineFloat(PyLine):
    """On float64."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Line, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLineFixed(PyLine):
    """On integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


class SpikeFile(AbstractProcess):  # type: ignore[misc]
    """Keeps what one layer sends and writes it at the last step.

    Reading a sink of Lava from outside costs 15 us per value, as much as the simulation.
    """

    def __init__(
        self, *, size: int, first: int, last: int, path: str, report: str, kind: str
    ) -> None:
        super().__init__(size=size, first=first, last=last, path=path, report=report, kind=kind)
        self.a_in = InPort(shape=(size,))


@implements(proc=SpikeFile, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PySpikeFile(PyLoihiProcessModel):  # type: ignore[misc]
    """Keeps steps first..last (from 1), one row each."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.first, self.last = proc_params["first"], proc_params["last"]
        self.path, self.report = proc_params["path"], proc_params["report"]
        shape = (self.last - self.first + 1, proc_params["size"])
        self.rows = np.zeros(shape, proc_params["kind"])

    def run_spk(self) -> None:
        """Store a step; report about fifty times in a run."""
        values, now = self.a_in.recv(), self.time_step
        if self.first <= now <= self.last:
            self.rows[now - self.first] = values
        if self.report and (now % max(1, self.last // 50) == 0 or now == self.last):
            print("progress", self.report, now, self.last, flush=True)
        if now == self.last:
            np.save(self.path, self.rows)


# What numpy and zipfile raise of a damaged file.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile, zlib.error,
              MemoryError)  # fmt: skip


def read_network(path: str) -> Network:
    """`{"kind", "steps", "policy", "inputs", "layers"}`; layers hold their arrays and `synapses`.

    kind "fixed": the integers of `program.npz`. kind "float": folded float64 weights, `du` and
    `dv` the lost fractions, `bias_mant` the bias, `vth`; all `(out,)`, no exponents.
    """
    with np.load(path, allow_pickle=False) as file:
        network: Network = json.loads(str(file["json"]))
        for layer in network["layers"]:
            for key in ("weight", "bias_mant", "du", "dv", "vth", "vth_table"):
                name = layer["name"] + "/" + key
                if name in file.files:
                    layer[key] = file[name]
            first = {key: layer.get(key) for key in ("source", "link", "weight")}
            others = [
                {**found, "weight": file[f"{layer['name']}/also/{i}"]}
                for i, found in enumerate(layer.get("also", []))
            ]
            layer["synapses"] = [first, *others]
            for synapse in layer["synapses"]:  # a file of schema 1 has plain matrices
                synapse["link"] = synapse["link"] or {"conv": None, "pools": [], "delay": 0}
    return network


def lags(layers: list[Layer]) -> dict[str, int]:
    """Per layer by how many steps it lags the inputs (0).

    lag = max over its synapses of lag(source) + 1 - delay, at least 0

    A synapse adds one step and may need some for its delay; loops settle where their delays are at
    least the number of their synapses.
    """
    found = {layer["name"]: 0 for layer in layers}
    for _ in range(len(layers) + 1):
        before = dict(found)
        for layer in layers:
            for synapse in layer["synapses"]:
                due = found.get(synapse["source"], 0) + 1 - synapse["link"]["delay"]
                found[layer["name"]] = max(found[layer["name"]], due)
        if found == before:
            return found
    raise ValueError("a loop of the network has more synapses than steps of delay")


def parts(network: Network) -> Iterator[tuple[str, list[Layer]]]:
    """The layers that hang together, with a name for each group."""
    group = {name: name for name in network["inputs"]}
    group.update({layer["name"]: layer["name"] for layer in network["layers"]})
    for layer in network["layers"]:
        for synapse in layer["synapses"]:
            old, new = group[layer["name"]], group[synapse["source"]]
            group = {name: new if found == old else found for name, found in group.items()}
    for key in dict.fromkeys(group[layer["name"]] for layer in network["layers"]):
        yield key, [layer for layer in network["layers"] if group[layer["name"]] == key]


def spiking(layer: Layer) -> bool:
    """False for a read-out that only integrates."""
    return bool(layer.get("rule", {}).get("spiking", True))


def thresholds(layer: Layer, network: Network, theta: Arrays, batch: int) -> Any:
    """Thresholds of the stream `(1, time)`, of the neurons `(out, 1)`, or None for a constant."""
    if network["policy"] == "dynamic":
        values = theta[layer["name"]].reshape(1, -1)  # (batch, time), units of the float model
        return np.rint(values / layer["unit"]) if network["kind"] == "fixed" else values
    if network["policy"] == "table":
        return np.tile(layer["vth_table"], batch)[None]
    vth = np.atleast_1d(layer["vth"])
    return None if (vth == vth[0]).all() else vth[:, None]


def neuron(layer: Layer, lag: int, network: Network, theta: Any) -> Any:
    """The neuron Process of a layer, with the sources of its threshold and of its bias."""
    size, fixed = len(layer["bias_mant"]), network["kind"] == "fixed"
    number = int if fixed else float
    bias, exponent = layer["bias_mant"], layer.get("bias_exp", 0)
    in_current = layer["bias_to"] == "current"
    settings = {
        "shape": (size,),
        "du": shared(layer["du"], number),
        "dv": shared(layer["dv"], number),
        "bias_mant": 0 * bias if in_current else bias,
        "bias_exp": exponent,
        "reset_interval": network["steps"],
        "reset_offset": (lag + 1) % network["steps"],
    }
    if not spiking(layer):
        process = ReadOut(**settings)
    elif theta is None:
        process = LIFReset(vth=number(np.atleast_1d(layer["vth"])[0]), **settings)
    else:
        process = ThresholdLIF(theta_size=len(theta), **settings)
        if theta.shape[1] > 1:  # the first `lag` steps are idle
            theta = np.concatenate([np.repeat(theta[:, :1], lag, axis=1), theta], axis=1)
        source = RingBuffer(data=theta.astype(np.int32 if fixed else float))
        source.s_out.connect(process.th_in)
    if in_current and np.any(bias):
        # State LSBs to weight units: the neuron shifts what arrives by 6.
        units = np.left_shift(bias, exponent) >> 6 if fixed else bias
        RingBuffer(data=units[:, None]).s_out.connect(process.a_in)
    return process


def shared(value: Any, number: Callable[[Any], Any]) -> Any:
    """One number where all neurons share it (what a chip has), else the vector (float only)."""
    value = np.atleast_1d(value)
    return number(value[0]) if (value == value[0]).all() else value


def connect(found: Synapse, layer: Layer, network: Network, port: Any, cell: Any) -> str:
    """Lava's Processes for one synapse, between a port that sends `(size,)` and the neurons.

    Graded and ternary input needs message bits, or it becomes 0/1. Returns the name of the Process.
    """
    code, fixed = network["inputs"].get(found["source"]), network["kind"] == "fixed"
    bits = 0 if code is None or code["kind"] == "binary" else max(2, code["bits"])
    weight = found["weight"].astype(np.int32) if fixed else found["weight"]
    if code is not None and not fixed:
        weight = weight * code["scale"]
    settings: dict[str, Any] = {"num_message_bits": bits}
    if fixed:
        settings["num_weight_bits"] = layer["weight_bits"]
        settings["weight_exp"] = layer["weight_exp"]
    highest = 1 if code is None or code["kind"] != "graded" else 1 << code["bits"]
    if native(found["link"], weight, highest if fixed else 0, layer.get("weight_exp", 0)):
        convolve(found["link"]["conv"], weight, settings, port, cell)
        return "Conv"
    if fixed:
        settings["sign_mode"] = SignMode.MIXED
    if is_matrix(found["link"]):
        # Floats stay in `Dense`: `Sparse` adds them up in another order, which rounds otherwise
        # and may turn a tie with the threshold; sums of integers have no order.
        sparse = fixed and sparse_is_smaller(weight, layer["weight_bits"])
        processes = [(Sparse if sparse else Dense)(weights=weight, **settings)]
    else:
        matrix = as_matrix(found["link"], weight)
        pieces = in_range(matrix, layer["weight_bits"]) if fixed else [matrix]
        if fixed and layer["weight_exp"] < 0 and len(pieces) > 1:
            raise ValueError(f"{layer['name']}: Lava would round every summand by itself")
        processes = [Sparse(weights=piece, **settings) for piece in pieces]
    for process in processes:
        port.connect(process.s_in)
        process.a_out.connect(cell.a_in)
    return type(processes[0]).__name__


def sparse_is_smaller(weight: Any, bits: int) -> bool:
    """True where a list of the weights that are not zero takes less memory than all weights.

    nonzeros (bits + index) < rows columns bits,   index = bits of the number of a neuron

    Each weight of a list stands beside the number of its neuron; what a list has in front is not
    counted. The one place of this rule for Lava.
    """
    index = max(1, (len(weight) - 1).bit_length())
    return bool(np.count_nonzero(weight) * (bits + index) < weight.size * bits)


def is_matrix(link: Link) -> bool:
    """True without kernel and pools."""
    return link["conv"] is None and not link["pools"]


def native(link: Link, weight: Any, highest: int, exponent: int) -> bool:
    """True where Lava's `Conv` computes the synapse.

    It pads both sides alike, keeps its geometry in 8 bits, has no `weight_exp`, and its fixed-point
    model wraps sums at 24 bits.
    """
    conv = link["conv"]
    if conv is None or link["pools"] or exponent:
        return False
    top, bottom, left, right = conv["padding"]
    numbers = (*conv["stride"], top, left, *conv["dilation"], conv["groups"], *weight.shape[2:])
    worst = highest * np.abs(weight).reshape(len(weight), -1).sum(axis=1).max()
    return bool(top == bottom and left == right and max(numbers) < 128 and worst < 1 << 23)


def convolve(conv: Link, weight: Any, settings: dict[str, Any], port: Any, cell: Any) -> None:
    """Lava's `Conv`, which reads maps as (W, H, C) and flips its kernel (C_out, W, H, C_in)."""
    channels, high, wide = conv["shape"]
    process = Conv(
        weight=np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)),
        input_shape=(wide, high, channels),
        stride=tuple(conv["stride"][::-1]),
        padding=(conv["padding"][2], conv["padding"][0]),
        dilation=tuple(conv["dilation"][::-1]),
        groups=conv["groups"],
        **settings,
    )
    port.reshape((channels, high, wide)).transpose((2, 1, 0)).connect(process.s_in)
    process.a_out.transpose((2, 1, 0)).flatten().connect(cell.a_in)


def as_matrix(link: Link, weight: Any) -> Any:
    """Kernel and pools as one sparse matrix `(out, in)`."""
    conv = link["conv"]
    matrix = csr_matrix(weight) if conv is None else kernel_matrix(conv, weight)
    for pool in reversed(link["pools"]):
        (top, left), channels = pool["padding"], pool["shape"][0]
        geometry = {
            "shape": pool["shape"],
            "stride": pool["stride"],
            "padding": (top, top, left, left),
            "dilation": (1, 1),
            "groups": channels,
        }
        ones = np.ones((channels, 1, *pool["kernel"]), weight.dtype)
        matrix = matrix @ kernel_matrix(geometry, ones)
    return matrix.tocsr()


def kernel_matrix(conv: Link, weight: Any) -> Any:
    """A convolution as a sparse matrix: windows over the numbers of the input's neurons."""
    top, bottom, left, right = conv["padding"]
    numbers = np.arange(int(np.prod(conv["shape"]))).reshape(conv["shape"])
    numbers = np.pad(
        numbers, ((0, 0), (top, bottom), (left, right)), constant_values=-1
    )  # -1: reads nothing
    (down, across), (apart, beside) = conv["stride"], conv["dilation"]
    size = ((weight.shape[2] - 1) * apart + 1, (weight.shape[3] - 1) * beside + 1)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, size, axis=(1, 2))
    windows = windows[:, ::down, ::across, ::apart, ::beside]  # (C, high, wide, kh, kw)
    high, wide = windows.shape[1:3]
    windows = windows.reshape(conv["groups"], -1, *windows.shape[1:])
    rows, columns, values = [], [], []
    for channel, kernel in enumerate(weight):  # (C / groups, kh, kw)
        read = windows[channel // (len(weight) // conv["groups"])]
        writes = channel * high * wide + np.arange(high * wide).reshape(1, high, wide, 1, 1)
        inside = read >= 0
        rows.append(np.broadcast_to(writes, read.shape)[inside])
        columns.append(read[inside])
        values.append(np.broadcast_to(kernel[:, None, None], read.shape)[inside])
    found = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return coo_matrix(found, shape=(len(weight) * high * wide, numbers.max() + 1)).tocsr()


def in_range(matrix: Any, bits: int) -> list[Any]:
    """Summands whose entries a synapse can hold: overlapping windows add weights up."""
    step = 1 << (9 - bits)
    pieces: list[Any] = []
    while not pieces or matrix.count_nonzero():
        piece = matrix.copy()
        piece.data = np.clip(piece.data, -256, 256 - step)
        pieces.append(piece)
        matrix = (matrix - piece).tocsr()
    return pieces


def run_part(
    network: Network, name: str, layers: list[Layer], codes: Arrays, theta: Arrays, folder: str
) -> Arrays:
    """What every layer of one part sends: spikes or membrane, `(batch, time, neuron)`.

    `processes/<layer>` names the Process of each of its synapses, as "source: Process".
    """
    fixed, steps = network["kind"] == "fixed", network["steps"]
    batch, lag = len(next(iter(codes.values()))), lags(layers)
    length, deepest = batch * steps, max(lag.values())
    inputs = {s["source"] for layer in layers for s in layer["synapses"]} & set(network["inputs"])
    ports: dict[str, Any] = {}
    for source in inputs:
        stream = codes[source].reshape(length, -1).T
        ports[source] = RingBuffer(data=stream.astype(np.int32 if fixed else float)).s_out
    cells: dict[str, Any] = {}
    files: dict[str, str] = {}
    processes: dict[str, list[str]] = {}
    for layer in layers:
        key = layer["name"]
        cell = neuron(layer, lag[key], network, thresholds(layer, network, theta, batch))
        cells[key], files[key] = cell, os.path.join(folder, f"{len(files)}.npy")
        sink = SpikeFile(
            size=len(layer["bias_mant"]),
            first=lag[key] + 1,
            last=lag[key] + length,
            path=files[key],
            report=name if layer is layers[-1] else "",
            kind="uint8" if spiking(layer) else "int32" if fixed else "float64",
        )
        cell.s_out.connect(sink.a_in)
        if spiking(layer):
            ports[key] = cell.s_out
    for layer in layers:
        cell = cells[layer["name"]]
        for found in layer["synapses"]:
            port, delay = ports.get(found["source"]), found["link"]["delay"]
            if port is None:
                continue  # a read-out sends no spikes
            behind = lag.get(found["source"], 0)
            wait = delay + lag[layer["name"]] - behind - 1
            if wait or delay:
                line = Line(size=port.size, wait=wait, delay=delay, lag=behind, steps=steps)
                port.connect(line.s_in)
                port = line.s_out
            ran = connect(found, layer, network, port, cell)
            processes.setdefault(layer["name"], []).append(f"{found['source']}: {ran}")
    first = cells[layers[0]["name"]]
    try:
        run_cfg = Loihi2SimCfg(select_tag="fixed_pt" if fixed else "floating_pt")
        first.run(condition=RunSteps(num_steps=length + deepest), run_cfg=run_cfg)
    finally:
        first.stop()
    sent = {key: np.load(path).reshape(batch, steps, -1) for key, path in files.items()}
    return sent | {f"processes/{key}": np.array(names) for key, names in processes.items()}


def run(network: Network, codes: Arrays, theta: Arrays) -> Arrays:
    """Spikes of all layers, in the order of the network; of a read-out `membrane/<name>`.

    `processes/<name>`: what ran the synapses of a layer.
    """
    found: Arrays = {}
    for name in network["inputs"]:
        if codes[name].shape[1] != network["steps"]:
            raise ValueError(f"{name}: {codes[name].shape[1]} steps, not {network['steps']}")
    groups = list(parts(network))
    for name, _ in groups:  # the host counts parts from the first line on
        print("progress", name, 0, 1, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, layers in groups:
            found.update(run_part(network, name, layers, codes, theta, folder))
    spikes: Arrays = {}
    for layer in network["layers"]:
        key = layer["name"]
        spikes[key] = found[key] if spiking(layer) else np.zeros(found[key].shape, np.uint8)
        if not spiking(layer):
            spikes["membrane/" + key] = found[key]
        if "processes/" + key in found:
            spikes["processes/" + key] = found["processes/" + key]
    return spikes


def read_input(path: str) -> tuple[Arrays, Arrays, Arrays]:
    """Codes per input, thresholds per layer, expected spikes per layer (where there are any)."""
    parts: dict[str, Arrays] = {"codes": {}, "theta": {}, "spikes": {}}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            kind, _, name = key.partition("/")
            if kind in parts:
                parts[kind][name] = file[key]
    return parts["codes"], parts["theta"], parts["spikes"]


def compare(spikes: Arrays, expected: Arrays) -> bool:
    """Print one line per layer; True when every bit agrees."""
    equal = True
    for name, found in spikes.items():
        if name.startswith(("membrane/", "processes/")):
            continue  # golden files hold spikes
        same = float(np.mean(found == expected[name]))
        equal = equal and same == 1.0
        ran = ", ".join(spikes.get("processes/" + name, ()))
        print(f"{name:20s} equal bits {100 * same:.4f} %  spikes {int(found.sum())}  {ran}")
    return equal


def die_with_parent() -> None:
    """End the whole process group when the other end of stdin closes: the host has gone.

    SIGTERM ends all but the resource tracker of multiprocessing, which then gives Lava's shared
    memory back and ends itself; SIGKILL would leave the memory until the machine starts again.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Command line; returns the exit code."""
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="Run a network on lava-nc's CPU simulation.")
    parser.add_argument("--network", default=os.path.join(here, "program.npz"))
    parser.add_argument("--input", default=os.path.join(here, "golden.npz"))
    parser.add_argument("--out", help="write the spikes here instead of comparing them")
    parser.add_argument("--guarded", action="store_true", help="end when stdin closes")
    options = parser.parse_args()
    if options.guarded:
        die_with_parent()
    try:
        network = read_network(options.network)
        codes, theta, expected = read_input(options.input)
        if missing := network["inputs"].keys() - codes:
            raise ValueError(f"no codes of {sorted(missing)}")
    except UNREADABLE as error:
        files = f"{options.network} or {options.input}"
        sys.stderr.write(f"{files} cannot be read ({error!r}); export the network again\n")
        return 2
    spikes = run(network, codes, theta)
    if options.out:
        np.savez(options.out, **spikes)
        return 0
    return 0 if compare(spikes, expected) else 3


if __name__ == "__main__":
    sys.exit(main())
