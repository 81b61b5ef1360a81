"""`program.npz` of a program of any arithmetic: a JSON header, and arrays by `layer/name`.

A program has inputs, layers, outputs, steps, dt_s, policy and loss; only the fields of its layers
and losses differ from chip to chip. `archive` keeps the JSON text and the arrays in one file.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import Kind, checked_object, checked_value
from neurozsl.core.stored_codes import read_codes
from neurozsl.hardware.network import archive
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import LayerLinks, Synapse, link_from_json

_APART: Final = ("link", "also", "rule")  # of a layer, in JSON of their own
_FORM: Final[Mapping[str, Kind]] = {"kind": str, "schema": int}
_KEYS: Final[Mapping[str, Kind]] = {
    "chip": str,
    "inputs": dict,
    "layers": list,
    "outputs": list,
    "steps": int,
    "dt_s": float,
    "policy": str,
    "loss": list,
}


def write_program(path: Path, program: Any) -> None:
    """Write a `ChipProgram` in one step."""
    arrays: archive.Arrays = {}
    rows = []
    for layer in program.layers:
        fields = [x.name for x in dataclasses.fields(layer)]
        plain = [x for x in fields if x not in (*program.arrays, *_APART)]
        rule = {"rule": layer.rule.as_json()} if "rule" in fields else {}
        rows.append({x: getattr(layer, x) for x in plain} | links_as_json(layer) | rule)
        held = {x: getattr(layer, x) for x in program.arrays}
        held |= {f"also/{i}": synapse.weight for i, synapse in enumerate(layer.also)}
        arrays |= {f"{layer.name}/{x}": array for x, array in held.items() if array is not None}
    header = {
        "schema": program.schemas[-1],
        "kind": program.kind,
        "chip": program.chip,
        "inputs": {name: dataclasses.asdict(code) for name, code in program.inputs.items()},
        "layers": rows,
        "outputs": list(program.outputs),
        "steps": program.steps,
        "dt_s": program.dt_s,
        "policy": program.policy,
        "loss": [dataclasses.asdict(loss) for loss in program.loss],
    }
    archive.write(path, header, arrays)


def read_program(header: dict[str, Any], arrays: archive.Arrays, of: Any) -> dict[str, Any]:
    """The fields of a program of this class, checked by its layers; nothing in it is executed.

    Call it inside `archive.named`: what else is wrong with the values shows while they are used.

    Raises:
        BadInput: another kind or schema, keys missing, or integers out of range.
    """
    checked_object(header, "'json'", remedy=archive.REMEDY, keys=_FORM)
    if header["kind"] != of.kind or header["schema"] not in of.schemas:
        raise BadInput(
            f"kind {header['kind']} schema {header['schema']}, expected {of.kind} "
            f"schema {of.schemas}"
        )
    checked_object(header, "'json'", remedy=archive.REMEDY, keys=_KEYS)
    layers = []
    for row in header["layers"]:
        found = {x: arrays.get(f"{row['name']}/{x}") for x in of.arrays}
        links = _links_from_json(row, arrays)  # takes its keys out of the row
        if "rule" in row:
            row["rule"] = NeuronRule(**row["rule"])
        layers.append(of.layer_type(**row, **links, **found))
    return {
        "chip": header["chip"],
        "inputs": read_codes(header["inputs"], "program", remedy=archive.REMEDY),
        "layers": tuple(layers),
        "outputs": tuple(header["outputs"]),
        "steps": header["steps"],
        "dt_s": header["dt_s"],
        "policy": header["policy"],
        "loss": tuple(of.loss_type(**row) for row in header["loss"]),
    }


def links_as_json(layer: LayerLinks) -> dict[str, Any]:
    """Links of a layer without their weights."""
    also = [{"source": s.source, "link": s.link.as_json()} for s in layer.also]
    return {"link": layer.link.as_json(), "also": also}


def _links_from_json(row: dict[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What `links_as_json` wrote, taken out of the row; plain where the file has none."""
    found: dict[str, Any] = {}
    if "link" in row:
        found["link"] = link_from_json(row.pop("link"))
        checked_value(row["also"], "'also'", list, remedy=archive.REMEDY)
        found["also"] = tuple(
            Synapse(x["source"], arrays[f"{row['name']}/also/{i}"], link_from_json(x["link"]))
            for i, x in enumerate(row.pop("also"))
        )
    return found
