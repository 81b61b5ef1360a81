"""What a NIR graph of ours says beside its nodes, and what the caller says where it does not.

Our header is one JSON string under `metadata["neurozsl"]`: dt, steps, policy, the rule at the
threshold, input codes, outputs, the order of layers. Exact decays and threshold tables are arrays
beside it (`export.nir.graph` writes all of it). A foreign graph has none of this.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, get_args

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import parse_json
from neurozsl.core.signals import BranchSpec, InputCode, Policy
from neurozsl.core.stored_codes import read_codes
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule

METADATA_KEY: Final = "neurozsl"
METADATA_SCHEMA: Final = 1
_RULE: Final = ("reset", "compare", "max_spikes", "low")


def header(network: BranchSpec | Lowered, rule: Mapping[str, Any], **more: Any) -> dict[str, str]:
    """Our JSON header for a graph's metadata; rule: what a neuron does at its threshold."""
    text = {
        "schema": METADATA_SCHEMA,
        "dt_s": network.dt_s,
        "time_unit": "s",
        **rule,
        "if_gain": "r per step",
        "steps": network.steps,
        "policy": network.policy,
        "inputs": {name: asdict(code) for name, code in network.inputs.items()},
        "outputs": list(network.outputs),
        "layers": [layer.name for layer in network.layers],
        **more,
    }
    return {METADATA_KEY: json.dumps(text)}


def read(graph: nir.NIRGraph) -> dict[str, Any]:
    """Our JSON header merged over the arrays that travel beside it; {} for foreign graphs."""
    plain = dict(getattr(graph, "metadata", None) or {})
    text = plain.pop(METADATA_KEY, None)
    if text is None:
        return {}
    if isinstance(text, np.ndarray):
        text = text[()]
    where, remedy = f"NIR graph: metadata '{METADATA_KEY}'", "export it again"
    if not isinstance(text, (str, bytes)):
        raise BadInput(f"{where} is a {type(text).__name__}, expected text; {remedy}")
    said = parse_json(text, where, remedy=remedy, allow_nan=True)
    if not isinstance(said, dict) or said.get("schema") != METADATA_SCHEMA:
        found = said.get("schema") if isinstance(said, dict) else said
        raise BadInput(
            f"NIR graph: metadata schema {found!r}, this version reads {METADATA_SCHEMA}"
        )
    return {**plain, **said}


def of_layer(metadata: Mapping[str, Any], layer: str) -> Callable[[str], Any | None]:
    """Arrays of one layer by key; HDF5 turns `key/layer` into nested groups, memory may not."""

    def get(key: str) -> Any | None:
        nested = metadata.get(key)
        if isinstance(nested, Mapping) and layer in nested:
            return nested[layer]
        return metadata.get(f"{key}/{layer}")

    return get


def rules(
    metadata: Mapping[str, Any], given: NeuronRule | Mapping[str, NeuronRule] | None
) -> Callable[[str], NeuronRule]:
    """The rule at the threshold by layer: of the metadata, else given, else reset to zero.

    The header holds one rule, and under `rules` those of the layers that differ from it.
    """
    if "reset" in metadata:
        common = _rule(metadata)
        own = {name: _rule({**metadata, **row}) for name, row in metadata.get("rules", {}).items()}
        return lambda name: own.get(name, common)
    if isinstance(given, Mapping):
        return lambda name: given.get(name, PLAIN_RULE)
    return lambda name: given or PLAIN_RULE


def _rule(stored: Mapping[str, Any]) -> NeuronRule:
    found = {key: stored[key] for key in _RULE if key in stored}
    if found.get("low") is not None:
        found["low"] = float(found["low"])
    return NeuronRule(**found)


def positive(key: str, value: Any, meaning: str) -> float:
    """A number above 0 that the metadata or the caller gives."""
    if value is None:
        raise BadInput(f"NIR graph: {key} ({meaning}) is not stored in NIR; pass {key}=")
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise BadInput(f"NIR graph: {key} is {value!r}, expected a positive number")
    return value


def policy(value: object) -> Policy:
    """A threshold policy by name."""
    if value == "closed":
        raise BadInput(
            "NIR graph: its thresholds follow the layers' own spikes (policy 'closed'), which no "
            "chip here can do; freeze them first (`export --threshold frozen`)"
        )
    for known in get_args(Policy):
        if value == known:
            found: Policy = known
            return found
    raise BadInput(f"NIR graph: policy {value!r}, expected one of {', '.join(get_args(Policy))}")


def input_codes(
    graph: nir.NIRGraph, metadata: Mapping[str, Any], given: Mapping[str, InputCode] | None
) -> dict[str, InputCode]:
    """A code per Input node: of the metadata, else given, else binary spikes."""
    sizes = {
        name: int(np.prod(np.asarray(node.input_type["input"])))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input)
    }
    if not sizes:
        raise BadInput("NIR graph: has no Input node")
    codes = dict(given or {})
    codes |= read_codes(metadata.get("inputs", {}), "NIR graph: metadata", remedy="export it again")
    for name in set(codes) - set(sizes):
        raise BadInput(f"NIR graph: a code is given for input '{name}', nodes are {sorted(sizes)}")
    for name, size in sizes.items():
        code = codes.setdefault(name, InputCode(size, "binary", 1, False, 1.0))
        if code.size != size:
            raise BadInput(f"NIR input '{name}': {size} wide, its code says {code.size}")
        mantissa, _ = math.frexp(code.scale)
        if not math.isfinite(code.scale) or mantissa != 0.5:
            raise BadInput(f"NIR input '{name}': scale {code.scale:g} is not a power of two")
    return {name: codes[name] for name in sizes}
