"""What every model of the registry keeps, a new one too, and how packages outside bring theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.models.avca import AVCA
from neurozsl.models.base import BranchModel, ComparesClasses, ZSLModel
from neurozsl.models.baselines.apn import APN
from neurozsl.models.baselines.avgzslnet import AVGZSLNet
from neurozsl.models.baselines.avmst import AVMST
from neurozsl.models.baselines.bilinear import Bilinear
from neurozsl.models.baselines.cjme import CJME
from neurozsl.models.baselines.clipclap import ClipClap
from neurozsl.models.baselines.fvaegan import FVAEGAN
from neurozsl.models.baselines.hyper import HyperAVCA
from neurozsl.models.baselines.tcaf import TCaF
from neurozsl.models.conse import ConSE
from neurozsl.models.mdft import MDFT
from neurozsl.models.mdstpp import MDSTPP
from neurozsl.models.own_stages import OwnStages
from neurozsl.models.stft import STFT
from neurozsl.training.untrained import UntrainedModel, is_untrained

# Read by mypy alone: the classes keep the contract with the types that it names.
MODELS: tuple[type[ZSLModel], ...] = (AVCA, ConSE, MDFT, MDSTPP, STFT)
BASELINES: tuple[type[ZSLModel], ...] = (APN, AVGZSLNet, AVMST, Bilinear, CJME, ClipClap, FVAEGAN)
MORE: tuple[type[ZSLModel], ...] = (HyperAVCA, TCaF)
UNTRAINED: type[UntrainedModel] = ConSE
OWN_STAGES: type[OwnStages] = FVAEGAN
COMPARING: tuple[type[ComparesClasses], ...] = (APN, Bilinear, CJME, ClipClap, TCaF)
ENCODERS = {
    "video": {
        **EncoderSpec("v", "video", 32, "1", labels=3, layers=(32, 3)).to_meta(),
        "scale": 1.0,
    },
    "text": EncoderSpec("t", "text", 8, "2").to_meta(),
}
WITH_BRANCH: tuple[type[BranchModel], ...] = (AVMST, MDFT, MDSTPP, STFT)


@pytest.mark.parametrize("name", models.names())
def test_every_registered_model_is_a_module_that_keeps_the_contract(name: str) -> None:
    more = {"encoders": ENCODERS} if models.asks_for(name, "encoders") else {}
    model = models.build(name, audio_dim=32, video_dim=32, encode="sequence", steps=8, **more)
    assert isinstance(model, nn.Module) and isinstance(model, ZSLModel)
    assert isinstance(model, BranchModel) == hasattr(model, "motion_branch")
    assert any(x.requires_grad for x in model.parameters()) != is_untrained(model)
    again = models.build(name, **model.options())
    assert again.options() == model.options()
    assert list(again.state_dict()) == list(model.state_dict())


# ---------------------------------------------------------------- packages outside

MODULE = """
from tests.toys.model import averaged as build
def branch(**options):
    class Branched(type(build(**options))):
        def motion_branch(self): return None
    return Branched(3, 4)
def broken(**options): return build(**options).project
def half(**options):
    import torch
    class Half(torch.nn.Module):
        def options(self): return options
    return Half()
"""


def install(folder: Path, package: str, entries: dict[str, str]) -> None:
    """A package as pip leaves it: metadata with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[neurozsl.models]", *lines, ""]))


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "outside_models.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside_models", raising=False)
    return tmp_path


def test_a_package_outside_registers_a_model_that_is_loaded_when_it_is_built(outside: Path) -> None:
    install(outside, "outside", {"theirs": "outside_models:build"})
    assert models.names() == (*models._BUILDERS, "theirs")
    assert "outside_models" not in sys.modules
    model = models.build("theirs", audio_dim=3, video_dim=4)
    assert model.options()["audio_dim"] == 3 and models.title("theirs") == "theirs"
    assert "outside_models" in sys.modules


@pytest.mark.parametrize("name", ["mdft", "theirs"])
def test_a_name_that_is_taken_is_an_error_that_names_both(outside: Path, name: str) -> None:
    install(outside, "outside", {"theirs": "outside_models:build"})
    install(outside, "second", {name: "elsewhere:build"})
    pattern = (
        rf"model '{name}': package '(second|outside)' registers it as .* belongs to '.*:build'"
    )
    with pytest.raises(BadInput, match=pattern):
        models.build("avca", audio_dim=3, video_dim=4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("outside_models:missing", "'outside_models:missing' cannot be imported"),
        ("no_such_package:build", "No module named 'no_such_package'"),
        ("outside_models:half", r"Half does not keep the contract .* lacks calibrate, prepare"),
        ("outside_models:broken", r"Linear does not keep the contract .* lacks options"),
        ("outside_models:branch", r"Branched .*base.BranchModel, it lacks frozen, host_parts"),
        ("builtins:dict", r"dict does not keep the contract .* lacks options"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(outside: Path, value: str, message: str) -> None:
    install(outside, "outside", {"theirs": value})
    with pytest.raises(BadInput, match=message):
        models.build("theirs", audio_dim=3, video_dim=4)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(
        BadInput,
        match=r"model 'none' is not known; choose one of ale, apn, avca, .*conse, devise, .*mdft",
    ):
        models.build("none", audio_dim=3, video_dim=4)


def test_an_option_that_a_builder_does_not_take_is_an_error_with_those_it_takes(
    outside: Path,
) -> None:
    install(outside, "outside", {"theirs": "outside_models:build"})
    with pytest.raises(BadInput, match=r"model 'theirs': .*'foo'; it takes audio_dim, video_dim"):
        models.build("theirs", audio_dim=3, video_dim=4, foo=2)
