"""NIR neuron nodes as chip neurons: table type -> gain, decays, threshold, with the reset at 0.

    LIF      tau v' = v_leak - v + r I                    gain kappa r, leak kappa
    CubaLIF  tau_syn i' = -i + w_in I, then LIF on i      gain kappa r kappa_s w_in, leak kappa
    IF       v' = r I, r the gain of one step             gain r, no leak
    LI, CubaLI, I    as LIF, CubaLIF, IF without a threshold: a read-out, its membrane is read
    Threshold        z = x > threshold: gain 1, leak 1 (nothing is kept)

Chip neurons rest at 0 and reset to 0. A node with v_leak or v_reset is moved, v' = v - v_reset:

    theta' = theta - v_reset,    bias' = bias + kappa (v_leak - v_reset)

which is exact; a sample then starts at v = v_reset (NIR does not say where it starts), or at v_leak
where the graph's metadata says start "rest", as Norse's neurons do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.hardware.lower.parameters import Shape, broadcast, finite
from neurozsl.hardware.network.lowered import BiasTo, Floats
from neurozsl.hardware.network.neuron import NeuronRule

# float32 rounds tau to 6e-8 relative; a larger distance means that the exact kappa is not tau's.
KAPPA_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class At:
    """What a converter needs beside its node.

    stored: exact decays of our own metadata. from_rest: a sample starts at v_leak, not at v_reset.
    """

    name: str
    shape: Shape
    dt_s: float
    tau_unit_s: float
    rule: NeuronRule
    stored: Callable[[str], Any | None] = lambda key: None
    from_rest: bool = False

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Neurons:
    """Folded gain, decays, drive and threshold of a layer, each `(size,)`.

    drive: added to the membrane in every step, beside the bias of the synapses. start: of the
    membrane, None for 0.
    """

    gain: Floats
    leak: Floats
    syn_leak: Floats
    threshold: Floats
    drive: Floats
    bias_to: BiasTo
    rule: NeuronRule
    notes: tuple[str, ...] = ()
    start: Floats | None = None


def read_out(size: int) -> Neurons:
    """Values that are read as they are, without a neuron."""
    zero, one = np.zeros(size), np.ones(size)
    rule = NeuronRule(spiking=False)
    return Neurons(one, one, one, np.full(size, np.inf), zero, "membrane", rule)


def _lif(node: Any, at: At) -> Neurons:
    kappa = _kappa(at, "kappa", "tau", node.tau)
    gain = _near_one(kappa * _vector(at, "r", node.r))
    return _at_zero(node, at, gain, kappa, np.ones(at.size))


def _cuba_lif(node: Any, at: At) -> Neurons:
    kappa = _kappa(at, "kappa", "tau_mem", node.tau_mem)
    kappa_syn = _kappa(at, "syn_kappa", "tau_syn", node.tau_syn)
    jump = kappa_syn * _vector(at, "w_in", node.w_in)
    # Our graphs write w_in = 1 / kappa_s (a jump of exactly 1, Norse's LIFCell) in float32.
    jump = np.where(np.abs(jump - 1.0) <= KAPPA_TOLERANCE, 1.0, jump)
    gain = _near_one(kappa * _vector(at, "r", node.r)) * jump
    return _at_zero(node, at, gain, kappa, kappa_syn, "current")


def _near_one(gain: Floats) -> Floats:
    """An r that undoes the decay does so exactly: tau / dt times dt / tau rounds twice."""
    return np.where(np.abs(gain - 1.0) <= 1e-12, 1.0, gain)


def _if(node: Any, at: At) -> Neurons:
    return _at_zero(node, at, _vector(at, "r", node.r), np.zeros(at.size), np.ones(at.size))


def _without_spikes(make: Callable[[Any, At], Neurons]) -> Callable[[Any, At], Neurons]:
    def read(node: Any, at: At) -> Neurons:
        return make(node, replace(at, rule=NeuronRule(spiking=False)))

    return read


def _threshold(node: Any, at: At) -> Neurons:
    one, zero = np.ones(at.size), np.zeros(at.size)
    theta = _vector(at, "threshold", node.threshold)
    return Neurons(one, one, one, theta, zero, "membrane", NeuronRule())


NEURONS: Final[Mapping[str, Callable[[Any, At], Neurons]]] = {
    "LIF": _lif,
    "CubaLIF": _cuba_lif,
    "IF": _if,
    "LI": _without_spikes(_lif),
    "CubaLI": _without_spikes(_cuba_lif),
    "I": _without_spikes(_if),
    "Threshold": _threshold,
}


def has_time_constant(node: Any) -> bool:
    """True for nodes whose meaning depends on dt."""
    return any(hasattr(node, key) for key in ("tau", "tau_mem", "tau_syn", "delay"))


def _at_zero(
    node: Any, at: At, gain: Floats, leak: Floats, syn_leak: Floats, bias_to: BiasTo = "membrane"
) -> Neurons:
    """The neurons with their reset at 0; see the module docstring."""
    zero, theta = np.zeros(at.size), np.full(at.size, np.inf)
    if at.rule.spiking:
        theta = _vector(at, "v_threshold", node.v_threshold)
    made = Neurons(gain, leak, syn_leak, theta, zero, bias_to, at.rule)
    rest, reset = (
        zero if getattr(node, key, None) is None else _vector(at, key, getattr(node, key))
        for key in ("v_leak", "v_reset")
    )
    reset = reset if at.rule.spiking else zero
    if not np.any(rest) and not np.any(reset):
        return made
    if np.any(reset) and at.rule.reset != "zero":
        raise BadInput(
            f"NIR node '{at.name}': v_reset {reset[np.argmax(np.abs(reset))]:g} and reset "
            f"{at.rule.reset}; only a reset at once to v_reset can be meant: use reset zero"
        )
    where, notes = "v_leak" if at.from_rest else "v_reset", []
    if np.any(reset):
        notes.append(
            f"'{at.name}': its membrane is counted from v_reset; a sample starts at {where}"
        )
    if np.any(leak) and np.any(rest - reset):
        notes.append(
            f"'{at.name}': v_leak became a bias; the membrane of a sample starts at {where}"
        )
    return replace(
        made,
        threshold=theta - reset,
        drive=leak * (rest - reset),
        notes=tuple(notes),
        start=rest - reset if at.from_rest and np.any(rest - reset) else None,
    )


def _kappa(at: At, key: str, named: str, tau: Any) -> Floats:
    """Decay dt / tau in (0, 1]; the exact value of the metadata where it is stored.

    named: as the node calls this time constant.
    """
    tau_s = _vector(at, named, tau) * at.tau_unit_s
    if np.any(tau_s <= 0):
        raise BadInput(
            f"NIR node '{at.name}': {named} {tau_s.min():g} s, expected a positive time (snnTorch "
            "writes one below 0 of a beta or alpha above 1, which it clamps to 1)"
        )
    kappa = at.dt_s / tau_s
    stored = at.stored(key)
    if stored is not None:
        exact = broadcast(at.name, key, finite(at.name, key, stored), at.size)
        if np.any(np.abs(exact - kappa) > KAPPA_TOLERANCE * np.abs(exact)):
            raise BadInput(
                f"NIR node '{at.name}': stored {key} {exact[0]:.9g} is not dt / {named} = "
                f"{kappa[0]:.9g}; the file was changed after its export, export it again"
            )
        kappa = exact
    # Within float32 of 1 a foreign tau = dt is meant to forget everything.
    kappa = np.where(np.abs(kappa - 1.0) <= KAPPA_TOLERANCE, 1.0, kappa)
    if np.any(kappa > 1):
        raise BadInput(
            f"NIR node '{at.name}': dt / {named} = {kappa.max():g}, expected a decay in (0, 1]; "
            f"the step of {at.dt_s:g} s is longer than {named} = {tau_s.min():g} s: use a smaller "
            "dt, check the unit of time (--dt, --tau-unit) or say who wrote the file (--dialect "
            "norse: its exporter multiplies by dt); a decay beyond 1 is snnTorch's beta below 0"
        )
    return kappa


def _vector(at: At, key: str, value: Any) -> Floats:
    return broadcast(at.name, key, finite(at.name, key, value), at.size, at.shape)
