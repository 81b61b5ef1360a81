"""What is said of an HDF5 file that holds no NIR network: what it holds, how one is exported.

In: what was found in the place of a network. Out: the error, with the calls of the frameworks whose
exporters give a graph, and the node at which nir.write broke off if the file is half of one.
"""

from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.nirfields import Stored

# Of snnTorch 1.0, sinabs 3.1, Norse 1.1 and SpikingJelly 2.0.
_EXPORTERS: Final = (
    "snntorch.export_nir.export_to_nir(model, sample)",
    "sinabs.nir.to_nir(model, sample)",
    "norse.torch.to_nir(model, sample)",
    "spikingjelly.activation_based.nir_exchange.export_to_nir(model, sample)",
)


def no_network(path: Path, found: str) -> BadInput:
    """The error; `found` says what is there instead."""
    return BadInput(
        f"{path}: holds no network, {found}; write one with nir.write(path, graph), where graph is "
        f"what the exporter of the framework returns: {', '.join(_EXPORTERS)}"
    )


def stopped(root: Stored) -> str:
    """Where nir.write broke off: the type of a node or graph is what it stores last."""
    nodes = root.get("nodes")
    if not isinstance(nodes, dict) or not nodes:
        return holds(root)
    at = [n for n, node in nodes.items() if not (isinstance(node, dict) and "type" in node)]
    where = f" at node '{at[0][:40]}'" if at else ""
    return (
        f" (most likely nir.write broke off{where}: it does where a parameter is None, as the "
        "input_shape that Norse's exporter leaves out; set it and write again)"
    )


def holds(content: Stored) -> str:
    """The first names in a group."""
    names = [repr(name[:40]) for name in content]
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f" (it holds {', '.join(names[:4])}{rest})" if names else " (it is empty)"
