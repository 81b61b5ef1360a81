"""Which run a bundle comes from, noted when it is exported and asked before it is scored.

A bundle is found by its place (`RUN/deploy/TARGET`, `--bundle`), and folders are copied. So the
manifest notes the digest of the run's result, and the SHA-256 of the files that hold the branch.
Bundles of earlier versions note nothing; of them the weights are compared with the run's branch.
"""

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words
from neurozsl.core.signals import BranchSpec, LayerSpec
from neurozsl.deploy.branch import branch_spec
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.dead_neurons import smaller
from neurozsl.export.bundle.manifest import MadeFrom
from neurozsl.export.bundle.twin import unfolded
from neurozsl.export.nir.graph import canonical
from neurozsl.hardware.arithmetic.quantize import dequantize
from neurozsl.hardware.network.dead import LeftOut
from neurozsl.runs.run import INTEGERS, MODEL, WEIGHTS, Run
from neurozsl.runs.seal import file_digests

_CLOSE = 1e-5  # folding BatchNorm may round differently in another version of torch
_FIGURES = ("weight", "bias", "kappa", "syn_kappa")  # no policy changes these


def made_from(run: Run) -> MadeFrom:
    """What the manifest of a bundle notes of its run."""
    return MadeFrom(result=run.digest, files=file_digests(run.path, (WEIGHTS, MODEL, INTEGERS)))


def check_belongs(run: Run, bundle: Bundle) -> str:
    """Refuse a bundle of another run; returns what could not be checked, "" for nothing.

    Raises:
        BadInput: naming both digests, or the input or layer that differs.
    """
    spec, noted = branch_spec(run), bundle.manifest.run
    remedy = (
        f"give a bundle of this run, or export the run: "
        f"`{command('export', run.path, words({'target': bundle.manifest.target}))}`"
    )
    for name, code in spec.inputs.items():
        if bundle.spec.inputs.get(name) != code:
            raise BadInput(
                f"bundle '{bundle.path}': input '{name}' is coded as "
                f"{bundle.spec.inputs.get(name)}, the run '{run.path}' writes {code}; {remedy}"
            )
    if noted is None:
        differs = _differs(_as_deployed(run, spec, bundle), bundle.spec)
        if differs:
            raise BadInput(
                f"bundle '{bundle.path}': belongs to another run than '{run.path}' ({differs}); "
                f"{remedy}"
            )
        return (
            f"bundle '{bundle.path}' was made by an earlier version, which noted no run: its "
            "weights are those of this run, whether its scores are is not checked"
        )
    if noted.result != run.digest:
        raise BadInput(
            f"bundle '{bundle.path}': belongs to another run (its manifest notes the result "
            f"{noted.result[:12]}, '{run.path}' has {run.digest[:12]}); {remedy}"
        )
    return ""


def _as_deployed(run: Run, spec: BranchSpec, bundle: Bundle) -> dict[str, LayerSpec]:
    """The layers that an export of the run would ship, less the neurons that this one left out."""
    whole = canonical(spec if run.program is None else unfolded(dequantize(run.program)))
    own = {layer.name: layer for layer in whole.layers}
    dead = bundle.manifest.dead_neurons
    left = dead.layers if dead else ()
    if any(row.layer not in own or row.neurons != own[row.layer].size for row in left):
        return {}  # neurons left that the run does not have
    kept = {x.layer: LeftOut(x.layer, x.neurons, x.silent, x.unread).kept for x in left}
    return {name: smaller(layer, kept) for name, layer in own.items()}


def _differs(own: dict[str, LayerSpec], shipped: BranchSpec) -> str:
    """What tells the layers of a run from those of a bundle; "" where nothing does."""
    found = {layer.name: layer for layer in shipped.layers}
    if own.keys() != found.keys():
        return f"it holds layers {', '.join(found)} of other sizes or names"
    for name, layer in own.items():
        for figure in _FIGURES:
            one, other = getattr(layer, figure), getattr(found[name], figure)
            if (one is None) != (other is None):
                return f"layer '{name}' differs in {figure}"
            if one is not None and (
                np.shape(one) != np.shape(other) or not np.allclose(one, other, rtol=_CLOSE, atol=0)
            ):
                return f"layer '{name}' differs in {figure}"
    return ""
