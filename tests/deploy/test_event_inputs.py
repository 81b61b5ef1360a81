"""Inputs that are events: trained, opened, exported, verified; the same codes all along."""

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.deploy import deploy, samples
from neurozsl.deploy.belonging import check_belongs
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import lava as lava_target
from neurozsl.models.base import needed_branch
from neurozsl.runs import run as runs
from neurozsl.training.protocol import TrainConfig

SMALL: dict[str, Any] = {
    "motion_widths": [32, 16, 16],
    "embed": 16,
    "hidden": 32,
    "norm": False,  # an epoch is too short for its statistics
    "theta": 0.05,
    "audio_rate": 0.15,
}
SPECK = {
    "neuron": "if",
    "norm": True,
    "theta": 1.0,
    "audio_events": "on_off",
    "video_code": "on_off",
}
CODES: dict[str, dict[str, Any]] = {
    f"{encoder} {kind}": {"audio_code": encoder, "audio_events": kind}
    for encoder, kind in product(("change", "delta"), ("ternary", "graded"))
}
CODES |= {f"{encoder} on_off": {"audio_code": encoder, **SPECK} for encoder in ("change", "delta")}
CODES["learnt"] = {"audio_code": "delta", "event_rate": 0.2, "learn_thresholds": True}
TARGETS = [(code, target) for code in CODES for target in ("nir", "lava")] + [
    (f"{encoder} on_off", "speck") for encoder in ("change", "delta")
]


SLOW = ("change graded", "delta graded", "change on_off")  # as the others, but for one setting


def marked(values: Iterable[Any], code_of: Callable[[Any], str]) -> list[Any]:
    return [
        pytest.param(*value, marks=pytest.mark.slow if code_of(value) in SLOW else ())
        for value in values
    ]


class Trained(dict[str, Path]):
    """A run of one epoch for every code that is asked for."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self._folder, self._data = folder, data_dir

    def __missing__(self, name: str) -> Path:
        self[name] = path = self._folder / name.replace(" ", "_")
        train = TrainConfig(epochs=1, batch=16)
        options = {**SMALL, **CODES[name]}
        runs.create(path, data_dir=self._data, model="mdft", options=options, train=train)
        runs.train(path)
        return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Trained:
    torch.set_num_threads(1)
    return Trained(tmp_path_factory.mktemp("events"), data_dir)


@pytest.mark.parametrize("code", marked(((x,) for x in CODES), lambda x: x[0]))
def test_an_opened_run_writes_events_at_about_the_wanted_rate(trained: Trained, code: str) -> None:
    run = runs.open_run(trained[code])
    found = needed_branch(run.model).spec().inputs["audio"]
    assert found.encoder == CODES[code]["audio_code"] and 0 < found.step < 10
    chip = samples.golden_input(run, 64)
    features = found.size // found.levels
    events = np.count_nonzero(chip.codes["audio"]) / (chip.batch * chip.steps * features)
    assert 0.1 < events < 0.2


@pytest.mark.parametrize(("code", "target"), marked(TARGETS, lambda x: x[0]))
def test_events_are_deployed_as_they_were_trained(
    trained: Trained, code: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)  # integers alone: seconds, not minutes
    run = runs.open_run(trained[code])
    manifest = deploy.deploy(run, target=target, out=tmp_path / "out", max_hm_drop=100)
    bundle = open_bundle(tmp_path / "out")
    assert check_belongs(run, bundle) == ""
    written = samples.golden_input(run, 16).to_numpy().codes
    for name in ("audio", "video"):
        assert np.array_equal(bundle.golden.codes[name], written[name])
    assert manifest.verdict in ("PASS", "PASS-WITH-LOSS", "UNVERIFIED")
    found = bundle.verify()
    assert found.verdict == manifest.verdict, found.reasons
    scores = deploy.evaluate_run(run, bundle=tmp_path / "out")
    assert 0 <= scores.HM <= 100


def test_a_chip_without_sign_refuses_ternary_events_and_names_the_remedy(
    trained: Trained, tmp_path: Path
) -> None:
    run = runs.open_run(trained["delta ternary"])
    with pytest.raises(BadInput, match="spikes without sign or payload"):
        deploy.deploy(run, target="speck", out=tmp_path / "speck")
