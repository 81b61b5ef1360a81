"""Options of event inputs: rates that are found, thresholds that are trained, what is refused."""

import json
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.models.base import BranchModel, needed_branch
from neurozsl.models.event_codes import event_rate
from neurozsl.models.event_threshold import EventThreshold
from neurozsl.models.profiles import SPECK_LARGEST_CORE
from tests.factories.batches import batch

SMALL: dict[str, Any] = {"embed": 16, "hidden": 24, "proj": 8, "head_width": 4, "steps": 6}
MDFT: dict[str, Any] = {**SMALL, "motion_widths": [20, 12, 8], "theta": 0.5}
STFT: dict[str, Any] = {**SMALL, "snn_input": "features", "channels": [4, 4], "strides": [2, 1]}
MDSTPP: dict[str, Any] = {**SMALL, "motion_widths": [16, 8], "motion_slots": 4}
LEARNT = [
    ("mdft", {**MDFT, "audio_code": "delta"}),
    ("mdft", {**MDFT, "audio_code": "change", "audio_events": "on_off", "video_code": "on_off"}),
    ("mdft", {**MDFT, "audio_code": "delta", "audio_events": "graded", "event_rate": 0.3}),
    ("mdst++", {**MDSTPP, "audio_code": "delta"}),
    ("stft", {**STFT, "input_code": "delta"}),
    ("stft", {**STFT, "input_code": "change", "input_events": "on_off"}),
]


def made(name: str, **options: Any) -> BranchModel:
    torch.manual_seed(0)
    model = models.build(name, audio_dim=10, video_dim=14, **options)
    assert isinstance(model, BranchModel)
    model.calibrate(batch())
    return model


def chip_input(model: BranchModel, seed: int = 0) -> ChipInput:
    found = model.prepare(batch(seed=seed)).chip_input
    assert found is not None
    return found


def roots(model: BranchModel) -> dict[str, torch.nn.Parameter]:
    named = torch.nn.Module.named_parameters(model)  # type: ignore[arg-type]
    return {k: p for k, p in named if k.startswith("event_thresholds.")}


def trained(model: BranchModel) -> None:
    """Move the thresholds, as an optimiser does."""
    with torch.no_grad():
        for root in roots(model).values():
            root.mul_(0.9)


@pytest.mark.parametrize("wanted", [0.05, 0.15])
@pytest.mark.parametrize("encode", ["sequence", "repeat"])
def test_a_rate_of_visual_events_finds_their_threshold(wanted: float, encode: str) -> None:
    model = made("mdft", **MDFT, event_rate=wanted, encode=encode)
    codes = chip_input(model).to_numpy()
    features = batch().video.numel() / (batch().video.shape[1] if encode == "repeat" else 1)
    found = event_rate(torch.from_numpy(codes.codes["video"]), codes.code["video"])
    # A feature of the batch more or less is what a threshold between two of them leaves.
    assert found == pytest.approx(wanted, abs=2 / features)
    assert codes.code["video"].step == model.options()["event_threshold"] != 0.2


def test_without_a_rate_the_visual_threshold_is_the_option_and_the_code_says_so() -> None:
    model = made("mdft", **MDFT, event_threshold=0.3)
    assert chip_input(model).code["video"].step == 0.3


def test_a_threshold_that_is_given_is_not_searched() -> None:
    model = made("mdft", **MDFT, audio_code="delta", audio_threshold=0.75)
    assert chip_input(model).code["audio"].step == 0.75


def test_padded_steps_of_audio_send_nothing() -> None:
    model = made("mdft", **MDFT, audio_code="delta", audio_rate=0.4)
    b = batch()
    b.mask[:, 4:] = False
    found = model.prepare(b).chip_input
    assert found is not None
    assert not found.codes["audio"][:, 4:].any() and found.codes["audio"][:, :4].any()


@pytest.mark.parametrize(("name", "options"), LEARNT)
def test_trained_thresholds_are_those_of_the_codes_and_survive_a_round_trip(
    name: str, options: dict[str, Any]
) -> None:
    model = made(name, **options, learn_thresholds=True)
    before = chip_input(model)
    trained(model)
    after = chip_input(model)
    assert roots(model)
    learnt = {k.split(".")[1] for k in roots(model)}
    for code in learnt:
        assert after.code[code].step < before.code[code].step
        assert needed_branch(model).spec().inputs[code] == after.code[code]
    again = models.build(name, **json.loads(json.dumps(model.options())))
    again.load_state_dict(model.state_dict())
    assert isinstance(again, BranchModel)
    assert needed_branch(again).spec().inputs == needed_branch(model).spec().inputs
    opened = chip_input(again, seed=3)
    for code, events in chip_input(model, seed=3).codes.items():
        assert torch.equal(events, opened.codes[code])


