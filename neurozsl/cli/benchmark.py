"""`neurozsl benchmark`: studies over several seeds, one table each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, progress_bar, say, show_table


def benchmark(
    ablation: Annotated[str, typer.Option(help="Study to run: motion.")] = "motion",
    scene_bias: Annotated[
        list[float] | None, typer.Option(help="Scene bias of the synthetic set; repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 to N-1.")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of stage 1.")] = 20,
    test_size: Annotated[int, typer.Option(help="Test samples per data set.")] = 2000,
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/ablation-motion"),
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Train every variant of a study on the synthetic set and compare mean and spread."""
    from neurozsl import ablation as studies

    study = studies.Study(
        name=ablation,
        scene_biases=tuple(scene_bias or (0.0, 0.9)),
        seeds=seeds,
        epochs=epochs,
        test_size=test_size,
    )
    with progress_bar(f"ablation {ablation}") as update:
        result = studies.run(study, out=out, jobs=jobs, progress=update)
    if as_json:
        emit_json(result)
        return
    for bias in study.scene_biases:
        rows = [r for r in result["rows"] if r["scene_bias"] == bias]
        show_table(
            f"scene bias {bias}: synthetic, {seeds} seeds, {test_size} test samples, percent, "
            "mean (smallest to largest)",
            ("variant", "S", "U", "HM", "ZSL", "HM against no motion"),
            [
                (
                    r["variant"],
                    *(
                        f"{r[k]['mean']:.1f} ({r[k]['min']:.1f} to {r[k]['max']:.1f})"
                        for k in ("S", "U", "HM", "ZSL")
                    ),
                    "" if r["hm_gain"] is None else f"{r['hm_gain']:+.1f} points",
                )
                for r in rows
            ],
        )
    say(f"every run and {out}/study.json are in {out}")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(benchmark)
