"""The files of a run that hold its model: `model.json`, its options, and the weights.

What they hold is read here; whether they are the ones that were trained, `opened` has checked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.reading import Kind, brief, read_object
from neurozsl.models.base import ZSLModel
from neurozsl.runs.kept import KEPT
from neurozsl.runs.seal import RESTORE
from neurozsl.training import checkpoint

WEIGHTS, MODEL, INTEGERS = "model.safetensors", "model.json", "program.npz"
START, STARTED = "start.safetensors", "start.json"
FIRST_STAGE = f"stage1/{checkpoint.BEST}"
# What the scores of a run come from, and what it keeps of its data set.
FILES = (WEIGHTS, MODEL, INTEGERS, START, STARTED, FIRST_STAGE, KEPT)
_OPTIONS: Mapping[str, Kind] = {"name": str, "audio_dim": int, "video_dim": int}


def write_model_options(path: Path, name: str, model: ZSLModel) -> None:
    """Write `model.json`, from which `load_model` builds the model again."""
    write_json(path / MODEL, {**model.options(), "name": name}, sort_keys=True)


def read_model(path: Path, weights: str = WEIGHTS) -> ZSLModel:
    """The model that `model.json` describes with these weights, in evaluation mode.

    Raises:
        BadInput: a file is missing or damaged, or they do not fit.
    """
    options = read_options(path)
    model = built(path / MODEL, options.pop("name"), options)
    checkpoint.load_model(path / weights, model)
    return model.eval()


def read_options(path: Path) -> dict[str, Any]:
    """What `model.json` holds: options of the model, and its `name`.

    Raises:
        BadInput: it is missing or damaged.
    """
    if not (path / MODEL).is_file():
        raise BadInput(f"run '{path}': no model.json; train it first")
    return read_object(path / MODEL, remedy=RESTORE, keys=_OPTIONS)


def built(file: Path, name: str, options: Mapping[str, Any]) -> ZSLModel:
    """The model that a file describes, not yet with its weights.

    Raises:
        BadInput: there is none of these options.
    """
    from neurozsl import models

    try:
        return models.build(name, **options)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
        BadInput,
    ) as error:
        what = str(error) if isinstance(error, BadInput) else brief(error)
        raise BadInput(f"{file}: describes no model ({what}); {RESTORE}") from error
