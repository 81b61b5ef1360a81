"""`neurozsl export FILE.nir`: the network of a file as a checked bundle for one target."""

from pathlib import Path

from neurozsl.cli.console import progress_bar, say_each, stages
from neurozsl.cli.export_options import Exported, ExportOptions
from neurozsl.cli.label_options import LabelOptions
from neurozsl.cli.network_options import FileOptions, InputOptions
from neurozsl.core.places import check_place
from neurozsl.core.shell import command


def export_network(
    file: Path,
    *,
    asked: ExportOptions,
    inputs: InputOptions,
    labels: LabelOptions,
    about: FileOptions,
) -> Exported:
    """Write the bundle; the first samples of the input are golden, the others calibrate.

    Where the input has fewer than are asked for, all are golden; all that have labels are scored,
    in float, as shipped and at further widths of the weights. The bundle of `net.nir` goes to
    `net.deploy/TARGET` beside it.
    """
    from neurozsl.export.network.build_network import build_network_bundle
    from neurozsl.export.network.network_run import feed
    from neurozsl.export.network.other_choices import other_choices

    bundle = asked.out or file.with_suffix(".deploy") / asked.target
    check_place(bundle, "bundle")
    labels.check(inputs.input)
    fed = feed(file, about.said(), inputs.golden(asked.samples))
    task = labels.task(fed, inputs.input)
    every, first = fed.given.chip_input, asked.samples
    say_each(**{"note: golden samples": fed.given.notes}, other=map(str, other_choices(fed)))
    with progress_bar(f"exporting to {asked.target}") as update:
        manifest = build_network_bundle(
            fed.network,
            target=asked.target,
            out_dir=bundle,
            samples=every.take(slice(0, first)),
            calibration=every.take(slice(first, None)) if every.batch > first else None,
            bits=8 if asked.bits is None else asked.bits,
            scale=asked.scale_rule or "max",
            task=task,
            labelled=None if task is None else every,
            max_acc_drop=labels.limit,
            progress=stages(update),
        )
    fed_by = inputs.words() if inputs.input or inputs.poisson else " --poisson 0.05"
    again = fed_by + labels.words() + about.words()
    return Exported(
        bundle, manifest, (command("simulate", bundle), command("profile", file, again))
    )
