"""What `neurozsl train` prints at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import next_commands, say, show_table
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.models.base import ZSLModel
    from neurozsl.runs.run import Run


def show(run: Run, path: Path) -> None:
    """What was chosen, and the scores."""
    from neurozsl.export.targets import TARGETS

    test = run.result["test"]
    rows = [*((step["step"], step) for step in run.result.get("before", ())), ("test", test)]
    trained = f"{run.selected.epochs} epochs" if run.selected.epochs else "no epoch (untrained)"
    say(
        f"stage 1 chose {trained}, beta {run.selected.beta:.1f}, motion head "
        f"weight {run.selected.head_weight} (validation HM {run.selected.val_hm:.1f})"
    )
    for warning in run.result["warnings"]:
        say(f"warning: {warning}")
    show_table(
        f"{run.settings.model} on {run.data.name}, {test['samples']} test samples, percent",
        ("", "S", "U", "HM", "ZSL"),
        [(name, *(f"{row[k]:.2f}" for k in ("S", "U", "HM", "ZSL"))) for name, row in rows],
    )
    say(f"peak memory of this process: {peak_memory() / 1e6:,.0f} MB")
    if not _exports(run.model):
        next_commands(command("evaluate", path), command("profile", path))
        return
    profile = run.settings.options.get("motion_profile", "")
    target = profile if profile in TARGETS else "lava"
    next_commands(command("evaluate", path), command("export", path, words({"target": target})))


def _exports(model: ZSLModel) -> bool:
    """Whether there is a branch that an export takes."""
    from neurozsl.models.base import branch_of

    branch = branch_of(model)
    if branch is None or not branch.spiking_layers():
        return False
    try:
        branch.spec()
    except BadInput:  # the export would say so
        return False
    return True


def peak_memory() -> int:
    """Bytes that this process held at most, shared libraries included; 0 where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(largest * (1 if sys.platform == "darwin" else 1024))
