"""A `.nir` file of any tool as a `Network`: its layers, and everything that was not in the file.

NIR stores no time step, no unit of time and no rule at the threshold. What the file does not say,
the caller may say (`Said`), in one word where the writer is known (`dialects`); a writer is
recognised where the file shows it. What nobody says is assumed (`meaning`), and every assumption is
one sentence that travels with what is made of the network (its graph's metadata, bundles, reports).

Repairs of the graph itself come from `normalise`, rewriting from `hardware.lower.lower`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import nir

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.dialects.registry import spoken
from neurozsl.export.nir.meaning import Choice, Meaning, meaning
from neurozsl.export.nir.normalise import normalise
from neurozsl.export.nir.plain import plain
from neurozsl.export.nir.said import Said
from neurozsl.hardware.lower import metadata as graph_metadata
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule

STEPS: Final = 100


@dataclass(frozen=True)
class Network:
    """A network of a file.

    graph: flat, shapes filled in, in plain words (`plain`), with our metadata: written to a file it
    says all that was said and assumed. source: name of the file. repairs: changes to the graph.
    assumptions: what nobody said; choices: their other sides. dialect: the word of the one that it
    is read in, None for none; why: who said so, or the signs. cannot_say: what files of this
    dialect leave out. dt_assumed: no one says the step, and something depends on it. notes: what
    lowering rewrote.
    """

    source: str
    graph: nir.NIRGraph
    lowered: Lowered
    repairs: tuple[str, ...]
    assumptions: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    dialect: str | None = None
    why: str = ""
    cannot_say: tuple[str, ...] = ()
    dt_assumed: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What lowering rewrote or decided."""
        return self.lowered.notes


def from_graph(graph: nir.NIRGraph, source: str, said: Said | None = None) -> Network:
    """The network of a graph of any version and tool, as `nirfile.read` gives it.

    `source` is what messages call it; `said` what the caller knows and the graph may not say.

    Raises:
        BadInput, UnsupportedNode: see `normalise`, `lower`; or the caller contradicts the graph.
    """
    said = said or Said()
    normal = normalise(graph)
    header = graph_metadata.read(normal.graph)
    if header:
        _check_agrees(header, said, source)
        lowered = lower(normal.graph)
        kept = tuple(header.get("assumptions", ()))
        repairs = (*header.get("repairs", ()), *normal.repairs)
        dialect = header.get("read_as", {}).get("dialect")
        why = "stored in the file" if dialect else ""
        return Network(source, normal.graph, lowered, repairs, kept, dialect=dialect, why=why)
    found = spoken(graph, said.dialect)
    meant = meaning(normal.graph, said, found)
    spelled = plain(normal.graph, meant, found)
    settled = spelled.graph
    steps = STEPS if said.steps is None else said.steps
    start = {"start": "rest"} if found is not None and found.dialect.start == "rest" else {}
    drafted = lower(settled, dt_s=meant.dt_s, steps=steps, inputs=said.inputs, rule=meant.rules)
    repairs = (*normal.repairs, *spelled.told)
    dialect = None if found is None else found.word
    settled.metadata = graph_metadata.header(
        drafted,
        {"v_reset": 0, **_stored_rules(meant), **start},
        assumptions=meant.assumptions,
        repairs=repairs,
        read_as={
            "dialect": dialect,
            "discretisation": meant.discretisation,
            "if_gain": meant.if_gain,
        },
    )
    settled.metadata |= spelled.decays
    return Network(
        source=source,
        graph=settled,
        lowered=lower(settled),
        repairs=repairs,
        assumptions=meant.assumptions,
        choices=meant.choices,
        dialect=dialect,
        why="" if found is None else found.why,
        cannot_say=() if found is None else found.dialect.cannot_say,
        dt_assumed=meant.dt_assumed,
    )


def _stored_rules(meant: Meaning) -> dict[str, Any]:
    """The rule of most neurons, and those that differ from it by name."""
    rules = list(meant.rules.values())
    common = max(rules, key=rules.count, default=PLAIN_RULE)
    apart = {name: _stored(rule) for name, rule in meant.rules.items() if rule != common}
    return {**_stored(common), **({"rules": apart} if apart else {})}


def _stored(rule: NeuronRule) -> dict[str, Any]:
    return {key: value for key, value in asdict(rule).items() if key != "spiking"}


def _check_agrees(header: Mapping[str, Any], said: Said, source: str) -> None:
    """A file that says it is not overruled."""
    given: dict[str, Any] = {
        "dt_s": said.dt_s,
        "reset": said.reset,
        "compare": said.compare,
        "steps": said.steps,
    }
    given |= {"max_spikes": said.max_spikes, "low": said.low, "dialect": said.dialect}
    given |= {"discretisation": said.discretisation, "if_gain": said.if_gain}
    held = {"max_spikes": 1, "discretisation": "euler", "if_gain": "step", "dialect": None}
    held |= {key: header[key] for key in given if key in header and key != "if_gain"}
    held |= header.get("read_as", {})
    for key, value in given.items():
        stored = held.get(key)
        if value is not None and stored != value:
            raise BadInput(
                f"{source}: says {key} {stored!r}, asked for {value!r}; leave the option out, or "
                "remove metadata['neurozsl'] from the file"
            )
