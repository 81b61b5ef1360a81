"""MDFT with convolutions on pixel events: its options, what refuses them, and the two chips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec
from neurozsl.data.batch import AVBatch
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.place.place import place
from neurozsl.models.base import needed_branch
from neurozsl.models.mdft import MDFT, build
from neurozsl.models.profiles import motion_options
from neurozsl.training.qat import Rounding, program_of
from tests.factories.batches import batch

PIXEL = motion_options("pixel", "mdft")
SMALL: dict[str, Any] = {
    "audio_dim": 10,
    "video_dim": 14,
    "steps": 6,
    "embed": 16,
    "hidden": 16,
    "motion_widths": [16, 8],
    "motion_maps": [3, 4],
    **PIXEL,
}


def frames(n: int = 8, steps: int = 6, cells: int = 512) -> AVBatch:
    """Features and counts of pixel events, one cell in ten."""
    g = torch.Generator().manual_seed(4)
    return replace(batch(n, steps), events=2 * (torch.rand(n, steps, cells, generator=g) < 0.1))


def spec_of(model: MDFT) -> BranchSpec:
    return needed_branch(model).spec()


def test_the_visual_pathway_is_convolutions_and_the_audio_pathway_is_as_it_was() -> None:
    layers = spec_of(build(**SMALL)).layers
    assert [(x.name, x.shape) for x in layers] == [
        ("audio.0", (16,)),
        ("audio.1", (8,)),
        ("video.0", (3, 16, 16)),
        ("video.1", (4, 8, 8)),
        ("video.2", (8,)),
    ]
    assert [len(x.pools) for x in layers] == [0, 0, 0, 1, 1]
    # What --motion pixel leaves alone draws the same weights as without it.
    torch.manual_seed(0)
    with_pixels = build(**SMALL)
    torch.manual_seed(0)
    without = build(**{**SMALL, "motion_encoder": "dense"})
    assert with_pixels.branch is not None and without.branch is not None
    for name in ("audio.0", "audio.1"):
        left, right = (m.named_layers()[name].weight for m in (with_pixels.branch, without.branch))
        assert torch.equal(left, right)


def test_the_branch_reads_where_there_were_events_as_0_and_1() -> None:
    model, given = build(**SMALL).eval(), frames()
    model.calibrate(given)
    chip = model.prepare(given).chip_input
    assert chip is not None and given.events is not None
    assert torch.equal(chip.codes["video"], (given.events > 0).float())
    code = chip.to_numpy().code["video"]
    assert (code.size, code.kind, code.high) == (512, "binary", 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": "dynamic"}, {"neuron": "mlp"}, {"motion_profile": "speck"}, {"crm": False}],
)
def test_a_stored_description_makes_the_same_model_again(options: dict[str, Any]) -> None:
    model, given = build(**{**SMALL, **options}), frames()
    model.calibrate(given)
    model(given)
    again = build(**model.options())
    again.load_state_dict(model.state_dict())
    for left, right in zip(model.eval()(given).heads, again.eval()(given).heads, strict=True):
        assert torch.equal(left, right)


def test_the_deployed_copy_has_no_batch_norm_and_nearly_the_same_answer() -> None:
    model, given = build(**SMALL), frames(32)
    for _ in range(20):
        model(given)
    branch = model.eval().branch
    assert branch is not None
    frozen = model.frozen(dict.fromkeys(branch.named_layers(), 1.0))
    assert all(layer.norm is None for layer in frozen.branch.named_layers().values())  # type: ignore[union-attr]
    chip = model.prepare(given).chip_input
    assert chip is not None and frozen.branch is not None
    with torch.no_grad():
        trained, deployed = branch(chip).spikes, frozen.branch(chip).spikes
    assert any(bool(x.any()) for x in trained.values())
    for name, spikes in trained.items():
        assert float((spikes != deployed[name]).float().mean()) < 1e-3


@pytest.mark.parametrize(("dim", "maps"), [(256, {}), (512, {}), (512, {"motion_maps": [16, 32]})])
def test_the_speck_profile_lies_on_the_nine_cores(dim: int, maps: dict[str, Any]) -> None:
    options = {"audio_dim": dim, "video_dim": dim, "steps": 10, **PIXEL, **maps}
    model = build(**options, motion_profile="speck")
    assert model.config.neuron == "if"
    program = quantize(lower(to_nir(spec_of(model))), "speck2f")
    mapping = place(program, "speck2f")
    cores = [part.core for part in mapping.parts]
    assert len(cores) == len(set(cores)) == 6  # of nine


def test_loihi_takes_the_wider_default() -> None:
    wide = build(audio_dim=512, video_dim=512, **PIXEL)
    tight = build(audio_dim=512, video_dim=512, **PIXEL, motion_profile="speck")
    assert sum(wide.config.motion_maps) > sum(tight.config.motion_maps)
    mapping = place(quantize(lower(to_nir(spec_of(wide))), "loihi2"), "loihi2")
    assert {part.layer for part in mapping.parts} == {x.name for x in spec_of(wide).layers}


def test_visual_features_too_wide_for_speck_do_not_matter_where_pixels_move() -> None:
    build(audio_dim=128, video_dim=4096, **PIXEL, motion_profile="speck")
    with pytest.raises(BadInput, match="8192 visual"):
        build(audio_dim=128, video_dim=4096, motion_profile="speck")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"events": "feature"}, "motion_encoder=conv reads pixel events, events=feature"),
        ({"egm": False}, "egm=false makes no events, events=pixel"),
        ({"motion": False}, "which motion=false leaves out"),
        ({"inputs": ["audio"]}, r"motion_inputs=\['audio'\] lacks"),
        ({"motion_inputs": ["audio"]}, r"motion_inputs=\['audio'\] lacks"),
        ({"ablation": "snn"}, "egm=false makes no events"),
        ({"motion_maps": []}, "one to 4 numbers of channels"),
        ({"motion_maps": [8, 0]}, "one to 4 numbers of channels"),
        ({"motion_maps": [2] * 5}, "one to 4 numbers of channels"),
        ({"motion_kernel": 4}, "motion_kernel=4, expected an odd side"),
        ({"motion_encoder": "fourier"}, "expected one of dense, conv"),
    ],
)
def test_options_that_contradict_each_other_are_named(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        build(**{**SMALL, **options})


def test_data_without_pixel_events_and_those_of_another_grid_are_named() -> None:
    model = build(**SMALL)
    with pytest.raises(BadInput, match="this data set has none, use events=feature"):
        model.calibrate(batch(8, 6))
    with pytest.raises(BadInput, match=r"shape \(8, 6, 128\), expected \(8, 6, 512\)"):
        model.calibrate(frames(cells=128))


@pytest.mark.parametrize("model", ["stft", "avca", "mdst++"])
def test_models_without_that_input_are_named_and_told_which_one_has_it(model: str) -> None:
    with pytest.raises(BadInput, match="has no convolutions on pixel events; use --model mdft"):
        motion_options("pixel", model)
    assert motion_options("", model) == motion_options("feature", model) == {}


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(
        BadInput, match="--motion 'flow' is not known; choose one of feature, pixel"
    ):
        motion_options("flow", "mdft")
    with pytest.raises(BadInput, match="its stages read dense layers; use --model mdft"):
        models.build("mdst++", audio_dim=4, video_dim=4, encode="sequence", steps=6, **PIXEL)


def test_integers_of_convolutions_do_not_learn_and_the_message_says_so() -> None:
    with pytest.raises(BadInput, match="the branch has convolutions, which have no backward pass"):
        program_of(spec_of(build(**SMALL)), Rounding())
