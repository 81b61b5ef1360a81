"""`neurozsl simulate BUNDLE`: its spiking branch on test samples.

A bundle that lies in its run also gives the classes that the whole model names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.margins import OneMargin, margin_of
from neurozsl.cli.option_values import Data, Jobs, Json, Scheduler
from neurozsl.core.places import check_place
from neurozsl.core.shell import command


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """What every simulation takes."""

    backend: Annotated[
        str,
        typer.Option(
            help="emulator, lava, lava_float, sinabs; of a run's bundle norse, of a .nir file "
            "floatsim (its default)."
        ),
    ] = ""
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Simulate this many test samples, default 16; of --input, default all."
        ),
    ] = None
    raster: Annotated[bool, typer.Option(help="Draw the spikes of the first sample.")] = False
    as_json: Json = False


def simulate_bundle(
    bundle: Path,
    *,
    asked: SimulateOptions,
    margin: OneMargin = None,
    data: Data = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = "",
) -> None:
    """Run test samples, print every layer and the classes that the model names."""
    from neurozsl.cluster.tasks import Workers
    from neurozsl.deploy.deploy import default_backend
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.simulation import simulate as simulation

    at = None if margin is None else margin_of(margin)
    on = Workers(jobs, scheduler)
    opened = open_bundle(bundle)
    name = asked.backend or default_backend(opened)
    if asked.raster:
        check_place(bundle.parent / "raster", "raster", remedy="copy the bundle elsewhere")
    with progress_bar(f"simulating on {name}") as update:
        result = simulation.simulate(
            opened, backend=name, limit=asked.limit, margin=at, data=data, on=on, progress=update
        )
    drawn = simulation.draw_raster(result, bundle) if asked.raster else None
    if asked.as_json:
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
            for layer, rate in result.rates.items()
        ],
    )
    for line in result.predictions[:8]:
        mark = "right" if line.predicted == line.true else "wrong"
        ran = "" if line.steps is None else f", {line.steps} of {result.steps} steps"
        say(f"  {line.sample}: {line.predicted} (true: {line.true}, {mark}{ran})")
    if result.margin is not None:
        mean = sum(line.steps or 0 for line in result.predictions) / result.samples
        say(f"stopped at margin {result.margin:.3g}: {mean:.2f} of {result.steps} steps a sample")
    if result.source:
        say(f"note: {result.source}")
    if result.note:
        say(f"note: {result.note}")
    if result.warning:
        say(result.warning)
    if drawn is not None:
        say(f"raster in {drawn}")
    next_commands(command("verify", bundle))
