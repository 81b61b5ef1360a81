"""`benchmark --models all`: every model of this package that can be trained on a data set.

A model is left out, with the reason, where the protocol has no recipe for it or where it refuses
the data (no encoders that it could ask, no time that it could follow). Models of packages outside
are named one by one, and a second name of a model is no further model.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NamedTuple

from neurozsl import models
from neurozsl.core.errors import NeuroZSLError
from neurozsl.data.sets.load import load
from neurozsl.scoring import road
from neurozsl.training.published import planned
from neurozsl.training.train import make_model

ALL: Final = "all"
_SECOND_NAMES: Final = ("mdst",)  # of mdft
_TRIED: Final = 4  # samples


class Every(NamedTuple):
    """The models that are compared, and those that are not, with the reason."""

    models: tuple[str, ...]
    left_out: Mapping[str, str]


def own_models() -> tuple[str, ...]:
    """Models of this package, each by one name.

    >>> {"avca", "mdft", "stft"} <= set(own_models()), "mdst" in own_models()
    (True, False)
    """
    outside = {point.name for point in entry_points(group=models.GROUP)}
    return tuple(x for x in models.names() if x not in {*outside, *_SECOND_NAMES})


def every_model(folder: Path, *, protocol: str, options: Mapping[str, Mapping[str, Any]]) -> Every:
    """What can be trained on the data set in a folder, by trying four of its samples.

    options: model name -> options of that model; other options of a model may need other data.

    Raises:
        BadInput: the data cannot be read.
    """
    data = load(folder)
    batch = data.splits["train"].batch(range(min(_TRIED, len(data.splits["train"]))))
    taken, left_out = [], {}
    for name in own_models():
        try:
            given = planned(protocol, model=name, data=data, options=options.get(name)).options
            model = make_model(name, data, given)
            model.calibrate(batch)
            with road.at_rest(model):
                model.prepare(batch)
        except NeuroZSLError as error:
            left_out[name] = str(error)
        else:
            taken.append(name)
    return Every(tuple(taken), left_out)
