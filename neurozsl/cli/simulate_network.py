"""`neurozsl simulate FILE.nir`, or its bundle: what it spikes on an input, on one backend."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, say_each, show_table
from neurozsl.cli.label_options import LabelOptions, show_score
from neurozsl.cli.network_options import Chip, FileOptions, InputOptions, Samples
from neurozsl.cli.simulate_bundle import SimulateOptions
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.export.bundle.task_score import TaskScore
    from neurozsl.export.network.network_run import NetworkRun


Out = Annotated[
    Path | None, typer.Option(help="Write the arrays spikes/LAYER and membrane/LAYER to this .npz.")
]


def simulate_network(
    file: Path,
    *,
    asked: SimulateOptions,
    inputs: InputOptions,
    labels: LabelOptions,
    samples: Samples = None,
    chip: Chip = None,
    out: Out = None,
    about: FileOptions,
) -> None:
    """Run the network, print every layer, write what was asked for."""
    from neurozsl.export.network import network_run
    from neurozsl.export.network.other_choices import other_choices
    from neurozsl.export.targets.names import chip_called

    _check_places(file, asked, out)
    labels.check(inputs.input)
    backend = asked.backend or "floatsim"
    fed = network_run.feed(file, about.said(), inputs.source(samples, asked.limit))
    task = labels.task(fed, inputs.input)
    with progress_bar(f"simulating on {backend}") as update:
        done = network_run.run_network(
            fed,
            backend_name=backend,
            chip=None if chip is None else chip_called(chip),
            membrane=out is not None or (task is not None and task.membrane),
            progress=update,
        )
    others = [changed.as_json() | {"text": str(changed)} for changed in other_choices(fed)]
    document = as_document(done, file) | {"other_choices": others}
    again = about.words() + inputs.words(samples) + labels.words() + words({"chip": done.chip})
    after = command("profile", file, again), command("inspect", file, about.words())
    _tell(done, document, asked, labels.score(task, done), out, file.parent, after)


def simulate_network_bundle(
    bundle: Path,
    *,
    asked: SimulateOptions,
    inputs: InputOptions,
    labels: LabelOptions,
    samples: Samples = None,
    out: Out = None,
) -> None:
    """Run what a bundle ships on the input that is given, else on its golden samples."""
    from neurozsl.export.bundle.bundle import open_bundle
    from neurozsl.export.network import bundle_run

    _check_places(bundle, asked, out)
    labels.check(inputs.input)
    opened = open_bundle(bundle)
    fed = bundle_run.feed_bundle(opened, inputs.source(samples, asked.limit))
    task = labels.task(fed, inputs.input)
    with progress_bar("simulating") as update:
        done = bundle_run.run_bundle(
            opened,
            fed,
            backend_name=asked.backend,
            membrane=out is not None or (task is not None and task.membrane),
            progress=update,
        )
    again = inputs.words(samples) + labels.words()
    scored = inputs.words() + labels.words() if labels.labels is not None else ""
    after = command("verify", bundle, scored), command("profile", bundle, again)
    document = as_document(done, bundle)
    _tell(done, document, asked, labels.score(task, done), out, bundle.parent, after)


def _check_places(what: Path, asked: SimulateOptions, out: Path | None) -> None:
    if out is not None:
        if not out.parent.is_dir():
            raise BadInput(f"--out {out}: no folder {out.parent}; make it first")
        check_place(out, "trace")
    if asked.raster:
        check_place((out or what).parent / "raster", "raster", remedy="give --out elsewhere")


def _tell(
    done: NetworkRun,
    document: dict[str, Any],
    asked: SimulateOptions,
    score: TaskScore | None,
    out: Path | None,
    beside: Path,
    after: tuple[str, ...],
) -> None:
    """Write and print a run; beside: where its picture goes. after: commands that can follow."""
    from neurozsl.export.network.network_run import write_trace

    if out is not None:
        write_trace(out, done.trace)
    drawn = draw_raster(done, beside if out is None else out.parent) if asked.raster else None
    if asked.as_json:
        scored = {} if score is None else {"task": asdict(score)}
        emit_json({**document, **scored, "trace": None if out is None else str(out)})
        return
    show_run(document)
    show_score(score)
    for written, path in (("trace", out), ("raster", drawn)):
        if path is not None:
            say(f"{written} in {path}")
    next_commands(*after)


def as_document(done: NetworkRun, file: Path) -> dict[str, Any]:
    """What `--json` prints; `state` is ok, dead, saturated or read-out."""
    from neurozsl.export.network.nearest_rule import words

    network, trace = done.fed.network, done.trace
    found, rates = done.diagnoses(), trace.rates()
    layers = []
    for layer in network.lowered.layers:
        name, state = layer.name, found.get(layer.name)
        layers.append(
            {
                "name": name,
                "neurons": layer.size,
                "rate": rates[name],
                "spikes_per_sample": float(trace.spikes[name].sum()) / len(trace.spikes[name]),
                "overflow": trace.overflow.get(name, 0),
                "saturation": trace.saturation.get(name, 0),
                "silent_neurons": 0 if state is None else state.silent_neurons,
                "state": "read-out" if state is None else state.state,
                "advice": "-" if state is None else state.advice,
            }
        )
    chip_input = done.fed.given.chip_input
    return {
        "file": str(file),
        "backend": done.backend,
        "chip": done.chip,
        "samples": chip_input.batch,
        "steps": chip_input.steps,
        "seconds": done.seconds,
        "layers": layers,
        "input": list(done.fed.given.notes),
        "dialect": network.dialect,
        "why": network.why,
        "cannot_say": list(network.cannot_say),
        "neurons": [
            words(rule)
            for rule in dict.fromkeys(x.rule for x in network.lowered.layers if x.rule.spiking)
        ],
        "assumptions": list(network.assumptions),
        "repairs": list(network.repairs),
        "notes": list(network.notes),
        "warnings": list(done.warnings()),
    }


def show_run(document: dict[str, Any]) -> None:
    """The layers as a table, then what was assumed."""
    where = document["backend"] + (f", integers of {document['chip']}" if document["chip"] else "")
    show_table(
        f"{document['file']} on {where}: {document['samples']} samples of {document['steps']} "
        f"steps, {document['seconds']:.2f} s",
        ("layer", "neurons", "spike rate", "spikes per sample", "silent", "overflow",
         "saturation", "state"),
        [
            (
                x["name"],
                f"{x['neurons']:,}",
                f"{100 * x['rate']:.2f} %",
                f"{x['spikes_per_sample']:.1f}",
                f"{x['silent_neurons']:,}",
                str(x["overflow"]),
                str(x["saturation"]),
                x["state"],
            )
            for x in document["layers"]
        ],
    )  # fmt: skip
    for x in document["layers"]:
        if x["advice"] != "-":
            say(f"warning: layer '{x['name']}' is {x['state']}: {x['advice']}")
    say_each(note=document["input"], repaired=document["repairs"])
    say_each(**told_dialect(document), neurons=document["neurons"])
    say_each(other=[x["text"] for x in document.get("other_choices", ())])
    say_each(warning=document["warnings"], note=document["notes"])


def told_dialect(document: dict[str, Any]) -> dict[str, list[str]]:
    """How the file was read, and what files of that writer leave out."""
    if document["dialect"] is None:
        none = "none recognised (--dialect says who wrote the file)"
        return {"dialect": [none], "assumed": document["assumptions"]}
    return {
        "dialect": [f"{document['dialect']}, {document['why']}"],
        "not in such files": document["cannot_say"],
        "assumed": [x for x in document["assumptions"] if not x.startswith("dialect:")],
    }


def draw_raster(done: NetworkRun, folder: Path) -> Path:
    """The spikes of the first sample as a picture."""
    from neurozsl.report.schema import raster
    from neurozsl.report.show import plots

    stem = Path(done.fed.network.source).stem
    value = raster(
        {name: done.trace.spikes[name][0] for name in done.spiking},
        sample=f"{stem} 0",
        true_class="-",
        predicted_class="-",
    )
    path = folder / f"raster_{stem}_{done.backend}.svg"
    try:
        return plots.write_raster(value, path)
    except OSError as error:
        raise BadInput(
            f"--raster: {path} cannot be written ({error.strerror}); with --out it lies beside that"
        ) from None
