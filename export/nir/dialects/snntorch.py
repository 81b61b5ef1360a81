"""snnTorch 1.0 (`export_nir.export_to_nir`): Leaky, Synaptic, RLeaky, RSynaptic.

    tau = dt / (1 - beta),  r = tau / dt,  tau_syn = dt / (1 - alpha),  w_in = tau_syn / dt

with dt = 1e-4 s, so that the input gain is 1: mem = beta mem + x. What its forward does at the
threshold (`_neurons/*.py`) is not stored:

    subtract, reset_delay       mem_t = beta mem_{t-1} + x_t - theta s_{t-1}       (the default)
    subtract, no reset_delay    s_t = beta mem + x - theta [mem > theta] > theta;
                                mem_t = beta mem + x - theta s_t
    zero, reset_delay           Leaky: as a reset at once (the membrane is zeroed before the decay);
                                the other cells zero the whole step after a spike
    zero, no reset_delay        at once
    none                        never
"""

from typing import Any, Final

import numpy as np

from neurozsl.export.nir.dialects.base import DT_S, Dialect, Evidence, Mended, NeuronNode
from neurozsl.hardware.network.neuron import NeuronRule, Reset

_NEIGHBOURS: Final = 4  # single-precision numbers each way that may lead to the same tau
_VARIANTS: Final = {
    "subtract": "reset_mechanism='subtract'",
    "zero": "reset_mechanism='zero'",
    "none": "reset_mechanism='none'",
    "subtract-nodelay": "reset_mechanism='subtract', reset_delay=False",
    "zero-nodelay": "reset_mechanism='zero', reset_delay=False",
}
_RESETS: Final[dict[str, Reset]] = {
    "subtract": "subtract-late",
    "zero": "zero-late",
    "none": "none",
    "subtract-nodelay": "subtract-nodelay",
    "zero-nodelay": "zero",
}


def _wrote(seen: Evidence) -> str:
    def is_a_cell(cell: NeuronNode) -> bool:
        unmoved = cell.values("v_reset") is None or cell.is_all("v_reset", 0)
        return cell.kind != "IF" and cell.gains_are_one and cell.is_all("v_leak", 0) and unmoved

    # A recurrent cell is a graph of its own, and in double precision.
    recurrent = [cell for cell in seen.cells if cell.name.endswith(".lif")]
    recurrent = [cell for cell in recurrent if f"{cell.name[:-4]}.w_rec" in seen.names]
    if not seen.every(is_a_cell) or not (recurrent or seen.has_type(np.float32)):
        return ""
    sign = "recurrent cells of nodes 'lif' and 'w_rec'" if recurrent else "single precision"
    return f"r = tau / 1e-4 s in every neuron, v_leak and v_reset 0, {sign}"


def _rule(cell: NeuronNode, variant: str) -> NeuronRule:
    if variant == "zero" and cell.kind == "LIF" and not cell.looped:
        return NeuronRule("zero")
    return NeuronRule(_RESETS[variant])


def mend(cell: NeuronNode, dt_s: float, variant: str, seen: Evidence) -> Mended:
    """The gains that float32 rounded are 1; the decays are the float32 numbers that it computes."""
    if cell.kind not in ("LIF", "CubaLIF") or not cell.has_gain_one(dt_s):
        return Mended()
    if cell.kind == "LIF":
        kappa = _kept(cell.values("tau"), dt_s)
        tau = dt_s / kappa
        return Mended({"tau": tau, "r": tau / dt_s}, decays={"kappa": kappa})
    kappa, syn_kappa = (_kept(cell.values(key), dt_s) for key in ("tau_mem", "tau_syn"))
    tau, tau_syn = dt_s / kappa, dt_s / syn_kappa
    values = {"tau_mem": tau, "tau_syn": tau_syn, "r": tau / dt_s, "w_in": tau_syn / dt_s}
    return Mended(values, decays={"kappa": kappa, "syn_kappa": syn_kappa})


def _kept(tau: Any, dt_s: float) -> Any:
    """1 - beta, where beta is the single-precision number that its exporter made tau of.

    tau has 24 bits, so several betas lead to one tau: of those the one of fewest digits is meant.
    """
    every, back = np.unique(np.asarray(tau, np.float64), return_inverse=True)
    kept = np.array([1.0 - float(_beta(one, dt_s)) for one in every])
    return kept[back].reshape(np.shape(tau))


def _beta(tau: float, dt_s: float) -> Any:
    nearest = np.float32(1.0 - dt_s / tau)
    if np.float32(tau) != tau:  # of a recurrent cell, in double precision
        return nearest
    left = np.float32(dt_s / tau)  # 1 - beta, on a grid of its own
    near = [*_neighbours(nearest), *(np.float32(1) - x for x in _neighbours(left))]
    one_step = np.float32(dt_s)
    same = [beta for beta in near if beta < 1 and one_step / (np.float32(1) - beta) == tau]
    return min(same or [nearest], key=lambda beta: (len(str(beta)), abs(beta - nearest)))


def _neighbours(value: Any) -> list[Any]:
    """Single-precision numbers around one, and it."""
    found = [value]
    for towards in (np.float32(-1), np.float32(2)):
        one = value
        for _ in range(_NEIGHBOURS):
            one = np.nextafter(one, towards)
            found.append(one)
    return found


SNNTORCH: Final = Dialect(
    key="snntorch",
    title="snnTorch 1.0",
    wrote=_wrote,
    rule=_rule,
    variants=_VARIANTS,
    step_in_s=lambda seen: DT_S,
    mend=mend,
    cannot_say=(
        "reset_mechanism and reset_delay (--dialect snntorch:VARIANT)",
        "graded_spikes_factor, inhibition and state_quant (taken as off; no option)",
    ),
)
