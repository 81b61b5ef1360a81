"""Carries a spiking branch to other tools and chips, and proves that it arrived unchanged.

    graph, nirfile    BranchSpec <-> NIR graph <-> .nir file; graph_reading is the way back
    hdf5tree          an HDF5 file that nobody vouches for, in bounded time and memory
    nirfields, nodes  how each node type is stored; node types that nir 1.0.4 lacks
    normalise         any NIR graph -> flat, complete, every repair listed: inline (nested graphs),
                      wires (ends, loops), settle (shapes), parameters (full shape)
    foreign           a graph of any tool and what it leaves open -> network, repairs, assumptions
    inspection        what a .nir file holds, and the chips it fits
    network_input, network_run     input of a file's network; the network on one backend
    norse             a Norse stack -> BranchSpec; BranchSpec run by Norse cells (the reference)
    norse_graph       from_norse: a Norse stack with maps, loops and read-outs -> NIR graph;
                      norse_layers (modules without state), norse_neurons (cells)
    sinabs_layers     the branch as Sinabs layers
    lava              the branch on lava-nc, in an environment of its own
    backends          all of these as functions ChipInput -> Trace
    agreement, verify how far two backends agree, and the verdict
    build_branch, build_network    a bundle of a trained branch, of a file's network
    bundle            the folder that is shipped
    targets           the registry

Importing this package imports no torch; `neurozsl.export.from_norse` does when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurozsl.export.norse.graph import from_norse

__all__ = ["from_norse"]


def __getattr__(name: str) -> Any:
    if name == "from_norse":
        from neurozsl.export.norse.graph import from_norse

        return from_norse
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
