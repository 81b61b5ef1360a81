"""What a protocol says of one model on one data set: the model's options, and how it is trained.

Protocols but one say the same for every model and no option. `published` is the recipe of the
model, for the data set where it has one (`models.baselines.recipes`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from neurozsl.data.batch import ZSLData
from neurozsl.models.baselines.recipes import data_key, recipe
from neurozsl.training.protocol import PUBLISHED, TrainConfig, train_config


class ModelTraining(NamedTuple):
    """Options of a model, as `make_model` takes them, and its training."""

    options: Mapping[str, Any]
    train: TrainConfig


def planned(
    protocol: str,
    *,
    model: str,
    data: ZSLData | None = None,
    options: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    **sizes: Any,
) -> ModelTraining:
    """What a protocol says of a model, and what is given on top of it.

    data: whose recipe is asked for; None: what holds for every data set. options: of the model.
    rules, sizes: as in `train_config`.

    Raises:
        BadInput: the protocol is unknown, or is `published` and the model has no recipe; or a value
            that is not allowed.
    """
    if protocol != PUBLISHED:
        return ModelTraining(dict(options or {}), train_config(protocol, rules=rules, **sizes))
    key = "" if data is None else data_key(data.name, str(data.meta.get("split", "")))
    found = recipe(model, key)
    train = train_config(protocol, rules=rules, recipe=found, **sizes)
    return ModelTraining({**found.options, **(options or {})}, train)
