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

from typing import Final

import numpy as np

from neurozsl.export.nir.dialects.base import DT_S, Dialect, Evidence, Mended, NeuronNode
from neurozsl.hardware.network.neuron import NeuronRule, Reset

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


def _mend(cell: NeuronNode, dt_s: float, variant: str) -> Mended:
    """The gains that float32 rounded are 1."""
    if cell.implied_dt is None or abs(cell.implied_dt / dt_s - 1) > 1e-5:
        return Mended()
    if cell.kind == "CubaLIF":
        tau, tau_syn = cell.values("tau_mem"), cell.values("tau_syn")
        return Mended({"r": tau / dt_s, "w_in": tau_syn / dt_s})
    return Mended({"r": cell.values("tau") / dt_s})


SNNTORCH: Final = Dialect(
    key="snntorch",
    title="snnTorch 1.0",
    wrote=_wrote,
    rule=_rule,
    variants=_VARIANTS,
    step_in_s=lambda seen: DT_S,
    mend=_mend,
    cannot_say=(
        "reset_mechanism and reset_delay (--dialect snntorch:VARIANT)",
        "graded_spikes_factor, inhibition and state_quant (taken as off; no option)",
    ),
)
