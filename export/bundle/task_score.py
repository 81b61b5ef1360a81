"""What a network does at its task: accuracy per arithmetic, the drop between them, and a verdict.

The verdict on the arithmetic (`verify`) says that bits are reproduced, and of quantisation how many
spikes match. Neither says whether answers stay right: that is `TaskScore`, from labelled samples.
Its word is PASS where the shipped arithmetic loses at most `limit` points of accuracy against the
float network on the same samples, FAIL beyond. A manifest holds it as `task`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from neurozsl.export.bundle.accuracy import PairedDrop, TaskAccuracy, is_accuracy, is_drop

Readout = Literal["count", "first", "membrane", "last"]
"""How a trace becomes a class; what each means stands in `export.network.readout`."""
READOUTS: Final[tuple[Readout, ...]] = get_args(Readout)
MAX_DROP: Final = 2.0  # points, where nobody says another limit
TaskVerdict = Literal["PASS", "FAIL"]


@dataclass(frozen=True)
class TaskRow:
    """One arithmetic on the labelled samples.

    name: "float", "8 bits", or a backend. bits: of the weights, None in float. shipped: what the
    bundle, or the backend that was asked for, runs. ties: samples in which the index of the class
    decided. silent: samples in which no output spiked. drop: against float, None of float itself.
    error: why there is no accuracy; it is None then.
    """

    name: str
    bits: int | None
    shipped: bool
    accuracy: TaskAccuracy | None
    ties: int = 0
    silent: int = 0
    drop: PairedDrop | None = None
    error: str = ""


@dataclass(frozen=True)
class TaskRecall:
    """Samples of one class: how many there are, right in float, right as shipped."""

    label: int
    samples: int
    float_right: int
    right: int


@dataclass(frozen=True)
class TaskScore:
    """A network on labelled samples.

    output: the layer that is read. classes: its neurons. limit: largest drop that passes, in
    points. input_sha256, labels_sha256: of the files. rows: the first is float.
    """

    readout: Readout
    output: str
    classes: int
    samples: int
    limit: float
    input_sha256: str
    labels_sha256: str
    rows: tuple[TaskRow, ...]
    recalls: tuple[TaskRecall, ...]
    verdict: TaskVerdict
    reason: str = ""

    @property
    def shipped(self) -> TaskRow:
        """The row of what is shipped."""
        return next(row for row in self.rows if row.shipped)

    @property
    def doubt(self) -> str:
        """Where chance could turn the verdict, a sentence."""
        found = self.shipped.drop
        if found is None or not found.low <= self.limit < found.high:
            return ""
        return (
            f"the drop of {found} holds the limit of {self.limit:g}: {self.samples:,} samples do "
            "not decide whether it is kept; give more"
        )


def verdict_of(rows: tuple[TaskRow, ...], limit: float) -> tuple[TaskVerdict, str]:
    """The word, and why it is FAIL."""
    before, after = rows[0], next(row for row in rows if row.shipped)
    if after.drop is None or after.drop.points <= limit:
        return "PASS", ""
    return "FAIL", (
        f"accuracy {after.accuracy}, float {before.accuracy}: drop {after.drop.points:.1f} points, "
        f"limit {limit:g} (--max-acc-drop)"
    )


def faults(score: TaskScore) -> Iterator[tuple[str, Any, Any]]:
    """Fields of a stored score that do not follow from its counts: name, stated, found."""
    for row in score.rows:
        if row.accuracy is None:
            yield f"{row.name}.error", bool(row.error), True
            continue
        yield f"{row.name}.accuracy.samples", row.accuracy.samples, score.samples
        yield f"{row.name}.accuracy follows from its counts", True, is_accuracy(row.accuracy)
        if row.drop is not None:
            yield f"{row.name}.drop.samples", row.drop.samples, score.samples
            yield f"{row.name}.drop follows from its counts", True, is_drop(row.drop)
            first = score.rows[0].accuracy
            lost = None if first is None else first.right - row.accuracy.right
            yield f"{row.name}.drop.lost - won", row.drop.lost - row.drop.won, lost
    one = sum(row.shipped and row.accuracy is not None for row in score.rows) == 1
    yield "one row is shipped", True, one
    yield "recalls.samples", sum(x.samples for x in score.recalls), score.samples
    if one:
        word, reason = verdict_of(score.rows, score.limit)
        yield "verdict", score.verdict, word
        yield "reason", score.reason, reason


def told(score: TaskScore) -> Iterator[str]:
    """Lines for people: the verdict, then what the numbers rest on."""
    why = "" if score.shipped.drop else "the float network itself ran, so nothing was lost"
    yield "; ".join(filter(None, (f"task: {score.verdict}", score.reason or why)))
    if score.doubt:
        yield score.doubt
    yield (
        f"readout {score.readout} of layer '{score.output}', {score.classes:,} classes, "
        f"{score.samples:,} labelled samples; intervals: 95 %, Wilson; of a drop paired"
    )
    for row in score.rows:
        if row.ties:
            yield f"{row.name}: {row.ties:,} ties went to the class of the lower number"
        if row.silent:
            yield f"{row.name}: {row.silent:,} samples without a spike of the output"
