"""Metrics under the names and definitions of NeuroBench 2.3 (Yik et al. 2025, github NeuroBench).

In: a network, the codes that went in, the spikes that came out. Out: what NeuroBench's hooks would
print of the same network as torch Linear or Conv modules with snnTorch neurons, and where that is
not the count that is used elsewhere here, the other figure and the reason (`Difference`).

    Footprint           bytes of parameters in fp32, and of the buffers of each spiking layer: 20
                        (threshold, beta, graded spike factor in fp32, the reset as an int64)
    ConnectionSparsity  zeros / weights as stored, to four decimals
    ActivationSparsity  neuron-steps without a spike / all, of layers that spike
    Effective_ACs       nonzero input x nonzero weight; in a call (one step of a batch) whose inputs
    Effective_MACs      are not all -1, 0 or 1 every operation is a MAC. Biases never count
    Dense               all weights, once per step and place; padding is no place
    MembraneUpdates     every neuron in the first step, later those whose membrane after the step is
                        not that of the step before

Its hooks see real values, so an input is code x scale, and behind a pool the sums of the windows. A
layer that does not spike is no activation of theirs. A call is one synapse; values of one source
that come with several delays are a call each. Operations and MembraneUpdates are means per sample.

NeuroBench adds in float32, which is exact below 2^24 operations a call (3e-8 relative beyond), and
on a second run counts left-over membranes as buffers; here sums are integers, and objects fresh.

`exact` of ACs and MACs judges each event by itself, by its code: the scale is in the weights of the
chip. Together they are the `synops` of `counts`: an event is one operation per nonzero weight.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.count.counts import Counts, count, stored_biases
from neurozsl.hardware.count.tally import Network, inputs_read, values_of
from neurozsl.hardware.network.connections import present
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.neurobench.calls import CallOperations, connections, operations
from neurozsl.hardware.neurobench.membranes import membrane_updates

_FP32: Final = 4
_LEAKY_BUFFERS: Final = 3 * _FP32 + 8  # of snnTorch 1.0's Leaky, bytes
_POOLS: Final = (
    "behind a pool NeuroBench counts the sums that are not 0, and multiplies where one is above 1; "
    "here every spike of a window arrives by itself"
)
_SEVERAL: Final = (
    "several spikes of a neuron in one step count once in NeuroBench (and in `synops`, as a spike "
    "with a payload); sent one by one, each is an operation of its own"
)


@dataclass(frozen=True)
class Difference:
    """A metric for which NeuroBench and the exact count disagree on this run, and why."""

    metric: str
    neurobench: float
    exact: float
    why: str


@dataclass(frozen=True)
class NeuroBench:
    """See the module docstring; names as NeuroBench writes them."""

    Footprint: int
    ConnectionSparsity: float
    ActivationSparsity: float
    Effective_MACs: float
    Effective_ACs: float
    Dense: float
    MembraneUpdates: float
    differences: tuple[Difference, ...] = ()


def neurobench(
    network: Network,
    chip_input: ChipInput,
    trace: Trace,
    *,
    batch: int | None = None,
    counts: Counts | None = None,
) -> NeuroBench:
    """The metrics of a run.

    As for `counts.count`; the input has theta where a program's policy is dynamic and the trace no
    membranes, which are computed again then. batch: samples of one call, which decides between ACs
    and MACs; None for all of them. counts: of the same run, where they are known.

    Raises:
        BadInput: trace and input do not belong together.
    """
    values, ran = values_of(network, chip_input, trace), chip_input.ran
    counts = counts or count(network, chip_input, trace)
    samples = max(chip_input.batch, 1)
    batch = batch or samples
    spiking = [layer for layer in network.layers if layer.rule.spiking]
    places = int(ran.sum()) * sum(int(layer.size) for layer in spiking)
    silent = places - sum(int(np.count_nonzero(values[layer.name])) for layer in spiking)
    done = operations(network, values, batch, ran)
    updates = membrane_updates(network, chip_input, trace, [layer.name for layer in spiking])
    parameters = int(counts.total("parameters"))
    weights = parameters - sum(stored_biases(layer) for layer in network.layers)
    zeros = weights - int(counts.total("nonzero_weights"))
    found = NeuroBench(
        Footprint=_FP32 * parameters + _LEAKY_BUFFERS * len(spiking),
        ConnectionSparsity=round(zeros / weights, 4),
        ActivationSparsity=silent / places if places else 0.0,
        Effective_MACs=done.macs / samples,
        Effective_ACs=done.acs / samples,
        Dense=counts.total("dense"),
        MembraneUpdates=updates / samples,
    )
    names = {layer.name for layer in spiking}
    rows = (
        *_of_memory(network, found, parameters),
        *_of_spikes([values[name] for name in names], places, found),
        *_of_updates([row.active_updates for row in counts.layers if row.name in names], found),
        *_of_operations(network, found, done, samples, batch),
    )
    return replace(found, differences=rows)


# --- why NeuroBench and the counts differ -------------------------------------------------------


def _of_memory(network: Network, found: NeuroBench, parameters: int) -> Iterator[Difference]:
    biases = [stored_biases(layer) for layer in network.layers]
    buffers = "the buffers of snnTorch's neurons, 20 bytes a layer"
    if isinstance(network, Lowered):
        stored, why = _FP32 * parameters, f"NeuroBench adds {buffers}"
    else:
        bits = [(layer.weight_bits, layer.bias_bits) for layer in network.layers]
        weights = [sum(int(x.sum()) for x in present(layer.synapses)) for layer in network.layers]
        rows = zip(weights, biases, bits, strict=True)
        stored = -(-sum(w * b[0] + n * b[1] for w, n, b in rows) // 8)
        sizes = " and ".join(str(x) for x in sorted({b[0] for b in bits}))
        why = (
            f"NeuroBench counts parameters in fp32 and {buffers}; here weights of {sizes} bits and "
            f"biases of {bits[0][1]}, as the chip stores them"
        )
    if stored != found.Footprint:
        yield Difference("Footprint", found.Footprint, stored, why)
    joined, every = connections(network)
    exact = round(1 - joined / every, 4)
    if exact != found.ConnectionSparsity:
        yield Difference(
            "ConnectionSparsity",
            found.ConnectionSparsity,
            exact,
            "NeuroBench counts weights as stored, those of a kernel once; this is the share of the "
            "connections that they make",
        )


def _of_spikes(spikes: list[Any], places: int, found: NeuroBench) -> Iterator[Difference]:
    most = max((int(x.max(initial=0)) for x in spikes), default=0)
    if most > 1:
        rate = sum(int(x.sum(dtype=np.int64)) for x in spikes) / max(places, 1)
        yield Difference(
            "ActivationSparsity",
            found.ActivationSparsity,
            1 - rate,
            f"a neuron that sends several spikes in one step (here up to {most}) is one activation "
            "that is not 0; this is 1 - spikes / (neurons x steps)",
        )


def _of_updates(active: list[float], found: NeuroBench) -> Iterator[Difference]:
    if not math.isclose(sum(active), found.MembraneUpdates, rel_tol=1e-12):
        yield Difference(
            "MembraneUpdates",
            found.MembraneUpdates,
            sum(active),
            "NeuroBench counts every neuron in the first step and later every membrane that "
            "changed, be it by its leak alone; this counts the neuron-steps in which an event "
            "arrives, whatever it changes",
        )


def _of_operations(
    network: Network, found: NeuroBench, done: CallOperations, samples: int, batch: int
) -> Iterator[Difference]:
    synapses = [synapse for layer in network.layers for synapse in layer.synapses]
    why = [
        f"NeuroBench sees input '{name}' as code x {code.scale:g}; on the chip the scale is in the "
        "weights, and a code of 1 is added"
        for name, code in inputs_read(network).items()
        if code.scale != 1
    ]
    if done.mixed:
        why.append(
            f"NeuroBench decides per call (one step of a batch of {batch}): one value beyond -1, 0 "
            "and 1 makes all operations of the call multiplications; here every event is judged "
            "by itself"
        )
    pools = [_POOLS] if any(synapse.link.pools for synapse in synapses) else []
    pairs = {"Effective_ACs": done.exact_acs, "Effective_MACs": done.exact_macs}
    for metric, exact in pairs.items():
        theirs: float = getattr(found, metric)
        if theirs != exact / samples:
            yield Difference(metric, theirs, exact / samples, "; ".join(why + pools))
    if done.one_by_one != done.exact_acs + done.exact_macs:
        yield Difference(
            "SynapticOperations",
            (done.acs + done.macs) / samples,
            done.one_by_one / samples,
            "; ".join([_SEVERAL, *pools]),
        )
