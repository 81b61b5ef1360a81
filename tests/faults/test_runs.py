"""Every file of a run folder, damaged in every way: one message that names it, or nothing changes.

A table: file x damage -> what the message says. Refused is: exit code 2, nothing on stdout, one
error that names the file, no byte changed on disk. Accepted files are listed with the reason, and
then the scores are the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.core.digest import sha256
from neurozsl.deploy import finetune
from neurozsl.runs import run as runs
from neurozsl.runs.settings import read_settings
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import Rounding
from tests.cli.conftest import Ran, run_command
from tests.factories import runs as run_folders

JSON: Final = ("run.json", "result.json", "model.json")
SEALED: Final = (*JSON, "model.safetensors", "kept.npz")
TUNED: Final = (*SEALED, "start.json", "start.safetensors", "program.npz")
ACCEPTED: Final = {
    "log.jsonl": "it repeats the checkpoints, and nothing is scored by it",
    "stage1/last.safetensors": "a finished run does not go on from it",
    "stage2/last.safetensors": "a finished run does not go on from it",
    "stage1/best.safetensors": "--margin auto and students read it, and refuse it",
}
DEPLOYED: Final = "deploy"  # bundles: their own table


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


BYTES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "truncated": cut,
    "twice": lambda x: x * 2,
    "a byte more": lambda x: x + b"x",
    "no UTF-8": lambda x: b"\xff\xfe" + x,
    "binary": lambda _: bytes(range(256)) * 4,
    "a list": lambda _: b"[1, 2]",
    "an empty object": lambda _: b"{}",
    "null": lambda _: b"null",
    "text": lambda _: b'"run"',
    "NaN": lambda _: b"NaN",
    "nested lists": lambda _: b"[" * 100_000,
    "nested objects": lambda _: b'{"a":' * 50_000,
    "5 MiB": lambda x: x + b" " * 5 * 2**20,
}  # fmt: skip


def flipped(content: bytes, seed: int) -> bytes:
    """The bytes with one bit changed."""
    changed = np.frombuffer(content, np.uint8).copy()
    draw = np.random.default_rng(seed)
    changed[draw.integers(len(changed))] ^= 1 << draw.integers(8)
    return changed.tobytes()


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = (x for x in sorted(folder.rglob("*")) if x.is_file())
    return {str(x.relative_to(folder)): sha256(x) for x in files}


def refuses(folder: Path, name: str, *command: object) -> Ran:
    """Run a command, which must refuse the file `name` and leave the folder as it is."""
    before = contents(folder)
    ran = run_command(*command)
    assert (ran.code, ran.out) == (2, ""), (ran.code, ran.err)
    assert "Traceback" not in ran.err
    [line] = ran.err.splitlines()
    assert line.startswith("error: ") and name in line and len(line) < 1000
    assert contents(folder) == before
    return ran


@pytest.fixture
def own(run_dir: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny run that a test may damage."""
    monkeypatch.setenv("NEUROZSL_DATA", str(workspace / "data"))
    return Path(shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns(DEPLOYED)))


