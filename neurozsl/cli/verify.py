"""`neurozsl verify`: run a bundle's golden samples on every backend and compare all spikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli.console import emit_json, err, next_commands, progress_bar, say, say_each, stages
from neurozsl.cli.kinds import kind
from neurozsl.cli.label_options import Drop, LabelOptions, Labels, Word, show_score
from neurozsl.cli.network_options import Input
from neurozsl.cli.option_values import Json
from neurozsl.core.errors import BadInput, VerificationFailed
from neurozsl.core.shell import command, words
from neurozsl.export.bundle.task_score import told

if TYPE_CHECKING:
    from neurozsl.export.bundle.bundle import Bundle, StageProgress
    from neurozsl.export.bundle.task_score import TaskScore


def verify(
    bundle: Annotated[
        Path, typer.Argument(help="Bundle folder, RUN/deploy/TARGET or FILE.deploy/TARGET.")
    ],
    input: Input = None,
    labels: Labels = None,
    readout: Word = None,
    max_acc_drop: Drop = None,
    as_json: Json = False,
) -> None:
    """Compare emulator, Lava, Sinabs and Norse bit for bit on the golden samples.

    With --input and --labels the bundle of a .nir file is also scored on them: a verdict about the
    task beside the one about the arithmetic.
    """
    from neurozsl.deploy.deploy import default_backend
    from neurozsl.export.bundle.bundle import open_bundle

    if kind(bundle, ("bundle",)) == "network":
        raise BadInput(
            f"{bundle}: a file, and verify takes the folder of a bundle; make one with "
            f"`{command('export', bundle, ' --target lava')}`"
        )
    asked = LabelOptions(labels=labels, readout=readout, max_acc_drop=max_acc_drop)
    asked.check(input)
    if input is not None and labels is None:
        raise BadInput(
            f"--input {input}: spikes are compared on the golden samples, and new ones are for "
            f"--labels; give their classes, or run them with "
            f"`{command('simulate', bundle, words({'input': input}))}`"
        )
    opened = open_bundle(bundle)
    scored = _scored(opened, asked, input)
    for note in opened.notes:
        say(f"note: {note}")
    with progress_bar("verifying") as update:
        verification = opened.verify(progress=stages(update))
        score = scored(stages(update))
    result = verification.as_json()
    if as_json:
        emit_json(result | ({} if score is None else {"task": asdict(score)}))
    else:
        show_tree(str(bundle), result)
        show_score(score)
        if score is None and opened.manifest.task is not None:
            say_each(**{"at export": told(opened.manifest.task)})
        backend = default_backend(opened)
        next_commands(command("simulate", bundle, f" --backend {backend} --limit 4"))
    if result["verdict"] == "FAIL":
        reasons = "; ".join(verification.reasons)
        raise VerificationFailed(f"bundle '{bundle}': verdict FAIL; {reasons}")
    if score is not None and score.verdict == "FAIL":
        raise VerificationFailed(f"bundle '{bundle}': task FAIL; {score.reason}")


def _scored(
    opened: Bundle, asked: LabelOptions, given: Path | None
) -> Callable[[StageProgress], TaskScore | None]:
    """What scores the bundle on new samples, which are checked before anything runs."""
    if asked.labels is None:
        return lambda progress: None
    from neurozsl.export.network.bundle_run import feed_bundle
    from neurozsl.export.network.network_run import Source
    from neurozsl.export.network.score_task import score_bundle

    fed = feed_bundle(opened, Source(path=given))
    task = asked.task(fed, given)
    assert task is not None
    chip_input = fed.given.chip_input
    return lambda progress: score_bundle(
        task, opened, chip_input, limit=asked.limit, progress=progress
    )


def show_tree(title: str, result: dict[str, Any]) -> None:
    """Print backends and layers as a tree, a mark per layer."""
    from rich.markup import escape
    from rich.tree import Tree

    say(f"{title}: {result['verdict']}, {result['samples']} samples")
    tree = Tree("", hide_root=True)
    for name, backend in result["backends"].items():
        reference = f" ({backend['reference']})" if "reference" in backend else ""
        branch = tree.add(escape(name + reference))
        for layer in backend["layers"]:
            same = layer["agree"] == 1.0
            mark = "[green]equal[/]  " if same else "[yellow]differs[/]"
            text = (
                f"{mark} {escape(layer['name']):<10} bits {100 * layer['agree']:8.4f} %  "
                f"matched {100 * layer['matched']:8.4f} %  rate {100 * layer['rate']:.2f} %"
            )
            if layer.get("first_step") is not None:
                text += f"  first at step {layer['first_step']}"
            if layer.get("membrane") is not None:
                text += f"  v off by at most {layer['membrane']:.3g}"
            branch.add(text)
    err.print(tree)
    from neurozsl.export.bundle.agreement import told_processes

    for line in told_processes(result):
        say(line)
    for line in result.get("oracle_faults", ()):
        say(line)
    if result["verdict"] == "UNVERIFIED" and result["oracle"] == "none":
        from neurozsl.export.targets import target as find_target

        oracle = find_target(result["target"]).oracle
        say(f"no oracle on this machine: `{oracle.install if oracle else ''}` installs it")
