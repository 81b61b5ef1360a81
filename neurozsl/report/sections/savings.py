"""What costs most, and what would cut it: the ranked measures of `hardware.count.savings`, priced.

Joules are those of one cost table, the one that prices the steps of a deployment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from neurozsl.core import quantities as q
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.count.savings import Arriving, LayerCost, Measure
from neurozsl.hardware.energy.saved import saved_joules
from neurozsl.report.schema import Report
from neurozsl.report.sections.context import of_costs
from neurozsl.report.sections.costs import STEP_DEVICE, Costs
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

_KEY: Final = "savings"
_IN_TERMINAL: Final = 5


@dataclass(frozen=True)
class PricedMeasure(Measure):
    """A measure, and the dynamic joules per inference that it saves: an estimate."""

    joules: float = 0.0


@dataclass(frozen=True)
class Ranking:
    """`count.savings.Savings` with joules; device: name of the cost table that they are from."""

    synops: float
    updates: float
    device: str
    layers: tuple[LayerCost, ...]
    measures: tuple[PricedMeasure, ...]

    @property
    def sentence(self) -> str:
        """The dearest layer, the largest saving, and the largest in that layer."""
        if not self.synops:
            return "No event met a weight in this run: there are no SynOps to save."
        dearest = self.layers[0]
        arriving = " and ".join(_said(x, dearest) for x in dearest.arriving if x.synops)
        return (
            f"Most of it: layer '{dearest.layer}', {q.share(dearest.synops_share)} of "
            f"{q.count(self.synops)} SynOps: {arriving}. {self._largest(dearest)}"
        )

    def _largest(self, dearest: LayerCost) -> str:
        if not self.measures:
            return "None of the measures that are tried here would save any."
        first = self.measures[0]
        text = f"Largest saving: {_saving(first)}."
        sources = [dearest.layer, *(x.source for x in dearest.arriving)]
        near = next((x for x in self.measures if x.where in sources), None)
        if near is None or near is first:
            return text
        return f"{text} Largest at that layer: {_saving(near)}."


def _said(arriving: Arriving, layer: LayerCost) -> str:
    """Where operations come from; of a source alone its name is left out."""
    named = f" of '{arriving.source}'" * (len(layer.arriving) > 1)
    return f"{q.count(arriving.events)} events{named} x {q.count(arriving.fan_out)} weights each"


def _saving(measure: Measure) -> str:
    return (
        f"{measure.where}, {measure.text}: {q.count(measure.synops)} SynOps, "
        f"{q.share(measure.share)}; {measure.holds}"
    )


@of_costs
def _fill(costs: Costs) -> Mapping[str, Any]:
    found = costs.savings
    if found is None:
        return {}
    steps = costs.counts.steps
    measures = tuple(
        PricedMeasure(**vars(x), joules=saved_joules(x, STEP_DEVICE, steps)) for x in found.measures
    )
    name = load_chip(STEP_DEVICE).name
    return {_KEY: Ranking(found.synops, found.updates, name, found.layers, measures)}


def _arriving(layer: LayerCost, key: str) -> t.Cell:
    pieces: list[t.Piece] = []
    for k, x in enumerate(layer.arriving):
        at = f"{key}.arriving.{k}"
        pieces += ["; "] * bool(pieces)
        pieces += [t.Number(x.events, f"{at}.events"), f" of {x.source} x "]
        pieces += [t.Number(x.fan_out, f"{at}.fan_out")]
    return t.say(*pieces)


LAYERS = (
    t.words("layer", "layer"),
    t.number("SynOps", "synops"),
    t.number("of all", "synops_share", "share", strong=True),
    t.Column("events x nonzero weights behind each", _arriving),
    t.number("neuron updates", "updates"),
    t.number("of all updates", "updates_share", "share"),
)
MEASURES = (
    t.words("what", "text"),
    t.words("where", "where"),
    t.number("SynOps", "synops", group="Saves"),
    t.number("of all", "share", "share", strong=True, group="Saves"),
    t.number("updates", "updates", group="Saves"),
    t.number("spikes", "spikes", group="Saves", on=t.PAPER),
    t.number("joules", "joules", "joules", group="Saves", on=t.PAPER),
    t.words("holds", "holds"),
)


def _notes(device: str) -> tuple[str, ...]:
    return (
        "Of this run. Exact: no spike that an output depends on changes, whatever the input is. On "
        "this run: not proved for other input. Needs training: counted on the events of this run "
        "as they are; what training makes of them is not known before. Savings overlap and do not "
        "add up. Updates: neuron-steps that are not visited any more. Joules: an estimate with the "
        f"figures of {device}; updates that stay but receive no event any more are not in it.",
    )


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.own(_KEY, Ranking)
    if found is None:
        return
    title, key = "What would cut it, and what it saves per inference", f"sections.{_KEY}.measures"
    first = found.measures[:_IN_TERMINAL]
    yield t.table("first", title, MEASURES, first, key=key, on=("terminal",))
    yield t.table(
        "measures", title, MEASURES, found.measures, key=key, on=t.PAPER,
        notes=_notes(found.device),
    )  # fmt: skip
    where = "Where the operations come from, per inference"
    yield t.table("origin", where, LAYERS, found.layers, key=f"sections.{_KEY}.layers", on=t.PAPER)


def _lines(report: Report) -> Iterator[Line]:
    found = report.own(_KEY, Ranking)
    if found is not None:
        yield Line(found.sentence, t.EVERYWHERE)


def _example() -> Mapping[str, Any]:
    arriving = Arriving("<b>made-up</b>", 1200.5, 33.25, 39_916.625, 64, 3)
    layer = LayerCost("<i>layer</i>", 39_916.625, 0.96, 640.0, 0.5, (arriving,))
    measure = PricedMeasure(
        "prune/<i>layer</i>", "prune", "<i>layer</i>", "keep the 7 largest of <b>70</b> weights",
        "needs training", 31_000.5, 0.75, joules=7.25e-7,
    )  # fmt: skip
    return {_KEY: Ranking(41_500.0, 1280.0, "Chip A (made up)", (layer,), (measure,))}


SECTION = Section(
    _KEY, "What costs most, and what would cut it", (_KEY,), fill=_fill, tables=_tables,
    lines=_lines, example=_example,
)  # fmt: skip
