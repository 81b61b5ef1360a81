"""SpikingJelly: one step or many steps a call, exported by `nir_exchange.export_to_nir`."""

from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir

from tests.frameworks.cases import Case
from tests.frameworks.networks import Drawn
from tests.frameworks.writers.framework_spikes import as_counts, input_steps, recorded, weighted


def _cell(case: Case, second: bool) -> Any:
    options: dict[str, Any] = {
        k: v for k, v in case.built.items() if k not in ("dt_s", "step_mode")
    }
    if "tau" in options and second:
        options["tau"] += 0.7
    if case.cell == "ParametricLIFNode":
        options["init_tau"] = options.pop("tau")
    return getattr(neuron, case.cell)(**options)


def run(case: Case, drawn: Drawn) -> tuple[Any, list[Any]]:
    """The graph of the framework's exporter, and the spikes of its cells."""
    cells = [_cell(case, second) for second in (False, True)]
    first, last = (weighted(x, layer.Linear, layer.Conv2d) for x in drawn.layers)
    between = [layer.AvgPool2d(2), layer.Flatten()] if drawn.pool else []
    net = torch.nn.Sequential(first, cells[0], *between, last, cells[1])
    mode = case.built["step_mode"]
    functional.set_step_mode(net, mode)
    inputs = input_steps(drawn)
    with torch.no_grad():
        given = {"dt": case.built["dt_s"]} if "dt_s" in case.built else {}
        graph = export_to_nir(net, inputs if mode == "m" else inputs[0], **given)
        functional.reset_net(net)
        with recorded(cells) as seen:
            for x in [inputs] if mode == "m" else inputs:
                net(x)
    return graph, [as_counts(x[0] if mode == "m" else torch.stack(x)) for x in seen]
