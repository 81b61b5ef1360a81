"""What the spiking branches share: pathways of layers, their codes, thresholds and description.

In: `ChipInput`; out: `Trace` with the spikes of every layer. The membrane is carried over the steps
of a sample and starts at 0 for the next one (MDFT section 3.2, "reset after processing all the
information pairs").

A pathway is a chain of layers; `taps` are further layers that all read the end of the chain (the
queries, keys and values of a spiking attention, whose product is the host's).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import NO_INTEGERS, BranchSpec, ChipInput, InputCode, Policy, Trace
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.coding import encode
from neurozsl.models.spiking_layer import NeuronLayer

Layer = TypeVar("Layer", bound=NeuronLayer)


class PathwayBranch(nn.Module, Generic[Layer]):
    """Named pathways (one per modality), each a chain of spiking layers, and taps at its end.

    codes: input name -> `InputCode`; the pathways have the inputs' names. layers: makes those of a
    pathway from its name and the code that it reads, the chain, then the taps. steps: T of a
    sample. dt_s: length of a chip step in seconds, for export and energy. policy: of the thresholds
    until `freeze` is called.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        layers: Callable[[str, InputCode], Iterable[Layer]],
        *,
        steps: int,
        dt_s: float,
        policy: Policy,
        taps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.codes, self.taps = dict(codes), tuple(taps)
        self.steps, self.dt_s, self.policy = steps, dt_s, policy
        self.frozen_theta: dict[str, float] = {}  # layer -> constant, once `freeze` was called
        self.pathways = nn.ModuleDict()
        for name, code in self.codes.items():
            self.pathways[name] = nn.ModuleList(layers(name, code))

    def set_code(self, name: str, code: InputCode) -> None:
        """Replace the code of input `name` (calibration chose another scale)."""
        if code.size != self.codes[name].size:
            raise BadInput(
                f"motion input '{name}': code of size {code.size}, expected {self.codes[name].size}"
            )
        self.codes[name] = code

    def coded(
        self,
        features: Mapping[str, Tensor],
        theta: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
        steps: Mapping[str, Tensor] | None = None,
    ) -> ChipInput:
        """What the chip reads of the features `(batch, time, any)` of every input.

        mask: `(batch, time)`, which steps are real. steps: by input, thresholds that are trained.
        """
        learnt = steps or {}
        codes = {
            name: encode(features[name], code, mask, learnt.get(name))
            for name, code in self.codes.items()
        }
        return ChipInput(codes, dict(self.codes), theta)

    def layer_names(self, pathway: str) -> list[str]:
        """Names of a pathway's layers: `audio.0`, `audio.1`, ..., then taps such as `audio.q`."""
        chain = len(self._layers(pathway)) - len(self.taps)
        return [f"{pathway}.{i}" for i in (*range(chain), *self.taps)]

    def chain_end(self, pathway: str) -> str:
        """Name of the layer that the taps read, and without taps the last one."""
        return self.layer_names(pathway)[-1 - len(self.taps)]

    def named_layers(self) -> dict[str, Layer]:
        """Layers by name, in the order of `spec`."""
        return {name: layer for name, _, layer in self.wired_layers()}

    def spiking_layers(self) -> tuple[str, ...]:
        """Names of the layers that spike; none in the MLP ablation."""
        layers = self.named_layers().items()
        return tuple(name for name, layer in layers if layer.config.neuron != "mlp")

    def read(self, trace: Trace, like: Tensor) -> dict[str, Tensor]:
        """Spikes of the end of every pathway's chain, as tensors of the host's type."""
        return {name: read_spikes(trace, self.chain_end(name), like) for name in self.codes}

    def freeze(self, theta: Mapping[str, float]) -> None:
        """Give every layer one constant threshold; the policy is then `frozen`.

        Raises:
            BadInput: the names are not those of the layers.
        """
        layers = self.named_layers()
        if set(theta) != set(layers):
            raise BadInput(
                f"motion branch: thresholds for {sorted(theta)}, the layers are {sorted(layers)}"
            )
        for name, layer in layers.items():
            layer.freeze(float(theta[name]))
        self.frozen_theta = {name: float(theta[name]) for name in layers}
        self.policy = "frozen"

    def load_folded(self, other: "PathwayBranch[Layer]") -> None:
        """Take over the weights of a branch of the same shape, its BatchNorm folded in.

        Raises:
            BadInput: this branch has a BatchNorm of its own.
        """
        sources = other.named_layers()
        for name, layer in self.named_layers().items():
            layer.load_folded(name, *sources[name].folded(name))

    def refusals(self) -> list[str]:
        """Why no chip could take this branch over, each with the remedy; empty where one could."""
        found = []
        if not self.spiking_layers():
            found.append("neuron 'mlp' does not spike; train with neuron=lif or neuron=if")
        real = [f"input '{name}'" for name, code in self.codes.items() if code.kind == "real"]
        return found + ([f"{' and '.join(real)}: {NO_INTEGERS}"] if real else [])

    def spec(self) -> BranchSpec:
        """Describe the branch as deployed: BatchNorm folded, vectors of layer size, float32.

        Raises:
            BadInput: no chip here could take it over, or a weight is not finite.
        """
        refusals = self.refusals()
        if refusals:
            raise BadInput("motion branch: cannot be exported: " + "; ".join(refusals))
        layers = tuple(layer.spec(name, source) for name, source, layer in self.wired_layers())
        outputs = self.read_layers()
        return BranchSpec(dict(self.codes), layers, outputs, self.dt_s, self.steps, self.policy)

    def wired_layers(self) -> list[tuple[str, str, Layer]]:
        """Name, source and layer of all pathways, in the order of `spec`."""
        return [one for pathway in self.codes for one in self._wired(pathway)]

    def integers(self) -> ChipProgram | None:
        """The integers that the branch runs in at the moment; None where it runs in float."""
        return None

    def read_layers(self) -> tuple[str, ...]:
        """Names of the layers whose spikes the host reads."""
        return tuple(
            layer
            for name in self.codes
            for layer in (self.chain_end(name), *(f"{name}.{tap}" for tap in self.taps))
        )

    def _walk(
        self, chip_input: ChipInput, spikes_of: Callable[[str, Layer, Tensor], Tensor]
    ) -> Trace:
        """Run every pathway: (name, layer, what it reads) -> its spikes."""
        spikes: dict[str, Tensor] = {}
        for pathway in self.codes:
            spikes[pathway] = chip_input.codes[pathway] * chip_input.code[pathway].scale
            for name, source, layer in self._wired(pathway):
                spikes[name] = spikes_of(name, layer, spikes[source])
            del spikes[pathway]
        return Trace(spikes)

    def _wired(self, pathway: str) -> list[tuple[str, str, Layer]]:
        """Name, source and layer, in the order of `spec`."""
        names, end = self.layer_names(pathway), self.chain_end(pathway)
        chain = names[: names.index(end) + 1]
        sources = [pathway, *chain[:-1], *(end for _ in self.taps)]
        return list(zip(names, sources, self._layers(pathway), strict=True))

    def _layers(self, pathway: str) -> list[Layer]:
        return cast("list[Layer]", list(cast(nn.ModuleList, self.pathways[pathway])))


def read_spikes(trace: Trace, layer: str, like: Tensor) -> Tensor:
    """Spikes of a layer of the trace as a tensor of the host's type."""
    return torch.as_tensor(trace.spikes[layer], dtype=like.dtype, device=like.device)
