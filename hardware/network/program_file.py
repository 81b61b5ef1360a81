"""What `program.npz` says of a program of any chip beside its arrays: header and links.

A program has inputs, layers, outputs, steps, dt_s, policy and loss; only the layers and the losses
differ from chip to chip. `archive` keeps the JSON text and the arrays in one file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from neurozsl.core.signals import InputCode
from neurozsl.hardware.network.synapse import LayerLinks, Synapse, link_from_json


def as_header(
    program: Any, layers: Sequence[Mapping[str, Any]], *, schema: int, kind: str
) -> dict[str, Any]:
    """Everything but the arrays, ready for JSON.

    Args:
        program: with chip, inputs, outputs, steps, dt_s, policy and loss.
        layers: one row each.
        schema: version of the file.
        kind: of the integers.
    """
    return {
        "schema": schema,
        "kind": kind,
        "chip": program.chip,
        "inputs": {name: dataclasses.asdict(code) for name, code in program.inputs.items()},
        "layers": list(layers),
        "outputs": list(program.outputs),
        "steps": program.steps,
        "dt_s": program.dt_s,
        "policy": program.policy,
        "loss": [dataclasses.asdict(loss) for loss in program.loss],
    }


def shared_fields(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the programs of all chips are made of, without layers and losses."""
    return {
        "chip": header["chip"],
        "inputs": {name: InputCode(**code) for name, code in header["inputs"].items()},
        "outputs": tuple(header["outputs"]),
        "steps": header["steps"],
        "dt_s": header["dt_s"],
        "policy": header["policy"],
    }


def links_as_json(layer: LayerLinks) -> dict[str, Any]:
    """Links of a layer without their weights."""
    also = [{"source": s.source, "link": s.link.as_json()} for s in layer.also]
    return {"link": layer.link.as_json(), "also": also}


def links_from_json(row: dict[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What `links_as_json` wrote, taken out of the row; plain where the file has none."""
    found: dict[str, Any] = {}
    if "link" in row:
        found["link"] = link_from_json(row.pop("link"))
        found["also"] = tuple(
            Synapse(x["source"], arrays[f"{row['name']}/also/{i}"], link_from_json(x["link"]))
            for i, x in enumerate(row.pop("also"))
        )
    return found
