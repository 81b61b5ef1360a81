"""Options of the commands that score a network on labelled samples, and how a score is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli.console import say, show_table
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import words
from neurozsl.export.bundle.task_score import MAX_DROP, Readout, TaskScore, told

if TYPE_CHECKING:
    from neurozsl.export.network.network_run import Fed, NetworkRun
    from neurozsl.export.network.task import Task


Labels = Annotated[
    Path | None,
    typer.Option(help="Classes of the samples of --input: .npy of whole numbers from 0."),
]
Word = Annotated[
    Readout | None,
    typer.Option(
        help="How the output names a class: most spikes, first spike, largest membrane over time, "
        "last step; default count where it spikes, else membrane."
    ),
]
Drop = Annotated[
    float | None, typer.Option(help="Largest loss of accuracy against float, in points; default 2.")
]


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """The classes of the samples of --input, and how the output names one."""

    labels: Labels = None
    readout: Word = None
    max_acc_drop: Drop = None

    @property
    def limit(self) -> float:
        """The largest loss that passes, in points."""
        return MAX_DROP if self.max_acc_drop is None else self.max_acc_drop

    def check(self, given: Path | None) -> None:
        """Refuse labels without their samples, and options that belong to labels.

        given: the file of --input.

        Raises:
            BadInput: with the remedy.
        """
        if self.labels is None:
            for name in ("readout", "max_acc_drop"):
                if (value := getattr(self, name)) is not None:
                    raise BadInput(
                        f"--{name.replace('_', '-')} {value}: belongs to --labels; give the "
                        "classes of the samples with --labels y.npy, or leave it out"
                    )
        elif given is None:
            raise BadInput(
                f"--labels {self.labels}: are classes of the samples of --input, and none is given "
                "(synthetic and golden samples have no class); give --input X.npz"
            )
        from neurozsl.export.network.score_task import check_limit

        check_limit(self.limit)

    def task(self, fed: Fed, given: Path | None) -> Task | None:
        """The task of what is fed; None without labels.

        Raises:
            BadInput: labels that do not belong to the input or the network.
        """
        from neurozsl.export.network.task import read_task

        if self.labels is None:
            return None
        return read_task(self.labels, fed, readout=self.readout, given=given)

    def score(self, task: Task | None, done: NetworkRun) -> TaskScore | None:
        """The accuracy of a run, beside that of float; None without labels."""
        from neurozsl.export.network.score_task import score_run

        return None if task is None else score_run(task, done, limit=self.limit)

    def words(self) -> str:
        """To paste behind a command."""
        return words(vars(self))


def show_score(score: TaskScore | None) -> None:
    """The accuracy of every arithmetic as a table, then the verdict and what it rests on."""
    if score is None:
        return
    rows = [
        (
            row.name + (" *" if row.shipped and len(score.rows) > 1 else ""),
            f"cannot run: {row.error}" if row.accuracy is None else f"{row.accuracy.percent:.1f} %",
            "-" if row.accuracy is None else f"{row.accuracy.low:.1f} to {row.accuracy.high:.1f} %",
            "-" if row.drop is None else f"{row.drop.points:.1f} points",
            "-" if row.drop is None else f"{row.drop.low:.1f} to {row.drop.high:.1f}",
            "-" if row.drop is None else f"{row.drop.lost:,}",
            "-" if row.drop is None else f"{row.drop.won:,}",
        )
        for row in score.rows
    ]
    title = "accuracy on the labelled samples" + " (* is shipped)" * (len(score.rows) > 1)
    show_table(
        title,
        ("arithmetic", "accuracy", "95 % interval", "drop", "95 % interval", "lost", "won"),
        rows,
    )  # fmt: skip
    for line in told(score):
        say(line)
