"""NIR files by the names that the face gives them; no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from neurozsl.export.nir.nirfile import read as read_nir
from neurozsl.export.nir.nirfile import write as write_nir

if TYPE_CHECKING:
    from neurozsl.export.nir.foreign import Network
    from neurozsl.export.nir.said import Saying

__all__ = ["open_nir", "read_nir", "write_nir"]


def open_nir(path: Path | str, **said: "Unpack[Saying]") -> "Network":
    """The network of a `.nir` file of any tool, read as the tool that wrote it runs it.

    Args:
        path: of the file.
        said: what the caller knows and the file may not say, by the names of `Said`: `dialect`
            ("snntorch", "snntorch:zero", "spikingjelly", "sinabs", "norse", "lava", "nir"),
            `dt_s`, `tau_unit`, `reset`, `compare`, `max_spikes`, `low`, `if_gain`,
            `discretisation`, `steps`, `inputs`.

    Returns:
        `lowered` for `quantize`, `emulate`, `place`; beside it dialect, repairs and assumptions.

    Raises:
        BadInput: no such file or word; a network that has no reading.
        UnsupportedNode: lists every node of an unknown type.

    Example::

        network = nz.open_nir("net.nir", dialect="snntorch")
        [text for text in network.assumptions]  # what the file does not say
        program = nz.quantize(network.lowered, "loihi2")
    """
    from neurozsl.export.nir.foreign import from_graph
    from neurozsl.export.nir.said import Said

    return from_graph(read_nir(path), Path(path).name, Said(**said))
