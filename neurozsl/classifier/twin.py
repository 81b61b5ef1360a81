"""`Twin`: a lowered network that learns, in float or in a chip's integers.

Weights and biases of every synapse are parameters in float32, in the units of the lowered network
(the input gain is folded in); decays, thresholds and rules stay what they are. What it has learned
is `lowered()`, and `graph()` writes it.

With a `Rounding` the weights of the moment become the integers of that chip at every call, by the
functions that export uses, and the spikes are those of its emulator, bit for bit. The gradient runs
through the float network that computes what the integers compute, on the same spikes: rounding has
the gradient 1 (straight-through).
"""

from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.classifier.crossings import RULE, counted
from neurozsl.classifier.neurons import Population, State, advance, run
from neurozsl.classifier.weights import Weights
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.nir.conv_nodes import Shape
from neurozsl.export.nir.lowered_graph import lowered_graph
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.synapse import Synapse
from neurozsl.hardware.network.turns import LayerGroup, stages
from neurozsl.training.qat import Rounding

SLOPE = 1.0


class Twin(nn.Module):
    """A lowered network with one input, as a module.

    shapes: of the inputs as their file has them, for `graph`. slope: of the surrogate.
    without_clock: neurons count as `crossings` says. With a `Rounding` the weights are the chip's;
    while paths are drawn the membranes are real numbers, as no emulator draws any.

    Raises:
        BadInput: several inputs, thresholds from the host, what `lowered_graph` refuses, or neurons
            that need a clock.
    """

    def __init__(
        self,
        lowered: Lowered,
        *,
        shapes: Mapping[str, Shape] | None = None,
        rounding: Rounding | None = None,
        slope: float = SLOPE,
        without_clock: bool = False,
    ) -> None:
        super().__init__()
        if len(lowered.inputs) != 1:
            raise BadInput(
                f"training: the network has the inputs {', '.join(lowered.inputs)}; one is trained "
                "here, join them into one"
            )
        if lowered.policy == "dynamic":
            raise BadInput(
                "training: thresholds of this network come with its input (policy dynamic); give "
                "it constant ones"
            )
        self.start, self.shapes, self.slope = lowered, dict(shapes or {}), slope
        lowered_graph(lowered, self.shapes)  # what cannot be written is not trained
        self.without_clock, self.draws = without_clock, False
        if without_clock:
            _refuse_clocks(lowered)
        self.rounding = rounding
        self.weights = nn.ModuleList()
        self.place: dict[str, list[int]] = {}
        for layer in lowered.layers:
            first = layer.bias.reshape(layer.shape[0], -1)[:, 0]
            self.place[layer.name] = []
            for number, synapse in enumerate(layer.synapses):
                self.place[layer.name].append(len(self.weights))
                self.weights.append(Weights(synapse, first if number == 0 else None))

    @property
    def input(self) -> str:
        """Name of the input."""
        return next(iter(self.start.inputs))

    @property
    def output(self) -> LoweredLayer:
        """The layer that is read.

        Raises:
            BadInput: the network has several outputs.
        """
        if len(self.start.outputs) != 1:
            raise BadInput(
                f"training: the network has the outputs {', '.join(self.start.outputs)}; a "
                "classifier has one"
            )
        name = self.start.outputs[0]
        return next(layer for layer in self.start.layers if layer.name == name)

    def lowered(self) -> Lowered:
        """The network with its weights of the moment."""
        layers = []
        for layer in self.start.layers:
            first, *others = (self._synapse(layer, i) for i in range(len(layer.synapses)))
            bias = self._weights(layer, 0).bias
            assert bias is not None
            layers.append(
                replace(layer, weight=first.weight, bias=_floats(bias), also=tuple(others))
            )
        return replace(self.start, layers=tuple(layers))

    def graph(self) -> nir.NIRGraph:
        """The same as a NIR graph."""
        return lowered_graph(self.lowered(), self.shapes)

    def program(self) -> ChipProgram:
        """The integers of the weights of the moment.

        Raises:
            BadInput, DoesNotFit: the network does not go into the integers of that chip.
        """
        assert self.rounding is not None
        how = self.rounding
        return quantize(self.lowered(), how.chip, bits=how.bits, scale=how.scale)

    def forward(self, codes: Tensor) -> dict[str, Tensor]:
        """Spikes of every layer, of a read-out its membrane; `(batch, time, neuron)`.

        codes: integers of the input, `(batch, time, size)` in the type of the weights.
        """
        if self.rounding is None:
            return self._values(codes, self.start, {})
        program = self.program()
        if self.draws and self.training:
            return self._values(codes, dequantize(program), {})
        read = {x.name: x for x in program.layers if not x.rule.spiking}
        held = ChipInput(
            {self.input: codes.detach().cpu().numpy().astype(np.int16)}, program.inputs
        )
        trace = emulate(program, held)
        given = {
            name: torch.as_tensor(values).to(codes.device, codes.dtype)
            for name, values in trace.spikes.items()
            if name not in read
        }
        found = self._values(codes, dequantize(program), given)
        for name, layer in read.items():
            real = torch.as_tensor(trace.membrane[name] * layer.state_unit)
            soft = found[name]
            found[name] = real.to(soft.device, soft.dtype) + (soft - soft.detach())
        return found

    def _values(
        self, codes: Tensor, network: Lowered, given: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """All layers of a network that has the own weights, rounded or not."""
        values = {self.input: codes * self.start.inputs[self.input].scale}
        found: dict[str, Tensor] = {}
        for stage in stages(network.layers):
            if stage.in_steps:
                found |= self._in_steps(stage, values, given)
            else:
                [layer] = stage.layers
                drive = bias = self._bias(layer)
                for number, synapse in enumerate(layer.synapses):
                    weights, rounded = self._used(layer, number)
                    drive = drive + weights(values[synapse.source], rounded)
                if self.without_clock and layer.name not in given:
                    spread = self._spread(layer, values) if self.draws and self.training else None
                    theta = torch.as_tensor(layer.threshold).to(codes.device, codes.dtype)
                    found[layer.name] = counted(drive, theta, spread=spread, bias=bias)
                    values |= found
                    continue
                neurons = Population.of(layer, codes, self.slope)
                spikes, membrane = run(neurons, drive, given.get(layer.name))
                found[layer.name] = spikes if layer.rule.spiking else membrane
            values |= found
        return found

    def _spread(self, layer: LoweredLayer, values: Mapping[str, Tensor]) -> Tensor:
        """Sum of the squared weights of what arrives in a step."""
        with torch.no_grad():
            parts = []
            for number, synapse in enumerate(layer.synapses):
                weights, rounded = self._used(layer, number)
                parts.append(weights(values[synapse.source], rounded**2))
            return torch.stack(parts).sum(0)

    def _in_steps(
        self,
        stage: LayerGroup[LoweredLayer],
        values: Mapping[str, Tensor],
        given: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Layers of a loop, one step at a time."""
        outside = next(iter(values.values()))
        samples, steps = outside.shape[:2]
        neurons = {x.name: Population.of(x, outside, self.slope) for x in stage.layers}
        state = {name: State.at_rest(samples, x) for name, x in neurons.items()}
        known = {
            (layer.name, i): self._used(layer, i)[0](
                values[synapse.source], self._used(layer, i)[1]
            )
            for layer in stage.layers
            for i, synapse in enumerate(layer.synapses)
            if synapse.source not in stage.names
        }
        sent: dict[str, list[Tensor]] = {layer.name: [] for layer in stage.layers}
        shown: dict[str, list[Tensor]] = {layer.name: [] for layer in stage.layers}
        for t in range(steps):
            for layer in stage.layers:
                drive = self._bias(layer).expand(samples, -1)
                for i, synapse in enumerate(layer.synapses):
                    if (layer.name, i) in known:
                        drive = drive + known[layer.name, i][:, t]
                    elif t >= synapse.link.delay:
                        weights, rounded = self._used(layer, i)
                        late = sent[synapse.source][t - synapse.link.delay]
                        drive = drive + weights.now(late, rounded)
                spikes = given[layer.name][:, t] if layer.name in given else None
                cell = state[layer.name]
                sent[layer.name].append(advance(neurons[layer.name], cell, drive, t, spikes))
                shown[layer.name].append(sent[layer.name][-1] if layer.rule.spiking else cell.v)
        return {name: torch.stack(each, 1) for name, each in shown.items()}

    def _weights(self, layer: LoweredLayer, number: int) -> Weights:
        found = self.weights[self.place[layer.name][number]]
        assert isinstance(found, Weights)
        return found

    def _synapse(self, layer: LoweredLayer, number: int) -> Synapse:
        old = layer.synapses[number]
        return Synapse(old.source, _floats(self._weights(layer, number).map.weight), old.link)

    def _used(self, layer: LoweredLayer, number: int) -> tuple[Weights, Tensor]:
        """A synapse, and its weights as they are in `layer`, with the gradient of its own."""
        weights = self._weights(layer, number)
        return weights, _through(weights.map.weight, layer.synapses[number].weight, self.rounding)

    def _bias(self, layer: LoweredLayer) -> Tensor:
        bias = self._weights(layer, 0).bias
        assert bias is not None
        return _through(bias, layer.bias, self.rounding)


def _refuse_clocks(lowered: Lowered) -> None:
    """Refuse neurons that do not count as `crossings` says."""
    for layer in lowered.layers:
        what = ""
        if layer.rule != RULE:
            what = f"spikes by {layer.rule}"
        elif np.any(layer.leak != 0) or np.any(layer.syn_leak != 1):
            what = "leaks"
        elif layer.theta_table is not None or not np.all(layer.threshold > 0):
            what = "has thresholds that change, or are not above 0"
        if what:
            raise BadInput(
                f"without a clock: layer '{layer.name}' {what}; neurons without a leak are needed "
                "that subtract their threshold and may spike several times: train one with "
                "--network conv-if --without-clock"
            )
    if any(stage.in_steps for stage in stages(lowered.layers)):
        raise BadInput("without a clock: the network has a loop; give one without")


def _through(own: Tensor, rounded: object, rounding: Rounding | None) -> Tensor:
    """The rounded values with the gradient of the own ones; the own ones in float."""
    if rounding is None:
        return own
    values = torch.as_tensor(rounded).to(own.device, own.dtype)
    return own + (values - own).detach()


def _floats(values: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    array: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = (
        values.detach().cpu().numpy().astype(np.float64)
    )
    return array
