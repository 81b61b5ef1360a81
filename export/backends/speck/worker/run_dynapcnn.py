"""Drives sinabs' DYNAP-CNN backend, in a process of its own.

    run_dynapcnn.py --network FILE --input FILE --out FILE     integers and spikes, no samna
    run_dynapcnn.py --network FILE --device speck2fdevkit:0    configure the chip, real samna

`sinabs.backend.dynapcnn` imports the closed packages samna and samnagui, and the samna of the
public index is a stub that starts an installer. So without --device a stand-in is put in their
place before the import: discretisation, shapes and the forward of sinabs' layers are its own code
and run unchanged; `validate_configuration` and everything on the chip are not there.

sinabs knows 8 weight bits. Of fewer, n, its own code gets the grid of the weights alone from here:
every 2^(8-n)th integer (`coarse_weights`); scale, bias, threshold and bound are its own.

network.npz: `json` = {"layers": [{name, source, threshold, min_v, reset, max_spikes, bits, core
(or null), map (C, H, W) that is read, pool (sides of the sums before it) and source_map (what they
read, or null), stride, padding, dilation, groups, destinations {name: pool}}]}, and
`<name>/weight` (out, in, height, width), `<name>/bias` (out,) in float32, the units of the model.
input.npz: `codes/<input>` `(batch, time, size)`. Out, per layer: `<name>/weight|bias|threshold|low`
and `<name>/spikes`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, SingleSpike
from sinabs.layers import IAFSqueeze
from torch import nn

from neurozsl.core.children import end_with_parent


class Empty(type):
    """A class without content, of which every attribute is another one."""

    def __getattr__(cls, name: str) -> "Empty":
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class StandIn(ModuleType):
    """A module without content: its names exist, so that they can be imported and annotated."""

    def __getattr__(self, name: str) -> Empty:
        if name.startswith("__") and name != "__path__":  # a package has a path
            raise AttributeError(name)
        return Empty(name, (), {})


def stand_in() -> None:
    """Put empty modules where sinabs looks for samna and samnagui."""
    parts = ("speck2e", "speck2f", "specksim", "device", "graph", "ui")
    nested = ("speck2e.configuration", "speck2f.configuration", "specksim.nodes")
    names = ["samnagui", "samna", *(f"samna.{part}" for part in (*parts, *nested))]
    for name in names:
        sys.modules[name] = StandIn(name)
    for name in names:
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, sys.modules[name])


def read_layers(path: str) -> list[dict[str, Any]]:
    """The layers with their float arrays."""
    with np.load(path, allow_pickle=False) as file:
        layers: list[dict[str, Any]] = json.loads(str(file["json"]))["layers"]
        for layer in layers:
            for key in ("weight", "bias"):
                layer[key] = torch.from_numpy(file[f"{layer['name']}/{key}"])
    return layers


@contextmanager
def coarse_weights(bits: int) -> Iterator[None]:
    """Inside, sinabs discretises weights, the only tensors of four axes, to `bits` of 8."""
    from sinabs.backend.dynapcnn import discretize  # noqa: TID251

    scale, rounded, step = (
        discretize.determine_discretization_scale,
        discretize.discretize_tensor,
        2 ** (discretize.DYNAPCNN_WEIGHT_PRECISION_BITS - bits),
    )

    def own_scale(values: Any, precision: int) -> Any:
        if values.dim() != 4:
            return scale(values, precision)
        return scale(values, bits) * step

    def own_rounding(values: Any, scaling: Any, to_int: bool = True) -> Any:
        if values.dim() != 4:
            return rounded(values, scaling, to_int=to_int)
        return rounded(values, scaling / step, to_int=to_int) * step

    if step > 1:
        discretize.determine_discretization_scale = own_scale
        discretize.discretize_tensor = own_rounding
    try:
        yield
    finally:
        discretize.determine_discretization_scale = scale
        discretize.discretize_tensor = rounded


def dynapcnn_layer(layer: dict[str, Any], batch: int) -> Any:
    """Layer of sinabs with discretised weights, bias, threshold and lower bound."""
    from sinabs.backend.dynapcnn import DynapcnnLayer  # noqa: TID251  # this process exists for it

    outputs, _, high, wide = layer["weight"].shape
    stride, padding, dilation = (tuple(layer[k]) for k in ("stride", "padding", "dilation"))
    conv = nn.Conv2d(
        layer["map"][0], outputs, (high, wide), stride, padding, dilation, layer["groups"]
    )
    conv.weight, conv.bias = nn.Parameter(layer["weight"]), nn.Parameter(layer["bias"])
    several = layer["max_spikes"] > 1
    spiking = IAFSqueeze(
        batch_size=batch,
        spike_threshold=torch.tensor(layer["threshold"]),
        min_v_mem=layer["min_v"],
        spike_fn=MaxSpike(layer["max_spikes"]) if several else SingleSpike,
        reset_fn=MembraneReset() if layer["reset"] == "zero" else MembraneSubtract(),
    )
    pools = [tuple(pool) for pool in layer["destinations"].values()] or [(1, 1)]
    with coarse_weights(layer["bits"]):
        return DynapcnnLayer(conv, spiking, in_shape=tuple(layer["map"]), pool=pools)


def run(layers: list[dict[str, Any]], codes: dict[str, Any]) -> dict[str, Any]:
    """Integers and spikes of every layer; spikes of a layer feed the layers that name it."""
    from sinabs.backend.dynapcnn.dynapcnn_layer import sum_pool2d  # noqa: TID251

    values: dict[str, Any] = {k: torch.from_numpy(v.astype(np.float32)) for k, v in codes.items()}
    found: dict[str, Any] = {}
    with torch.no_grad():
        for layer in layers:
            source = values[layer["source"]]
            batch, steps, _ = source.shape
            made = dynapcnn_layer(layer, batch)
            name, conv, spiking = layer["name"], made.conv_layer, made.spk_layer
            found[f"{name}/weight"] = conv.weight.numpy().astype(np.int64)
            found[f"{name}/bias"] = conv.bias.numpy().astype(np.int64)
            found[f"{name}/threshold"] = np.int64(float(spiking.spike_threshold))
            found[f"{name}/low"] = np.int64(float(spiking.min_v_mem))
            # Squeezed layers want (batch x time, channel, height, width).
            maps = source.reshape(batch * steps, *(layer["source_map"] or layer["map"]))
            if layer["source_map"]:
                maps = sum_pool2d(maps, kernel_size=tuple(layer["pool"]))
            spikes = spiking(conv(maps))
            values[name] = spikes.reshape(batch, steps, -1)
            found[f"{name}/spikes"] = values[name].numpy().astype(np.uint8)
    return found


def configure(layers: list[dict[str, Any]], device: str) -> None:
    """Build the chip's configuration with sinabs, have samna validate it, and apply it."""
    from sinabs.backend.dynapcnn.chip_factory import ChipFactory  # noqa: TID251
    from sinabs.backend.dynapcnn.io import open_device  # noqa: TID251

    index = {layer["name"]: number for number, layer in enumerate(layers)}
    builder = ChipFactory(device).get_config_builder()
    made = {index[x["name"]]: dynapcnn_layer(x, batch=1) for x in layers}
    given = {index[x["name"]]: x["core"] for x in layers}
    cores = builder.map_layers_to_cores(made) if None in given.values() else given
    config = builder.build_config(
        layers=made,
        layer2core_map=cores,
        destination_map={
            index[x["name"]]: [index[name] for name in x["destinations"]] or [-1] for x in layers
        },
    )
    last = [cores[index[x["name"]]] for x in layers if not x["destinations"]]
    config = builder.monitor_layers(config, last)
    if not builder.validate_configuration(config):
        raise SystemExit(f"samna finds the configuration invalid for {device}")
    open_device(device).get_model().apply_configuration(config)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Drive sinabs' DYNAP-CNN backend.")
    parser.add_argument("--network", required=True)
    parser.add_argument("--input")
    parser.add_argument("--out")
    parser.add_argument("--device", default="")
    options = parser.parse_args()
    end_with_parent()
    layers = read_layers(options.network)
    if options.device:
        configure(layers, options.device)
        return 0
    stand_in()
    with np.load(options.input, allow_pickle=False) as file:
        codes = {key.partition("/")[2]: file[key] for key in file.files}
    np.savez(options.out, **run(layers, codes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
