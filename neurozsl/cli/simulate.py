"""`neurozsl simulate`: run a bundle's spiking branch, or the network of a `.nir` file.

A bundle that lies in its run also gives the classes that the whole model names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli import network_options as options
from neurozsl.cli import simulate_network
from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table


def simulate(
    context: typer.Context,
    what: Annotated[
        Path,
        typer.Argument(metavar="WHAT", help="Bundle folder, RUN/deploy/TARGET, or a .nir file."),
    ],
    backend: Annotated[
        str,
        typer.Option(
            help="emulator, lava, lava_float, sinabs; of a run's bundle norse, of a .nir file "
            "floatsim (its default)."
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Simulate this many test samples, default 16; of --input, default all."
        ),
    ] = None,
    raster: Annotated[bool, typer.Option(help="Draw the spikes of the first sample.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    input_path: options.Input = None,
    poisson: options.Poisson = None,
    samples: options.Samples = None,
    seed: options.Seed = None,
    chip: options.Chip = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the arrays spikes/LAYER and membrane/LAYER to this .npz.",
            rich_help_panel=options.PANEL,
        ),
    ] = None,
    dt: options.Dt = None,
    tau_unit: options.TauUnit = None,
    reset: options.Reset = None,
    compare: options.Compare = None,
    max_spikes: options.MaxSpikes = None,
    lower_bound: options.LowerBound = None,
    steps: options.Steps = None,
) -> None:
    """Run test samples through the simulated chip and name the classes, or run a .nir file."""
    if not options.is_network(what):
        options.refuse_for_folder(context, what)
        _simulate_bundle(what, backend, limit, raster, as_json)
        return
    simulate_network.simulate(
        what,
        options.said(dt, tau_unit, reset, compare, max_spikes, lower_bound, steps),
        options.source(input_path, poisson, samples, seed, limit),
        backend=backend or "floatsim",
        chip=chip,
        out=out,
        raster=raster,
        as_json=as_json,
        asked=options.again(context),
        about=options.again(context, feeds=False),
    )


def _simulate_bundle(
    bundle: Path, backend: str, limit: int | None, raster: bool, as_json: bool
) -> None:
    from neurozsl.deploy.deploy import default_backend
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.simulation import simulation

    opened = open_bundle(bundle)
    name = backend or default_backend(opened)
    with progress_bar(f"simulating on {name}") as update:
        result = simulation.simulate(opened, backend=name, limit=limit, progress=update)
    drawn = simulation.draw_raster(result, bundle) if raster else None
    if as_json:
        emit_json(result.as_json())
        return
    show_table(
        f"{bundle} on {name}: {result.samples} samples, {result.seconds:.2f} s",
        ("layer", "spike rate", "spikes per sample", "overflow", "saturation"),
        [
            (
                layer,
                f"{100 * rate:.2f} %",
                f"{result.spikes_per_sample[layer]:.1f}",
                str(result.trace.overflow.get(layer, 0)),
                str(result.trace.saturation.get(layer, 0)),
            )
            for layer, rate in result.trace.rates().items()
        ],
    )
    for line in result.predictions[:8]:
        mark = "right" if line.predicted == line.true else "wrong"
        say(f"  {line.sample}: {line.predicted} (true: {line.true}, {mark})")
    if result.warning:
        say(result.warning)
    if drawn is not None:
        say(f"raster in {drawn}")
    next_commands(options.call("verify", bundle))


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(simulate)
