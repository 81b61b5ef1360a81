"""MDFT's preset `paper` and the options for equations as printed, against slow loops in numpy."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.models.base import needed_branch
from neurozsl.models.branch_config import BranchConfig, is_stored
from neurozsl.models.crm import CRM, Gate, Keys
from neurozsl.models.mdft import MDFT, build
from neurozsl.models.mdft_config import MDFTConfig, configure
from neurozsl.models.mdft_presets import PAPER, PAPER_WIDE
from neurozsl.models.paper_dropouts import DROPOUTS
from neurozsl.runs import run as runs
from neurozsl.scoring.evaluation import collect, evaluate
from neurozsl.training.protocol import TrainConfig
from tests.factories import batches
from tests.models.slow_blocks import F64, draw, linear, sigmoid, slow_attention, slow_feed, value

batch = partial(batches.batch, 24)
SMALL: dict[str, Any] = {
    "embed": 8,
    "hidden": 12,
    "proj": 6,
    "heads": 2,
    "head_width": 4,
    "feed_hidden": 10,
    "motion_widths": (9, 8),
    "steps": 6,
}
B, T, E = 2, 4, 8


def paper(**options: Any) -> MDFT:
    torch.manual_seed(0)
    model = build(audio_dim=10, video_dim=14, **{"preset": "paper", **SMALL, **options})
    model.calibrate(batch())
    return model


# Every field, so that nothing of the preset moves unseen.
PINNED: dict[str, Any] = {
    "audio_dim": 512,
    "video_dim": 512,
    "word_dim": 300,
    "preset": "paper",
    "encode": "sequence",
    "steps": 10,
    "embed": 300,
    "hidden": 512,
    "proj": 64,
    "heads": 8,
    "head_width": 64,
    "drop_enc": 0.25,
    "drop_dec": 0.2,
    "drop_word": 0.1,
    "output": "relu",
    "margin": 1.0,
    "motion": True,
    "motion_inputs": ("audio", "video"),
    "motion_head": False,
    "neuron": "lif",
    "decay_u12": 2048,
    "theta": 1.0,
    "surrogate": "tanh",
    "slope": 1.0,
    "norm": False,
    "detach_threshold": False,
    "dt_s": 1e-3,
    "learn_thresholds": False,
    "literal": False,
    "motion_profile": "",
    "ablation": "",
    "slots": 1,
    "weight_n": 1.0,
    "weight_p": 1.0,
    "weight_r": 1.0,
    "inputs": ("audio", "video"),
    "egm": True,
    "rjlu": True,
    "crm": True,
    "gate": "printed",
    "crm_keys": "both",
    "crm_depth": 1,
    "feed_hidden": 300,
    "dropouts": "",
    "motion_widths": (300, 300, 300),
    "threshold": "dynamic",
    "events": "feature",
    "events_of": "encoded",
    "motion_encoder": "dense",
    "motion_maps": (16, 32),
    "motion_kernel": 3,
    "event_threshold": 0.2,
    "event_rate": 0.0,
    "event_log": True,
    "dab": "elementwise",
    "audio_bits": None,
    "audio_code": "graded",
    "audio_levels": 2,
    "audio_events": "ternary",
    "audio_rate": 0.1,
    "audio_threshold": 0.0,
    "video_code": "ternary",
    "pool_time": False,
}


def test_every_field_of_the_preset_paper_is_pinned() -> None:
    assert asdict(configure(audio_dim=512, video_dim=512, preset="paper")) == PINNED


def test_the_preset_paper_is_as_large_as_published_and_the_wide_one_twice_that() -> None:
    def size(preset: str) -> int:
        with torch.device("meta"):
            model = build(audio_dim=512, video_dim=512, preset=preset)
        return sum(p.numel() for p in model.parameters())

    assert size("paper") == 5_510_548  # STFT Table X: 5.51 M
    assert size("paper-wide") == 12_025_348


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropouts_of_a_data_set_are_those_of_section_3_4(name: str) -> None:
    printed = {"vggsound": (0.2, 0.25), "ucf": (0.25, 0.2), "activitynet": (0.1, 0.15)}
    c = configure(audio_dim=4, video_dim=4, preset="paper", dropouts=name)
    assert (c.drop_enc, c.drop_dec, c.drop_word) == (*printed[name], 0.1)
    own = configure(audio_dim=4, video_dim=4, preset="paper", dropouts=name, drop_enc=0.5)
    assert (own.drop_enc, own.drop_dec) == (0.5, printed[name][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropouts": "kinetics"}, "dropouts='kinetics', expected one of"),
        ({"crm_depth": 0}, "crm_depth=0"),
        ({"crm_keys": "video"}, "crm_keys='video'"),
        ({"audio_bits": "none", "audio_code": "change", "audio_events": "graded"}, "2 or more"),
    ],
)
def test_options_that_make_no_model_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build(audio_dim=10, video_dim=14, **options)


# ---------------------------------------------------------------- real inputs


@pytest.mark.parametrize("options", [{}, {"egm": False}], ids=["events", "features"])
def test_without_bits_the_branch_reads_the_numbers_themselves(options: dict[str, Any]) -> None:
    model, b = paper(**options).eval(), batch(seed=1)
    made = model.prepare(b).chip_input
    assert made is not None
    assert made.code["audio"].kind == "real"
    read = model._motion_features(b)
    assert torch.equal(made.codes["audio"] * made.code["audio"].scale, read["audio"])
    assert len(torch.unique(made.codes["audio"])) > 100
    if options:
        assert torch.equal(made.codes["video"], read["video"])
    else:
        assert set(torch.unique(made.codes["video"]).tolist()) == {-1.0, 0.0, 1.0}


def test_real_inputs_are_refused_by_whatever_needs_integers() -> None:
    model = paper()
    reason = "audio.*real numbers, which no chip reads .input_bits=none.*train with .--set input_b"
    with pytest.raises(BadInput, match=reason):
        needed_branch(model).spec()
    made = model.prepare(batch()).chip_input
    assert made is not None
    with pytest.raises(BadInput, match=reason):
        made.to_numpy()
    coded = paper(input_bits=4)
    assert coded.config.audio_bits == 4
    assert needed_branch(coded).spec().inputs["audio"].kind == "graded"
    assert paper(input_bits="none").config == paper(audio_bits=None).config == paper().config


def test_a_paper_model_is_rebuilt_from_its_options() -> None:
    model = paper()
    again = build(**json.loads(json.dumps(model.options())))
    again.load_state_dict(model.state_dict())
    assert again.config == model.config
    b = batch(seed=2)
    assert torch.equal(model.eval()(b).heads[0], again.eval()(b).heads[0])


LATER = ("events_of", "crm_keys", "crm_depth", "feed_hidden", "dropouts")


def test_a_run_that_was_stored_before_these_options_computes_what_it_did() -> None:
    wide = paper(preset="paper-wide", feed_hidden=0)
    stored = {k: v for k, v in wide.options().items() if k not in LATER}
    stored["preset"] = "paper"  # what it was called then
    again = build(**json.loads(json.dumps(stored)))
    again.load_state_dict(wide.state_dict())
    assert {**asdict(again.config), "preset": "paper-wide"} == asdict(wide.config)
    b = batch(seed=2)
    assert torch.equal(wide.eval()(b).heads[0], again.eval()(b).heads[0])
    assert is_stored(stored) and not is_stored({**PAPER, "preset": "paper"})


def test_new_options_are_not_shared_ones_whose_absence_marks_no_stored_run() -> None:
    assert not set(LATER) & set(BranchConfig.__dataclass_fields__)
    assert set(PAPER) - set(PAPER_WIDE) == {"feed_hidden", "slots", "events_of", "audio_bits"}
    assert set(PAPER) <= set(MDFTConfig.__dataclass_fields__)


@pytest.mark.parametrize("model", ["mdft", pytest.param("stft", marks=pytest.mark.slow)])
def test_a_paper_run_is_trained_stored_and_scored_again(model: str, tmp_path: Path) -> None:
    config = SyntheticConfig(
        train_per_class=4, val_seen_per_class=2, val_unseen_per_class=4, test_size=96
    )
    write_synthetic(config, tmp_path / "data")
    sizes: dict[str, Any] = {"embed": 8, "hidden": 8, "heads": 2, "head_width": 4, "steps": 10}
    sizes |= {"motion_widths": [8, 8]} if model == "mdft" else {"channels": [2], "strides": [2]}
    runs.create(
        tmp_path / "run",
        data_dir=tmp_path / "data",
        model=model,
        options={"preset": "paper", **sizes},
        train=TrainConfig(epochs=1),
    )
    trained = runs.train(tmp_path / "run")
    opened = runs.open_run(tmp_path / "run")
    assert is_stored(opened.settings.options)
    codes = opened.model.options()["codes"]
    assert codes["audio"]["kind"] == "real"
    collected = collect(opened.model, opened.data.stage(2), opened.data.vectors)
    again = evaluate(collected, beta=trained.result["test"]["beta"], head_weight=0.0)
    for name in ("S", "U", "HM", "ZSL"):
        assert getattr(again.scores, name) == pytest.approx(trained.result["test"][name])


# ---------------------------------------------------------------- Eq. 4 to 6 on encoder outputs


def slow_encoder(net: Any, x: F64) -> F64:
    """Two blocks of section 3.1 in evaluation, one vector."""
    for block in (net.first, net.second):
        norm = block.norm.norm
        x = (linear(block.linear, x) - value(norm.running_mean)) / np.sqrt(
            value(norm.running_var) + norm.eps
        )
        x = np.maximum(x * value(norm.weight) + value(norm.bias), 0)
    return x


@pytest.mark.parametrize("events_of", ["raw", "encoded"])
def test_events_and_discrepancy_are_of_what_events_of_names(events_of: str) -> None:
    options: dict[str, Any] = {} if events_of == "encoded" else {"embed": 10}
    model = paper(events_of=events_of, **options)
    for _ in range(3):
        model(batch(seed=4))  # moves the running statistics
    model = model.double().eval()
    b = batches.batch(B, seed=5)
    audio, video = value(b.audio), value(b.video)
    wide = {k: torch.as_tensor(v) for k, v in {"audio": audio, "video": video}.items()}
    b = type(b)(wide["audio"], wide["video"], b.mask, b.label)
    fast = model._motion_features(model.sequence(b))
    if events_of == "encoded":
        audio = np.array([[slow_encoder(model.encode_audio, x) for x in row] for row in audio])
        video = np.array([[slow_encoder(model.encode_video, x) for x in row] for row in video])
    assert model.dab is not None
    beta, limit = value(model.dab.beta), model.config.event_threshold
    events, seen = np.zeros_like(video), 0
    for row in range(B):
        last = np.log(np.maximum(video[row, 0], 0) + 0.1)
        for t in range(video.shape[1]):
            now = np.log(np.maximum(video[row, t], 0) + 0.1)
            for u in range(video.shape[2]):  # Eq. 5, p (L - L_last) >= C
                for p in (-1, 1):
                    if p * (now[u] - last[u]) >= limit:
                        events[row, t, u], last[u], seen = p, now[u], seen + 1
    assert seen > 20
    np.testing.assert_array_equal(value(fast["video"]), events)
    if events_of == "encoded":  # both are E wide, nothing is averaged
        slow = audio + 1 - np.exp(-(((events - audio) / beta) ** 2))  # Eq. 6
        np.testing.assert_allclose(value(fast["audio"]), slow, rtol=1e-9)
    else:
        assert fast["audio"].shape[-1] == 10


# ---------------------------------------------------------------- Eq. 10 and 11 as printed


def slow_crm(crm: CRM, given: dict[str, F64], gate: Gate, keys: Keys) -> F64:
    found = []
    for row in range(B):
        fused = {}
        for name, part in (("audio", crm.audio), ("video", crm.video)):
            x, j = list(given[name][row]), list(given[f"j_{name}"][row])
            if gate == "sigmoid":
                assert part.lift is not None
                j = [linear(part.lift, one) for one in j]
            gated = [a * sigmoid(one) for a, one in zip(x, j, strict=True)]  # Eq. 10
            fused[name] = [slow_feed(part.feed, r) for r in slow_attention(part.attend, x, gated)]
        over = fused["audio"] + (list(given["h"][row]) if keys == "both" else [])
        z = [slow_feed(crm.feed, one) for one in slow_attention(crm.cross, fused["video"], over)]
        for layer in crm.deeper:
            parts: Any = layer
            z = [slow_feed(parts.feed, one) for one in slow_attention(parts.attend, z, over)]
        found.append(np.mean(z, 0))  # Eq. 11, mean over time
    return np.array(found)


@pytest.mark.parametrize("gate", ["printed", "sigmoid"])
@pytest.mark.parametrize("keys", ["audio", "both"])
@pytest.mark.parametrize("depth", [1, 3])
def test_crm_follows_equations_10_and_11(gate: Gate, keys: Keys, depth: int) -> None:
    torch.manual_seed(0)
    sizes: Any = {"heads": 2, "head_width": 3, "dropout": 0.0}
    motion = dict.fromkeys(("audio", "video"), E if gate == "printed" else 5)
    crm = CRM(E, motion, gate=gate, keys=keys, depth=depth, hidden=7, **sizes).double().eval()
    names = ("audio", "video", "h")
    given = {name: draw(B, T, E, seed=i) for i, name in enumerate(names)}
    given |= {
        f"j_{name}": (draw(B, T, width, seed=9) > 0).astype(float) for name, width in motion.items()
    }
    tensors = {k: torch.from_numpy(v) for k, v in given.items()}
    spikes = {name: tensors[f"j_{name}"] for name in motion}
    fast: Tensor = crm(tensors["audio"], tensors["video"], spikes, tensors["h"], None)
    np.testing.assert_allclose(value(fast), slow_crm(crm, given, gate, keys), rtol=1e-9)
    has_maps = any("lift" in name for name, _ in crm.named_parameters())
    assert has_maps == (gate == "sigmoid")


def test_the_printed_gate_averages_spikes_that_are_wider_than_the_scene() -> None:
    torch.manual_seed(0)
    crm = CRM(2, {"audio": 4}, heads=1, head_width=2, gate="printed", dropout=0.0).eval()
    x = torch.randn(1, 3, 2)
    j = torch.tensor([[1.0, 1.0, 0.0, 1.0]]).expand(1, 3, 4)
    same = crm.audio(x, torch.tensor([[1.0, 0.5]]).expand(1, 3, 2), None)
    assert torch.equal(crm.audio(x, j, None), same)
