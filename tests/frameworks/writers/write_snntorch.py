"""snnTorch: one value of beta, alpha and threshold per neuron, exported by `export_to_nir`."""

from typing import Any

import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir

from tests.frameworks.cases import Case
from tests.frameworks.networks import Drawn, Layer
from tests.frameworks.writers.framework_spikes import (
    as_counts,
    input_steps,
    recorded,
    tensor,
    weighted,
)


def _cell(case: Case, layer: Layer) -> Any:
    options: dict[str, Any] = dict(case.built)
    options["beta"] = tensor(layer.spread("leak", 0.6, 0.95))
    options["threshold"] = tensor(layer.spread("theta", 0.7, 1.3))
    if "Synaptic" in case.cell:
        options["alpha"] = tensor(layer.spread("syn_leak", 0.3, 0.7))
    if options.pop("scalar", False):
        options |= {key: float(x.mean()) for key, x in options.items() if torch.is_tensor(x)}
    if case.cell.startswith("R"):
        if options["all_to_all"]:
            options["linear_features"] = layer.shape[0]
        else:
            options["V"] = tensor(layer.one_to_one)
    cell = getattr(snn, case.cell)(**options, init_hidden=True)
    if options.get("all_to_all"):
        cell.recurrent.weight.data = tensor(layer.recurrent)
        cell.recurrent.bias.data = tensor(layer.recurrent_bias)
    return cell


def run(case: Case, drawn: Drawn) -> tuple[Any, list[Any]]:
    """The graph of the framework's exporter, and the spikes of its cells."""
    cells = [_cell(case, layer) for layer in drawn.layers]
    first, second = (weighted(x, torch.nn.Linear, torch.nn.Conv2d) for x in drawn.layers)
    flat = [torch.nn.Flatten()] if case.topology == "conv" else []
    net = torch.nn.Sequential(first, cells[0], *flat, second, cells[1])
    inputs = input_steps(drawn)
    graph = export_to_nir(net, inputs[0][:1], ignore_dims=[0])
    for cell in cells:
        cell.reset_mem()
    with recorded(cells) as seen, torch.no_grad():
        for x in inputs:
            net(x)
    return graph, [as_counts(torch.stack(x)) for x in seen]
