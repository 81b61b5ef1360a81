"""How layers read each other: names, widths, order and delays that fit together.

Each layer comes after its sources, except those that it sees one or more steps late. In: the sizes
of the inputs, and layers of any kind with `name`, `synapses` and `size`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.hardware.network.synapse import check_synapse


def check_parts(
    where: str, inputs: Mapping[str, InputCode], layers: Sequence[Any], outputs: Sequence[str]
) -> None:
    """Inputs, layers and outputs of a program of any chip belong together.

    Raises:
        BadInput: none of them, a source or an output that is not there, sizes that do not fit.
    """
    if not layers or not inputs:
        raise BadInput(f"{where}: needs at least one input and one layer")
    check_wiring(where, {name: code.size for name, code in inputs.items()}, layers)
    names = {layer.name for layer in layers}
    for name in outputs:
        if name not in names:
            raise BadInput(f"{where}: output '{name}' is not a layer")


def check_wiring(what: str, sizes: Mapping[str, int], layers: Sequence[Any]) -> None:
    """Names, sources, widths and delays of layers fit together.

    what: names the network in errors. sizes: width of every input. Every layer comes after its
    undelayed sources.

    Raises:
        BadInput: names the layer and what does not fit.
    """
    every, seen = dict(sizes), set(sizes)
    for layer in layers:
        where = f"{what} layer '{layer.name}'"
        if layer.name in every:
            raise BadInput(f"{where}: the name is used twice")
        if not layer.name or "/" in layer.name:
            raise BadInput(f"{where}: the name is empty or holds '/', which files cannot keep")
        every[layer.name] = layer.size
    for layer in layers:
        where = f"{what} layer '{layer.name}'"
        for synapse in layer.synapses:
            check_synapse(f"{where} from '{synapse.source}'", synapse)
            width, source = every.get(synapse.source), synapse.source
            if width is None or (source not in seen and not synapse.link.delay):
                late = "" if width is None else " (a source that comes later needs a delay)"
                raise BadInput(f"{where}: source '{source}' is no input or earlier layer{late}")
            if synapse.size_in != width:
                raise BadInput(f"{where}: {synapse.size_in} columns, '{source}' is {width} wide")
            if synapse.size_out != layer.size:
                raise BadInput(
                    f"{where}: '{source}' reaches {synapse.size_out} neurons, the layer has "
                    f"{layer.size}"
                )
        seen.add(layer.name)


def is_recurrent(layers: Sequence[Any]) -> bool:
    """True where a layer reads itself or a later one."""
    place = {layer.name: i for i, layer in enumerate(layers)}
    return any(place.get(s.source, -1) >= place[x.name] for x in layers for s in x.synapses)
