"""A network that others trained, on recordings of its task: what matched spikes do not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurozsl as nz

STEPS, STEP_US, SAMPLES = 60, 5000, 20


def binned(path: Path) -> Any:
    """ON and OFF maps `(STEPS, 2, 34, 34)` of one recording, 0 or 1."""
    words = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
    x, y, polarity = words[:, 0], words[:, 1], words[:, 2] >> 7
    step = (((words[:, 2] & 0x7F) << 16) | (words[:, 3] << 8) | words[:, 4]) // STEP_US
    seen = (step < STEPS) & (x < 34) & (y < 34)
    maps = np.zeros((STEPS, 2, 34, 34), np.uint8)
    maps[step[seen], polarity[seen], y[seen], x[seen]] = 1
    return maps


def test_a_trained_network_keeps_its_answers_in_the_integers_of_speck(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "events" / "nmnist"
    if not (folder / "test100.txt").is_file():
        pytest.skip(f"{folder}: no recordings there")
    rows = np.loadtxt(folder / "test100.txt", dtype=int)[:SAMPLES]
    np.save(tmp_path / "x.npy", np.stack([binned(folder / f"{name}.bs2") for name, _ in rows]))
    net = shared_data / "nir" / "cnn_sinabs.nir"
    score = nz.accuracy(
        net, tmp_path / "x.npy", rows[:, 1], chip="speck2f", bits=(8,), dialect="sinabs"
    )
    before, eight = score.rows
    assert (score.output, score.classes, score.readout) == ("12", 10, "count")
    # Ten classes: at random 2 of 20 are right. The network was trained on such recordings.
    assert before.accuracy is not None and before.accuracy.right >= 15
    assert eight.accuracy is not None and eight.drop is not None
    assert eight.drop.points <= score.limit and score.verdict == "PASS"
    assert eight.drop.lost - eight.drop.won == before.accuracy.right - eight.accuracy.right
    assert sum(x.samples for x in score.recalls) == SAMPLES
    assert sum(x.float_right for x in score.recalls) == before.accuracy.right
