"""Norse 1.1.0: cells stepped by `SequentialState`, exported by `norse.torch.to_nir`."""

from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional import reset
from norse.torch.utils.export_nir import to_nir

from tests.frameworks.cases import Case
from tests.frameworks.networks import DT_S, Drawn, Layer
from tests.frameworks.writers.framework_spikes import (
    as_counts,
    input_steps,
    recorded,
    tensor,
    weighted,
)


def _cell(case: Case, layer: Layer) -> Any:
    low, high = (0.75, 1.25) if case.ties else (0.7, 1.3)
    values: dict[str, Any] = {
        "v_th": tensor(layer.spread("theta", low, high)),
        "v_reset": torch.zeros(layer.shape),
    }
    if case.cell == "IAFCell":
        return norse.IAFCell(norse.IAFParameters(**values))
    values["v_leak"] = torch.full(layer.shape, case.built.get("v_leak", 0.0))
    values["tau_mem_inv"] = tensor(layer.spread("leak", 0.2, 0.5) / DT_S)
    if case.cell == "LIFCell":
        values["tau_syn_inv"] = tensor(layer.spread("syn_leak", 0.3, 0.7) / DT_S)
        return norse.LIFCell(norse.LIFParameters(**values), dt=DT_S)
    if "reset_method" in case.built:
        values["reset_method"] = getattr(reset, case.built["reset_method"])
    return norse.LIFBoxCell(norse.LIFBoxParameters(**values), dt=DT_S)


def run(case: Case, drawn: Drawn) -> tuple[Any, list[Any]]:
    """The graph of the framework's exporter, and the spikes of its cells."""
    cells = [_cell(case, layer) for layer in drawn.layers]
    first, last = (weighted(x, torch.nn.Linear, torch.nn.Conv2d) for x in drawn.layers)
    net = norse.SequentialState(first, cells[0], last, cells[1])
    inputs = input_steps(drawn)
    given = {"dt": case.built["dt_s"]} if case.built["dt_s"] is not None else {}
    state = None
    with torch.no_grad():
        graph = to_nir(net, inputs[0][:1], **given)
        with recorded(cells) as seen:
            for x in inputs:
                _, state = net(x, state)
    return graph, [as_counts(torch.stack(x)) for x in seen]
