"""`python examples/05_own_norse_stack.py`: your own Norse network, to NIR and to integers.

No model of neurozsl takes part. A plain stack of Linear and Norse cells becomes a `.nir` file, is
read back, and runs on every simulator; all are compared with the stack itself, stepped in float64:

    runs/examples/own.nir: 1 LIF, 3 CubaLIF
    norse, floatsim, sinabs    every spike equal
    emulator                   99.01 % of bits equal
    lava                       every spike equal (to the emulator)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import neurozsl as nz
from neurozsl.norse.cells import LIFBoxCell, LIFCell, SequentialState

STEPS = 40


def spikes_of(stack: Any, x: torch.Tensor) -> Any:
    """The user's own loop: `(batch, time, in)` -> spikes `(batch, time, out)`."""
    state, spikes = None, []
    with torch.no_grad():
        for step in range(x.shape[1]):
            z, state = stack(x[:, step], state)
            spikes.append(z)
    return torch.stack(spikes, 1).numpy()


def main() -> None:
    """Export, read back, run everywhere, compare."""
    parser = argparse.ArgumentParser(description="A Norse stack through NIR to a simulated chip.")
    parser.add_argument("--out", type=Path, default=Path("runs/examples/own.nir"))
    path = parser.parse_args().out
    torch.manual_seed(0)
    # Weights of float32 (what NIR stores), stepped in float64 (what equality is claimed in).
    stack = SequentialState(nn.Linear(32, 24), LIFBoxCell(), nn.Linear(24, 16), LIFCell())
    for layer in (stack[0], stack[2]):
        nn.init.normal_(layer.weight, std=4 / layer.in_features**0.5)
    stack = stack.double()
    codes = (np.random.default_rng(0).random((16, STEPS, 32)) < 0.3).astype(np.int16)
    wanted = spikes_of(stack, torch.as_tensor(codes, dtype=torch.float64))

    path.parent.mkdir(parents=True, exist_ok=True)
    nz.write_nir(path, nz.from_norse(stack, torch.as_tensor(codes)))
    graph = nz.read_nir(path)
    spec, lowered = nz.from_nir(graph), nz.lower(graph)
    nodes = ", ".join(f"{x.name} {type(graph.nodes[x.name]).__name__}" for x in spec.layers)
    print(f"{path}: {nodes}")

    chip = nz.ChipInput({"input": codes}, spec.inputs)
    parts = nz.Parts(spec, lowered, nz.quantize(lowered, "loihi2"))
    found: dict[str, Any] = {}
    for name in ("norse", "floatsim", "sinabs", "emulator", "lava"):
        try:
            found[name] = nz.backend(name, parts)(chip).to_numpy().spikes[spec.outputs[0]]
        except nz.MissingPart as missing:
            print(f"{name:<10} {missing}")
            continue
        reference = found["emulator"] if name == "lava" else wanted
        share = 100 * float(np.mean(found[name] == reference))
        said = "every spike equal" if share == 100 else f"{share:.2f} % of bits equal"
        said += " (to the emulator)" if name == "lava" else ""
        print(f"{name:<10} {said:<36} {int(found[name].sum())} spikes")


if __name__ == "__main__":
    main()
