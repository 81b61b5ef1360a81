"""`neurozsl profile FILE.nir`: what a network does on an input, and the joules that this costs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import progress_bar
from neurozsl.cli.network_options import call
from neurozsl.cli.profile_wanted import Wanted

if TYPE_CHECKING:
    from neurozsl.report.schema import NetworkReport


def report_of(file: Path, wanted: Wanted) -> tuple[NetworkReport, tuple[str, ...]]:
    """Run the network; its counts, cores and energies, and the commands that can follow.

    With a chip its integers are counted, without one the float network.

    Raises:
        BadInput: the network cannot be run, or no input is given.
    """
    from neurozsl.export.network import network_run
    from neurozsl.export.targets import suggested
    from neurozsl.report.sections import network

    chips, chip = wanted.chips(), wanted.chip
    backend = "floatsim" if chip is None else "emulator"
    fed = network_run.feed(file, wanted.said(), wanted.source())
    with progress_bar(f"running on {backend}") as update:
        done = network_run.run_network(fed, backend_name=backend, chip=chip, progress=update)
    on_chip = "" if chip is None else f" --chip {chip}"
    command = call("profile", file, wanted.asked + on_chip + wanted.words())
    report = network.report_of(
        done, wanted.source(), command=command, devices=chips, step_s=wanted.step_s
    )
    asked = wanted.asked
    return report, (
        f"{command} --report {shlex.quote(file.stem + '.html')}",
        call("simulate", file, asked + (f" --backend emulator{on_chip}" if chip else "")),
        call("export", file, f" --target {suggested(done.network)}{asked}"),
    )
