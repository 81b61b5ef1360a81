"""`neurozsl simulate`: run a bundle's spiking branch, and the whole model where its run is near."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table


def simulate(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, RUN/deploy/TARGET.")],
    backend: Annotated[str, typer.Option(help="emulator, lava, lava_float, sinabs or norse.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Simulate this many test samples; default 16.")
    ] = None,
    raster: Annotated[bool, typer.Option(help="Draw the spikes of the first sample.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Run test samples through the simulated chip and name the classes it leads to."""
    from neurozsl import simulation
    from neurozsl.deploy import default_backend
    from neurozsl.export.bundle import open_bundle

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
    next_commands(f"neurozsl verify {bundle}")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(simulate)
