"""Training tells a model which classes it is trained on, so that no test class is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.data.sets.load import load
from neurozsl.models.base import Embedding, LossTerms
from neurozsl.models.baselines.apn import APN
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.train import fit


def test_each_stage_compares_with_its_own_training_classes_alone(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors of all other classes are lost before the loss reads them; training goes on."""
    data = load(data_dir)
    told: list[list[int]] = []
    tell, loss = APN.train_on, APN.loss

    def telling(self: APN, classes: Tensor) -> None:
        told.append(classes.tolist())
        tell(self, classes)

    def blinded(
        self: APN, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        known = torch.full_like(vectors, torch.nan)
        known[self.classes] = vectors[self.classes]
        terms = loss(self, output, label, negative, known)
        assert bool(torch.isfinite(terms.total))
        return terms

    monkeypatch.setattr(APN, "train_on", telling)
    monkeypatch.setattr(APN, "loss", blinded)
    config = TrainConfig(epochs=1, batch=64)
    fit(data, name="apn", options={}, config=config, out=tmp_path, run="a")
    assert told == [data.stage(1).train_ids.tolist(), data.stage(2).train_ids.tolist()]
    assert len(told[0]) < len(told[1]) < len(data.classes)
    assert not np.isin(data.stage(2).unseen_ids, told[1]).any()
