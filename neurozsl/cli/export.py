"""`neurozsl export`: the branch of a run, or the network of a `.nir` file, as a checked bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neurozsl.cli import export_network
from neurozsl.cli import network_options as options
from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table, stages
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.export.bundle.manifest import Manifest

OF_A_RUN: Final = {
    "threshold": "--threshold",
    "bias_correction": "--bias-correction",
    "max_hm_drop": "--max-hm-drop",
}


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
    context: typer.Context,
    what: Annotated[Path, typer.Argument(metavar="WHAT", help="Run folder, or a .nir file.")],
    target: Annotated[str, typer.Option(help="Target (`neurozsl targets`).")],
    threshold: Annotated[
        Threshold | None, typer.Option(help="Of a run: threshold policy; default: as trained.")
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
        bool,
        typer.Option(help="Of a run: fold the mean change of each neuron's drive into its bias."),
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Golden samples to verify on.")] = 16,
    max_hm_drop: Annotated[
        float, typer.Option(help="Of a run: largest loss of HM, in points, that passes.")
    ] = 2.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Bundle folder; default RUN/deploy/TARGET or FILE.deploy/TARGET."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Target speck: configure this chip, e.g. speck2fdevkit:0 (samna).")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Manifest as JSON on stdout.")] = False,
    input_path: options.Input = None,
    poisson: options.Poisson = None,
    seed: options.Seed = None,
    dt: options.Dt = None,
    tau_unit: options.TauUnit = None,
    reset: options.Reset = None,
    compare: options.Compare = None,
    max_spikes: options.MaxSpikes = None,
    lower_bound: options.LowerBound = None,
    steps: options.Steps = None,
) -> None:
    """Export, verify bit for bit, and score the deployed model; of a .nir file all but the score.

    Golden samples of a .nir file come from --input, the rest of it calibrates; without one they are
    synthetic spikes (--poisson, default 0.05).
    """
    from neurozsl.export.targets import target as find_target

    chosen = find_target(target)  # an unknown name fails before the data is loaded
    if device:
        if target != "speck":
            raise BadInput(f"--device {device}: only --target speck runs on a device")
        from neurozsl.export.backends.speck.run import require_device

        require_device(device, str(chosen.chip))
    on_host: tuple[str, ...] = ()
    if options.is_network(what):
        options.refuse(context, OF_A_RUN, f"only with a run, and {what} is a file; leave out")
        bundle = out or export_network.default_folder(what, target)
        manifest = export_network.export(
            what,
            options.said(dt, tau_unit, reset, compare, max_spikes, lower_bound, steps),
            options.golden_source(input_path, poisson, samples, seed),
            target=target,
            out=bundle,
            samples=samples,
            bits=8 if bits is None else bits,
            scale=calibration.value if calibration else "max",
        )
        commands = (
            options.call("simulate", bundle),
            options.call("profile", what, f" --poisson 0.05{options.again(context, feeds=False)}"),
        )
    else:
        options.refuse_for_folder(context, what)
        bundle = out or what / "deploy" / target
        manifest, on_host = _export_run(
            what,
            target,
            out=out,
            threshold=threshold.value if threshold else None,
            bits=bits,
            scale=calibration.value if calibration else None,
            correct_bias=bias_correction,
            samples=samples,
            max_hm_drop=max_hm_drop,
        )
        commands = (
            f"neurozsl evaluate {quote(str(what))} --bundle {quote(str(bundle))}",
            f"neurozsl profile {quote(str(what))} --bundle {quote(str(bundle))} "
            f"--report {quote(str(what / 'report.html'))}",
        )
    if device:
        configure_device(bundle, device)
    document = manifest.as_json()
    if as_json:
        emit_json(document)
        return
    show_manifest(document)
    for word, key in (("repaired", "repairs"), ("assumed", "assumptions"), ("lost", "losses")):
        for text in document.get(key, ()) if manifest.source else ():
            say(f"{word}: {text}")
    say(f"verdict {manifest.verdict}; bundle in {bundle}")
    for part in on_host:
        say(f"on the host: {part}")
    if target == "speck":
        show_speck_notes(bundle)
    next_commands(options.call("verify", bundle), *commands)


def _export_run(run: Path, target: str, **how: Any) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest, and which spiking parts of the model stay on the host."""
    from neurozsl.deploy import deploy
    from neurozsl.models.base import host_parts
    from neurozsl.runs import run as runs

    opened = runs.open_run(run)
    with progress_bar(f"exporting to {target}") as update:
        manifest = deploy.deploy(opened, target=target, progress=stages(update), **how)
    return manifest, host_parts(opened.model)


def configure_device(bundle: Path, device: str) -> None:
    """Put the integers of a bundle on a connected Speck."""
    from neurozsl.export.backends.speck.run import hand_over
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.hardware.speck.program import SpeckProgram

    opened = open_bundle(bundle)
    assert isinstance(opened.program, SpeckProgram)
    hand_over(opened.parts.lowered, opened.program, device)
    say(f"{device} is configured with {bundle}")


def show_speck_notes(bundle: Path) -> None:
    """Print what the chip needs beside the program."""
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.hardware.chips.chip import load_chip
    from neurozsl.hardware.speck.program import SpeckProgram
    from neurozsl.hardware.speck.rules import notes

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
    from neurozsl.report.sections.chip import PLACEMENT
    from neurozsl.report.show.placement import placement_table
    from neurozsl.report.show.tables import texts

    found = placement_table("mapping", PLACEMENT.validate_python(mapping))
    show_table(found.title, *texts(found))
    for note in found.notes:
        say(note)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(export)
