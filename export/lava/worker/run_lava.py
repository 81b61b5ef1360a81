"""Run a network on lava-nc's CPU simulation: stand-alone, Python 3.10, numpy and lava-nc 0.10.0.

In a bundle, beside `program.npz` and `golden.npz`::

    python run_lava.py                 # prints how many spikes agree with golden.npz

The host calls it with files (`--network`, `--input`, `--out`). This file must stay alone in its
folder: Lava executes every .py that lies beside the definition of a Process.

Per input of the network one run: source -> Dense -> neuron -> Dense -> neuron ..., all samples
streamed back to back. A Dense sends what it received one step earlier, so layer l (from 1) lags
the source by l steps; its reset (`LIFReset`, offset l + 1) and its record start there, and users
never see the lag. Neurons are Lava's own `LIFReset`, except where the threshold changes with time
or differs between neurons: those run in `ThresholdLIF` below, which needs a programmable neuron on
a chip (Loihi 2 microcode). A bias into the synaptic current is a second source that always fires.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import AbstractPyLifModelFixed, AbstractPyLifModelFloat
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode

Network = dict[str, Any]
Layer = dict[str, Any]
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


def rest_at_sample_start(model: Any) -> None:
    """Clear u and v when `LIFReset` would."""
    interval = model.parameters["reset_interval"]
    if model.time_step % interval == model.parameters["reset_offset"] % interval:
        model.u *= 0
        model.v *= 0


class SpikeFile(AbstractProcess):  # type: ignore[misc]
    """Keeps the spikes of one layer and writes them at the last step.

    Reading a sink of Lava from outside costs 15 us per value, as much as the simulation.
    """

    def __init__(self, *, size: int, first: int, last: int, path: str, report: str) -> None:
        super().__init__(size=size, first=first, last=last, path=path, report=report)
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
        self.rows = np.zeros((self.last - self.first + 1, proc_params["size"]), np.uint8)

    def run_spk(self) -> None:
        """Store a step; report about fifty times in a run."""
        spikes, now = self.a_in.recv(), self.time_step
        if self.first <= now <= self.last:
            self.rows[now - self.first] = spikes != 0
        if self.report and (now % max(1, self.last // 50) == 0 or now == self.last):
            print("progress", self.report, now, self.last, flush=True)
        if now == self.last:
            np.save(self.path, self.rows)


def read_network(path: str) -> Network:
    """`{"kind", "steps", "policy", "inputs", "layers"}`; layers hold their arrays.

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
    return network


def pathways(network: Network) -> Iterator[tuple[str, list[tuple[Layer, int]]]]:
    """Per input the layers that hang on it, with their depth (1 = reads the input)."""
    for name in network["inputs"]:
        depth, layers = {name: 0}, []
        for layer in network["layers"]:
            if layer["source"] in depth:
                depth[layer["name"]] = depth[layer["source"]] + 1
                layers.append((layer, depth[layer["name"]]))
        if layers:
            yield name, layers


def thresholds(layer: Layer, network: Network, theta: Arrays, batch: int) -> Any:
    """Thresholds of the stream `(1, time)`, of the neurons `(out, 1)`, or None for a constant."""
    if network["policy"] == "dynamic":
        values = theta[layer["name"]].reshape(1, -1)  # (batch, time), units of the float model
        return np.rint(values / layer["unit"]) if network["kind"] == "fixed" else values
    if network["policy"] == "table":
        return np.tile(layer["vth_table"], batch)[None]
    vth = np.atleast_1d(layer["vth"])
    return None if (vth == vth[0]).all() else vth[:, None]


def neuron(layer: Layer, depth: int, network: Network, theta: Any) -> Any:
    """The neuron Process of a layer, with the sources of its threshold and of its bias."""
    size, fixed = len(layer["weight"]), network["kind"] == "fixed"
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
        "reset_offset": (depth + 1) % network["steps"],
    }
    if theta is None:
        process = LIFReset(vth=number(np.atleast_1d(layer["vth"])[0]), **settings)
    else:
        process = ThresholdLIF(theta_size=len(theta), **settings)
        if theta.shape[1] > 1:  # the first `depth` steps are idle
            theta = np.concatenate([np.repeat(theta[:, :1], depth, axis=1), theta], axis=1)
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


def synapse(layer: Layer, network: Network) -> Any:
    """Dense with mixed signs; graded and ternary input needs message bits, or it becomes 0/1."""
    code = network["inputs"].get(layer["source"])
    bits = 0 if code is None or code["kind"] == "binary" else max(2, code["bits"])
    if network["kind"] == "float":
        scale = 1.0 if code is None else code["scale"]
        return Dense(weights=layer["weight"] * scale, num_message_bits=bits)
    return Dense(
        weights=layer["weight"].astype(np.int32),
        num_message_bits=bits,
        num_weight_bits=layer["weight_bits"],
        weight_exp=layer["weight_exp"],
        sign_mode=SignMode.MIXED,
    )


def run_pathway(
    network: Network,
    name: str,
    layers: list[tuple[Layer, int]],
    codes: Any,
    theta: Arrays,
    folder: str,
) -> Arrays:
    """Spikes `(batch, time, neuron)` of every layer that hangs on one input."""
    fixed, batch, steps = network["kind"] == "fixed", codes.shape[0], network["steps"]
    length, deepest = batch * steps, max(depth for _, depth in layers)
    stream = codes.reshape(length, -1).T
    source = RingBuffer(data=stream.astype(np.int32 if fixed else float))
    ports: dict[str, Any] = {name: source.s_out}
    files: dict[str, str] = {}
    for layer, depth in layers:
        dense = synapse(layer, network)
        cell = neuron(layer, depth, network, thresholds(layer, network, theta, batch))
        ports[layer["source"]].connect(dense.s_in)
        dense.a_out.connect(cell.a_in)
        path = os.path.join(folder, f"{len(files)}.npy")
        sink = SpikeFile(
            size=len(layer["weight"]),
            first=depth + 1,
            last=depth + length,
            path=path,
            report=name if layer is layers[-1][0] else "",
        )
        cell.s_out.connect(sink.a_in)
        ports[layer["name"]], files[layer["name"]] = cell.s_out, path
    try:
        run_cfg = Loihi2SimCfg(select_tag="fixed_pt" if fixed else "floating_pt")
        source.run(condition=RunSteps(num_steps=length + deepest), run_cfg=run_cfg)
    finally:
        source.stop()
    return {key: np.load(path).reshape(batch, steps, -1) for key, path in files.items()}


def run(network: Network, codes: Arrays, theta: Arrays) -> Arrays:
    """Spikes of all layers, in the order of the network."""
    found: Arrays = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, layers in pathways(network):
            if codes[name].shape[1] != network["steps"]:
                raise ValueError(f"{name}: {codes[name].shape[1]} steps, not {network['steps']}")
            found.update(run_pathway(network, name, layers, codes[name], theta, folder))
    return {layer["name"]: found[layer["name"]] for layer in network["layers"]}


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
        same = float(np.mean(found == expected[name]))
        equal = equal and same == 1.0
        print(f"{name:20s} equal bits {100 * same:.4f} %  spikes {int(found.sum())}")
    return equal


def die_with_parent() -> None:
    """Kill the whole process group when the other end of stdin closes: the host has gone."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

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
    network = read_network(options.network)
    codes, theta, expected = read_input(options.input)
    spikes = run(network, codes, theta)
    if options.out:
        np.savez(options.out, **spikes)
        return 0
    return 0 if compare(spikes, expected) else 3


if __name__ == "__main__":
    sys.exit(main())
