"""`neurozsl export`: the branch of a run, or the network of a `.nir` file, as a checked bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neurozsl.cli.console import emit_json, next_commands, say, say_each, show_table
from neurozsl.cli.export_network import export_network
from neurozsl.cli.export_run import export_run
from neurozsl.cli.kinds import Form, call, kind, takes
from neurozsl.cli.label_options import show_score
from neurozsl.cli.option_values import Json
from neurozsl.cli.stands_for import stands_for
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command

if TYPE_CHECKING:
    from neurozsl.export.bundle.manifest import Manifest

FORMS: Final = {"run": Form("a run", export_run), "network": Form("a .nir file", export_network)}


@takes(FORMS)
def export(
    context: typer.Context,
    what: Annotated[Path, typer.Argument(metavar="WHAT", help="Run folder, or a .nir file.")],
    *,
    device: Annotated[
        str, typer.Option(help="Target speck: configure this chip, e.g. speck2fdevkit:0 (samna).")
    ] = "",
    as_json: Json = False,
    **options: Any,
) -> None:
    """Export, verify bit for bit, and score the deployed model; a .nir file where it has --labels.

    Golden samples of a .nir file come from --input, the rest of it calibrates; without one they are
    synthetic spikes (--poisson, default 0.05).
    """
    from neurozsl.export.targets import TARGETS
    from neurozsl.export.targets.names import target_called

    target = target_called(options["target"])  # an unknown name fails before the data is loaded
    if device and target.device is None:
        runs = " or ".join(f"--target {x.name}" for x in TARGETS.values() if x.device)
        raise BadInput(f"--device {device}: only {runs} runs on a device")
    if device and target.device:
        target.device.require(device, str(target.chip))
    options["target"] = target.name
    what, options = stands_for(what, options)
    done = call(context, FORMS, kind(what, FORMS), what, options=options)
    if device and target.device:
        from neurozsl.export.bundle.bundle import open_bundle

        target.device.configure(open_bundle(done.bundle).parts, device)
        say(f"{device} is configured with {done.bundle}")
    document = done.manifest.as_json()
    if as_json:
        emit_json(document)
        return
    show_manifest(document)
    show_score(done.manifest.task)
    say(f"verdict {done.manifest.verdict}; bundle in {done.bundle}")
    say_each(**{"on the host": done.on_host})
    show_notes(done.bundle, done.manifest)
    next_commands(command("verify", done.bundle), *done.commands)


def show_notes(bundle: Path, manifest: Manifest) -> None:
    """Print what the chip needs beside the program."""
    from neurozsl.export.bundle.sealed_files import PROGRAM
    from neurozsl.hardware.arithmetic.registry import load_program, notes

    if manifest.chip is not None and PROGRAM in manifest.files:
        for note in notes(load_program(bundle / PROGRAM, manifest.chip)):
            say(f"note: {note}")


def show_manifest(manifest: dict[str, Any]) -> None:
    """Print the use of each core, the scores of each step, and what a file's network is not."""
    from neurozsl.export.bundle.agreement import told_processes

    if manifest.get("dead_neurons") is not None:
        from neurozsl.export.bundle.manifest import DeadNeurons

        say(str(DeadNeurons.model_validate(manifest["dead_neurons"])))
    for line in told_processes(manifest["verification"]):
        say(line)
    if manifest.get("mapping") is not None:
        show_placement(manifest["mapping"])
    scores = ("S", "U", "HM", "ZSL")
    if steps := manifest.get("steps"):
        show_table(
            "deployment, percent on the test splits",
            ("step", "threshold", "backend", *scores),
            [
                (s["step"], s["policy"], s["backend"], *(f"{s[k]:.2f}" for k in scores))
                for s in steps
            ],
        )
    if manifest.get("source"):
        say_each(
            repaired=manifest["repairs"], assumed=manifest["assumptions"], lost=manifest["losses"]
        )


def show_placement(mapping: object) -> None:
    """Print which core holds what, and how full it is."""
    from neurozsl.report.sections.chip import PLACEMENT
    from neurozsl.report.show.placement import placement_table
    from neurozsl.report.show.tables import texts

    found = placement_table("mapping", PLACEMENT.validate_python(mapping))
    show_table(found.title, *texts(found))
    for note in found.notes:
        say(note)