@pytest.fixture(scope="module")
def tuned_once(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, fine-tuned for an epoch in integers."""
    folder = tmp_path_factory.mktemp("tuned") / "tuned"
    train = TrainConfig(epochs=1, lr=1e-3, batch=16)
    finetune.create(runs.open_run(run_dir), rounding=Rounding(), train=train, out=folder)
    runs.train(folder)
    return folder


@pytest.fixture
def tuned(
    tuned_once: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("NEUROZSL_DATA", str(workspace / "data"))
    return Path(shutil.copytree(tuned_once, tmp_path / "tuned"))


def test_every_file_of_a_run_has_a_row(run_dir: Path, tuned_once: Path) -> None:
    names = {x for x in contents(run_dir) if not x.startswith(DEPLOYED)}
    assert names == set(SEALED) | set(ACCEPTED)
    assert set(contents(tuned_once)) == set(TUNED) | {"log.jsonl", "stage3/last.safetensors"}


# ---------------------------------------------------------------- a finished run


@pytest.mark.parametrize("damage", BYTES)
@pytest.mark.parametrize("name", SEALED)
def test_a_damaged_file_is_named(name: str, damage: str, own: Path) -> None:
    (own / name).write_bytes(BYTES[damage]((own / name).read_bytes()))
    ran = refuses(own, name, "evaluate", own, "--json")
    assert any(x in ran.err for x in ("restore it", "train again"))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", SEALED)
def test_one_flipped_bit_is_refused_and_never_scored(name: str, seed: int, own: Path) -> None:
    (own / name).write_bytes(flipped((own / name).read_bytes(), seed))
    refuses(own, name, "evaluate", own)


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("instead", ["nothing", "a folder", "a pipe", "a link to itself"])
def test_a_file_that_is_missing_or_none_is_named(name: str, instead: str, own: Path) -> None:
    (own / name).unlink()
    if instead == "a folder":
        (own / name).mkdir()
    elif instead == "a pipe":
        os.mkfifo(own / name)
    elif instead == "a link to itself":
        (own / name).symlink_to(own / name)
    refuses(own, name, "evaluate", own)


def edit(path: Path, *keys: str, value: object) -> None:
    """Change one value of a JSON file."""
    content = json.loads(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "keys", "value"),
    [
        ("model.json", ("codes",), {}),
        ("model.json", ("name",), "avca"),
        ("model.json", ("embed",), 16),
        ("run.json", ("train", "epochs"), 50),
        ("run.json", ("train", "seed"), 1),
        ("run.json", ("label_alignment",), "legacy"),
        ("run.json", ("data_fingerprint",), "0" * 64),
        ("run.json", ("digest",), "0" * 64),
        ("run.json", ("schema",), 3),
        ("run.json", ("data",), 7),
        ("run.json", ("sources",), {"parent": "0" * 64}),
        ("result.json", ("selected", "beta"), 0.3),
        ("result.json", ("selected", "head_weight"), 0.7),
        ("result.json", ("test", "HM"), 99.0),
        ("result.json", ("warnings",), []),
        ("result.json", ("files",), {}),
        ("result.json", ("settings",), "0" * 64),
        ("result.json", ("more",), 1),
    ],
    ids=lambda x: ".".join(x) if isinstance(x, tuple) else None,
)
def test_an_edited_value_is_refused(
    name: str, keys: tuple[str, ...], value: object, own: Path
) -> None:
    before = (own / name).read_bytes()
    edit(own / name, *keys, value=value)
    if json.loads(before) == json.loads((own / name).read_bytes()):
        edit(own / name, *keys, value=["something"])
    refuses(own, name, "evaluate", own)


def test_weights_of_another_run_are_refused(own: Path, tuned_once: Path) -> None:
    shutil.copy(tuned_once / "model.safetensors", own)
    assert "belongs to another run" in refuses(own, "model.safetensors", "evaluate", own).err


@pytest.mark.parametrize("damage", ["empty", "truncated", "binary"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_scores_do_not_come_from_changes_none(
    name: str, damage: str, own: Path, run_dir: Path
) -> None:
    (own / name).write_bytes(BYTES[damage]((own / name).read_bytes()))
    ran = run_command("evaluate", own, "--json")
    assert ran.code == 0, ran.err
    test = json.loads((run_dir / "result.json").read_text())["test"]
    assert {key: ran.document[key] for key in test} == test


@pytest.mark.parametrize("seed", range(3))
def test_the_model_of_stage_1_is_refused_where_it_is_asked(seed: int, own: Path) -> None:
    file = own / "stage1" / "best.safetensors"
    file.write_bytes(flipped(file.read_bytes(), seed))
    refuses(own, "best.safetensors", "evaluate", own, "--margin", "auto")


@pytest.mark.parametrize("damage", ["truncated", "no UTF-8", "a list", "null", "nested lists"])
def test_a_damaged_log_is_named_where_it_is_read(damage: str, own: Path) -> None:
    (own / "log.jsonl").write_bytes(BYTES[damage]((own / "log.jsonl").read_bytes()[:-5]))
    ran = refuses(own, "log.jsonl", "train", "--resume", own)
    assert "remove the file" in ran.err


# ---------------------------------------------------------------- a fine-tuned run


@pytest.mark.parametrize("damage", ["empty", "truncated", "a list", "nothing", *"01234"])
@pytest.mark.parametrize("name", TUNED)
def test_a_damaged_file_of_a_fine_tuned_run_is_named(name: str, damage: str, tuned: Path) -> None:
    content = (tuned / name).read_bytes()
    if damage == "nothing":
        (tuned / name).unlink()
    else:
        bad = flipped(content, int(damage)) if damage.isdecimal() else BYTES[damage](content)
        (tuned / name).write_bytes(bad)
    refuses(tuned, name, "evaluate", tuned)


@pytest.mark.parametrize("name", ["start.json", "start.safetensors", "model.json"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "nothing", *"012"])
def test_a_fine_tuning_does_not_begin_from_a_changed_start(
    name: str, damage: str, tuned: Path
) -> None:
    for made in ("result.json", "model.safetensors", "program.npz", "log.jsonl", "kept.npz"):
        (tuned / made).unlink()
    shutil.rmtree(tuned / "stage3")
    content = (tuned / name).read_bytes()
    if damage == "nothing":
        (tuned / name).unlink()
    else:
        bad = flipped(content, int(damage)) if damage.isdecimal() else BYTES[damage](content)
        (tuned / name).write_bytes(bad)
    refuses(tuned, name, "train", "--resume", tuned)


def test_another_parent_in_the_place_of_the_first_is_refused(tuned: Path, own: Path) -> None:
    edit(tuned / "run.json", "qat", "parent", value=str(own))
    assert run_command("evaluate", tuned, "--margin", "auto").code == 0
    edit(own / "result.json", "test", "HM", value=99.0)
    run_folders.sealed_again(own)
    ran = refuses(tuned, "result.json", "evaluate", tuned, "--margin", "auto")
    assert "run.json of its parent notes" in ran.err


# ---------------------------------------------------------------- a run of an earlier version


@pytest.mark.parametrize("damage", BYTES)
@pytest.mark.parametrize("name", JSON)
def test_without_digests_a_damaged_file_is_named_too(name: str, damage: str, own: Path) -> None:
    run_folders.of_an_earlier_version(own)
    (own / name).write_bytes(BYTES[damage]((own / name).read_bytes()))
    refuses(own, name, "evaluate", own)


TYPES: Final[tuple[tuple[str, tuple[str, ...], object], ...]] = (
    ("run.json", ("model",), 7),
    ("run.json", ("options",), []),
    ("run.json", ("train",), None),
    ("run.json", ("train", "epochs"), "many"),
    ("run.json", ("train", "epochs"), -1),
    ("run.json", ("train", "epochs"), True),
    ("run.json", ("train", "protocol"), 3),
    ("run.json", ("train", "unknown"), 3),
    ("run.json", ("data",), ["x"]),
    ("run.json", ("qat",), {}),
    ("run.json", ("label_alignment",), "other"),
    ("run.json", ("unknown",), 1),
    ("model.json", ("name",), None),
    ("model.json", ("name",), "none"),
    ("model.json", ("audio_dim",), 0.5),
    ("model.json", ("audio_dim",), 10**12),
    ("model.json", ("embed",), "wide"),
    ("model.json", ("embed",), -3),
    ("model.json", ("codes",), [1]),
    ("model.json", ("codes",), {"audio": 3}),
    ("model.json", ("motion_widths",), {}),
    ("model.json", ("unknown",), 1),
    ("result.json", ("selected",), {}),
    ("result.json", ("selected", "beta"), "0"),
    ("result.json", ("selected", "unknown"), 0),
    ("result.json", ("test", "HM"), None),
    ("result.json", ("warnings",), [3]),
    ("result.json", ("before",), [3]),
    ("result.json", ("digest",), "0" * 64),
)


@pytest.mark.parametrize(("name", "keys", "value"), TYPES, ids=str)
def test_without_digests_a_wrong_type_is_named(
    name: str, keys: tuple[str, ...], value: object, own: Path
) -> None:
    run_folders.of_an_earlier_version(own)
    edit(own / name, *keys, value=value)
    refuses(own, name, "evaluate", own)


# ---------------------------------------------------------------- a run to go on with


@pytest.fixture
def stopped(own: Path) -> Path:
    """The run as a kill in stage 2 left it."""
    for name in ("model.safetensors", "model.json", "kept.npz", "result.json"):
        (own / name).unlink()
    return own


STAGES: Final = ("stage1/last.safetensors", "stage2/last.safetensors")
Tensors = dict[str, Tensor]


def renamed(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["model/odd"] = tensors.pop(next(x for x in sorted(tensors) if x.startswith("model/")))


def without_moment(tensors: Tensors, meta: dict[str, Any]) -> None:
    del tensors["optimiser/0/exp_avg"]


def with_nan(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["optimiser/0/exp_avg_sq"].view(-1)[0] = float("nan")


def of_no_parameter(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["optimiser/9999/exp_avg"] = torch.zeros(1)


def no_number(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["optimiser/one/exp_avg"] = torch.zeros(1)


def transposed(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["optimiser/0/exp_avg"] = tensors["optimiser/0/exp_avg"][None]


def doubled(tensors: Tensors, meta: dict[str, Any]) -> None:
    name = next(x for x in sorted(tensors) if x.endswith("weight"))
    tensors[name] = tensors[name].double()


def no_generator(tensors: Tensors, meta: dict[str, Any]) -> None:
    del tensors["rng/torch"]


def short_generator(tensors: Tensors, meta: dict[str, Any]) -> None:
    tensors["rng/torch"] = tensors["rng/torch"][:100]


def other_run(tensors: Tensors, meta: dict[str, Any]) -> None:
    meta["run"] = "f" * 64


def other_stage(tensors: Tensors, meta: dict[str, Any]) -> None:
    meta["stage"] += 1


def no_run(tensors: Tensors, meta: dict[str, Any]) -> None:
    del meta["run"]


def no_history(tensors: Tensors, meta: dict[str, Any]) -> None:
    meta["history"] = []


def foreign_meta(tensors: Tensors, meta: dict[str, Any]) -> None:
    meta["history"] = "long"


def odd_best(tensors: Tensors, meta: dict[str, Any]) -> None:
    meta["best"] = {"epochs": 1}


FOREIGN: Final[dict[str, tuple[Callable[[Tensors, dict[str, Any]], None], str]]] = {
    "renamed tensor": (renamed, "is missing"),
    "missing moment": (without_moment, "tensor 'optimiser/0/exp_avg' is missing"),
    "NaN in a moment": (with_nan, "tensor 'optimiser/0/exp_avg_sq' holds 1 NaN"),
    "moment of no parameter": (of_no_parameter, "belongs to none of the"),
    "moment without number": (no_number, "belongs to none of the"),
    "other shape": (transposed, "tensor 'optimiser/0/exp_avg' is float32 [1, "),
    "other type": (doubled, "is float64 ["),
    "no random state": (no_generator, "tensor 'rng/torch' is missing"),
    "short random state": (short_generator, "tensor 'rng/torch' is uint8 [100]"),
    "another run": (other_run, "belongs to another run, or run.json was changed"),
    "another stage": (other_stage, "belongs to stage"),
    "an earlier version": (no_run, "names no run"),
    "no history": (no_history, "position cannot be read"),
    "foreign metadata": (foreign_meta, "'history' is \"long\", expected a list"),
    "odd best": (odd_best, "position cannot be read"),
}


@pytest.mark.parametrize("damage", FOREIGN)
@pytest.mark.parametrize("name", STAGES)
def test_training_does_not_go_on_from_a_foreign_checkpoint(
    name: str, damage: str, stopped: Path
) -> None:
    change, message = FOREIGN[damage]
    tensors, meta = checkpoint.read(stopped / name)
    change(tensors, meta)
    checkpoint.write(stopped / name, tensors, meta)
    assert message in refuses(stopped, name, "train", "--resume", stopped).err


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", STAGES)
def test_training_does_not_go_on_from_a_flipped_bit(name: str, seed: int, stopped: Path) -> None:
    (stopped / name).write_bytes(flipped((stopped / name).read_bytes(), seed))
    refuses(stopped, name, "train", "--resume", stopped)


@pytest.mark.parametrize("damage", ["empty", "truncated", "binary", "a list", "a byte more"])
@pytest.mark.parametrize("name", STAGES)
def test_training_does_not_go_on_from_a_damaged_checkpoint(
    name: str, damage: str, stopped: Path
) -> None:
    (stopped / name).write_bytes(BYTES[damage]((stopped / name).read_bytes()))
    refuses(stopped, name, "train", "--resume", stopped)


def test_a_checkpoint_of_the_same_stage_of_another_run_is_refused(
    stopped: Path, workspace: Path, tmp_path: Path
) -> None:
    """As before the digests, when HM fell from 9.5 to 0."""
    settings = read_settings(stopped)
    other = runs.create(
        tmp_path / "other",
        data_dir=workspace / "data",
        model=settings.model,
        options=settings.options,
        train=replace(settings.train, seed=1, epochs=1),
    )
    assert other.digest != settings.digest
    runs.train(tmp_path / "other")
    shutil.copy(tmp_path / "other" / STAGES[1], stopped / STAGES[1])
    assert "belongs to another run" in refuses(stopped, STAGES[1], "train", "--resume", stopped).err


def test_settings_that_were_edited_before_going_on_are_refused(stopped: Path) -> None:
    edit(stopped / "run.json", "train", "epochs", value=7)
    refuses(stopped, "run.json", "train", "--resume", stopped)
    settings = {**json.loads((stopped / "run.json").read_text()), "schema": 1}
    for key in ("digest", "sources"):
        del settings[key]
    (stopped / "run.json").write_text(json.dumps(settings))
    ran = refuses(stopped, "stage1/last.safetensors", "train", "--resume", stopped)
    assert "or run.json was changed" in ran.err


def test_the_log_of_a_run_that_goes_on_lacks_no_epoch(stopped: Path, run_dir: Path) -> None:
    """A kill between a checkpoint and the log leaves a line less; damage is cleared away."""
    lines = (stopped / "log.jsonl").read_text().splitlines(keepends=True)
    (stopped / "log.jsonl").write_text("".join(lines[:-1]))
    ran = run_command("train", "--resume", stopped)
    assert ran.code == 0, ran.err
    assert (stopped / "log.jsonl").read_text() == "".join(lines)
    made = contents(run_dir)
    assert contents(stopped) == {x: y for x, y in made.items() if not x.startswith(DEPLOYED)}
