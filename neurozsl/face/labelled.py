"""Accuracy of a network on labelled samples by the name that the face gives it; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurozsl.export.bundle.task_score import MAX_DROP, Readout, TaskScore

if TYPE_CHECKING:
    from neurozsl.export.bundle.bundle import Bundle
    from neurozsl.export.network.network_run import Fed

__all__ = ["accuracy"]


def accuracy(
    network: Path | str | Bundle,
    input: Path | str,
    labels: Path | str | Sequence[int] | Any,
    *,
    readout: Readout | None = None,
    chip: str | None = None,
    bits: Sequence[int] = (8, 4),
    max_acc_drop: float = MAX_DROP,
    **said: Any,
) -> TaskScore:
    """How often a network of a `.nir` file, or its bundle, is right, in float and in integers.

    Args:
        network: a `.nir` file of any tool, or a bundle of one (opened, or its folder).
        input: `.npz` or `.npy`, `(batch, time, ...)` per input of the network.
        labels: the class of every sample, 0 to the output's neurons - 1, or a file of them.
        readout: count (most spikes), first (first spike), membrane (largest over time) or last;
            None: count where the output spikes, else membrane.
        chip: of a file, whose integers run beside float: loihi2, speck2f, ...; None: float alone.
        bits: of their weights; the first is the one that the verdict is about.
        max_acc_drop: loss of accuracy against float, in points, that still passes.
        said: of a file, what it may not say, as in `open_nir`.

    Returns:
        Per arithmetic right samples, percent and a 95 % interval, what changed against float, the
        recall of every class, and a verdict about the task.

    Raises:
        BadInput: input or labels that do not belong to the network; a chip with a bundle, which has
            its own; a network that the chip cannot compute.

    Example::

        score = nz.accuracy("net.nir", "x.npz", "y.npy", chip="speck2f", dialect="sinabs")
        score.verdict, [(row.name, str(row.accuracy)) for row in score.rows]
    """
    from neurozsl.core.errors import BadInput
    from neurozsl.export.backends.registry import Parts
    from neurozsl.export.bundle.bundle import Bundle, open_bundle
    from neurozsl.export.network.bundle_run import feed_bundle
    from neurozsl.export.network.network_run import Source, feed
    from neurozsl.export.network.score_task import at_bits, score, score_bundle
    from neurozsl.export.nir.said import Said
    from neurozsl.export.targets.names import chip_called

    source, limit = Source(path=Path(input)), max_acc_drop
    if isinstance(network, Bundle) or Path(network).is_dir():
        opened = network if isinstance(network, Bundle) else open_bundle(Path(network))
        given = {k: v for k, v in {"chip": chip, **said}.items() if v is not None}
        if given:
            raise BadInput(
                f"accuracy of {opened.path}: {', '.join(given)} was given, and a bundle says it "
                "itself; leave it out"
            )
        fed = feed_bundle(opened, source)
        task = _task(fed, labels, readout, Path(input))
        return score_bundle(task, opened, fed.given.chip_input, limit=limit)
    fed = feed(Path(network), Said(**said), source)
    task, parts = _task(fed, labels, readout, Path(input)), Parts(None, fed.network.lowered)
    every = () if chip is None else at_bits(parts, chip_called(chip), task, tuple(bits))
    return score(task, parts, fed.given.chip_input, every, limit=limit)


def _task(fed: Fed, labels: Any, readout: Readout | None, given: Path) -> Any:
    from neurozsl.core.digest import sha256
    from neurozsl.export.network.task import check_labels, read_task, task_of

    if isinstance(labels, Path | str):
        return read_task(Path(labels), fed, readout=readout, given=given)
    return task_of(
        fed.network.lowered,
        check_labels(labels, fed.in_file, "labels"),
        readout=readout,
        source=fed.network.source,
        input_sha256=sha256(given),
    )
