"""STFT: gradients, presets and ablations, the two doors between host and chip, training, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from neurozsl import models
from neurozsl.cli import app
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.deploy import deploy, samples
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.finetune import frozen_model
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.norse.branch import run_norse
from neurozsl.models.base import needed_branch
from neurozsl.models.stft import STFT, build
from neurozsl.report.sections import build as report
from neurozsl.runs import run as runs
from neurozsl.runs.settings import read_settings
from neurozsl.scoring import road
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import Rounding, program_of
from tests.factories.batches import batch

SMALL: dict[str, Any] = {
    "embed": 16,
    "hidden": 24,
    "feed_hidden": 16,
    "proj": 8,
    "heads": 2,
    "head_width": 4,
    "channels": [3, 2, 2],
    "strides": [1, 2, 1],
    "steps": 6,
    "theta": 0.5,
    "tucker_width": 5,
    "rank": 3,
}


def small(**options: Any) -> STFT:
    torch.manual_seed(0)
    model = build(audio_dim=10, video_dim=14, **{**SMALL, **options})
    model.calibrate(batch())
    return model


def loss(model: STFT, b: AVBatch) -> Tensor:
    vectors = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))
    negative = (torch.arange(len(b)) + 1) % len(b)
    return model.loss(model(b), b.label, negative, vectors).total


VARIANTS: list[dict[str, Any]] = [
    {},
    {"preset": "paper", "theta": 0.3},
    {"threshold": "fixed"},
    {"threshold": "clipped"},
    {"threshold": "literal", "literal": True},
    {"glp": "blocks", "theta": 0.3},
    {"tsf": False},
    {"lkc": False},
    {"lkc_state": "sample", "lkc_tokens": "pair"},
    {"motion": False},
    {"transformer": False, "motion_head": False},
    {"transformer": False, "motion_head": False, "snn_input": "encoded"},
    {"neuron": "mlp", "threshold": "fixed"},
    {"neuron": "if", "input_code": "rate"},
    {"conv_axis": "time", "strides": [1, 1, 1], "channels": [12, 8, 6]},
    {"motion_inputs": ["audio"]},
    {"loss_parts": ["triplet", "reconstruction"]},
    {"encode": "repeat", "snn_input": "features"},
    {"glp": "input"},
    {"snn_input": "features", "glp": "input"},
]


@pytest.mark.parametrize(
    "options", VARIANTS, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "deploy"
)
def test_gradients_reach_every_trainable_parameter(options: dict[str, Any]) -> None:
    model = small(**options)
    torch.autograd.backward(loss(model, batch(n=48)))
    without = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not bool((p.grad != 0).any())
    ]
    assert without == []


def test_the_loss_is_half_triplet_and_half_the_rest() -> None:
    model, b = small().eval(), batch()
    vectors = torch.randn(3, 300)
    negative = (torch.arange(len(b)) + 1) % len(b)
    terms = model.loss(model(b), b.label, negative, vectors)
    assert set(terms.parts) == {
        f"{head}/{part}"
        for head in ("joint", "motion")
        for part in ("triplet", "projection", "reconstruction")
    }
    torch.testing.assert_close(terms.total, 0.5 * sum(terms.parts.values()))
    tilted = small(weight_triplet=0.8, weight_rest=0.2).eval()
    terms = tilted.loss(tilted(b), b.label, negative, vectors)
    parts = {k: (0.8 if k.endswith("triplet") else 0.2) * v for k, v in terms.parts.items()}
    torch.testing.assert_close(terms.total, sum(parts.values()))


def test_the_paper_preset_has_the_papers_sizes() -> None:
    assert "stft" in models.names()
    model = build(audio_dim=512, video_dim=512, preset="paper")
    total = sum(p.numel() for p in model.parameters())
    # Table X: 4.16 M. The paper gives no Tucker sizes and no width inside the MLPs.
    assert total == 4_132_339
    assert abs(total / 4.16e6 - 1) < 0.01
    wide = build(audio_dim=512, video_dim=512, preset="paper-wide")
    assert sum(p.numel() for p in wide.parameters()) == 4_494_288
    assert (model.config.steps, model.config.rank, model.config.slots) == (8, 60, 3)


def test_the_split_model_gives_what_the_whole_model_gives() -> None:
    model, b = small().eval(), batch()
    whole = model(b)
    prepared = model.prepare(b)
    assert prepared.chip_input is not None and model.branch is not None
    trace = model.branch(prepared.chip_input).to_numpy()
    with torch.no_grad():
        for p in model.branch.parameters():
            p.fill_(float("nan"))
    split = model.finish(trace, model.prepare(b).context)
    for left, right in zip(whole.heads, split.heads, strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("code", ["graded", "level", "rate"])
@pytest.mark.parametrize("glp", ["input", "off"])
def test_chip_input_holds_integers_inside_the_codes_range(code: str, glp: str) -> None:
    model = small(input_code=code, glp=glp).eval()
    prepared = model.prepare(batch(seed=3))
    assert prepared.chip_input is not None and prepared.chip_input.theta is None
    codes = prepared.chip_input.to_numpy().codes
    assert codes["audio"].dtype == np.int16
    assert len(np.unique(codes["audio"])) > 1


def test_repeated_features_reach_the_branch_in_the_first_step_alone() -> None:
    """They never change; a branch that compared them with themselves would be fed with nothing."""
    averaged = batch(steps=1)
    model = build(audio_dim=10, video_dim=14, **{**SMALL, "encode": "repeat"})
    model.calibrate(averaged)
    prepared = model.prepare(averaged)
    assert prepared.chip_input is not None
    for codes in prepared.chip_input.codes.values():
        assert codes[:, 0].any(dim=1).all()
        assert not codes[:, 1:].any()


def test_options_rebuild_the_same_model() -> None:
    model = small(glp="off")
    loss(model, batch())  # moves slots and statistics
    again = build(**json.loads(json.dumps(model.options())))
    again.load_state_dict(model.state_dict())
    b = batch(seed=5)
    for left, right in zip(model.eval()(b).heads, again.eval()(b).heads, strict=True):
        assert torch.equal(left, right)


def test_a_saturated_recurrence_is_reported() -> None:
    assert small(threshold="fixed").warnings(batch()) == []
    found = small(threshold="literal", theta=1.0).eval().warnings(batch(n=30))
    assert all("Eq. 9" in text for text in found)
    model = small(threshold="clipped").eval()
    assert model.branch is not None
    for layer in model.branch.named_layers().values():
        assert layer.pooling is not None and layer.norm is not None
        torch.nn.init.constant_(layer.norm.norm.bias, 20.0)  # every neuron fires at every step
    assert "threshold=clipped" in model.warnings(batch(n=30))[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wings": 2}, "unknown option wings"),
        ({"glp": "open"}, "glp='open'"),
        ({"neuron": "mlp"}, "use threshold=fixed"),
        ({"transformer": False}, "use motion_head=false"),
        ({"transformer": False, "motion": False, "motion_head": False}, "leave nothing"),
        ({"strides": [1]}, "3 channels and 1 strides"),
        ({"kernel": 4}, "odd number"),
        ({"rank": 0}, "at least 1 each"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        small(**options)


def test_training_in_integers_is_refused_for_kernels() -> None:
    spec = needed_branch(small(threshold="fixed")).spec()
    with pytest.raises(BadInput, match="convolutions"):
        program_of(spec, Rounding())


# ---------------------------------------------------------------- a trained run

TINY = {"embed": 16, "hidden": 32, "channels": [2, 2, 2], "strides": [4, 2, 1]}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs through the command line, on a small synthetic set."""
    folder = tmp_path_factory.mktemp("stft")
    config = SyntheticConfig(
        train_per_class=4, val_seen_per_class=2, val_unseen_per_class=2, test_size=48
    )
    write_synthetic(config, folder / "data")
    options = [f"--set={key}={json.dumps(value)}" for key, value in TINY.items()]
    command = [
        "train",
        "--data",
        str(folder / "data"),
        "--model",
        "stft",
        "--epochs",
        "2",
        "--batch",
        "8",
    ]
    done = CliRunner().invoke(app, [*command, "--out", str(folder / "run"), *options])
    assert done.exit_code == 0, done.output
    return folder / "run"


