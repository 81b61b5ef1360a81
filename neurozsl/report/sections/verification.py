"""The verdict, and every layer on the backends that were compared at export."""

from collections.abc import Iterator, Mapping
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.export.bundle.agreement import told_processes
from neurozsl.report.schema import RunReport, Verification
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    """The verdict and what it rests on, as the export found it."""
    if test.opened is None:
        return {}
    manifest, stored = test.opened.manifest, test.opened.manifest.verification
    found = {
        "verdict": manifest.verdict,
        "samples": stored["samples"],
        "backends": {name: found["layers"] for name, found in stored["backends"].items()},
        "oracle": None if manifest.oracle == "none" else manifest.oracle,
        "notes": (
            *manifest.reasons,
            *manifest.losses,
            *stored.get("oracle_faults", ()),
            *told_processes(stored),
            *(() if manifest.dead_neurons is None else (str(manifest.dead_neurons),)),
        ),
    }
    return {"verification": Verification.model_validate(found)}


LAYERS = (
    t.Column("pair", lambda _, key: t.say(key.split(".")[2].replace("_", " "))),
    t.words("layer", "name"),
    t.number("equal bits", "agree", "share", strong=True),
    t.number("matched spikes", "matched", "share"),
    t.number("unequal", "differing"),
    t.number("first in step", "first_step"),
    t.number("margin", "margin", "number"),
    t.number("membrane", "membrane", "number"),
    t.number("spikes", "spikes"),
    t.number("rate", "rate", "share"),
)


def _tables(report: RunReport) -> Iterator[t.Table]:
    backends = {} if report.verification is None else report.verification.backends
    rows = {
        f"verification.backends.{pair}.{k}": layer
        for pair, layers in backends.items()
        for k, layer in enumerate(layers)
    }
    title = "Equal spike bits, layer by layer"
    yield t.table("agreement", title, LAYERS, rows.values(), keys=rows, on=t.PAPER)


def _lines(report: RunReport) -> Iterator[Line]:
    found = report.verification
    if found is None:
        yield Line("Not run; `neurozsl verify` compares the backends bit by bit.", ("card",))
        return
    yield Line(
        f"{found.verdict} on {q.count(found.samples)} samples; reference simulator: "
        f"{found.oracle or 'none on this machine'}.",
        ("card",),
    )
    yield from (Line(note, ("card",)) for note in found.notes)


SECTION = Section(
    "verification", "Verification", ("accuracy",), fill=_fill, tables=_tables, lines=_lines
)
