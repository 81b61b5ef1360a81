"""`neurozsl evaluate`: S, U, HM and ZSL of a run, with its branch on the host or in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.margins import SeveralMargins, margins_of, show_margins
from neurozsl.cli.option_values import Data, Jobs, Json, Scheduler
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words
from neurozsl.runs.kind import is_classifier

if TYPE_CHECKING:
    from neurozsl.core.progress import Progress
    from neurozsl.runs.run import Run
    from neurozsl.scoring.ranking import ClipRanking


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    bundle: Annotated[
        Path | None, typer.Option(help="Run the spiking branch of this bundle instead.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Backend for the bundle: emulator, lava, lava_float, sinabs, norse.")
    ] = "",
    margin: SeveralMargins = None,
    ranking: Annotated[
        bool,
        typer.Option(
            "--ranking", help="Also the right name's place among all names, per clip: top-1, top-5."
        ),
    ] = False,
    data: Data = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = "",
    as_json: Json = False,
) -> None:
    """Score a run on its test splits; with --bundle, the deployed model."""
    if is_classifier(run):
        given = {"bundle": bundle, "backend": backend or None, "margin": margin or None}
        given |= {"data": data}
        _classifier(run, words(given) + " --ranking" * ranking, as_json)
        return
    if ranking and (bundle is not None or margin):
        raise BadInput("--ranking: is of the trained model itself; leave out --bundle and --margin")
    from neurozsl.cluster.tasks import Workers
    from neurozsl.deploy import deploy
    from neurozsl.deploy.anytime import evaluate_anytime
    from neurozsl.runs import run as runs

    margins = margins_of(margin or [])
    workers = Workers(jobs, scheduler)
    if not workers.alone and (margins or ranking):
        raise BadInput("--jobs, --scheduler: leave --margin and --ranking out, they run here")
    opened = runs.open_run(run, data=data)
    on: dict[str, Any] = {"bundle": bundle, "backend": backend}
    with progress_bar("evaluating") as update:
        if margins:
            result = evaluate_anytime(opened, margins, **on, progress=update)
        else:
            result = deploy.evaluate_run(opened, **on, on=workers, progress=update)
        places = _ranked(opened, update) if ranking else ()
    if as_json:
        more = {"ranking": [x.as_json() for x in places]} if places else {}
        emit_json({**result.as_json(), **more})
        return
    if result.note:
        say(f"warning: {result.note}")
    where = f"{result.motion_backend} ({result.policy})"
    show_table(
        f"{run}: {result.samples} test samples, percent; motion branch on {where}",
        ("S", "U", "HM", "ZSL", "beta", "chance HM (95th percentile)"),
        [(*(f"{getattr(result, k):.2f}" for k in ("S", "U", "HM", "ZSL", "beta", "chance")),)],
    )
    if result.anytime:
        show_margins(result.anytime)
    if places:
        show_table(
            f"the right one of {places[0].names} names, per clip; Wilson, 95 %; chance "
            + ", ".join(f"top-{k} {percent:.1f} %" for k, percent in places[0].chance.items()),
            ("", "clips", "top-1", "top-5"),
            [(x.of, str(x.clips), *map(str, x.top.values())) for x in places],
        )
    next_commands(command("profile", run, words({"bundle": bundle, "data": data})))


def _ranked(run: Run, update: Progress) -> tuple[ClipRanking, ...]:
    from neurozsl.scoring.ranking import rankings
    from neurozsl.training.untrained import is_untrained

    weight, untrained = run.selected.head_weight, is_untrained(run.model)
    return rankings(run.model, run.data, head_weight=weight, untrained=untrained, progress=update)


def _classifier(run: Path, given: str, as_json: bool) -> None:
    """What the result of a classifier says; it is sealed with what it comes from."""
    from neurozsl.classifier.run import open_classifier
    from neurozsl.cli.train_network import show

    if given:
        raise BadInput(
            f"{given.strip()}: belongs to a zero-shot model, and {run} is a classifier; `neurozsl "
            "simulate` runs its network or bundle on any backend, with --labels"
        )
    done = open_classifier(run)
    if as_json:
        emit_json(dict(done.result))
    else:
        show(done)
