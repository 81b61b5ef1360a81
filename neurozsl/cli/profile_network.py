"""`neurozsl profile FILE.nir`: what a network does on an input, and the joules that this costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import progress_bar
from neurozsl.cli.network_options import Chip, FileOptions, InputOptions, Samples
from neurozsl.cli.profile_options import PriceOptions, Work
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.report.schema import Report


def profile_network(
    file: Path,
    *,
    inputs: InputOptions,
    samples: Samples = None,
    chip: Chip = None,
    about: FileOptions,
    prices: PriceOptions,
) -> Work:
    """The network on its input: with a chip its integers are counted, without one floats.

    Raises:
        BadInput: the network cannot be run, or no input is given.
    """
    from neurozsl.export.network import network_run
    from neurozsl.export.targets.names import chip_called

    chips, key = prices.chips(), None if chip is None else chip_called(chip)
    source = inputs.source(samples)
    fed = network_run.feed(file, about.said(), source)

    def work() -> tuple[Report, tuple[str, ...]]:
        from neurozsl.export.targets import suggested
        from neurozsl.report.sections import network

        backend = "floatsim" if key is None else "emulator"
        with progress_bar(f"running on {backend}") as update:
            done = network_run.run_network(fed, backend_name=backend, chip=key, progress=update)
        asked, on_chip = about.words() + inputs.words(samples), words({"chip": key})
        again = command("profile", file, asked + on_chip + prices.words())
        report = network.report_of(
            done, source, command=again, devices=chips, step_s=prices.step_time
        )
        emulated = f" --backend emulator{on_chip}" if key else ""
        return report, (
            again + words({"report": f"{file.stem}.html"}),
            command("simulate", file, asked + emulated),
            command("export", file, f" --target {suggested(done.network)}{asked}"),
        )

    return work
