"""Node types that later versions of NIR have and nir 1.0.4 lacks.

A later nir writes them under the same name and with the same fields, so a file that holds them goes
both ways.
"""

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np


@dataclass(eq=False)
class CubaLI(nir.NIRNode):  # type: ignore[misc]  # nir is untyped
    r"""Leaky integrator behind a leaky synapse (nir >= 1.0.6); it never spikes.

        tau_syn i' = -i + w_in x,    tau_mem v' = v_leak - v + r i

    All fields have the shape of the layer; times in the unit of the file, w_in defaults to 1.
    """

    tau_syn: Any
    tau_mem: Any
    r: Any
    v_leak: Any
    w_in: Any = 1.0
    input_type: dict[str, Any] | None = None
    output_type: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.array(np.shape(self.v_leak))
        self.input_type = {"input": shape}
        self.output_type = {"output": shape}
