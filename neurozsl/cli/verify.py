"""`neurozsl verify`: run a bundle's golden samples on every backend and compare all spikes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.console import emit_json, err, next_commands, progress_bar, say, stages
from neurozsl.cli.kinds import kind
from neurozsl.cli.option_values import Json
from neurozsl.core.errors import BadInput, VerificationFailed
from neurozsl.core.shell import command


def verify(
    bundle: Annotated[
        Path, typer.Argument(help="Bundle folder, RUN/deploy/TARGET or FILE.deploy/TARGET.")
    ],
    as_json: Json = False,
) -> None:
    """Compare emulator, Lava, Sinabs and Norse bit for bit on the golden samples."""
    from neurozsl.deploy.deploy import default_backend
    from neurozsl.export.bundle.bundle import open_bundle

    if kind(bundle, ("bundle",)) == "network":
        raise BadInput(
            f"{bundle}: a file, and verify takes the folder of a bundle; make one with "
            f"`{command('export', bundle, ' --target lava')}`"
        )
    opened = open_bundle(bundle)
    for note in opened.notes:
        say(f"note: {note}")
    with progress_bar("verifying") as update:
        verification = opened.verify(progress=stages(update))
    result = verification.as_json()
    if as_json:
        emit_json(result)
    else:
        show_tree(str(bundle), result)
        backend = default_backend(opened)
        next_commands(command("simulate", bundle, f" --backend {backend} --limit 4"))
    if result["verdict"] == "FAIL":
        reasons = "; ".join(verification.reasons)
        raise VerificationFailed(f"bundle '{bundle}': verdict FAIL; {reasons}")


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
