"""What a run folder holds: a zero-shot model, or a classifier of event recordings."""

from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.core.shell import words
from neurozsl.runs.seal import RESTORE

CLASSIFIER: Final = "classifier"
NETWORK: Final = "network.nir"  # what a classifier has learned
TEST: Final = "test.npz"  # its test samples: `input`, `labels`


def is_classifier(path: Path) -> bool:
    """Whether the folder says so; what else it holds may be damaged."""
    try:
        return bool(read_object(path / "run.json", remedy=RESTORE).get("kind") == CLASSIFIER)
    except BadInput:
        return False


def refuse_classifier(path: Path) -> None:
    """An error where a zero-shot model is needed.

    Raises:
        BadInput: the run is a classifier.
    """
    if is_classifier(path):
        asked = words({"input": path / TEST, "labels": path / TEST})
        raise BadInput(
            f"run '{path}': is a classifier of event recordings, a zero-shot model is needed here; "
            f"use its network, {path / NETWORK}{asked}"
        )
