"""Training: sampling, schedule, determinism, and going on after a kill to the same numbers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import Split
from neurozsl.runs import run as runs
from neurozsl.training import checkpoint
from neurozsl.training.crew import resolve_device
from neurozsl.training.protocol import Protocol, TrainConfig, train_config
from neurozsl.training.sampling import batches
from neurozsl.training.schedule import learning_rate

EPOCHS = 4


def new_run(path: Path, data_dir: Path, seed: int = 0) -> None:
    runs.create(
        path,
        data_dir=data_dir,
        model="mdft",
        options={"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32},
        train=TrainConfig(epochs=EPOCHS, seed=seed),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """A run that nothing interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    new_run(path, data_dir)
    torch.set_num_threads(1)
    runs.train(path)
    return path


def log(path: Path) -> list[dict[str, float]]:
    """The lines of a run's log without the speed, which no two runs share."""
    lines = [json.loads(x) for x in (path / "log.jsonl").read_text().splitlines()]
    assert all(line.pop("samples_per_s") > 0 for line in lines)
    return lines


def train_in_a_process(path: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "neurozsl", "train", "--resume", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_ends_with_the_same_numbers(
    tmp_path: Path, data_dir: Path, whole: Path
) -> None:
    path = tmp_path / "killed"
    new_run(path, data_dir)
    process = train_in_a_process(path)
    deadline = time.monotonic() + 120
    while not (path / "stage1" / "last.safetensors").exists():
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (path / "result.json").exists()
    resumed = train_in_a_process(path)
    _, message = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, message.decode()
    assert json.loads((path / "result.json").read_text()) == json.loads(
        (whole / "result.json").read_text()
    )
    assert log(path) == log(whole)


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(
    tmp_path: Path, data_dir: Path, whole: Path
) -> None:
    new_run(tmp_path / "again", data_dir)
    runs.train(tmp_path / "again")
    new_run(tmp_path / "other", data_dir, seed=1)
    runs.train(tmp_path / "other")
    first, again, other = (
        checkpoint.read(p / "model.safetensors")[0]
        for p in (whole, tmp_path / "again", tmp_path / "other")
    )
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_training_in_one_process_gives_the_numbers_that_were_stored(whole: Path) -> None:
    """Guards the order of every random draw; the margin is for other processors' sums."""
    stored = json.loads((Path(__file__).parent / "golden_training.json").read_text())
    lines = log(whole)
    found = [[x["stage"], x["epoch"], x["loss"], x["joint/triplet"]] for x in lines]
    assert len(found) >= 4
    for (*place, loss, part), (*wanted, loss_then, part_then) in zip(found, stored, strict=True):
        assert place == wanted
        assert (loss, part) == pytest.approx((loss_then, part_then), rel=2e-3)


@pytest.mark.parametrize("protocol", ["ours", "avca"])
def test_mixed_precision_trains_on_the_cpu_and_is_scored_in_float32(
    tmp_path: Path, data_dir: Path, protocol: str
) -> None:
    rules = {"epoch_batches": 3}
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="mdft",
        options={"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32},
        train=train_config(protocol, rules=rules, epochs=2, batch=16, precision="bf16-mixed"),
    )
    run = runs.train(tmp_path / "run")
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert all(line["ZSL"] >= line["U"] for line in log(tmp_path / "run") if "HM" in line)
    assert runs.open_run(tmp_path / "run").result == run.result


def test_the_public_codes_rules_score_validation_in_both_stages(
    tmp_path: Path, data_dir: Path
) -> None:
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="mdft",
        options={"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32},
        train=train_config("avca", rules={"epoch_batches": 3}, epochs=3, batch=16),
    )
    run = runs.train(tmp_path / "run")
    lines = log(tmp_path / "run")
    assert [(x["stage"], x["epoch"]) for x in lines] == [
        *((1, e) for e in (1, 2, 3)),
        *((2, e + 1) for e in range(run.selected.epochs)),
    ]
    assert all(x["ZSL"] >= x["U"] and x["beta"] >= 1e-10 for x in lines)
    best = max(x["HM"] for x in lines[:3])
    assert next(x["epoch"] for x in lines if x["HM"] == best) == run.selected.epochs
    assert run.result["test"]["ZSL"] >= run.result["test"]["U"]


def test_stage_2_can_follow_the_whole_schedule(tmp_path: Path, data_dir: Path) -> None:
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="mdft",
        options={"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32},
        train=train_config("ours", rules={"stage2_epochs": "all"}, epochs=3),
    )
    runs.train(tmp_path / "run")
    assert [x["epoch"] for x in log(tmp_path / "run") if x["stage"] == 2] == [1, 2, 3]


def test_batches_of_a_mapped_file_read_the_rows_of_the_batch_alone(tmp_path: Path) -> None:
    """What training holds of a large feature file is the batch, never the file."""
    path = tmp_path / "features.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (4000, 1, 1024)).flush()
    features = np.load(path, mmap_mode="r")
    label = np.arange(4000) % 7
    split = Split("train", features, features, label, np.ones((4000, 1), bool), ("",) * 4000)
    tracemalloc.start()
    for rows, _ in batches(
        label, protocol=Protocol(epoch_batches=4), batch=32, seed=0, stage=1, epoch=0
    ):
        assert split.batch(rows).audio.shape == (32, 1, 1024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 8


def test_training_leaves_the_callers_random_state_alone(tmp_path: Path, data_dir: Path) -> None:
    new_run(tmp_path / "run", data_dir)
    before = torch.get_rng_state()
    runs.train(tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())


def test_an_opened_run_scores_as_it_did_when_it_was_trained(whole: Path) -> None:
    from neurozsl.training.train import final_result

    run = runs.open_run(whole)
    assert final_result(run.model, run.data, run.selected) == run.result


def test_zsl_is_at_least_u_in_every_logged_epoch(whole: Path) -> None:
    scored = [x for x in log(whole) if "HM" in x]
    assert len(scored) == EPOCHS
    assert all(x["ZSL"] >= x["U"] for x in scored)


def test_balanced_batches_draw_classes_uniformly_with_a_negative_of_another_class() -> None:
    label = np.repeat([0, 1, 2], [300, 20, 4])
    drawn = []
    for rows, negative in batches(label, protocol=Protocol(), batch=54, seed=0, stage=1, epoch=0):
        assert np.all(label[rows[negative.numpy()]] != label[rows])
        drawn.append(label[rows])
    share = np.bincount(np.concatenate(drawn)) / sum(map(len, drawn))
    assert np.all(np.abs(share - 1 / 3) < 0.08)


def test_batches_depend_on_seed_stage_and_epoch_alone() -> None:
    label = np.arange(60) % 5
    settings = [(0, 1, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1)]
    rows = [
        np.concatenate(
            [r for r, _ in batches(label, protocol=Protocol(), batch=8, seed=s, stage=g, epoch=e)]
        ).tolist()
        for s, g, e in settings
    ]
    assert rows[0] == rows[1]
    assert all(rows[0] != other for other in rows[2:])


def test_a_single_training_class_is_refused() -> None:
    with pytest.raises(BadInput, match="1 class, expected at least 2"):
        next(batches(np.zeros(5, np.int64), protocol=Protocol(), batch=2, seed=0, stage=1, epoch=0))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    config = TrainConfig(lr=0.01)
    rates = [learning_rate(step, 200, config) for step in range(200)]
    assert max(rates) == rates[20] == 0.01
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[-1] < 1e-5


def test_a_folder_with_a_run_is_not_overwritten(whole: Path, data_dir: Path) -> None:
    with pytest.raises(BadInput, match="already exists"):
        new_run(whole, data_dir)


def test_changed_data_is_noticed(tmp_path: Path, data_dir: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    new_run(tmp_path / "run", copy)
    meta = copy / "dataset.json"
    meta.write_text(meta.read_text() + " ")
    with pytest.raises(BadInput, match="changed since training"):
        runs.train(tmp_path / "run")


def test_an_unfinished_run_says_how_to_continue(tmp_path: Path, data_dir: Path) -> None:
    new_run(tmp_path / "run", data_dir)
    with pytest.raises(BadInput, match="--resume"):
        runs.open_run(tmp_path / "run")


def test_a_truncated_model_file_is_one_clear_error(tmp_path: Path, whole: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(whole, broken)
    settings = json.loads((whole / "run.json").read_text())
    settings["data"] = str((whole / settings["data"]).resolve())
    (broken / "run.json").write_text(json.dumps(settings))
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(BadInput, match=r"model\.safetensors: was changed or damaged"):
        runs.open_run(broken)


def test_a_nan_weight_is_named(tmp_path: Path, whole: Path) -> None:
    tensors, meta = checkpoint.read(whole / "model.safetensors")
    tensors["model/branch.pathways.audio.0.linear.weight"][0, 0] = float("nan")
    path = tmp_path / "model.safetensors"
    checkpoint.write(path, tensors, meta)
    model = runs.load_model(whole)
    with pytest.raises(BadInput, match=r"audio\.0\.linear\.weight.*1 NaN"):
        checkpoint.load_model(path, model)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="epochs=0"):
        TrainConfig(epochs=0)
    with pytest.raises(BadInput, match="lr=-1"):
        TrainConfig(lr=-1)
    with pytest.raises(BadInput, match="expected cpu, cuda"):
        resolve_device("tpu")
