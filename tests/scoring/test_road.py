"""The road: parts made once serve any backend, to the last digit of the whole model's forward."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import Split
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.models.base import needed_branch
from neurozsl.models.mdft import MDFT
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import Passed, collect, nothing, walk
from tests.toys.model import Averaged


@pytest.fixture(name="run")
def _run(run_dir: Path) -> Run:
    return runs.open_run(run_dir)


def padded(split: Split) -> Split:
    """The split with the last steps of every second sample marked as padding."""
    mask = split.mask.copy()
    mask[::2, -3:] = False
    return replace(split, mask=mask)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_own_branch_on_the_road_gives_the_forward_of_the_model_to_the_last_digit(
    run: Run, precision: torch.dtype
) -> None:
    model, split = run.model.to(precision), padded(run.data.splits["test_seen"])
    rows = np.arange(0, len(split), 3)
    assert isinstance(model, MDFT)
    with road.at_rest(model):
        whole = model(road.cast(split.batch(rows), precision))
        parts = road.prepare(model, split, rows, first=5)
        output = road.finish(model, parts, road.trace_of(model, parts))
        dead = road.trace_of(model, parts, lambda chip: no_spikes(run, chip))
        nowhere = road.finish(model, parts, dead)
    assert parts.rows.tolist() == (5 + rows).tolist()
    assert all(torch.equal(a, b) for a, b in zip(whole.heads, output.heads, strict=True))
    assert not torch.equal(whole.heads[0], nowhere.heads[0])


def no_spikes(run: Run, chip: ChipInput) -> Trace:
    """A dead chip."""
    shape = (chip.batch, chip.steps)
    layers = needed_branch(run.model).spec().layers
    return Trace({layer.name: np.zeros((*shape, layer.size), np.uint8) for layer in layers})


def test_several_backends_lead_to_the_distances_of_each_alone_and_the_host_runs_once(
    run: Run, lava_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, stage = open_bundle(lava_bundle), run.data.stage(2)
    backends = {"own": None, "chip": bundle.backend("emulator"), "float": bundle.backend("norse")}
    alone = {
        name: walk(run.model, stage, run.data.vectors, {name: backend}, keep=nothing, batch=20)
        for name, backend in backends.items()
    }
    prepared, told = spied(run, monkeypatch), []
    found = walk(
        run.model,
        stage,
        run.data.vectors,
        backends,
        keep=lambda name, passed: (name, passed),
        batch=20,
        progress=lambda *done: told.append(done),
    )
    assert prepared == [20, 20, 8, 20, 20, 8]
    for name, (collected, kept) in found.items():
        assert np.array_equal(collected.distance, alone[name][name].collected.distance)
        assert [x for x, _ in kept] == [name] * 6
        places = np.concatenate([passed.parts.rows for _, passed in kept])
        assert places.tolist() == list(range(96))
    assert not np.array_equal(found["own"].collected.distance, found["chip"].collected.distance)
    assert len(told) == 18 and told[0] == (20, 288) and told[-1] == (288, 288)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    own = collect(run.model, stage, run.data.vectors, batch=20)
    assert np.array_equal(own.distance, found["own"].collected.distance)
    # What a backend read and spiked is the same in batches of any size.
    read, spiked = road.joined([passed.on_chip for _, passed in found["chip"].kept])
    again = bundle.backend("emulator")(read).to_numpy()
    assert all(np.array_equal(spiked.spikes[k], v) for k, v in again.spikes.items())


def spied(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Samples of every call of the model's `prepare` from now on."""
    calls: list[int] = []
    prepare = run.model.prepare

    def counted(batch: Any) -> Any:
        calls.append(len(batch))
        return prepare(batch)

    monkeypatch.setattr(run.model, "prepare", counted)
    return calls


def test_without_a_backend_nothing_runs(run: Run) -> None:
    assert walk(run.model, run.data.stage(2), run.data.vectors, {}, keep=nothing) == {}


@pytest.mark.parametrize("training", [True, False])
def test_a_walk_leaves_the_mode_of_the_model_as_it_was(run: Run, training: bool) -> None:
    run.model.train(training)
    modes: list[tuple[bool, bool]] = []

    def keep(_: str, passed: Passed) -> None:
        modes.append((run.model.training, passed.output.heads[0].requires_grad))

    walk(run.model, run.data.stage(2), run.data.vectors, {"": None}, keep=keep)
    assert modes == [(False, False)] * 2 and run.model.training is training


def test_a_model_without_a_branch_goes_the_road_and_has_nothing_to_count(run: Run) -> None:
    split = run.data.splits["test_seen"]
    still = Averaged(split.audio.shape[2], split.video.shape[2])
    parts = road.prepare(still, split, np.arange(4))
    assert parts.chip_input is None and road.trace_of(still, parts) is None
    assert road.trace_of(still, parts, lambda chip: pytest.fail("nothing to run")) is None
    assert len(road.finish(still, parts, None).heads[0]) == 4
    with pytest.raises(BadInput, match="no motion branch"):
        road.on_chip(parts, None)


def test_batches_cover_the_test_once_seen_before_unseen(run: Run) -> None:
    found = road.batches(run.data.stage(2), 30)
    assert [(x.name, first, len(rows)) for x, first, rows in found] == [
        ("test_seen", 0, 30),
        ("test_seen", 0, 18),
        ("test_unseen", 48, 30),
        ("test_unseen", 48, 18),
    ]
