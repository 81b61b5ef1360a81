"""`neurozsl export`: the spiking branch of a run as a checked bundle for one target."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table, stages
from neurozsl.errors import BadInput


class Calibration(StrEnum):
    """The weight-scale rules that `--calibration` accepts."""

    max = "max"
    percentile = "percentile"
    mse = "mse"


class Threshold(StrEnum):
    """The policies that `--threshold` accepts."""

    fixed = "fixed"
    frozen = "frozen"
    table = "table"
    dynamic = "dynamic"


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    target: Annotated[str, typer.Option(help="Target (`neurozsl targets`).")],
    threshold: Annotated[
        Threshold | None, typer.Option(help="Threshold policy; default: as trained.")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Weight bits of integer targets, 4 to 8; default 8, or as fine-tuned."),
    ] = None,
    calibration: Annotated[
        Calibration | None,
        typer.Option(help="Largest weight of a layer's grid; default max, or as fine-tuned."),
    ] = None,
    bias_correction: Annotated[
        bool, typer.Option(help="Fold the mean change of each neuron's drive into its bias.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Golden test samples to verify on.")] = 16,
    max_hm_drop: Annotated[
        float, typer.Option(help="Largest loss of HM, in points, that passes.")
    ] = 2.0,
    out: Annotated[
        Path | None, typer.Option(help="Bundle folder; default RUN/deploy/TARGET.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Target speck: configure this chip, e.g. speck2fdevkit:0 (samna).")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Manifest as JSON on stdout.")] = False,
) -> None:
    """Export, verify bit for bit, and score the deployed model."""
    from neurozsl import deploy, runs
    from neurozsl.export.targets import target as find_target

    chosen = find_target(target)  # an unknown name fails before the data is loaded
    if device:
        if target != "speck":
            raise BadInput(f"--device {device}: only --target speck runs on a device")
        from neurozsl.export.speck.run import require_device

        require_device(device, str(chosen.chip))
    opened = runs.open_run(run)
    with progress_bar(f"exporting to {target}") as update:
        manifest = deploy.deploy(
            opened,
            target=target,
            out=out,
            threshold=threshold.value if threshold else None,
            bits=bits,
            scale=calibration.value if calibration else None,
            correct_bias=bias_correction,
            samples=samples,
            max_hm_drop=max_hm_drop,
            progress=stages(update),
        )
    bundle = out or run / "deploy" / target
    if device:
        configure_device(bundle, device)
    if as_json:
        emit_json(manifest.as_json())
        return
    show_manifest(manifest.as_json())
    say(f"verdict {manifest.verdict}; bundle in {bundle}")
    if target == "speck":
        show_speck_notes(bundle)
    next_commands(
        f"neurozsl verify {bundle}",
        f"neurozsl evaluate {run} --bundle {bundle}",
        f"neurozsl profile {run} --bundle {bundle} --report {run}/report.html",
    )


def configure_device(bundle: Path, device: str) -> None:
    """Put the integers of a bundle on a connected Speck."""
    from neurozsl.export.bundle import open_bundle
    from neurozsl.export.speck.run import hand_over
    from neurozsl.hardware.speck import SpeckProgram

    opened = open_bundle(bundle)
    assert isinstance(opened.program, SpeckProgram)
    hand_over(opened.parts.lowered, opened.program, device)
    say(f"{device} is configured with {bundle}")


def show_speck_notes(bundle: Path) -> None:
    """Print what the chip needs beside the program."""
    from neurozsl.export.bundle import open_bundle
    from neurozsl.hardware.chip import load_chip
    from neurozsl.hardware.speck import SpeckProgram
    from neurozsl.hardware.speck_rules import notes

    program = open_bundle(bundle).program
    assert isinstance(program, SpeckProgram)
    for note in notes(program, load_chip(program.chip)):
        say(f"note: {note}")


def show_manifest(manifest: dict[str, object]) -> None:
    """Print the use of each core, and the scores after each step of the deployment."""
    if manifest.get("mapping") is not None:
        show_placement(manifest["mapping"])
    steps = manifest.get("steps") or []
    assert isinstance(steps, list)
    if steps:
        show_table(
            "deployment, percent on the test splits",
            ("step", "threshold", "backend", "S", "U", "HM", "ZSL"),
            [
                (
                    s["step"],
                    s["policy"],
                    s["backend"],
                    *(f"{s[k]:.2f}" for k in ("S", "U", "HM", "ZSL")),
                )
                for s in steps
            ],
        )


def show_placement(mapping: object) -> None:
    """Print which core holds what, and how full it is."""
    from neurozsl.report.placement import heading, table
    from neurozsl.report.schema import Placement

    placement = Placement.model_validate(mapping)
    show_table(heading(placement), *table(placement))
    if placement.left_out:
        say(f"not counted: {placement.left_out}")
    for note in placement.notes:
        say(note)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(export)
