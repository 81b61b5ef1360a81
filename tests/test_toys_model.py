"""A model that keeps the written contract and nothing more goes the whole way, by one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neurozsl import models
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.models.base import Branch, BranchModel, ZSLModel
from neurozsl.studies import deployments
from tests.cli.conftest import Ran, run_command
from tests.toys.model import Averaged, OneLayer, Spiking, Toy

TOYS = {"averaged": "tests.toys.model:averaged", "toy": "tests.toys.model:spiking"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a run of each toy."""
    base = tmp_path_factory.mktemp("toys")
    config = SyntheticConfig(
        train_per_class=8, val_seen_per_class=2, val_unseen_per_class=4, test_size=96
    )
    write_synthetic(config, base / "data")
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        for name in TOYS:
            done(
                "train", "--data", base / "data", "--model", name, "--out", base / name,
                "--epochs", 3, "--batch", 8,
            )  # fmt: skip
    return base


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def register(patch: pytest.MonkeyPatch) -> None:
    """The one line of the table."""
    for name, builder in TOYS.items():
        patch.setitem(models._BUILDERS, name, builder)


def done(*arguments: object) -> Ran:
    ran = run_command(*arguments)
    assert ran.code == 0, ran.err
    return ran


def public(*kinds: type) -> set[str]:
    return {name for kind in kinds for name in vars(kind) if not name.startswith("_")}


def test_the_toys_have_nothing_beyond_the_contract() -> None:
    plain = models.build("averaged", audio_dim=4, video_dim=4)
    spiking = models.build("toy", audio_dim=4, video_dim=4, steps=5)
    assert isinstance(plain, ZSLModel) and not isinstance(plain, BranchModel)
    assert isinstance(spiking, BranchModel)
    assert public(Averaged, Toy) == public(ZSLModel)
    assert public(Spiking, Toy) == public(ZSLModel, BranchModel)
    assert public(OneLayer) == public(Branch) | {"forward"}


def test_a_spiking_toy_is_trained_exported_verified_and_profiled(folder: Path) -> None:
    run, bundle = folder / "toy", folder / "toy/deploy/lava"
    done("export", run, "--target", "lava", "--max-hm-drop", 100, "--samples", 4)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["verdict"] in ("PASS", "PASS-WITH-LOSS", "UNVERIFIED")
    assert manifest["steps"][0]["step"] == "trained"
    verified = done("verify", bundle, "--json").document
    assert verified["verdict"] == manifest["verdict"]
    deployed = done("evaluate", run, "--bundle", bundle, "--json").document
    trained = done("evaluate", run, "--json").document
    assert (deployed["motion_backend"], trained["motion_backend"]) == ("emulator", "norse")
    assert deployed["ZSL"] >= deployed["U"]
    simulated = done("simulate", bundle, "--backend", "emulator", "--limit", 4, "--json").document
    assert len(simulated["predictions"]) == 4
    for what in ((run, "--bundle", bundle), (run,)):
        report = done("profile", *what, "--json").document
        assert [layer["name"] for layer in report["layers"]] == ["only"]
        assert 0 < report["layers"][0]["spike_rate"] < 1
        assert report["model"]["name"] == "toy" and report["model"]["parameters"]["motion"] > 0
        assert report["energy"] and report["host"]["flops"] > 0
    page = folder / "page.html"
    done("profile", run, "--report", page)
    assert "toy" in page.read_text()


def test_a_spiking_toy_is_frozen_and_fine_tuned_in_float(folder: Path) -> None:
    tune = ("train", "--resume", folder / "toy", "--epochs", 1, "--qat")
    done(*tune, "none", "--out", folder / "tuned")
    steps = json.loads((folder / "tuned/result.json").read_text())["before"]
    assert [step["step"] for step in steps] == ["trained"]
    refused = run_command(*tune, "loihi2", "--out", folder / "integers")
    assert refused.code == 2 and not (folder / "integers").exists()
    assert "branch OneLayer has no backward pass in integers" in " ".join(refused.err.split())


def test_a_toy_that_never_spikes_is_trained_and_profiled_and_its_export_says_why_not(
    folder: Path,
) -> None:
    run = folder / "averaged"
    assert done("evaluate", run, "--json").document["motion_backend"] == "none"
    report = done("profile", run, "--json").document
    assert report["layers"] == [] and report["model"]["parameters"]["motion"] == 0
    refused = run_command("export", run, "--target", "lava")
    assert refused.code == 2 and "model 'averaged' never spikes" in refused.err


def test_the_studies_take_both(folder: Path) -> None:
    from neurozsl.runs.run import load_model
    from neurozsl.runs.settings import load_data, read_settings
    from neurozsl.studies.measured import activity

    rows = deployments.deploy_all({name: folder / name for name in TOYS}, ("sinabs",))
    assert [row["spiking"] for row in rows] == [[], ["only"]]
    assert [row["targets"]["sinabs"]["verdict"] for row in rows] == ["-", "PASS"]
    data = load_data(folder / "toy", read_settings(folder / "toy"))
    plain, spiking = (activity(load_model(folder / name), data) for name in TOYS)
    assert plain.note == "no spiking branch" and plain.energy is None
    assert spiking.spike_rate is not None and 0 < spiking.spike_rate < 1
    assert spiking.energy is not None and spiking.energy.joules > 0
