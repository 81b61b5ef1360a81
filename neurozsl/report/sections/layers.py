"""What the spikes do: counts of every layer, and its spikes over the steps."""

from collections.abc import Collection, Iterator

from neurozsl.core import quantities as q
from neurozsl.hardware.count.activity import LayerActivity
from neurozsl.report import figures
from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.schema import Layer, NetworkReport, Report, RunReport
from neurozsl.report.sections.context import of_costs
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section

_OPERATIONS = "Synaptic operations"


def _columns(readouts: Collection[str]) -> tuple[t.Column, ...]:
    def name(x: Layer, _: str) -> t.Cell:
        return t.say(x.name, aside="read-out" * (x.name in readouts))

    def rate(x: Layer, key: str) -> t.Cell:
        return t.figure(x.spike_rate, f"{key}.spike_rate", "share", alarm=x.spikes == 0)

    def share(x: Layer, _: str) -> t.Cell:
        return t.say(q.share(x.synops / x.dense) if x.dense else q.MISSING)

    return (
        t.Column("layer", name),
        t.number("neurons", "neurons", group="Size"),
        t.Column("spike rate", rate, numeric=True, group="Spikes"),
        t.number("sent", "spikes", group="Spikes", on=t.PAPER),
        t.number("arriving", "input_events", group="Spikes", on=t.PAPER),
        t.number("silent", "dead_neurons", group="Spikes", on=t.PAPER),
        t.number("SynOps", "synops", group=_OPERATIONS),
        t.Column("of dense", share, numeric=True, group=_OPERATIONS),
        t.number("dense", "dense", group=_OPERATIONS, on=t.PAPER),
        t.number("active", "active_updates", group="Neuron updates", on=t.PAPER),
        t.number("idle", "inactive_updates", group="Neuron updates", on=t.PAPER),
        t.number("messages", "messages", group="Routing"),
        t.number("hops", "hops", group="Routing", on=t.PAPER),
    )


_SIZES = {"inputs": "fan_in", "parameters": "parameters", "weights not 0": "nonzero_weights",
          "steps": "steps"}  # fmt: skip
_KINDS = {
    "ACs": "effective_acs", "MACs": "effective_macs", "through kernels": "conv_synops",
    "as Sinabs counts": "synops_weighted", "at most": "most_synops",
}  # fmt: skip
SIZES = (
    t.words("layer", "name"),
    *(t.number(title, field, group="Size") for title, field in _SIZES.items()),
    *(t.number(title, field, group=_OPERATIONS) for title, field in _KINDS.items()),
    t.number("all", "neuron_updates", group="Neuron updates"),
    t.number("wraps", "overflow", group="Integers"),
    t.number("clips", "saturation", group="Integers"),
)


def _step(title: str, place: int) -> t.Column:
    def cell(x: LayerActivity, key: str) -> t.Cell:
        steps = range(len(x.spikes))
        return t.say(*(t.Number(x.spikes[k], f"{key}.spikes.{k}") for k in steps[place:][:1]))

    return t.Column(title, cell, numeric=True)


ACTIVITY = (
    t.words("layer", "layer"),
    t.words("classes", "group"),
    t.number("samples", "samples"),
    t.number("spike rate", "spike_rate", "share", strong=True),
    _step("spikes, first step", 0),
    _step("spikes, last step", -1),
)


def _tables(report: Report) -> Iterator[t.Table]:
    readouts = report.readouts if isinstance(report, NetworkReport) else ()
    what = "Motion branch" if isinstance(report, RunReport) else "Layers"
    yield t.table(
        "layers",
        f"{what}, per inference",
        _columns(readouts),
        report.layers,
        key="layers",
        notes=(
            "SynOps: synaptic operations with a nonzero weight and input; dense: the same layer "
            "without sparsity. Active updates: neuron-steps in which an event arrives. Messages: "
            "spikes times the cores that read them; hops: their steps from tile to tile. Silent: "
            "neurons without a spike in the whole run.",
        ),
    )
    yield t.table(
        "sizes",
        "Layers: sizes, and operations by kind",
        SIZES,
        report.layers,
        key="layers",
        on=t.PAPER,
        notes=(
            "ACs have inputs of 0 or 1, MACs graded ones; at most: with an event in every step. "
            "Sinabs weights by the input value and counts zero weights too. Wraps and clips: "
            "overflow of the synaptic current and saturation of the membrane in the integer "
            "simulation, whole run.",
        ),
    )
    title = "Spikes, mean over the samples of a group"
    yield t.table("activity", title, ACTIVITY, report.activity, key="activity", on=("page",))


def _activity(report: Report) -> Drawn | None:
    neurons = {x.name: x.neurons for x in report.layers}
    known = any(row.spikes for row in report.activity)
    return figures.activity(report.activity, neurons) if known else None


SECTION = Section(
    "layers", "What the spikes do", ("layers",),
    fill=of_costs(lambda costs: {"layers": costs.layers, "activity": costs.activity}),
    tables=_tables,
    figures={
        "spike_rate": lambda x: figures.spike_rate(x.layers, x.activity), "activity": _activity
    },
)  # fmt: skip
