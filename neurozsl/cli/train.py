"""`neurozsl train`: a model into a run folder: a new one, one to go on with, or one to train on."""

from typing import Any, Final

import typer

from neurozsl.cli.kinds import Form, call, takes
from neurozsl.cli.train_network import network_on, network_resumed, train_network
from neurozsl.cli.train_new import train_new
from neurozsl.cli.train_on import train_on
from neurozsl.cli.train_resumed import train_resumed
from neurozsl.core.errors import BadInput
from neurozsl.runs.kind import is_classifier

FORMS: Final = {
    "new": Form("--data DIR", train_new),
    "on": Form("--resume RUN, trained on", train_on),
    "resume": Form("--resume RUN", train_resumed, "all of it comes from the run; leave it out"),
    "network": Form("--network NETWORK", train_network),
    "network_on": Form("--resume RUN of a network, trained on", network_on),
    "network_resume": Form(
        "--resume RUN of a network", network_resumed, "all of it comes from the run; leave it out"
    ),
}


@takes(FORMS)
def train(context: typer.Context, **options: Any) -> None:
    """Train a model in two stages and score it on the test splits, or a network of your own.

    With --network NETWORK (a name, FILE.py:make or FILE.nir) and --data EVENTS, a set of event
    recordings: a classifier; --resume RUN --qat CHIP fine-tunes it in the integers of the chip.

    With --resume RUN alone: go on with a run that was interrupted, to the same numbers. With
    --resume RUN --sparsity 0.95 (or a budget, a teacher): prune the finished run RUN into a new one
    beside it (or --out). With --resume RUN --qat CHIP: fine-tune it into RUN-qatBITS, its branch in
    the integers of the chip (a pruned one keeps its zeros); with --qat none in float, as a control.

    With --devices N --strategy ddp, or started by torchrun on one or several machines that share
    the folder --out: N processes train one model, to the scores of one process up to rounding.
    """
    resume = options["resume"]
    given = ("qat", "sparsity", "synops_budget", "energy_budget", "teacher")
    more = any(options[x] is not None for x in given)
    more = more or options["rate_loss"] > 0 or options["synops_loss"] > 0
    if options["network"] is not None and resume is None:
        call(context, FORMS, "network", options=options, where="--network is given")
        return
    if resume is None:
        if options["data"] is None or options["out"] is None:
            raise BadInput("train: give --data and --out for a new run, or --resume RUN")
        if options["qat"] is not None:
            raise BadInput("train: --qat fine-tunes a finished run; give it with --resume RUN")
        call(context, FORMS, "new", options=options, where="--data is given")
        return
    key = "on" if more else "resume"
    if is_classifier(resume):
        key = f"network_{key}"
    call(context, FORMS, key, options=options, where=f"--resume {resume} is given")
