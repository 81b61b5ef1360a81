"""`neurozsl profile FILE.nir`, or its bundle: what it does on an input, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import progress_bar
from neurozsl.cli.label_options import LabelOptions
from neurozsl.cli.network_options import Chip, FileOptions, InputOptions, Samples
from neurozsl.cli.profile_options import PriceOptions, Work
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.report.schema import Report


def profile_network(
    file: Path,
    *,
    inputs: InputOptions,
    labels: LabelOptions,
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
    labels.check(inputs.input)
    source = inputs.source(samples)
    fed = network_run.feed(file, about.said(), source)
    task = labels.task(fed, inputs.input)

    def work() -> tuple[Report, tuple[str, ...]]:
        from neurozsl.export.targets import suggested
        from neurozsl.report.sections import network

        backend = "floatsim" if key is None else "emulator"
        with progress_bar(f"running on {backend}") as update:
            done = network_run.run_network(
                fed,
                backend_name=backend,
                chip=key,
                membrane=task is not None and task.membrane,
                progress=update,
            )
        asked = about.words() + inputs.words(samples) + labels.words()
        on_chip = words({"chip": key})
        again = command("profile", file, asked + on_chip + prices.words())
        report = network.report_of(
            done,
            source,
            command=again,
            devices=chips,
            step_s=prices.step_time,
            score=labels.score(task, done),
        )
        emulated = f" --backend emulator{on_chip}" if key else ""
        return report, (
            again + words({"report": f"{file.stem}.html"}),
            command("simulate", file, asked + emulated),
            command("export", file, f" --target {suggested(done.network)}{asked}"),
        )

    return work


def profile_network_bundle(
    bundle: Path,
    *,
    inputs: InputOptions,
    labels: LabelOptions,
    samples: Samples = None,
    prices: PriceOptions,
) -> Work:
    """What a bundle ships, on the input that is given, else on its golden samples.

    Raises:
        BadInput: the bundle is damaged, or the input does not belong to it.
    """
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.export.bundle.sealed_files import GOLDEN
    from neurozsl.export.network import bundle_run
    from neurozsl.export.network.network_run import Source

    chips = prices.chips()
    labels.check(inputs.input)
    opened, source = open_bundle(bundle), inputs.source(samples)
    fed = bundle_run.feed_bundle(opened, source)
    task = labels.task(fed, inputs.input)
    if source.path is None and source.rate is None:
        source = Source(path=bundle / GOLDEN)

    def work() -> tuple[Report, tuple[str, ...]]:
        from neurozsl.report.sections import network

        asked = inputs.words(samples) + labels.words()
        again = command("profile", bundle, asked + prices.words())
        with progress_bar("running") as update:
            done = bundle_run.run_bundle(
                opened, fed, membrane=task is not None and task.membrane, progress=update
            )
        report = network.report_of(
            done,
            source,
            command=again,
            devices=chips,
            step_s=prices.step_time,
            score=labels.score(task, done),
        )
        return report, (
            again + words({"report": f"{bundle.name}.html"}),
            command("simulate", bundle, asked),
        )

    return work
