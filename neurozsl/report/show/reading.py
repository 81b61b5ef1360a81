"""The result in words: what the verdict means, and one paragraph that a newcomer can read.

Every sentence is chosen by the numbers, also where they speak against the chip; what nobody has
published is named as unknown. The paragraph has the sign of the advantage over a dense pass.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from neurozsl.core import quantities as q
from neurozsl.core.quantities import count, percent, points, share, si, times
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.hardware.count.counts import LayerCounts
from neurozsl.hardware.energy import ANCHOR, EnergyRow
from neurozsl.report.schema import NetworkReport, Report, RunReport

VERDICTS = {
    "PASS": "Every compared bit equals the trained model.",
    "PASS-WITH-LOSS": "The chip arithmetic is reproduced bit for bit; what quantisation cost is "
    "stated below.",
    "FAIL": "Backends disagree, a layer is dead or saturated, or the accuracy dropped too far.",
    "UNVERIFIED": "No reference simulator has confirmed this deployment.",
}

NOTHING_SPIKES = "Nothing spikes in this model: all of it runs on the host."
_NAMED = 4  # unknown costs that are written out; the table has all


def headline(report: Report) -> str:
    """What is known in one sentence: the verdict of a run, or what was counted of a network."""
    if isinstance(report, NetworkReport):
        if is_estimate(report):
            return f"Expected values of {count(report.steps)} steps, before there is a network."
        where = "the float network" if report.chip is None else f"the integers of {report.chip}"
        many = "s" * (report.samples != 1)
        return (
            f"{count(report.samples)} sample{many} of {count(report.steps)} steps, counts of "
            f"{where} ({report.backend})."
        )
    assert isinstance(report, RunReport)
    if report.verification is None and not report.layers:
        return f"{NOTHING_SPIKES} There is no deployment to verify."
    return VERDICTS[report.verdict]


def is_estimate(report: Report) -> bool:
    """Whether nothing ran: a network that is not trained yet."""
    return isinstance(report, NetworkReport) and report.backend.startswith("none")


def kind(row: EnergyRow) -> str:
    """Where a figure comes from, in a word or three; a plain estimate says so alone."""
    if not row.estimate:
        return "measured"
    words = ["inherited"] * row.inherited + ["lower bound"] * row.lower_bound
    words += ["all-in"] * (row.scope == "all_in") + ["as-if"] * row.as_if
    return ", ".join(words) or "estimate"


def note(row: EnergyRow) -> str:
    """What else there is to say of a row."""
    latency = f"latency: {row.latency_note}" if row.latency_note else ""
    floor = "a lower bound: see what is excluded" if row.lower_bound else ""
    return "; ".join(filter(None, (row.note, latency, floor)))


def warnings(rows: Sequence[EnergyRow]) -> Iterator[tuple[str, str]]:
    """Each warning once: the rows that have it, and what it says."""
    named: dict[str, list[str]] = {}
    for row in rows:
        for text in row.warnings:
            named.setdefault(text, []).append(row.name)
    yield from (("; ".join(names), text) for text, names in named.items())


def spike_rate(report: Report) -> float:
    """The mean rate of all layers that spike."""
    quiet = report.readouts if isinstance(report, NetworkReport) else ()
    return mean_rate(x for x in report.layers if x.name not in quiet)


def mean_rate(layers: Iterable[LayerCounts]) -> float:
    """Spikes / (neurons x steps) over layers."""
    layers = list(layers)
    updates = sum(x.neuron_updates for x in layers)
    return sum(x.spikes for x in layers) / updates if updates else 0.0


def reading(report: Report) -> str:
    """The result in one paragraph."""
    return " ".join(paragraphs(report))


def paragraphs(report: Report) -> tuple[str, ...]:
    """What it reaches; what it costs; the sign of the advantage; what is in doubt."""
    run = report if isinstance(report, RunReport) else None
    reached = [_recognition(run), _loss(run)] if run else [_task(report)]
    costs = [_activity(report), _energy(report), _static(report.energy)]
    costs.append(_host(run) if run else "")
    doubts = [_fits(report)] if isinstance(report, NetworkReport) else []
    doubts += [calibrated(report), unknown(report.energy)]
    joined = (" ".join(x for x in part if x) for part in (reached, costs, [_sign(report)], doubts))
    return tuple(x for x in joined if x)


def _recognition(report: RunReport) -> str:
    a = report.accuracy
    text = (
        f"The deployed model reaches a harmonic mean of {percent(a.HM)} "
        f"({percent(a.S)} on seen classes, {percent(a.U)} on unseen ones)"
    )
    if a.chance is not None and a.HM > a.chance:
        text += f", where shuffled class vectors stay below {percent(a.chance)} 19 times out of 20"
    elif a.chance is not None:
        text += f", which is not above chance: shuffled class vectors reach {percent(a.chance)}"
    test = "synthetic test samples" if report.data.synthetic else "test samples"
    return f"{text}, on {count(a.samples)} {test}."


def _loss(report: RunReport) -> str:
    if len(report.deployment) < 2:
        return ""
    first, last = report.deployment[0], report.deployment[-1]
    return (
        f"Going from '{first.step}' to '{last.step}' changes the harmonic mean by "
        f"{points(last.HM - first.HM)}."
    )


def _task(report: Report) -> str:
    """What a network of a file is right about, where its input has labels."""
    score = report.own("task", TaskScore)
    if score is None:
        return ""
    first, shipped = score.rows[0], score.shipped
    samples = f"{count(score.samples)} labelled samples"
    if shipped.drop is None:
        return f"The float network is right on {first.accuracy} of {samples}."
    return (
        f"The network is right on {shipped.accuracy} of {samples} ({shipped.name}), in float on "
        f"{first.accuracy}: a drop of {shipped.drop}, of which {score.limit:g} pass: "
        f"{score.verdict}."
    )


def _activity(report: Report) -> str:
    if not report.layers:
        return NOTHING_SPIKES
    synops = sum(x.synops for x in report.layers)
    dense = sum(x.dense for x in report.layers)
    what = "motion branch" if isinstance(report, RunReport) else "network"
    spikes = "is assumed to spike" if is_estimate(report) else "spikes"
    text = f"The {what} {spikes} at a mean rate of {share(spike_rate(report))}"
    if dense:
        text += (
            f": {count(synops)} synaptic operations per inference, {share(synops / dense)} of the "
            f"{count(dense)} that the same layers need without sparsity"
        )
    readouts = report.readouts if isinstance(report, NetworkReport) else ()
    quiet = [x.name for x in report.layers if x.spikes == 0 and x.name not in readouts]
    if quiet:
        text += f"; no spike at all in {', '.join(quiet)}"
    return text + "."


def _fits(report: NetworkReport) -> str:
    held = [f"{x.name} ({x})" for x in report.fits if x.placement is not None]
    refused = [x.name for x in report.fits if x.placement is None]
    parts = [f"It fits {', '.join(held)}"] if held else []
    parts += [f"{'it' if held else 'It'} does not fit {', '.join(refused)}"] if refused else []
    return f"{'; '.join(parts)}." if parts else ""


def _energy(report: Report) -> str:
    # An anchor is what other workloads took, no estimate of this one.
    known = sorted((e for e in report.energy if e.method != ANCHOR), key=lambda e: e.joules)
    if not known:
        return ""
    low, high = known[0], known[-1]
    text = f"Its energy is estimated at {_at(low)}"
    if high.joules > low.joules:
        text += f" to {_at(high)}, depending on whose figures are used"
    return text + "."


def _at(row: EnergyRow) -> str:
    """Energy and device, with what weakens the figure."""
    weak = ["a lower bound"] * row.lower_bound + ["figures of another chip"] * row.inherited
    weak += ["as if the chip ran it"] * row.as_if
    return f"{si(row.joules, 'J')} on {row.name}" + (f" ({', '.join(weak)})" if weak else "")


def _static(rows: Sequence[EnergyRow]) -> str:
    """Static power x latency where it is largest: it may outweigh everything above."""
    row = max(rows, key=lambda x: x.static_joules or 0.0, default=None)
    if row is None or not (static := row.static_joules):
        return ""
    step = f" with steps of {si(row.step_s, 's')}" if row.step_s else ""
    text = f"Static power comes on top, up to {si(static, 'J')} on {row.name}{step}"
    if row.joules:
        text += f", {times(static / row.joules)} its dynamic energy"
    return text + "."


def _sign(report: Report) -> str:
    """Who costs less, the spikes or a dense pass: the first sentence of the comparison.

    The comparison itself has the rest.
    """
    if report.comparison is None:
        return ""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", report.comparison.sentence, maxsplit=1)[0]


def _host(report: RunReport) -> str:
    row = next(iter(report.host.energy), None)
    known = [e.total_joules for e in report.energy if e.total_joules and e.method != ANCHOR]
    if not report.layers:
        return "" if row is None else f"An inference takes {_spanned(row)}: {row.name}."
    if row is None:
        return "The host part (everything but the motion branch) comes on top."
    origin = re.sub(r"^host part,? ", "", row.name)
    text = f"The host part comes on top with {_spanned(row)}, {origin}"
    if known:
        text += (
            f"; that is {times(row.joules / max(known))} the highest figure of a chip, "
            "static energy included"
        )
    return text + "."


def _spanned(row: EnergyRow) -> str:
    """A value with its bounds, where there are two."""
    value = si(row.joules, "J")
    bounds = q.interval(row.joules_low, row.joules_high)
    return value if row.interval == "unpublished" else f"{value} ({bounds})"


def calibrated(report: Report) -> str:
    """How many published rows our figures predict, and how many merely agree with their figures."""
    found = []
    for word, told in (
        ("prediction", "measurements predicted from others, {} lie inside the interval"),
        ("consistency", "weaker checks (a bound, a range, rows that a figure rests on), {} hold"),
    ):
        rows = [x for x in report.calibration if x.check == word]
        if rows:
            held = sum(x.holds is True for x in rows)
            found.append(f"of {len(rows)} {told.format(held)}")
    return f"{'; '.join(found).capitalize()}." if found else ""


def unknown(rows: Sequence[EnergyRow]) -> str:
    """What costs energy and has no figure, and on how many devices; "" where nothing is unknown.

    The rows themselves say which.
    """
    devices = Counter(cost for row in rows for cost in row.unknown)
    parts = [f"{cost} ({n} of {len(rows)} rows)" for cost, n in devices.items()]
    more = len(parts) - _NAMED
    parts = parts[:_NAMED] + ([f"and {more} more, in the table"] if more > 0 else [])
    return f"Unknown, and in no figure here: {'; '.join(parts)}." if parts else ""


def key_row(rows: Sequence[EnergyRow]) -> EnergyRow | None:
    """The row that stands for all: the first of a chip that can run the network, else the first."""
    return next((x for x in rows if not x.as_if), next(iter(rows), None))
