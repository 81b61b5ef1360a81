"""Whether the manifest of a bundle says what its graph, its integers and its samples hold.

In: an opened manifest, the parts read from the other files, the golden samples. Out: sentences for
people, where a script is that of another version. A manifest that was written anew over other files
is refused by the first field that differs: what a chip, a report or a person reads there is true of
the network that runs.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.core.version import __version__
from neurozsl.export.backends.registry import Parts
from neurozsl.export.bundle.manifest import NAME, Manifest
from neurozsl.export.bundle.sealed_files import GRAPH, PROGRAM
from neurozsl.export.bundle.task_score import faults
from neurozsl.export.targets import Target
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.program import ChipProgram

_Row = tuple[str, Any, Any, str]  # field, in the manifest, found, where


def check_target(path: Path, manifest: Manifest, chosen: Target) -> None:
    """What the target itself says.

    Raises:
        BadInput: naming the field.
    """
    fixed = "fixed" in chosen.fidelity
    rows: list[_Row] = [
        ("chip", manifest.chip, chosen.chip, f"target {chosen.name}"),
        ("fidelity", manifest.fidelity, chosen.fidelity, f"target {chosen.name}"),
        ("verdict", manifest.verdict, manifest.verification.get("verdict"), "its verification"),
        ("target", manifest.target, manifest.verification.get("target"), "its verification"),
    ]
    _refuse(path, rows)
    for name in (PROGRAM, *(file.name for file in chosen.ships())) if fixed else ():
        if name not in manifest.files:
            raise BadInput(f"{path / NAME}: does not list {name}; export again")


def check_parts(path: Path, manifest: Manifest, parts: Parts) -> None:
    """The fields of the manifest against the graph and the integers, and these with each other.

    Raises:
        BadInput: naming the field.
    """
    lowered, program = parts.lowered, parts.program
    rule = lowered.layers[0].rule
    rows: list[_Row] = [
        ("T", manifest.T, lowered.steps, GRAPH),
        ("dt_s", manifest.dt_s, lowered.dt_s, GRAPH),
        ("reset", manifest.reset, rule.reset, GRAPH),
        ("compare", manifest.compare, rule.compare, GRAPH),
        ("policy", manifest.policy, lowered.policy, GRAPH),
    ]
    sizes = {layer.name: layer.size for layer in lowered.layers}
    if manifest.dead_neurons is not None:
        for row in manifest.dead_neurons.layers:
            left = row.neurons - len({*row.silent, *row.unread})
            rows.append((f"dead_neurons.{row.layer}", left, sizes.get(row.layer), GRAPH))
    if program is None:
        rows.append(("weight_bits", manifest.weight_bits, None, "a bundle without integers"))
    else:
        rows += _integers(manifest, parts, program)
    if manifest.task is not None:
        score = manifest.task
        rows += [
            ("task.output", (score.output,), lowered.outputs, GRAPH),
            ("task.classes", score.classes, sizes.get(score.output), GRAPH),
        ]
        rows += [(f"task.{name}", said, found, "its rows") for name, said, found in faults(score)]
        shipped = [x.bits for x in score.rows if x.shipped]
        rows.append(("task.bits", shipped, [manifest.weight_bits], "the manifest"))
    _refuse(path, rows)


def _integers(manifest: Manifest, parts: Parts, program: ChipProgram) -> Iterator[_Row]:
    lowered, where = parts.lowered, PROGRAM
    yield "chip", manifest.chip, program.chip, where
    for name in ("steps", "dt_s", "policy", "outputs"):
        label = {"steps": "T"}.get(name, name)
        yield label, getattr(lowered, name), getattr(program, name), where
    yield "inputs", dict(lowered.inputs), dict(program.inputs), where
    yield "layers", _shapes(lowered.layers), _shapes(program.layers), where
    losses = losses_of(program)
    bits = losses[0]["weight_bits"] if losses else None
    yield "weight_bits", manifest.weight_bits, bits, where
    yield "quantisation", manifest.quantisation, losses, where
    if manifest.mapping is not None:
        yield "mapping.chip", manifest.mapping.get("chip"), program.chip, where


def check_golden(
    path: Path, manifest: Manifest, parts: Parts, chip: ChipInput, runs: Mapping[str, Trace | None]
) -> None:
    """Golden samples that the network can take, and spikes of all its layers.

    runs: of the deployment and, where that was in integers, of the training forward.

    Raises:
        BadInput: naming what does not fit.
    """
    lowered = parts.lowered
    try:
        check_input(lowered.inputs, lowered.layers, lowered.steps, lowered.policy, chip)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    wanted = {layer.name: (chip.batch, lowered.steps, layer.size) for layer in lowered.layers}
    integers = manifest.trained_forward == "integers"
    rows: list[_Row] = [
        ("T", lowered.steps, chip.steps, path.name),
        ("samples", manifest.verification.get("samples"), chip.batch, path.name),
        ("trained_forward in integers", integers, runs["trained"] is not None, path.name),
    ]
    for kind, trace in runs.items():
        if trace is not None:
            shapes = {name: tuple(spikes.shape) for name, spikes in trace.spikes.items()}
            rows.append((f"shapes of {kind}", wanted, shapes, path.name))
    _refuse(path.parent, rows)


def check_scripts(path: Path, manifest: Manifest, chosen: Target) -> tuple[str, ...]:
    """The scripts of a bundle against those of this package.

    Raises:
        BadInput: one differs, and the bundle was made by this version.
    """
    told = []
    for own in chosen.ships() if "fixed" in chosen.fidelity else ():
        file = path / own.name
        if file.read_bytes() == own.read_bytes():
            continue
        made = manifest.versions.get("neurozsl", "an unknown version")
        if made == __version__:
            raise BadInput(
                f"{file}: is not the script that this version ({__version__}) puts into a bundle, "
                "though it made this one; do not run it, and export again"
            )
        told.append(
            f"{own.name} is that of version {made} and could not be compared (this is "
            f"{__version__}): read it before you run it, or export again"
        )
    return tuple(told)


def _shapes(layers: Any) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    return tuple(
        (layer.name, tuple(synapse.source for synapse in layer.synapses), layer.size)
        for layer in layers
    )


def losses_of(program: ChipProgram) -> tuple[dict[str, Any], ...]:
    """What the integers lost, a row a layer, as a manifest holds it.

    JSON has no infinity: a relative error of a threshold that became 0 is left open.
    """
    rows = (asdict(loss) for loss in program.loss)
    left = ({k: None if _endless(v) else v for k, v in row.items()} for row in rows)
    return tuple(json.loads(json.dumps(row)) for row in left)


def _endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _refuse(path: Path, rows: Iterable[_Row]) -> None:
    for name, stated, found, where in rows:
        if stated != found:
            raise BadInput(
                f"{path / NAME}: {name} is {_short(stated)}, {where} has {_short(found)}; it is no "
                "longer the manifest of these files: export again"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
