"""`neurozsl inspect`: what `.nir` files hold, the network they make, and the chips it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neurozsl.cli.console import emit, emit_json, next_commands, say, say_each, show_table
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.cli.network_options import FileOptions, Poisson, Seed
from neurozsl.cli.simulate_network import told_dialect
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command
from neurozsl.runs.kind import NETWORK, is_classifier

if TYPE_CHECKING:
    from neurozsl.export.network.inspection import Inspection, LayerRow, Range


Json = Annotated[
    bool, typer.Option("--json", help="JSON on stdout; a list where there are several files.")
]


def inspect_files(files: list[Path], *, as_json: Json = False, about: FileOptions) -> None:
    """Each file as tables, or all as one document."""
    from neurozsl.export.network.inspection import inspect_file

    said, again = about.said(), about.words()
    found = [inspect_file(file, said) for file in files]
    if as_json:
        documents = [inspection.as_json() for inspection in found]
        emit_json(documents[0] if len(documents) == 1 else documents)
    else:
        for inspection in found:
            _show(inspection)
    _raise_first(found)
    if not as_json:
        next_commands(
            command("simulate", files[0], f" --poisson 0.05{again}"),
            command("profile", files[0], f" --poisson 0.05{again}"),
            command("inspect", files[0], f"{again} --json"),
        )


def inspect_table(
    files: list[Path],
    *,
    as_json: Json = False,
    poisson: Poisson = None,
    seed: Seed = None,
    about: FileOptions,
) -> None:
    """Run all files and print a row of each."""
    if as_json:
        raise BadInput("--json, --markdown: both take stdout; give one of them")
    from neurozsl.report.sections.network_table import RATE, markdown_table

    rate = RATE if poisson is None else poisson
    asked = about.words().strip()
    emit(markdown_table(files, about.said(), asked=asked, rate=rate, seed=seed or 0) + "\n")


FORMS: Final = {
    "files": Form("files alone", inspect_files),
    "markdown": Form("--markdown", inspect_table, "use simulate"),
}


@takes(FORMS)
def inspect(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="One or more .nir files.")],
    *,
    markdown: Annotated[
        bool,
        typer.Option(
            help="One row per file, on stdout; also run, 16 samples of --poisson (default 0.05)."
        ),
    ] = False,
    **options: Any,
) -> None:
    """List nodes and layers of NIR graphs, what was repaired and assumed, and the cores they take.

    A file that makes no network shows its nodes and the error (exit code 2).
    """
    files = [x / NETWORK if is_classifier(x) else x for x in files]
    key, where = "markdown" if markdown else "files", "inspect runs nothing without it"
    call(context, FORMS, key, files, options=options, where=where)


def _raise_first(found: list[Inspection]) -> None:
    """The error of a file that makes no network, named where there are several files."""
    for inspection in found:
        if inspection.error is not None:
            if len(found) == 1:
                raise inspection.error
            raise BadInput(f"{inspection.file}: {inspection.error}")


def _show(inspection: Inspection) -> None:
    version = inspection.version or "not stated"
    show_table(
        f"{inspection.file} (nir version {version})",
        ("node", "type", "shapes", "feeds"),
        [
            (
                row.name,
                row.type,
                ", ".join(f"{k} {v}" if v else k for k, v in row.shapes.items()),
                ", ".join(row.feeds),
            )
            for row in inspection.nodes
        ],
    )
    for key, value in inspection.metadata.items():
        say(f"{key}: {value}")
    from neurozsl.export.network.nearest_rule import words

    network = inspection.network
    if network is None:
        return
    lowered = network.lowered
    show_table(
        f"{len(lowered.layers)} layers, in the order they run; a step is {lowered.dt_s:g} s",
        ("layer", "kind", "neurons", "sources", "parameters", "connections", "tau, steps"),
        [_cells(row) for row in inspection.layers],
    )
    rules = dict.fromkeys(x.rule for x in lowered.layers if x.rule.spiking)
    say_each(neurons=map(words, rules))
    say_each(repaired=network.repairs, **told_dialect(inspection.as_json()))
    say_each(note=network.notes)
    for fit in inspection.fits:
        say(f"{fit.chip}: {fit.cores_text}")


def _cells(row: LayerRow) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape))
    tau = _range(row.tau_steps)
    if row.tau_syn_steps is not None:
        tau += f" (synapse {_range(row.tau_syn_steps)})"
    return (
        row.name,
        ", ".join(row.kind),
        f"{row.neurons:,}" + (f" = {shape}" if len(row.shape) > 1 else ""),
        ", ".join(s.source + (f" ({s.delay} late)" if s.delay else "") for s in row.sources),
        f"{row.parameters:,}",
        f"{row.connections:,}",
        tau,
    )


def _range(values: Range | None) -> str:
    """A time constant in steps.

    >>> _range((10.0, 10.0)), _range((2.5, 10.0)), _range(None)
    ('10', '2.5 to 10', '-')
    """
    if values is None:
        return "-"
    low, high = (f"{x:.3g}" for x in values)
    return low if low == high else f"{low} to {high}"
