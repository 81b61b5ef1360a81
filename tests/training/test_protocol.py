"""Protocols by name: presets, rules, schedules and samplers against what they copy."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurozsl.core.errors import BadInput
from neurozsl.scoring.metrics import BETA_GRID
from neurozsl.training.protocol import (
    PROTOCOLS,
    Protocol,
    TrainConfig,
    train_config,
    train_config_from,
)
from neurozsl.training.sampling import batch_count, batches
from neurozsl.training.schedule import plateau_rate

AVCA = PROTOCOLS["avca"]


def test_the_preset_avca_is_the_public_codes() -> None:
    config = train_config("avca")
    sizes = (config.epochs, config.batch, config.lr, config.weight_decay, config.clip)
    assert sizes == (50, 256, 1e-3, 1e-5, 0.0)
    assert config.protocol == Protocol(
        name="avca",
        sampler="weighted",
        epoch_batches=500,
        negatives="drawn",
        schedule="plateau",
        patience=3,
        factor=0.1,
        zero_beta=1e-10,
        stage2_epochs="best",
        stage2_validation=True,
    )


def test_a_run_from_before_there_were_protocols_reads_as_ours() -> None:
    old = {k: v for k, v in asdict(TrainConfig(epochs=7)).items() if k != "protocol"}
    assert train_config_from(old) == train_config("ours", epochs=7)
    assert train_config_from(asdict(train_config("avca"))) == train_config("avca")


def test_the_grids_differ_in_zero_alone() -> None:
    ours, theirs = PROTOCOLS["ours"].betas(), AVCA.betas()
    assert ours == BETA_GRID and len(ours) == 16 and ours[-1] == 3.0
    assert theirs[0] == 1e-10 and theirs[1:] == ours[1:]


@pytest.mark.parametrize(
    ("name", "rules", "message"),
    [
        ("theirs", {}, "ours, avca"),
        ("ours", {"colour": 1}, "unknown rule colour"),
        ("ours", {"name": "x"}, "unknown rule name"),
        ("ours", {"sampler": "any"}, "balanced, weighted"),
        ("ours", {"patience": -1}, "patience=-1"),
        ("ours", {"factor": 1.0}, "factor=1.0"),
        ("ours", {"beta_count": 0}, "beta_count=0"),
        ("ours", {"epoch_batches": 1.5}, "whole number"),
        ("ours", {"stage2_validation": 1}, "true or false"),
        ("ours", {"schedule": "plateau"}, "stage2_validation=true"),
    ],
)
def test_a_wrong_rule_is_refused(name: str, rules: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        train_config(name, rules=rules)


@pytest.mark.parametrize("sizes", [{"precision": "16"}, {"dropout": "any"}, {"clip": -1.0}])
def test_a_wrong_size_is_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(sizes))):
        train_config("ours", **sizes)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 12), max_size=40), st.integers(0, 4), st.sampled_from([0.1, 0.5]))
def test_the_plateau_is_torchs(scores: list[int], patience: int, factor: float) -> None:
    rules = {**asdict(AVCA), "patience": patience, "factor": factor}
    config = train_config("avca", rules={k: v for k, v in rules.items() if k != "name"})
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", patience=patience, factor=factor
    )
    for done, score in enumerate(scores, 1):
        theirs.step(score)
        assert plateau_rate(scores[:done], config) == optimiser.param_groups[0]["lr"]


LABEL = np.repeat([3, 5, 9], [300, 20, 4])
KINDS = [
    Protocol(sampler=sampler, negatives=negatives)
    for sampler in ("balanced", "weighted")
    for negatives in ("in_batch", "drawn")
]


@pytest.mark.parametrize("rules", KINDS, ids=lambda r: f"{r.sampler}-{r.negatives}")
def test_every_sampler_draws_classes_uniformly_with_a_negative_of_another(rules: Protocol) -> None:
    drawn, members = [], []
    for epoch in range(4):
        for rows, negative in batches(
            LABEL, protocol=rules, batch=54, seed=0, stage=1, epoch=epoch
        ):
            assert len(rows) == (108 if rules.negatives == "drawn" else 54)
            assert np.all(LABEL[rows[negative.numpy()]] != LABEL[rows])
            drawn.append(LABEL[rows])
            members.append(rows)
    share = np.bincount(np.concatenate(drawn))[[3, 5, 9]] / sum(map(len, drawn))
    assert np.all(np.abs(share - 1 / 3) < 0.05)
    assert set(np.flatnonzero(LABEL == 9)) <= set(np.concatenate(members).tolist())


def test_drawn_negatives_are_uniform_over_the_other_classes() -> None:
    rules = Protocol(sampler="weighted", negatives="drawn", epoch_batches=40)
    pairs = np.zeros((10, 10))
    for rows, _ in batches(LABEL, protocol=rules, batch=60, seed=1, stage=1, epoch=0):
        np.add.at(pairs, (LABEL[rows[:60]], LABEL[rows[60:]]), 1)
    seen = pairs[np.ix_([3, 5, 9], [3, 5, 9])] / pairs.sum()
    assert np.all(np.diag(seen) == 0)
    assert np.all(np.abs(seen[~np.eye(3, dtype=bool)] - 1 / 6) < 0.03)


def test_an_epoch_has_the_batches_that_the_protocol_says() -> None:
    assert batch_count(1000, 64, PROTOCOLS["ours"]) == 16
    assert batch_count(1000, 64, AVCA) == 500
    rules = Protocol(sampler="weighted", epoch_batches=7)
    assert len(list(batches(LABEL, protocol=rules, batch=8, seed=0, stage=1, epoch=0))) == 7


def test_a_single_class_is_refused_by_every_sampler() -> None:
    for rules in KINDS:
        with pytest.raises(BadInput, match="1 class, expected at least 2"):
            next(batches(np.zeros(5, np.int64), protocol=rules, batch=2, seed=0, stage=1, epoch=0))
