"""Run the cases of one writer in its own Python: `python -m tests.frameworks.write WRITER FOLDER`.

Imports the framework, nir, torch and numpy alone, so that it runs where neurozsl is not installed.
Per case: NAME.nir by the framework's exporter and `nir.write`, and NAME.npz with `layer0`,
`layer1`, the spike counts (samples, steps, neuron) in the order of the layers.
"""

import importlib
import sys
from pathlib import Path

import nir
import numpy as np
import torch

from tests.frameworks.cases import CASES
from tests.frameworks.networks import draw


def main(writer: str, environment: str, folder: Path) -> None:
    """Write every case of a writer that runs in this environment."""
    torch.set_num_threads(1)
    module = importlib.import_module(f"tests.frameworks.writers.write_{writer}")
    for case in CASES:
        if (case.writer, case.environment) != (writer, environment):
            continue
        try:
            graph, spikes = module.run(case, draw(case))
            nir.write(folder / f"{case.name}.nir", graph)
        except Exception as error:
            raise RuntimeError(f"{writer}, case {case.name}") from error
        layers = {f"layer{i}": x for i, x in enumerate(spikes)}
        np.savez_compressed(folder / f"{case.name}.npz", **layers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
