"""SpikingJelly 2.0 (`nir_exchange.export_to_nir`): IFNode, LIFNode, ParametricLIFNode, CUBALIFNode.

    IF       r = 1 / dt: NIR's own v' = r I is taken literally, v += dt r I = I
    LIF      tau = tau dt,  r = 1, or tau where decay_input is off
    CubaLIF  r = tau_mem / dt,  w_in = tau_syn / dt

dt is an argument of its exporter, 1e-4 s by default. A neuron spikes at v >= v_threshold, is set to
v_reset at once and starts there; soft resets are refused by the exporter.
"""

import re
from typing import Final

import numpy as np

from neurozsl.export.nir.dialects.base import Dialect, Evidence, NeuronNode
from neurozsl.hardware.network.neuron import NeuronRule


def _wrote(seen: Evidence) -> str:
    named = any(re.fullmatch(r"_\d+", name) or name == "input_1" for name in seen.names)
    rates = [cell for cell in seen.cells if cell.kind == "IF"]
    if not (seen.stores_reset() and seen.has_type(np.float64) and seen.every(_is_a_cell)):
        return ""
    if not named and not rates:
        return ""
    implied = {f"{cell.implied_dt:.6g}" for cell in seen.cells if _tells_step(cell)}
    if len(implied) > 1:
        return ""
    sign = "r = 1 / dt in every IF" if rates else "node names '_0' or 'input_1'"
    return f"{sign}, one value a layer in double precision, v_leak as v_reset or 0"


def _is_a_cell(cell: NeuronNode) -> bool:
    alike = all(
        np.unique(value).size == 1
        for key in ("tau", "tau_mem", "tau_syn", "r", "v_threshold", "v_reset", "w_in")
        if (value := cell.values(key)) is not None
    )
    if cell.kind == "IF":
        return alike and float(np.ravel(cell.values("r"))[0]) >= 10
    if cell.kind == "CubaLIF":
        return alike and cell.implied_dt is not None and cell.is_all("v_leak", 0)
    return alike and bool(np.all(cell.values("v_leak") == cell.values("v_reset")))


def _tells_step(cell: NeuronNode) -> bool:
    """A LIF with decay_input has r = 1, whatever the step."""
    return cell.implied_dt is not None and not (cell.kind == "LIF" and cell.is_all("r", 1))


def _step_in_s(seen: Evidence) -> float | None:
    told = [cell.implied_dt for cell in seen.cells if _tells_step(cell)]
    return told[0] if told else None


SPIKINGJELLY: Final = Dialect(
    key="spikingjelly",
    title="SpikingJelly 2.0",
    wrote=_wrote,
    rule=lambda cell, variant: NeuronRule("zero", 1, ">="),
    if_gain="rate",
    step_in_s=_step_in_s,
    cannot_say=(
        "the step of a network of LIFNodes with decay_input (--dt, default 1e-4)",
        "v_reset, where a nir before 1.0.6 wrote the file again (no option)",
    ),
)