@pytest.mark.parametrize(("name", "options"), LEARNT)
def test_the_deployed_copy_holds_trained_thresholds_fixed(
    name: str, options: dict[str, Any]
) -> None:
    model = made(name, **options, learn_thresholds=True)
    trained(model)
    layers = [layer.name for layer in needed_branch(model.eval()).spec().layers]
    copy = model.frozen(dict.fromkeys(layers, 0.5)).eval()
    assert not roots(copy) and copy.options()["learn_thresholds"] is False
    expected, found = chip_input(model), chip_input(copy)
    assert found.code == expected.code
    for code, events in expected.codes.items():
        assert torch.equal(events, found.codes[code]) and events.any()


@pytest.mark.parametrize(("name", "options"), LEARNT)
def test_fewer_events_are_the_way_down_for_a_loss_that_counts_them(
    name: str, options: dict[str, Any]
) -> None:
    model = made(name, **options, learn_thresholds=True)
    counts = [codes.abs().sum() for codes in chip_input(model).codes.values()]
    torch.autograd.backward(torch.stack(counts).sum())
    for key, root in roots(model).items():
        assert root.grad is not None and torch.isfinite(root.grad), key
        assert root.grad < 0, key  # C grows with its root


def test_the_loss_of_the_task_reaches_thresholds_and_the_audio_motion() -> None:
    model = made("mdft", **MDFT, audio_code="delta", audio_rate=0.4, learn_thresholds=True)
    b, vectors = batch(), torch.randn(3, 300)
    output = model(b)  # type: ignore[operator]
    torch.autograd.backward(
        model.loss(output, b.label, (torch.arange(len(b)) + 1) % len(b), vectors).total
    )
    for key, parameter in torch.nn.Module.named_parameters(model):  # type: ignore[arg-type]
        if "event_thresholds" in key or "raw_beta" in key:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.any(), key


def test_a_threshold_is_what_it_was_set_to_and_stays_positive() -> None:
    threshold = EventThreshold(0.2)
    assert float(threshold().detach()) == pytest.approx(0.2)
    threshold.set(1e-9)
    assert 0 < float(threshold().detach()) <= 2e-4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mdft", {"audio_rate": 0.0}, r"audio_rate=0\.0, expected a share"),
        ("mdft", {"audio_threshold": -1.0}, r"audio_threshold=-1\.0, expected 0"),
        ("mdft", {"audio_events": "morse"}, "audio_events='morse', expected one of ternary"),
        ("mdft", {"audio_events": "graded", "audio_bits": 1}, "needs 2 or more"),
        ("mdft", {"event_rate": 1.0}, r"event_rate=1\.0, expected a share"),
        ("mdft", {"event_rate": 0.1, "events": "pixel"}, "use events=feature"),
        ("mdft", {"event_threshold": 0.0}, r"event_threshold=0\.0, expected a change above 0"),
        ("mdft", {"learn_thresholds": True, "egm": False}, "use audio_code=change or delta"),
        ("stft", {"learn_thresholds": True}, "use input_code=change or delta"),
        ("stft", {"input_code": "delta"}, "use snn_input=features or encoded"),
        ("stft", {"input_rate": 2.0}, r"input_rate=2\.0, expected a share"),
        ("stft", {"input_threshold": -0.5}, r"input_threshold=-0\.5, expected 0"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        models.build(name, audio_dim=4, video_dim=4, **options)


def test_on_and_off_of_a_convolution_are_two_channels_of_its_map() -> None:
    model = made("stft", **STFT, input_code="change", input_events="on_off")
    first = needed_branch(model.frozen({k: 0.5 for k in _layers(model)})).spec().layers[0]
    assert first.conv is not None and first.conv.shape == (2, 1, 10)


def _layers(model: BranchModel) -> list[str]:
    return [layer.name for layer in needed_branch(model).spec().layers]


@pytest.mark.parametrize("dims", [(256, 256), (512, 256), (512, 512)])
def test_the_profile_of_speck_takes_events_as_on_and_off_in_its_largest_cores(
    dims: tuple[int, int],
) -> None:
    model = models.build(
        "mdft", audio_dim=dims[0], video_dim=dims[1], motion_profile="speck", audio_code="delta"
    )
    spec = needed_branch(model).spec()
    for name, size in (("audio", 2 * dims[0]), ("video", 2 * dims[1])):
        assert (spec.inputs[name].kind, spec.inputs[name].size) == ("binary", size)
    for layer in spec.layers:
        assert layer.size_in * layer.size <= SPECK_LARGEST_CORE
    with pytest.raises(BadInput, match="1026 audio channels"):
        models.build(
            "mdft", audio_dim=513, video_dim=8, motion_profile="speck", audio_code="change"
        )
