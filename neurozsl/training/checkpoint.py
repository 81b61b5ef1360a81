"""Training state on disk: one safetensors file, written whole or not at all, no pickle.

A checkpoint holds the weights, the optimiser's moments and the state of torch's random generator,
and in its header as JSON the position of the run, what run and stage it belongs to, and a digest of
all of it. Reading it back continues the run to the same numbers; one of another run is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.reading import Kind, brief, checked_object, parse_json
from neurozsl.models.base import TorchModule

LAST, BEST = "last.safetensors", "best.safetensors"  # in the folder of a stage
_MODEL, _OPTIMISER, _RNG = "model/", "optimiser/", "rng/torch"
_POSITION: Mapping[str, Kind] = {"history": list, "best": (dict, type(None))}
_REMEDY = "restore it from a copy of the run, or train again"


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata atomically (temporary file, then rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    # One key alone: safetensors keeps no order among several, and equal runs have equal files.
    header = json.dumps({**meta, "digest": _digest(own, meta)})
    with whole_file(path) as part:
        save_file(own, part, {"neurozsl": header})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote.

    Raises:
        BadInput: the file is missing, truncated, changed or not one of ours.
    """
    if not path.is_file():
        raise BadInput(f"checkpoint '{path}': no such file; train first, or check the run folder")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {})["neurozsl"]
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise BadInput(
            f"checkpoint '{path}': not readable ({brief(error)}); it is truncated or not one of "
            f"neurozsl, {_REMEDY}"
        ) from error
    where = f"checkpoint '{path}'"
    meta = checked_object(
        parse_json(header, where, remedy=_REMEDY, allow_nan=True), where, remedy=_REMEDY
    )
    noted = meta.pop("digest", None)  # files of earlier versions have none
    if noted is not None and noted != (found := _digest(tensors, meta)):
        raise BadInput(
            f"{where}: was changed or damaged (its contents give {found[:12]}, it notes "
            f"{str(noted)[:12]}); {_REMEDY}"
        )
    return tensors, meta


def _digest(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor, and the metadata."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    bare = {k: v for k, v in meta.items() if k != "digest"}
    digest.update(json.dumps(bare, sort_keys=True).encode())
    return digest.hexdigest()


def save_training(
    path: Path, model: TorchModule, optimiser: torch.optim.Optimizer, meta: Mapping[str, Any]
) -> None:
    """Everything that the next epoch depends on; meta: with the `run` and `stage` it belongs to."""
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
    path: Path, model: TorchModule, optimiser: torch.optim.Optimizer, *, run: str, stage: int
) -> dict[str, Any]:
    """Restore model, optimiser and random state in place; returns the metadata.

    run, stage: what it must belong to. Nothing is changed where it is refused.

    Raises:
        BadInput: it belongs to another run or stage, or a tensor is missing, unknown, of another
            shape or type, or not finite.
    """
    tensors, meta = read(path)
    _check_belongs(path, meta, run, stage)
    checked_object(meta, f"checkpoint '{path}'", remedy=_REMEDY, keys=_POSITION)
    _check_tensors(path, _under(tensors, _MODEL), model.state_dict(), _MODEL)
    state = _optimiser_state(path, tensors, optimiser)
    _check_tensors(path, _under(tensors, _RNG), {"": torch.get_rng_state()}, _RNG)
    try:
        torch.set_rng_state(tensors[_RNG])
    except RuntimeError as error:
        raise BadInput(
            f"checkpoint '{path}': tensor '{_RNG}' is no state of a random generator "
            f"({brief(error)}); {_REMEDY}"
        ) from error
    model.load_state_dict(_under(tensors, _MODEL))
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return meta


def load_model(path: Path, model: TorchModule) -> None:
    """Restore the weights alone.

    Raises:
        BadInput: the weights do not belong to this model, or hold NaN.
    """
    tensors, _ = read(path)
    weights = _under(tensors, _MODEL)
    wanted = model.state_dict()
    for name in weights.keys() & wanted.keys():  # a run in double precision is read in single
        if weights[name].is_floating_point() and wanted[name].is_floating_point():
            weights[name] = weights[name].to(wanted[name].dtype)
    _check_tensors(path, weights, wanted, _MODEL)
    model.load_state_dict(weights)


def _check_belongs(path: Path, meta: Mapping[str, Any], run: str, stage: int) -> None:
    found = (meta.get("run"), meta.get("stage"))
    if found == (run, stage):
        return
    again = f"put back the checkpoint of this run, or remove {path.parent} to train its stage again"
    if found[0] is None:
        what = "names no run: it was made by an earlier version, or is no checkpoint to go on from"
    elif found[0] != run:
        what = (
            f"belongs to another run, or run.json was changed (settings {str(found[0])[:12]}, "
            f"run.json has {run[:12]})"
        )
    else:
        what = f"belongs to stage {found[1]}, expected stage {stage}"
    raise BadInput(f"checkpoint '{path}': {what}; {again}")


def _optimiser_state(
    path: Path, tensors: Mapping[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[int, dict[str, Tensor]]:
    """The moments by parameter; one that never had a gradient has none."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, _OPTIMISER).items():
        index, _, name = key.partition("/")
        if not index.isdecimal() or int(index) >= len(parameters):
            raise BadInput(
                f"checkpoint '{path}': tensor '{_OPTIMISER}{key}' belongs to none of the "
                f"{len(parameters)} parameters; {_REMEDY}"
            )
        state.setdefault(int(index), {})[name] = value
    for number, found in state.items():
        like = parameters[number].detach()
        wanted = {"step": torch.zeros(()), "exp_avg": like, "exp_avg_sq": like}
        _check_tensors(path, found, wanted, f"{_OPTIMISER}{number}/")
    return state


def _check_tensors(
    path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str
) -> None:
    """Refuse other names, shapes or types than wanted, and numbers that are not finite."""
    for name in (*wanted, *found):
        where = f"checkpoint '{path}': tensor '{prefix}{name}'"
        if name not in found:
            raise BadInput(f"{where} is missing; {_REMEDY}")
        if name not in wanted:
            raise BadInput(f"{where} is not one of this model; {_REMEDY}")
        has, asked = found[name], wanted[name]
        if (has.shape, has.dtype) != (asked.shape, asked.dtype):
            raise BadInput(
                f"{where} is {_kind(has)}, the model of run.json has {_kind(asked)}; {_REMEDY}"
            )
        if bad := int((~torch.isfinite(has)).sum()):
            raise BadInput(
                f"{where} holds {bad} NaN or infinite values, expected finite numbers; train again "
                "with a lower learning rate"
            )


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
