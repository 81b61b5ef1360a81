"""Sinabs 3.1 (`sinabs.nir.to_nir`): IAF, LIF, ExpLeak and their Squeeze forms.

    v* = alpha v + g I,   alpha = exp(-1 / tau), tau in steps,   g = 1 - alpha, or 1 without
    norm_input;   n = floor(v* / theta) spikes where v* >= theta;   v = v* - n theta

A file holds tau in steps and r = 1 whatever norm_input was; spike_fn, reset_fn, min_v_mem and
tau_syn are dropped. Its exporter takes the first axis off the shape of the Input.
"""

from typing import Final

import numpy as np

from neurozsl.export.nir.dialects.base import Dialect, Evidence, Mended, NeuronNode
from neurozsl.hardware.network.neuron import MAX_SPIKES, NeuronRule

_VARIANTS: Final = {"norm": "norm_input=True", "no-norm": "norm_input=False"}


def _wrote(seen: Evidence) -> str:
    def is_a_cell(cell: NeuronNode) -> bool:
        if cell.kind == "CubaLIF" or not cell.is_all("r", 1) or np.ndim(cell.node.r) == 0:
            return False
        if cell.kind == "IF":
            return cell.values("v_reset") is None or cell.is_all("v_reset", 0)
        return bool(np.all(cell.values("tau") >= 1)) and cell.is_all("v_leak", 0)

    # Norse's neurons look alike, but its Input keeps a batch, mostly of 1.
    if not seen.every(is_a_cell) or not seen.has_type(np.float32) or seen.leading == 1:
        return ""
    if any(cell.kind == "LIF" for cell in seen.cells):
        return "r = 1 and time constants of 1 and more, which count steps"
    # More than 1 there may be Sinabs' time; Norse's files are of a nir that stores no v_reset.
    if seen.leading is not None and not seen.stores_reset():
        return ""
    if not all(part.isdigit() for name in seen.names for part in _own(name)):
        return ""
    return "IF neurons with r = 1 in single precision, one value each, nodes named by number"


def _own(name: str) -> tuple[str, ...]:
    return () if name in ("input", "output") else (name.rpartition(".")[2],)


def _mend(cell: NeuronNode, dt_s: float, variant: str, seen: Evidence) -> Mended:
    if cell.kind not in ("LIF", "LI") or variant != "no-norm":
        return Mended()
    kept = -np.expm1(-dt_s / cell.values("tau"))
    return Mended({"r": cell.values("r") / kept}, "r became 1 / (1 - exp(-1 / tau)): no norm_input")


SINABS: Final = Dialect(
    key="sinabs",
    title="Sinabs 3.1",
    wrote=_wrote,
    rule=lambda cell, variant: NeuronRule("subtract", MAX_SPIKES, ">="),
    discretisation="exponential",
    variants=_VARIANTS,
    variants_say="input gain",
    variants_of=("LIF",),
    times_in_steps=True,
    mend=_mend,
    cannot_say=(
        "norm_input of a LIF (--dialect sinabs:no-norm)",
        "spike_fn (--max-spikes 1 for SingleSpike)",
        "reset_fn (--reset zero for MembraneReset)",
        "min_v_mem (--lower-bound)",
        "tau_syn of a LIF (no option: its file is one of another network)",
    ),
    other_rules={"--max-spikes 1": {"max_spikes": 1}, "--reset zero": {"reset": "zero"}},
)
