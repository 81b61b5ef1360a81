"""`Lowered`: a spiking network in float64, in the form that chips compute (equations: `lower`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import InputCode, Policy
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.network.synapse import PLAIN, LayerLinks, Link, Synapse

Floats = npt.NDArray[np.float64]
BiasTo = Literal["membrane", "current"]


@dataclass(frozen=True)
class LoweredLayer(LayerLinks):
    """Synapses and neurons of a layer; see `lower` for the equations.

    weight: `(out, in)`, or a kernel where `link` says so; `source` names an input or a layer, and
    `also` holds further synapses. bias, leak, syn_leak, threshold `(size,)`; theta_table `(T,)` or
    None. rule: what happens at the threshold. drive: added to the membrane beside a bias that
    enters the current, None where nothing is. start: the membrane before the first step, or None.
    """

    name: str
    source: str
    weight: Floats
    bias: Floats
    leak: Floats
    syn_leak: Floats
    threshold: Floats
    theta_table: Floats | None = None
    bias_to: BiasTo = "membrane"
    link: Link = PLAIN
    also: tuple[Synapse, ...] = ()
    rule: NeuronRule = PLAIN_RULE
    drive: Floats | None = None
    start: Floats | None = None
    per_neuron: ClassVar[tuple[str, ...]] = ("bias", "leak", "syn_leak", "threshold")
    threshold_bits: ClassVar[int] = 32
    state_bits: ClassVar[int] = 32

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays."""
        return bool(np.any(self.leak > 0) or np.any(self.syn_leak < 1))

    @property
    def membrane_threshold(self) -> float:
        """The mean where neurons differ."""
        return float(np.mean(self.threshold))


@dataclass(frozen=True)
class Lowered:
    """A spiking network in chip form.

    layers: each after its sources, except those that it sees one or more steps late.
    notes: one sentence for everything that was decided or rewritten on the way.
    """

    inputs: Mapping[str, InputCode]
    layers: tuple[LoweredLayer, ...]
    outputs: tuple[str, ...]
    dt_s: float
    steps: int
    policy: Policy
    notes: tuple[str, ...] = ()
