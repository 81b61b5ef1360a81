"""A classifier's run where a command takes a `.nir` file: its network on its test samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurozsl.runs.kind import NETWORK, TEST, is_classifier


def stands_for(what: Path, options: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The file to work on and the options for it; both as they are of anything else.

    The test samples and their labels are the input where none is said; classes are read as the
    training read them, and integers for the chip of a fine-tuning have its bits: they are what
    `profile` counts, where it is given no chip and they have the usual bits. Bundles lie in
    `RUN/deploy/TARGET`. A run that is damaged is refused when it is opened here.

    Raises:
        BadInput: the run is not finished, or a file of it was changed.
    """
    found = dict(options)
    if not is_classifier(what):
        return what, found
    from neurozsl.classifier.run import open_classifier
    from neurozsl.training.qat import Rounding

    recipe = open_classifier(what).settings.recipe
    if found.get("input") is None and found.get("poisson") is None:
        found["input"] = what / TEST
        if found.get("labels") is None:
            found["labels"] = what / TEST
    if found.get("labels") is not None and found.get("readout") is None:
        found["readout"] = recipe.readout
    rounding = recipe.rounding
    profiled = found.get("chip", "") is None and "backend" not in found
    if profiled and rounding is not None and rounding.bits == Rounding().bits:
        found["chip"] = rounding.chip
    if "bits" in found:  # export
        from neurozsl.export.targets.names import target_called

        target = target_called(found["target"])
        if found["out"] is None:
            found["out"] = what / "deploy" / target.name  # as of every run
        if found["bits"] is None and rounding is not None:
            found["bits"] = rounding.bits if target.chip == rounding.chip else None
    return what / NETWORK, found
