"""One layer of the emulator: exact sums of its synapses, then its neurons, over any steps.

A `LayerRun` is made once per layer, device and kernel. Sums and neurons of a convolutional layer
are channels last (`maps`), its spikes are handed on in both orders.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator import kernels, kernels_torch
from neurozsl.hardware.loihi.emulator.maps import Sent, channels_last, order_of, turned_flat
from neurozsl.hardware.loihi.emulator.neurons import (
    NO_SPIKES,
    NeuronConstants,
    NeuronRun,
    NeuronState,
)
from neurozsl.hardware.loihi.emulator.products import Codes
from neurozsl.hardware.loihi.emulator.sums import Sums, synapse_sums
from neurozsl.hardware.loihi.program import (
    Program,
    ProgramLayer,
    accumulator_bound,
    threshold_codes,
)
from neurozsl.hardware.network.ranges import Range, value_ranges
from neurozsl.hardware.network.synapse import MapShape, Synapse

Kernel = Literal["auto", "numba", "torch"]
Fetch = Callable[[Synapse], Sent]  # what a synapse sees in the steps that are computed


@dataclass(frozen=True, eq=False)
class LayerRun:
    """Sums and neurons of a layer.

    synapses, products: what arrives, and the exact sums of each. order: the map of the layer where
    its neurons run channels last.
    """

    size: int
    synapses: tuple[Synapse, ...]
    products: tuple[Sums, ...]
    constants: NeuronConstants
    order: MapShape | None
    device: str
    on_numba: bool

    def sums(self, fetch: Fetch) -> torch.Tensor:
        """Sums q x value over all synapses, `(batch, time, out)`; float32 holds integers."""
        pairs = zip(self.products, self.synapses, strict=True)
        return added([product(fetch(synapse)) for product, synapse in pairs])

    def some_sums(self, fetch: Fetch, numbers: Iterable[int]) -> torch.Tensor | None:
        """As `sums`, over the synapses with these numbers; None for no synapse."""
        parts = [self.products[i](fetch(self.synapses[i])) for i in numbers]
        return added(parts) if parts else None

    def rest(self, samples: int) -> NeuronState:
        """State before the first step."""
        if self.on_numba:
            return kernels.rest(self.constants, samples)
        return kernels_torch.rest(self.constants, samples, self.device)

    def neurons(
        self,
        sums: torch.Tensor,
        threshold: Codes,
        *,
        keep_membrane: bool,
        state: NeuronState | None = None,
        steps_in_all: int | None = None,
        out: Codes | None = None,
    ) -> tuple[Sent, NeuronRun]:
        """Neurons over the steps of `sums`; arguments as `kernels.run_numba`.

        Returns:
            what the layer sends, and the run: its counts, and its membrane, an array or a tensor,
            in the order of a Trace.
        """
        # The loops are compiled for arrays in one piece.
        whole = out if self.on_numba and out is not None and out.flags.c_contiguous else None
        if self.on_numba:
            ran = kernels.run_numba(
                sums.numpy(),
                threshold,
                self.constants,
                keep_membrane=keep_membrane,
                state=state,
                steps_in_all=steps_in_all,
                out=whole if self.order is None else None,
            )
            spikes = torch.from_numpy(ran.spikes)
        else:
            limits = torch.from_numpy(threshold).to(self.device)
            ran = kernels_torch.run_torch(
                sums, limits, self.constants, keep_membrane=keep_membrane, state=state
            )
            spikes = ran.spikes
        made: dict[MapShape, torch.Tensor] = {}
        if self.order is not None:
            channels, high, wide = self.order
            made[self.order] = spikes.reshape(*spikes.shape[:2], high, wide, channels)
            spikes = self._flat(made[self.order], whole)
            if keep_membrane:
                kept = turned_flat(torch.as_tensor(ran.membrane), self.order)
                ran = replace(ran, membrane=kept)
        if out is not None and whole is None:
            torch.from_numpy(out).copy_(spikes)
        return Sent(spikes, made), ran

    def _flat(self, maps: torch.Tensor, into: Codes | None) -> torch.Tensor:
        """Spikes `(batch, time, H, W, C)` in the order of a Trace; into an array where given."""
        samples, steps, high, wide, channels = maps.shape
        if not self.on_numba:
            return turned_flat(maps.flatten(2), (channels, high, wide))
        flat = np.empty((samples, steps, self.size), np.uint8) if into is None else into
        kernels.turn(
            maps.numpy().reshape(samples * steps, high * wide, channels),
            flat.reshape(samples * steps, channels, high * wide),
        )
        return torch.from_numpy(flat)

    def membrane(self, state: NeuronState) -> npt.NDArray[np.int32]:
        """Membrane of a state, `(samples, out)` in the order of a Trace."""
        v = torch.as_tensor(state.v).cpu()
        flat = v if self.order is None else turned_flat(v, self.order)
        return flat.numpy().astype(np.int32)


def added(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of exact sums."""
    if len(parts) == 1:
        return parts[0]
    # Each part fits float32, together they may not; int32 holds whatever a Program admits.
    return torch.stack([part.to(torch.int32) for part in parts]).sum(0, dtype=torch.int32)


