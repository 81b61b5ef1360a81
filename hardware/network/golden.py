"""Samples and the spikes that they give in one `.npz`: `golden.npz`, and what workers are fed.

    codes/INPUT, theta/LAYER      what went in, with thresholds where the host makes them
    spikes/LAYER, trained/LAYER   what came out, and what the training forward gave

No pickle: arrays alone, by `kind/name`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import read_npz
from neurozsl.core.signals import ChipInput, InputCode, Trace


def save_input(
    path: Path, chip: ChipInput, trace: Trace | None = None, trained: Trace | None = None
) -> None:
    """Codes, thresholds and, for golden files, spikes, as `kind/name` arrays.

    trace: spikes that the deployment must give. trained: those of the training forward.
    """
    arrays: dict[str, Any] = {f"codes/{k}": v for k, v in chip.to_numpy().codes.items()}
    for name, theta in (chip.theta or {}).items():
        arrays[f"theta/{name}"] = np.asarray(theta, np.float64)
    for kind, run in (("spikes", trace), ("trained", trained)):
        arrays |= {f"{kind}/{k}": v for k, v in run.to_numpy().spikes.items()} if run else {}
    np.savez_compressed(path, **arrays)


def read_golden(
    path: Path, inputs: Mapping[str, InputCode]
) -> tuple[ChipInput, Trace, Trace | None]:
    """Samples, the spikes of the deployment, and those of an integer training forward.

    Raises:
        BadInput: not such a file, a damaged one, or one without the network's inputs.
    """
    kinds = ("codes", "theta", "spikes", "trained")
    found: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    for key, array in read_npz(path, remedy="export again").items():
        kind, _, name = key.partition("/")
        if kind not in kinds or array.dtype.kind not in "biuf" or array.ndim < 2:
            raise BadInput(
                f"{path}: array '{key}' ({array.dtype}, {array.ndim} axes) is no part of a golden "
                f"file, which holds numbers by sample and step under {', '.join(kinds)}; export "
                "again"
            )
        found[kind][name] = array
    if found["codes"].keys() != inputs.keys() or not found["spikes"]:
        raise BadInput(
            f"{path}: codes of {', '.join(found['codes']) or 'nothing'} and spikes of "
            f"{len(found['spikes'])} layers, expected codes of {', '.join(inputs)} and spikes of "
            "every layer; export again"
        )
    chip = ChipInput(found["codes"], inputs, found["theta"] or None).to_numpy()
    trained = Trace(found["trained"]) if found["trained"] else None
    return chip, Trace(found["spikes"]), trained
