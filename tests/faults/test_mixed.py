"""Things that lie where others are expected: a bundle of another run is refused by every reader.

The network, its inputs and its integers are sound in every case; what is wrong is whose they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.deploy import belonging, deploy, finetune
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.dead_neurons import smaller
from neurozsl.export.bundle.manifest import DeadLayer, DeadNeurons
from neurozsl.hardware.network.dead import LeftOut
from neurozsl.runs import run as runs
from neurozsl.runs.settings import read_settings, write_settings
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import Rounding
from tests.cli.conftest import Ran, run_command
from tests.factories.runs import sealed_again

Read = Callable[[Path, Path], Ran]
READERS: dict[str, Read] = {
    "evaluate": lambda run, bundle: run_command("evaluate", run, "--bundle", bundle, "--json"),
    "evaluate --margin": lambda run, bundle: run_command(
        "evaluate", run, "--bundle", bundle, "--margin", "0.5", "--json"
    ),
    "profile": lambda run, bundle: run_command("profile", run, "--bundle", bundle, "--json"),
}
BY_PLACE: dict[str, Callable[[Path], Ran]] = {
    "profile RUN": lambda run: run_command("profile", run, "--json"),
    "profile BUNDLE": lambda run: run_command("profile", run / "deploy" / "lava", "--json"),
    "simulate": lambda run: run_command("simulate", run / "deploy" / "lava", "--json"),
}


@pytest.fixture(scope="module", name="other")
def _other(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run like the tiny one, from another seed."""
    path = tmp_path_factory.mktemp("other") / "run"
    runs.create(
        path,
        data_dir=workspace / "data",
        model="mdft",
        options={"motion_widths": [64, 32, 32], "embed": 32, "hidden": 64, "theta": 0.5},
        train=TrainConfig(epochs=1, batch=16, seed=1),
    )
    runs.train(path)
    return path


@pytest.fixture
def mixed(other: Path, run_dir: Path, tmp_path: Path) -> Path:
    """The other run, in whose folder lie the bundles of the tiny one."""
    path = shutil.copytree(other, tmp_path / "run")
    settings = json.loads((path / "run.json").read_text())
    settings["data"] = str((other / settings["data"]).resolve())
    (path / "run.json").write_text(json.dumps(settings))
    shutil.copytree(run_dir / "deploy", path / "deploy")
    return path


def without_note(bundle: Path, **changes: Any) -> Path:
    """The bundle as earlier versions wrote it: it notes no run."""
    manifest = manifests.read(bundle).model_copy(update={"run": None, **changes})
    manifests.write(bundle, manifest)
    return bundle


def refused(ended: Ran, *words: str) -> None:
    assert ended.code == 2 and ended.out == "", ended
    assert "Traceback" not in ended.err
    for word in ("belongs to another run", "neurozsl export", *words):
        assert word in ended.err, ended.err


def digest_of(run: Path) -> str:
    return str(json.loads((run / "result.json").read_text())["digest"])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("target", ["sinabs", "lava"])
def test_a_bundle_of_another_run_is_refused_with_both_digests(
    other: Path, run_dir: Path, reader: str, target: str
) -> None:
    ended = READERS[reader](other, run_dir / "deploy" / target)
    refused(ended, digest_of(other)[:12], digest_of(run_dir)[:12])


@pytest.mark.parametrize("reader", BY_PLACE)
def test_a_bundle_of_another_run_is_refused_where_its_place_names_the_run(
    mixed: Path, run_dir: Path, reader: str
) -> None:
    refused(BY_PLACE[reader](mixed), digest_of(mixed)[:12], digest_of(run_dir)[:12])


@pytest.mark.parametrize("reader", BY_PLACE)
def test_an_older_bundle_of_another_run_is_refused_by_its_weights(mixed: Path, reader: str) -> None:
    without_note(mixed / "deploy" / "lava")
    refused(BY_PLACE[reader](mixed), "differs in weight")


@pytest.mark.parametrize("target", ["sinabs", "lava"])
def test_an_older_bundle_of_the_run_itself_is_scored_with_a_note(
    run_dir: Path, tmp_path: Path, target: str
) -> None:
    bundle = shutil.copytree(run_dir / "deploy" / target, tmp_path / target)
    found = deploy.evaluate_run(runs.open_run(run_dir), bundle=bundle)
    assert found.note == ""
    without_note(bundle)
    ended = run_command("evaluate", run_dir, "--bundle", bundle, "--json")
    assert ended.code == 0, ended.err
    assert "noted no run" in ended.document["note"]
    assert all(ended.document[x] == getattr(found, x) for x in ("S", "U", "HM", "ZSL"))
    told = run_command("profile", run_dir, "--bundle", bundle, "--json")
    assert any("noted no run" in x for x in told.document["notes"])


def test_an_older_bundle_that_left_neurons_out_is_known_by_the_rest(
    run_dir: Path, other: Path
) -> None:
    opened = open_bundle(run_dir / "deploy" / "sinabs")
    first = opened.spec.layers[0]
    dead = DeadLayer(layer=first.name, neurons=first.size, silent=(0, 3), unread=(5,))
    kept = {first.name: LeftOut(**vars(dead)).kept}
    spec = replace(opened.spec, layers=tuple(smaller(x, kept) for x in opened.spec.layers))
    noted = DeadNeurons(neurons=3, updates=30, cores=None, layers=(dead,))
    manifest = opened.manifest.model_copy(update={"run": None, "dead_neurons": noted})
    old = replace(opened, manifest=manifest, parts=replace(opened.parts, spec=spec))
    assert "noted no run" in belonging.check_belongs(runs.open_run(run_dir), old)
    with pytest.raises(BadInput, match="belongs to another run"):
        belonging.check_belongs(runs.open_run(other), old)


def test_a_manifest_notes_the_result_and_the_files_of_its_run(run_dir: Path) -> None:
    noted = manifests.read(run_dir / "deploy" / "lava").run
    assert noted is not None and noted.result == digest_of(run_dir)
    result = json.loads((run_dir / "result.json").read_text())
    assert noted.files.items() <= result["files"].items() and "model.safetensors" in noted.files


def test_scores_of_what_was_fine_tuned_from_another_run_are_no_step_of_an_export(
    own_run: Path, tmp_path: Path
) -> None:
    train = TrainConfig(epochs=1, batch=16)
    tuned = finetune.create(runs.open_run(own_run), rounding=Rounding(), train=train)
    runs.train(tuned)

    def steps(out: str) -> list[str]:
        run = runs.open_run(own_run)
        made = deploy.deploy(run, target="nir", out=tmp_path / out, max_hm_drop=100)
        return [step.step for step in made.steps]

    assert steps("own")[-1] == "after QAT"
    settings = read_settings(tuned)
    write_settings(tuned, replace(settings, sources={**settings.sources, "parent": "0" * 64}))
    sealed_again(tuned)
    assert "after QAT" not in steps("other")