def layer_runs(program: Program, device: str, kernel: Kernel) -> dict[str, LayerRun]:
    """Every layer of a program, by name.

    Raises:
        BadInput: the machine lacks the device, or the kernel cannot run there.
    """
    on_numba = choose_kernel(device, kernel) == "numba"
    return {
        layer.name: _layer_run(layer, ranges, device, on_numba)
        for layer, ranges in _source_ranges(program)
    }


@lru_cache(maxsize=64)
def _source_ranges(program: Program) -> tuple[tuple[ProgramLayer, tuple[Range, ...]], ...]:
    """Every layer with the smallest and largest value that each of its synapses can see."""
    reach = value_ranges(program.inputs, program.layers)
    return tuple(
        (layer, tuple(reach[synapse.source] for synapse in layer.synapses))
        for layer in program.layers
    )


@lru_cache(maxsize=256)
def _layer_run(
    layer: ProgramLayer, ranges: tuple[Range, ...], device: str, on_numba: bool
) -> LayerRun:
    """What depends on the layer alone is computed once."""
    order = order_of(layer.synapses)
    products = tuple(
        synapse_sums(synapse, *reach, device, order)
        for synapse, reach in zip(layer.synapses, ranges, strict=True)
    )
    constants = layer_constants(layer, ranges)
    if order is not None:
        turned = channels_last(order)
        constants = replace(
            constants,
            to_current=constants.to_current[turned],
            to_membrane=constants.to_membrane[turned],
        )
    return LayerRun(layer.size, layer.synapses, products, constants, order, device, on_numba)


def choose_kernel(device: str, kernel: Kernel) -> Kernel:
    """The kernel that "auto" means on a device; others are checked."""
    if kernel not in get_args(Kernel):
        raise BadInput(f"emulator: kernel {kernel!r} is not one of {get_args(Kernel)}")
    kind = device.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadInput(f"emulator: torch sees no CUDA device for {device!r}; use device 'cpu'")
    has_numba = kind == "cpu" and kernels.HAS_NUMBA
    if kernel == "numba" and not has_numba:
        raise BadInput(
            f"emulator: kernel 'numba' runs on the CPU and needs numba, not on {device!r}; use "
            "kernel 'auto' or 'torch'"
        )
    if kernel == "auto":
        return "numba" if has_numba else "torch"
    return kernel


@lru_cache(maxsize=256)
def layer_constants(layer: ProgramLayer, ranges: tuple[Range, ...]) -> NeuronConstants:
    """Constants of the neuron kernels, with the reach that these ranges of its sources allow.

    Sums arrive as q x codes, half of weight x codes.
    """
    reach = {s.source: found for s, found in zip(layer.synapses, ranges, strict=True)}
    bias = layer.bias.astype(np.int32)
    none = np.zeros_like(bias)
    to_current = layer.bias_to == "current"
    return NeuronConstants(
        up=1 + max(layer.weight_exp, 0),
        down=max(-layer.weight_exp, 0),
        to_current=bias >> fp.ALIGN_BITS if to_current else none,
        to_membrane=none if to_current else bias,
        keep_u=fp.DECAY_UNITY - (layer.du + 1),
        keep_v=fp.DECAY_UNITY - layer.dv,
        reach=accumulator_bound(layer, reach),
        rule=layer.rule,
    )


def layer_thresholds(
    program: Program, layer: ProgramLayer, part: ChipInput, *, first_step: int = 0
) -> npt.NDArray[np.int32]:
    """Thresholds << 6, int32 `(batch, time)`; in a table the part begins at `first_step`."""
    shape = (part.batch, part.steps)
    if not layer.rule.spiking:
        return np.full(shape, NO_SPIKES, np.int32)
    if program.policy == "dynamic" and part.theta is not None:
        return threshold_codes(layer, part.theta[layer.name]) << fp.ALIGN_BITS
    if program.policy == "table" and layer.vth_table is not None:
        now = layer.vth_table[first_step : first_step + part.steps] << fp.ALIGN_BITS
        return np.ascontiguousarray(np.broadcast_to(now, shape))
    return np.full(shape, layer.vth << fp.ALIGN_BITS, np.int32)
