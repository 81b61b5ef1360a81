"""The result in words: what the verdict means, and one paragraph that a newcomer can read.

Every sentence is chosen by the numbers, also where they speak against the chip.
"""

from __future__ import annotations

from neurozsl.report import quantities as q
from neurozsl.report.quantities import count, percent, points, share, si, times
from neurozsl.report.schema import Energy, RunReport

VERDICTS = {
    "PASS": "Every compared bit equals the trained model.",
    "PASS-WITH-LOSS": "The chip arithmetic is reproduced bit for bit; what quantisation cost is "
    "stated below.",
    "FAIL": "Backends disagree, a layer is dead or saturated, or the accuracy dropped too far.",
    "UNVERIFIED": "No reference simulator has checked this deployment.",
}


NOTHING_SPIKES = "Nothing spikes in this model: all of it runs on the host."


def headline(report: RunReport) -> str:
    """The verdict in one sentence."""
    if report.verification is None and not report.layers:
        return f"{NOTHING_SPIKES} There is no deployment to verify."
    return VERDICTS[report.verdict]


def interval(row: Energy) -> str:
    """The bounds that the source publishes; a measured value has none to publish."""
    if not row.estimate and row.joules_low is None and row.joules_high is None:
        return q.MISSING
    return q.interval(row.joules_low, row.joules_high)


def spike_rate(report: RunReport) -> float:
    """Mean rate of the branch: spikes / (neurons x steps), over all layers."""
    updates = sum(x.neuron_updates for x in report.layers)
    return sum(x.spikes for x in report.layers) / updates if updates else 0.0


def reading(report: RunReport) -> str:
    """One paragraph: recognition, deployment loss, activity, energy, host."""
    sentences = [
        _recognition(report),
        _loss(report),
        _activity(report),
        _energy(report),
        _host(report),
    ]
    return " ".join(x for x in sentences if x)


def _recognition(report: RunReport) -> str:
    a = report.accuracy
    text = (
        f"The deployed model reaches a harmonic mean of {percent(a.HM)} "
        f"({percent(a.S)} on seen classes, {percent(a.U)} on unseen ones)"
    )
    if a.chance is not None:
        text += f", where shuffled class vectors stay below {percent(a.chance)} 19 times out of 20"
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


def _activity(report: RunReport) -> str:
    if not report.layers:
        return NOTHING_SPIKES
    synops = sum(x.synops for x in report.layers)
    dense = sum(x.dense for x in report.layers)
    text = f"The motion branch spikes at a mean rate of {share(spike_rate(report))}"
    if dense:
        text += (
            f": {count(synops)} synaptic operations per inference, {share(synops / dense)} of the "
            f"{count(dense)} that the same layers need without sparsity"
        )
    quiet = [x.name for x in report.layers if x.spikes == 0]
    if quiet:
        text += f"; no spike at all in {', '.join(quiet)}"
    return text + "."


def _energy(report: RunReport) -> str:
    known = sorted((e.joules, e.name) for e in report.energy if e.joules is not None)
    if not known:
        return ""
    (low, low_name), (high, high_name) = known[0], known[-1]
    text = f"Its energy is estimated at {si(low, 'J')} on {low_name}"
    if high > low:
        text += f" to {si(high, 'J')} on {high_name}, depending on whose figures are used"
    base = _first(report.baseline.energy) if report.baseline else None
    if report.baseline and base and low > 0 and base.joules:
        text += (
            f"; the comparison without spikes ({report.baseline.name}) costs "
            f"{si(base.joules, 'J')} on {base.name}, {times(base.joules / low)} the lowest and "
            f"{times(base.joules / high)} the highest of these"
        )
    return text + "."


def _host(report: RunReport) -> str:
    row = _first(report.host.energy)
    known = [e.joules for e in report.energy if e.joules]
    if not report.layers:
        return "" if row is None else f"An inference takes {si(row.joules, 'J')}: {row.name}."
    if row is None or row.joules is None:
        return "The host part (everything but the motion branch) comes on top."
    text = f"The host part comes on top with {si(row.joules, 'J')} on {row.name}"
    if known:
        text += f", {times(row.joules / max(known))} the highest figure of the chip"
    return text + "."


def _first(rows: tuple[Energy, ...]) -> Energy | None:
    """The first row with a value."""
    return next((x for x in rows if x.joules is not None), None)
