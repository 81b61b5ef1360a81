"""What a target cannot do at a threshold, and what it would cost to let it do the nearest it can.

In: a lowered network, a target, an input. Out: nothing, or a refusal that names the layers, their
rule, the nearest rule of the target, and how many spikes of the input that rule changes in the
float simulation.
"""

from dataclasses import replace

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.network.other_choices import differing
from neurozsl.export.targets.base import Target
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import NeuronRule


def refuse_rules(lowered: Lowered, target: Target, samples: ChipInput, source: str) -> None:
    """Raise where a layer does at its threshold what the target cannot.

    Raises:
        BadInput: see the module docstring.
    """
    cannot = [x for x in lowered.layers if x.rule.spiking and target.nearest(x.rule) != x.rule]
    if not cannot:
        return
    layers = tuple(
        replace(x, rule=target.nearest(x.rule)) if x in cannot else x for x in lowered.layers
    )
    nearest = replace(lowered, layers=layers)
    changed, of = differing(simulate(lowered, samples), simulate(nearest, samples))
    names = ", ".join(f"'{x.name}'" for x in cannot)
    rule, own = cannot[0].rule, target.nearest(cannot[0].rule)
    raise BadInput(
        f"{source}: layer{'s' if len(cannot) > 1 else ''} {names}: {words(rule)}, which target "
        f"{target.name} cannot run. The nearest that it can is {words(own)} "
        f"({options(own, rule)}), which changes {changed:,} of {of:,} neuron-steps of the given "
        f"input{_even_then(nearest, target)}. The emulator and the float simulator run the rule "
        "as it is: `neurozsl simulate --backend emulator`"
    )


def words(rule: NeuronRule) -> str:
    """A rule for people.

    >>> words(NeuronRule("subtract-late"))
    'reset subtract-late, one spike a step where v > theta'
    """
    many = "one spike a step" if rule.max_spikes == 1 else f"up to {rule.max_spikes} spikes a step"
    low = "" if rule.low is None else f", v never below {rule.low:g}"
    return f"reset {rule.reset}, {many} where v {rule.compare} theta{low}"


def options(rule: NeuronRule, other: NeuronRule) -> str:
    """The options that say a rule instead of another one."""
    said = [f"--reset {rule.reset}"] if rule.reset != other.reset else []
    said += [f"--compare '{rule.compare}'"] if rule.compare != other.compare else []
    said += [f"--max-spikes {rule.max_spikes}"] if rule.max_spikes != other.max_spikes else []
    said += ["without --lower-bound"] if rule.low != other.low else []
    return " ".join(said)


def _even_then(nearest: Lowered, target: Target) -> str:
    """Why the target would not run the network with the nearest rule either, "" where it would."""
    if target.chip is None:
        return ""
    try:
        quantize(nearest, target.chip)
    except BadInput as error:
        return f"; even then: {error}"
    return ""
