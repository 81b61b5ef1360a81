"""`neurozsl demo`: the whole path on synthetic data, on a laptop, without network or GPU."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import next_commands, progress_bar, say, stages
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.quantities import count
from neurozsl.core.shell import command, words
from neurozsl.training.economy import Sparsity

if TYPE_CHECKING:
    from neurozsl.report.schema import RunReport

SPARSITY: Final = Sparsity(0.1)  # a point of HM for a 23rd of the operations (examples/README.md)
_MARK = ".made-by-demo"  # a folder that holds it may be made anew


def demo(
    out: Annotated[Path, typer.Option(help="Run folder; made anew.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Seed of data, weights and batches.")] = 0,
    epochs: Annotated[int, typer.Option(help="Epochs of stage 1.")] = 30,
    dense: Annotated[
        bool, typer.Option("--dense", help="All weights and graded audio, to compare with.")
    ] = False,
    test_size: Annotated[int, typer.Option(help="Test samples.")] = 500,
    scene_bias: Annotated[float, typer.Option(help="Scene shortcut in training, 0 to 1.")] = 0.9,
) -> None:
    """Make data, train MDFT, export, verify, simulate, profile; writes RUN/report.html."""
    import torch

    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
    from neurozsl.deploy import deploy
    from neurozsl.export.targets import TARGETS
    from neurozsl.report import print_report, write_report
    from neurozsl.report.sections import build as report
    from neurozsl.runs import run as runs
    from neurozsl.training.protocol import TrainConfig

    started = time.perf_counter()
    data = out.parent / f"{out.name}-data"
    check_place(out / "run.json", "demo")
    _check_places(out, data)
    if out.exists():
        shutil.rmtree(out)
    # Layers this small gain little from a second thread; on a busy machine threads that wait for
    # each other took ten times as long. One thread also fixes the order of the sums.
    torch.set_num_threads(1)
    say("1/5  synthetic data: scenes and motions (rendered clips, not real ones)")
    with progress_bar("rendering") as update:
        config = SyntheticConfig(scene_bias=scene_bias, seed=seed, test_size=test_size)
        write_synthetic(config, data, progress=update)
    how = "deploy" if dense else f"sparse, {SPARSITY.density:.0%} of the weights"
    say(f"2/5  MDFT, two stages (preset {how}; Norse LIF neurons)")
    out.mkdir(parents=True)
    (out / _MARK).touch()
    runs.create(
        out,
        data_dir=data,
        model="mdft",
        options={"preset": "deploy" if dense else "sparse"},
        train=TrainConfig(epochs=epochs, seed=seed, sparsity=None if dense else SPARSITY),
    )
    with progress_bar("training") as update:
        run = runs.train(out, progress=every_epoch(update, out))
    for target in ("nir", "sinabs", "lava"):
        say(f"3/5  export to {target} ({', '.join(TARGETS[target].fidelity)}), verify, score")
        with progress_bar(f"exporting to {target}") as update:
            manifest = deploy.deploy(run, target=target, progress=stages(update))
        say(f"     verdict {manifest.verdict}")
    say("4/5  the test set on the emulator, counts and energy estimates")
    bundle = out / "deploy" / "lava"
    with progress_bar("profiling") as update:
        result = report.build(run, bundle=bundle, command=command("profile", out), progress=update)
    say("5/5  report")
    write_report(result, out / "report.html", plot_folder=out / "plots")
    print_report(result)
    if not dense:
        say(against_dense(result))
    if result.verification is not None and result.verification.oracle is None:
        say(
            "Lava is not installed here, so the integers were not checked against lava-nc; "
            "`neurozsl setup lava` installs it where a Python 3.10 can be found"
        )
    say(f"report in {out / 'report.html'} ({time.perf_counter() - started:.0f} s)")
    next_commands(
        command("evaluate", out, " --json"),
        command("verify", bundle),
        command("simulate", bundle, " --backend lava --limit 4"),
        command("profile", out, words({"bundle": bundle}) + " --json"),
        "neurozsl data build --clips DIR --labels CSV --vectors NPZ --out DATA   (your own clips)",
    )


def against_dense(report: RunReport) -> str:
    """What the same events would cost without zeros in the weights, counted on this run."""
    own = sum(layer.synops for layer in report.layers)
    # Events are 1 or -1 here, so values x connections are events x all weights.
    every = sum(layer.synops_weighted for layer in report.layers)
    return (
        f"{count(own)} SynOps an inference; the same events through all weights would be "
        f"{count(every)} ({every / max(own, 1):.0f} times). `neurozsl demo --dense --out "
        "runs/demo-dense` trains the dense preset to compare accuracy and energy"
    )


def _check_places(out: Path, data: Path) -> None:
    """Refuse what the demo did not make itself, before anything is removed."""
    ours = (out / _MARK).is_file() or (out.is_dir() and not any(out.iterdir()))
    if out.exists() and not ours:
        raise BadInput(f"demo: '{out}' exists and was not made by the demo; choose another --out")
    if data.exists():
        from neurozsl.data.sets.load import load

        if not load(data).synthetic:
            raise BadInput(f"demo: '{data}' holds real data; choose another --out")
