"""The spiking branch of a run as it will be deployed."""

from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command
from neurozsl.core.signals import BranchSpec
from neurozsl.models.base import branch_of
from neurozsl.runs.run import Run


def branch_spec(run: Run) -> BranchSpec:
    """The spiking branch of a run as it will be deployed.

    Raises:
        BadInput: there is none, or it cannot be deployed.
    """
    branch = branch_of(run.model)
    if branch is None:
        name = run.settings.model
        if "motion" in run.settings.options:
            raise BadInput(
                f"run '{run.path}': its model '{name}' has no spiking branch (motion=false); "
                "train with motion=true to export it"
            )
        raise BadInput(
            f"run '{run.path}': model '{name}' never spikes and has no branch that a chip could "
            f"take; run it on the host with `{command('evaluate', run.path)}`, or train a spiking "
            "model, for example --model mdft"
        )
    return branch.spec()
