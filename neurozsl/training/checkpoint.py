"""Training state on disk: one safetensors file, written whole or not at all, no pickle.

A checkpoint holds the weights, the optimiser's moments and the state of torch's random generator,
and in its header the position of the run as JSON. Reading it back continues the run to the same
numbers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.models.base import TorchModule

_MODEL, _OPTIMISER, _RNG = "model/", "optimiser/", "rng/torch"


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata atomically (temporary file, then rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with whole_file(path) as part:
        save_file(own, part, {"neurozsl": json.dumps(meta)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote.

    Raises:
        BadInput: the file is missing, truncated or not one of ours.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise BadInput(f"checkpoint '{path}': no such file; train first, or check the run folder")
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["neurozsl"])
            return {k: file.get_tensor(k) for k in file.keys()}, meta  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise BadInput(
            f"checkpoint '{path}': not readable ({error}); it is truncated or not written by "
            "neurozsl, restore it or train again"
        ) from error


def save_training(
    path: Path, model: TorchModule, optimiser: torch.optim.Optimizer, meta: Mapping[str, Any]
) -> None:
    """Everything that the next epoch depends on."""
    tensors = {_MODEL + k: v for k, v in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"{_OPTIMISER}{index}/{key}"] = torch.as_tensor(value)
    tensors[_RNG] = torch.get_rng_state()
    write(path, tensors, meta)


def save_model(path: Path, model: TorchModule, name: str) -> None:
    """The weights alone, as `load_model` reads them; `name` is that of the model."""
    write(path, {_MODEL + k: v for k, v in model.state_dict().items()}, {"model": name})


def load_training(
    path: Path, model: TorchModule, optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore model, optimiser and random state in place; returns the metadata."""
    tensors, meta = read(path)
    model.load_state_dict(_under(tensors, _MODEL))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, _OPTIMISER).items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(tensors[_RNG])
    return meta


def load_model(path: Path, model: TorchModule) -> None:
    """Restore the weights alone.

    Raises:
        BadInput: the weights do not belong to this model, or hold NaN.
    """
    tensors, _ = read(path)
    weights = _under(tensors, _MODEL)
    for name, value in weights.items():
        if bad := int((~torch.isfinite(value)).sum()):
            raise BadInput(
                f"checkpoint '{path}': tensor '{name}' holds {bad} NaN or infinite values, "
                "expected finite numbers; train again with a lower learning rate"
            )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        problem = f"checkpoint '{path}': does not fit the model of its run.json ({error})"
        raise BadInput(problem) from error


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
