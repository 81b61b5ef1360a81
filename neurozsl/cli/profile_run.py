"""`neurozsl profile RUN` or `BUNDLE`: what a run, or a deployment of it, does and costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli.console import progress_bar, say
from neurozsl.cli.margins import OneMargin, margin_of
from neurozsl.cli.option_values import Data
from neurozsl.cli.profile_options import PriceOptions, Work
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.report.schema import Report

Clips = Annotated[
    Path | None, typer.Option(help="Recorded clips: their folder, to show pictures of one.")
]

Frontier = Annotated[
    Path | None,
    typer.Option(
        help="Study of `benchmark --frontier`, its folder or file, to place the run on; default "
        "that of the folder which the run lies in."
    ),
]


def profile_run(
    run: Path,
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Whose deployed branch runs; default RUN/deploy/lava where there is one, else the "
            "float branch."
        ),
    ] = None,
    clips: Clips = None,
    margin: OneMargin = None,
    frontier: Frontier = None,
    data: Data = None,
    prices: PriceOptions,
) -> Work:
    """A run with its deployed branch, else with the float one.

    Without its data set: what was measured when it was packed.

    Raises:
        BadInput: there is no run, no such folder of clips, or no such study.
    """
    if not (run / "run.json").is_file():
        raise BadInput(
            f"{run}: no run.json there, nor the manifest.json of a bundle; give the folder that "
            "`neurozsl train --out` or `neurozsl export` wrote, a .nir file or a report.json"
        )
    if clips is not None and not clips.is_dir():
        raise BadInput(
            f"--clips {clips}: no such folder; give the one that `neurozsl data build --clips` read"
        )
    at = None if margin is None else margin_of(margin)
    if frontier is not None:
        from neurozsl.report.schema.frontier import read_frontier

        read_frontier(frontier)
    chips = prices.chips()
    beside = run / "deploy" / "lava"
    found = bundle is None and (beside / "manifest.json").is_file()
    deployed = beside if found else bundle

    def work() -> tuple[Report, tuple[str, ...]]:
        from neurozsl.portable import measured
        from neurozsl.runs.run import open_run

        if found:
            say(f"profiling the deployed branch in {beside}")
        given = {"bundle": deployed, "clips": clips, "margin": margin, "frontier": frontier}
        given |= {"data": data}
        asked = words(given) + prices.words()
        again = command("profile", run, asked)
        with progress_bar("profiling") as update:
            report = measured.profile(
                open_run(run, data=data),
                bundle=deployed,
                command=again,
                asked={
                    "devices": chips,
                    "step_s": prices.step_time,
                    "clips": clips,
                    "margin": at,
                    "frontier": frontier,
                },
                progress=update,
            )
        return report, (again + words({"report": run / "report.html"}),)

    return work


def profile_bundle(
    bundle: Path,
    *,
    clips: Clips = None,
    margin: OneMargin = None,
    frontier: Frontier = None,
    data: Data = None,
    prices: PriceOptions,
) -> Work:
    """The run that a bundle lies in, with it.

    Raises:
        BadInput: it lies elsewhere.
    """
    run = bundle.resolve().parents[1]
    if not (run / "run.json").is_file():
        raise BadInput(
            f"bundle '{bundle}': lies in no run ({run} has no run.json), so its data are unknown; "
            f"name the run: neurozsl profile RUN{words({'bundle': bundle})}, or profile its "
            "motion.nir"
        )
    near = bundle.parent.parent
    return profile_run(
        near if near.resolve() == run else run,
        bundle=bundle,
        clips=clips,
        margin=margin,
        frontier=frontier,
        data=data,
        prices=prices,
    )
