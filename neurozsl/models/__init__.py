"""Models by name. A new model is one file and one line in `_BUILDERS`.

Importing this package loads no torch; `build` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

_BUILDERS = {
    "avca": "neurozsl.models.avca",
    "mdft": "neurozsl.models.mdft",
    "mdst": "neurozsl.models.mdft",  # the journal's name of MDFT
    "mdst++": "neurozsl.models.mdstpp",
    "stft": "neurozsl.models.stft",
}


def names() -> tuple[str, ...]:
    """Names that `build` knows.

    >>> names()
    ('avca', 'mdft', 'mdst', 'mdst++', 'stft')
    """
    return tuple(_BUILDERS)


def build(name: str, *, audio_dim: int, video_dim: int, **options: Any) -> nn.Module:
    """Make a model that keeps the contract of `models.base.ZSLModel`.

    Args:
        name: one of `names()`.
        audio_dim: width of the audio features.
        video_dim: width of the visual features.
        options: the model's own, see its configuration class.

    Raises:
        BadInput: unknown name or option; the message lists what there is.
    """
    if name not in _BUILDERS:
        raise BadInput(f"model '{name}' is not known; choose one of {', '.join(names())}")
    model: nn.Module = import_module(_BUILDERS[name]).build(
        audio_dim=audio_dim, video_dim=video_dim, **options
    )
    return model