@pytest.mark.slow
def test_two_epochs_with_one_seed_give_one_set_of_weights(run_dir: Path, tmp_path: Path) -> None:
    settings = read_settings(run_dir)
    runs.create(
        tmp_path / "again",
        data_dir=(run_dir / settings.data).resolve(),
        model="stft",
        options=TINY,
        train=TrainConfig(epochs=2, batch=8),
    )
    runs.train(tmp_path / "again")
    one, other = (
        checkpoint.read(p / "model.safetensors")[0] for p in (run_dir, tmp_path / "again")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)
    result = json.loads((run_dir / "result.json").read_text())["test"]
    assert result["ZSL"] >= result["U"]


@pytest.mark.lava
def test_the_frozen_branch_runs_bit_for_bit_on_lava(run_dir: Path, lava_python: Path) -> None:
    run = runs.open_run(run_dir)
    manifest = deploy.deploy(run, target="lava", threshold="frozen", samples=4, max_hm_drop=100)
    assert manifest.verdict == "PASS-WITH-LOSS"
    assert (manifest.trained_policy, manifest.policy) == ("closed", "frozen")
    assert "own spikes" in manifest.policy_loss
    assert [(s.step, s.policy) for s in manifest.steps] == [
        ("trained", "closed"),
        ("frozen", "frozen"),
        ("fixed-point", "frozen"),
    ]
    opened = open_bundle(run_dir / "deploy" / "lava")
    thetas = samples.calibration_input(run, branch_spec(run)).theta
    assert thetas is not None
    for layer in opened.spec.layers:
        assert float(layer.threshold[0]) == pytest.approx(thetas[layer.name].mean(), rel=1e-6)
    found = report.build(run, bundle=run_dir / "deploy" / "lava")
    assert len(found.layers) == 6 and sum(x.spikes for x in found.layers) > 0


def test_a_run_is_profiled_with_its_own_closed_loop(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    found = report.build(run)
    assert [x.name for x in found.layers][:3] == ["audio.0", "audio.1", "audio.2"]
    assert all(x.neurons > 0 and x.synops > 0 for x in found.layers)
    assert any("controller" in note for note in found.notes)


def test_a_table_of_thresholds_is_the_default_and_a_dynamic_one_refused(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    out = run_dir.parent / "table"
    manifest = deploy.deploy(run, target="nir", out=out, samples=4, max_hm_drop=100)
    assert (manifest.trained_policy, manifest.policy) == ("closed", "table")
    assert deploy.default_policy("closed", "speck") == "frozen"
    assert deploy.default_policy("dynamic", "nir") == "dynamic"
    with pytest.raises(BadInput, match="controller"):
        deploy.deploy(run, target="nir", out=out, threshold="dynamic")


def test_the_frozen_model_spikes_as_its_bundle(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    model = frozen_model(run)
    spec = needed_branch(model).spec()
    assert spec.policy == "frozen"
    with road.at_rest(model):
        parts = road.prepare(model, run.data.stage(2).seen, np.arange(4))
        chip, own = road.on_chip(parts, road.trace_of(model, parts))
    for name, spikes in run_norse(spec, chip).spikes.items():
        assert np.mean(spikes == own.spikes[name]) > 0.999  # float64 against float32
