"""Which differences of a comparison a known fault of the oracle accounts for, and which it cannot.

In: a check, its rows and the deployment. Out: per layer the fault. A row is accounted for

    where a fault that stands can start in the layer (`KnownFault.layers`), or
    where the layer reads one that is accounted for, no earlier than that one differs.

A layer that differs although nothing that it reads does, and in which no fault can start, is not:
it fails, whatever else differs. What is accounted for is decided by nobody: it neither passes nor
fails.
"""

from collections.abc import Mapping, Sequence

from neurozsl.export.backends.registry import Parts
from neurozsl.export.bundle.agreement import LayerAgreement
from neurozsl.export.targets import Check
from neurozsl.export.targets.known_faults import KNOWN_FAULTS, KnownFault
from neurozsl.hardware.network.lowered import LoweredLayer


def faults_of(check: Check, parts: Parts) -> dict[str, KnownFault]:
    """Per layer of a deployment the fault that can start there in one side of the check."""
    sides = {check.first, check.second}
    return {
        name: fault
        for fault in KNOWN_FAULTS
        if not sides.isdisjoint(fault.backends)
        for name in fault.layers(parts)
    }


def accounted_for(
    rows: Sequence[LayerAgreement], layers: Sequence[LoweredLayer], starts: Mapping[str, KnownFault]
) -> dict[str, KnownFault]:
    """Layers that differ and the fault that accounts for it.

    rows: of one check; layers: of the network; starts: where a fault can start (`faults_of`).
    """
    differ = {row.name: row.first_step for row in rows if row.first_step is not None}
    found = {name: starts[name] for name in differ if name in starts}
    grown: dict[str, KnownFault] = found
    while grown:
        left = (layer for layer in layers if layer.name in differ.keys() - found.keys())
        grown = {x.name: cause for x in left if (cause := _handed_on(x, differ, found)) is not None}
        found = found | grown
    return found


def _handed_on(
    layer: LoweredLayer, differ: Mapping[str, int], found: Mapping[str, KnownFault]
) -> KnownFault | None:
    """The fault of a source whose differences arrive by the first step that differs here."""
    for synapse in layer.synapses:
        cause = found.get(synapse.source)
        if cause is not None and differ[synapse.source] + synapse.link.delay <= differ[layer.name]:
            return cause
    return None
