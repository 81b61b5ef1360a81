"""sinabs: squeezed layers, exported by `sinabs.nir.to_nir`.

LIF is exported only where tau and threshold hold one value per neuron. A convolution is exported
without the shape of its input, which `nir.write` refuses; `infer_types` of nir fills it in.
"""

from typing import Any

import sinabs.layers as sl
import torch
from sinabs import activation
from sinabs.nir import to_nir

from tests.frameworks.cases import Case
from tests.frameworks.networks import Drawn, Layer
from tests.frameworks.writers.framework_spikes import (
    as_counts,
    input_steps,
    recorded,
    tensor,
    weighted,
)


def _cell(case: Case, layer: Layer, samples: int) -> Any:
    options: dict[str, Any] = dict(case.built)
    low, high = (0.75, 1.25) if case.ties else (0.7, 1.3)
    options["spike_threshold"] = tensor(layer.spread("theta", low, high))
    options["spike_fn"] = getattr(activation, options["spike_fn"])
    if "reset_fn" in options:
        options["reset_fn"] = getattr(activation, options["reset_fn"])()
    if case.cell == "LIF":
        tau = options["tau_mem"]
        each = layer.spread("leak", 3.0, 12.0)
        options["tau_mem"] = tensor(each if tau is None else 0 * each + tau)
    return getattr(sl, f"{case.cell}Squeeze")(batch_size=samples, **options)


def run(case: Case, drawn: Drawn) -> tuple[Any, list[Any]]:
    """The graph of the framework's exporter, and the spikes of its cells."""
    samples, steps = drawn.spikes.shape[:2]
    cells = [_cell(case, layer, samples) for layer in drawn.layers]
    first, last = (weighted(x, torch.nn.Linear, torch.nn.Conv2d) for x in drawn.layers)
    between = [sl.SumPool2d(2), torch.nn.Flatten()] if drawn.pool else []
    net = torch.nn.Sequential(first, cells[0], *between, last, cells[1])
    inputs = input_steps(drawn).transpose(0, 1).flatten(0, 1)  # samples outside, steps inside
    with torch.no_grad():
        graph = to_nir(net, inputs)
        if hasattr(graph, "infer_types"):
            graph.infer_types()
        for cell in cells:
            cell.reset_states()
        with recorded(cells) as seen:
            net(inputs)
    each = [x.unflatten(0, (samples, steps)).transpose(0, 1) for [x] in seen]
    return graph, [as_counts(x) for x in each]
