"""Bytes between host and chip: input codes and thresholds in, output spikes out, per inference.

No source says how the boards pack events, so two figures bound what a packing can do:

    dense    channels x steps x bits of a value                  a picture of every step
    sparse   events x (ceil(log2 channels) + payload bits)       a list of what is not 0

of a code        bits                                  payload bits
    binary       1                                     0
    ternary      2 (one bit and a sign)                1 (the sign)
    graded       those of the code, the sign included  the same

An event takes one bit at least; time stamps, packet heads and what fills a word are left out.
Thresholds go to the chip where the policy is dynamic, one per layer and step, in the bits of its
register (17 on Loihi), 32 in float. Several spikes of an output in one step are several events. A
layer that does not spike sends its membranes, every neuron in every step: 24 bits on Loihi, 32 in
float.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.count.tally import Network, inputs_read, values_of

_BYTE: Final = 8


@dataclass(frozen=True)
class Stream:
    """What crosses for one input, layer of thresholds or output, per inference.

    events: values that are not 0 (spikes, for an output); every value where nothing is sparse.
    """

    name: str
    events: float
    dense_bytes: float
    sparse_bytes: float


@dataclass(frozen=True)
class HostLink:
    """Both directions; inputs and thresholds go to the chip, outputs come back."""

    inputs: tuple[Stream, ...]
    thresholds: tuple[Stream, ...]
    outputs: tuple[Stream, ...]

    @property
    def dense_bytes(self) -> float:
        """Of everything, both directions."""
        return sum(stream.dense_bytes for stream in self._streams)

    @property
    def sparse_bytes(self) -> float:
        """Of everything, both directions."""
        return sum(stream.sparse_bytes for stream in self._streams)

    @property
    def _streams(self) -> tuple[Stream, ...]:
        return (*self.inputs, *self.thresholds, *self.outputs)


def host_link(network: Network, chip_input: ChipInput, trace: Trace) -> HostLink:
    """What host and chip send each other in one inference; an input that nothing reads is not sent.

    Raises:
        BadInput: trace and input do not belong together.
    """
    values = values_of(network, chip_input, trace)
    samples = max(chip_input.batch, 1)
    steps = float(chip_input.ran.sum()) / samples  # of one inference, those that ran
    inputs = []
    for name, code in inputs_read(network).items():
        bits, payload = code_bits(code)
        events = int(np.count_nonzero(values[name])) / samples
        inputs.append(_stream(name, events, code.size, steps, bits, payload))
    dynamic = network.layers if network.policy == "dynamic" else ()
    outputs = []
    for layer in (layer for layer in network.layers if layer.name in network.outputs):
        if not layer.rule.spiking:
            outputs.append(_everything(layer.name, layer.size * steps, layer.state_bits))
            continue
        events = int(values[layer.name].sum(dtype=np.int64)) / samples
        bits = layer.rule.max_spikes.bit_length()
        outputs.append(_stream(layer.name, events, layer.size, steps, bits, 0))
    return HostLink(
        tuple(inputs),
        tuple(_everything(layer.name, steps, layer.threshold_bits) for layer in dynamic),
        tuple(outputs),
    )


def code_bits(code: InputCode) -> tuple[int, int]:
    """Bits of a value where every channel is sent, and beside the address of an event.

    >>> code_bits(InputCode(4, "ternary", 1, True, 1.0))
    (2, 1)
    """
    if code.kind == "graded":
        return code.bits, code.bits
    return (1, 0) if code.kind == "binary" else (2, 1)


def _stream(
    name: str, events: float, channels: int, steps: float, bits: int, payload: int
) -> Stream:
    each = max(1, (channels - 1).bit_length() + payload)
    return Stream(name, events, channels * steps * bits / _BYTE, events * each / _BYTE)


def _everything(name: str, values: float, bits: int) -> Stream:
    """Values that are all sent."""
    return Stream(name, float(values), values * bits / _BYTE, values * bits / _BYTE)
