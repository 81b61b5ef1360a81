"""Runs every check of a target on the same samples and gives the verdict.

    PASS            every bit equals the trained model
    PASS-WITH-LOSS  backends agree in every bit, but the deployment differs from the trained model
                    (integers, or a threshold policy that was changed); the loss is stated
    UNVERIFIED      nothing of ours disagrees, but the target's oracle is not on this machine, or a
                    known fault of it accounts for every difference (`oracle_faults`): no verdict
    FAIL            a check that must be exact differs in a bit, or a layer of a model's branch is
                    dead or saturated (of a network that came as a file: a loss, on these samples)

`emulator_vs_norse` is the loss of quantisation, never a failure.

Where the network was trained in integers, the trained model is that integer forward: its spikes on
the samples come with the bundle and are compared with the deployed backend and with the oracle of
its integers (for a float target, with its first backend). Integers must give them again in every
bit. The float branch of such a bundle is the integers' twin, so that `emulator_vs_norse` compares
the deployment with its float description, which nobody trained: it is shown, and is no loss.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any, Literal

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.backends.registry import BACKENDS, SECOND_FLOAT, Parts, RunOptions, backend
from neurozsl.export.bundle.agreement import LayerAgreement, compare, worst_margins, worst_membranes
from neurozsl.export.bundle.oracle_faults import accounted_for, faults_of
from neurozsl.export.targets import Check, Target, target
from neurozsl.hardware.count.diagnose import diagnose, integrating_layers

Verdict = Literal["PASS", "PASS-WITH-LOSS", "UNVERIFIED", "FAIL"]


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    reasons: why it is FAIL. losses: what differs from the trained model. oracle: the foreign
    simulator that was asked, "none" where the target has one and it is not installed.
    oracle_faults: differences that a known fault of the oracle accounts for, which decide nothing.
    references: per check, the foreign code in it and what that leaves out, where it is not whole.
    processes: per backend that says so and layer, what computed each synapse, as "audio: Sparse".
    """

    target: str
    verdict: Verdict
    samples: int
    checks: Mapping[str, tuple[LayerAgreement, ...]]
    reasons: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    oracle: str = "none"
    skipped: tuple[str, ...] = ()
    oracle_faults: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The document of `neurozsl verify --json`."""
        rows: dict[str, dict[str, Any]] = {
            name: {"layers": [row.as_json() for row in rows]} for name, rows in self.checks.items()
        }
        for name, text in self.references.items():
            rows[name] = {"reference": text, **rows[name]}
        ran = {
            backend: {layer: list(names) for layer, names in layers.items()}
            for backend, layers in self.processes.items()
        }
        return {
            "verdict": self.verdict,
            "target": self.target,
            "samples": self.samples,
            "oracle": self.oracle,
            "backends": rows,
            "skipped": list(self.skipped),
            "reasons": list(self.reasons),
            "losses": list(self.losses),
        } | {
            key: value
            for key, value in {"oracle_faults": list(self.oracle_faults), "processes": ran}.items()
            if value
        }


def verify(
    parts: Parts,
    samples: ChipInput,
    *,
    target_name: str,
    golden: Trace | None = None,
    trained: Trace | None = None,
    policy_loss: str = "",
    timeout_s: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    neurons: Mapping[str, int] | None = None,
) -> Verification:
    """Run the checks of a target; 16 samples or more make the figures worth quoting.

    golden: spikes that the first backend of the target must give again. trained: those of the
    training forward where that ran in integers, else None. policy_loss: how the threshold policy
    was changed at export, "" if it was not. timeout_s: limit of one Lava run. progress: called with
    the name of a backend, samples done, samples in all. neurons: of a layer before dead ones left,
    of which the share of spikes is taken; None or a layer that is absent: those that it has.
    """
    chosen = target(target_name)
    oracle = "not needed" if chosen.oracle is None else chosen.oracle.here()
    checks = [_with_reference(check, parts.reference) for check in chosen.checks]
    skipped = tuple(c.name for c in checks if oracle == "none" and chosen.asks_oracle(c))
    wanted = [c for c in checks if c.name not in skipped]
    traces = _run_all(parts, samples, chosen, wanted, timeout_s, progress)
    names = tuple(layer.name for layer in parts.lowered.layers)
    found: dict[str, tuple[LayerAgreement, ...]] = {}
    if trained is not None:
        traces["training"] = trained
        wanted = _training_checks(chosen, wanted) + wanted
    in_float = _in_float(chosen)
    for check in wanted:
        rows = compare(traces[check.first], traces[check.second], names)
        found[check.name] = _measured(check, rows, parts, samples, traces, in_float)
    deployed = traces[chosen.backends[0]]
    reasons, undecided = _disagreements(wanted, found, parts)
    unhealthy = _unhealthy(deployed, parts, neurons)
    if parts.spec is not None:  # a model's branch; nobody promised that another network spikes
        reasons += unhealthy
    if golden is not None:
        again = compare(golden, deployed, names)
        reasons += [
            f"{row.name}: {row.differing} bits differ from the golden spikes"
            for row in again
            if row.differing
        ]
    lossy = [check for check in wanted if trained is None or check.first == "training"]
    losses = _losses(lossy, found) + ([policy_loss] if policy_loss else [])
    if parts.spec is None:
        losses += [
            f"{text}; on these samples it was compared in nothing else" for text in unhealthy
        ]
    return Verification(
        target=target_name,
        verdict=_verdict(bool(reasons), bool(skipped or undecided), bool(losses)),
        samples=samples.batch,
        checks=found,
        reasons=tuple(reasons),
        losses=tuple(losses),
        oracle=oracle,
        skipped=skipped,
        oracle_faults=tuple(undecided),
        references={
            check.name: str(chosen.oracle)
            for check in wanted
            if chosen.oracle and chosen.oracle.left_out and chosen.asks_oracle(check)
        },
        processes={name: trace.processes for name, trace in traces.items() if trace.processes},
    )


def _in_float(chosen: Target) -> set[str]:
    """Backends that run the float branch."""
    known = {**BACKENDS, **chosen.own_backends}
    return {name for name, one in known.items() if one.chip is None}


def _with_reference(check: Check, reference: str) -> Check:
    """The check of a network that has no Norse form: its float simulation takes that place."""
    if reference == "norse":
        return check
    first, second = (reference if x == "norse" else x for x in (check.first, check.second))
    if first == second:  # a backend agrees with itself: ask another
        first, second = reference, SECOND_FLOAT
    kept = check.name.replace("norse", reference)
    return replace(check, name=kept, first=first, second=second)


def _training_checks(chosen: Target, wanted: list[Check]) -> list[Check]:
    """The training forward against the deployed backend and against the oracles of that."""
    first = chosen.backends[0]
    own = Check(f"training_vs_{first}", "training", first, exact=first not in _in_float(chosen))
    oracles = [x.second for x in wanted if chosen.asks_oracle(x) and x.first == first]
    return [own, *(Check(f"training_vs_{name}", "training", name) for name in oracles)]


def _run_all(
    parts: Parts,
    samples: ChipInput,
    chosen: Target,
    wanted: list[Check],
    timeout_s: float | None,
    progress: Callable[[str, int, int], None] | None,
) -> dict[str, Trace]:
    """Each backend once, however many checks read it."""
    order = [chosen.backends[0]]
    order += [name for check in wanted for name in (check.first, check.second)]
    traces: dict[str, Trace] = {}
    for name in dict.fromkeys(order):
        named = None if progress is None else partial(progress, name)
        run = RunOptions(timeout_s=timeout_s, progress=named, record=("spikes", "membrane"))
        traces[name] = backend(name, parts, run, own=chosen.own_backends)(samples)
        if progress is not None:
            progress(name, samples.batch, samples.batch)
    return traces


def _measured(
    check: Check,
    rows: tuple[LayerAgreement, ...],
    parts: Parts,
    samples: ChipInput,
    traces: Mapping[str, Trace],
    in_float: set[str],
) -> tuple[LayerAgreement, ...]:
    """Adds |v* - theta| of differing bits where both sides are float, and the worst membranes."""
    first, second = traces[check.first], traces[check.second]
    margins: Mapping[str, float] = {}
    if {check.first, check.second} <= in_float and any(row.differing for row in rows):
        margins = worst_margins(parts.lowered, samples, first, second)
    layers = () if parts.program is None else parts.program.layers
    lsb = {layer.name: layer.state_unit for layer in layers}
    one, two = ({} if name in in_float else lsb for name in (check.first, check.second))
    worst = worst_membranes(first, second, (one, two))
    return tuple(
        replace(row, margin=margins.get(row.name), membrane=worst.get(row.name)) for row in rows
    )


def _disagreements(
    wanted: list[Check], found: Mapping[str, tuple[LayerAgreement, ...]], parts: Parts
) -> tuple[list[str], list[str]]:
    """Differences of exact checks: those that fail, and those that a fault of the oracle makes."""
    reasons, undecided = [], []
    for check in (x for x in wanted if x.exact):
        rows = found[check.name]
        causes = accounted_for(rows, parts.lowered.layers, faults_of(check, parts))
        for row in (row for row in rows if row.differing):
            margin = "" if row.margin is None else f", |v* - theta| up to {row.margin:.3g}"
            text = (
                f"{check.name}: layer '{row.name}' differs in {row.differing} bits, first at "
                f"step {row.first_step}{margin}"
            )
            if (cause := causes.get(row.name)) is None:
                reasons.append(text)
            else:
                undecided.append(
                    f"oracle fault ({cause.key}): {text}; {cause.oracle} {cause.does}, so it does "
                    "not decide there"
                )
    return reasons, undecided


def _unhealthy(
    deployed: Trace, parts: Parts, neurons: Mapping[str, int] | None = None
) -> list[str]:
    """Layers that say nothing: never a spike, or almost always one."""
    return [
        f"layer '{row.layer}' is {row.state} (spike rate {100 * row.rate:.2f} %): {row.advice}"
        for row in diagnose(
            deployed, readouts=integrating_layers(parts.lowered), neurons=neurons or {}
        )
        if row.state != "ok"
    ]


def _losses(wanted: list[Check], found: Mapping[str, tuple[LayerAgreement, ...]]) -> list[str]:
    losses = []
    for check in wanted:
        rows = found[check.name]
        if not check.exact and any(row.differing for row in rows):
            bits, spikes = (min(rows, key=attrgetter(name)) for name in ("agree", "matched"))
            losses.append(
                f"{check.name}: at least {100 * bits.agree:.2f} % equal bits (layer '{bits.name}') "
                f"and {100 * spikes.matched:.1f} % matched spikes (layer '{spikes.name}')"
            )
    return losses


def _verdict(failed: bool, unverified: bool, lossy: bool) -> Verdict:
    if failed:
        return "FAIL"
    if unverified:
        return "UNVERIFIED"
    return "PASS-WITH-LOSS" if lossy else "PASS"
