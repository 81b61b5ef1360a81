"""STFT's presets, the options for equations as printed, and its ablations by name."""

import json
import math
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.models.base import needed_branch
from neurozsl.models.branch_config import BranchConfig, is_stored
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.stft import STFT, build
from neurozsl.models.stft_ablations import ablation_options, ablations
from neurozsl.models.stft_config import configure
from neurozsl.models.stft_cross import CrossModalTransformer, SpikingCross
from tests.factories import batches
from tests.models.slow_blocks import F64, draw, linear, slow_attention, slow_feed, value

batch = partial(batches.batch, 24)
ABLATIONS = ablations()
SMALL: dict[str, Any] = {
    "embed": 16,
    "hidden": 12,
    "proj": 6,
    "heads": 2,
    "head_width": 4,
    "feed_hidden": 10,
    "channels": (3, 2),
    "strides": (2, 1),
    "tucker_width": 5,
    "rank": 3,
    "slots": 2,
    "encode": "sequence",
    "steps": 6,
    "theta": 0.3,
    "drop_enc": 0.0,
    "drop_dec": 0.0,
    "drop_word": 0.0,
}
B, T, E = 2, 4, 8


def paper(**options: Any) -> STFT:
    torch.manual_seed(0)
    row = ABLATIONS[options["ablation"]].options if options.get("ablation") else {}
    base = {k: v for k, v in SMALL.items() if k not in row}
    model = build(audio_dim=10, video_dim=14, **{"preset": "paper", **base, **options})
    model.calibrate(batch())
    return model


def minimised(model: STFT) -> Tensor:
    vectors = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))
    b = batch(seed=2)
    total: Tensor = model.loss(model(b), b.label, (torch.arange(24) + 1) % 24, vectors).total
    return total


# Every field, so that nothing of the preset moves unseen.
PINNED: dict[str, Any] = {
    "audio_dim": 512,
    "video_dim": 512,
    "word_dim": 300,
    "preset": "paper",
    "encode": "repeat",
    "steps": 8,
    "embed": 512,
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
    "theta": 0.5,
    "surrogate": "tanh",
    "slope": 1.0,
    "norm": True,
    "detach_threshold": False,
    "dt_s": 1e-3,
    "learn_thresholds": False,
    "literal": False,
    "ablation": "",
    "inputs": ("audio", "video"),
    "feed_hidden": 256,
    "cross": "transformer",
    "cross_depth": 1,
    "dropouts": "",
    "transformer": True,
    "lkc": True,
    "lkc_heads": 1,
    "slots": 3,
    "lkc_tokens": "pair",
    "lkc_state": "learnt",
    "lkc_pool": "sum",
    "snn_input": "encoded",
    "glp": "blocks",
    "tsf": True,
    "channels": (8, 8, 1),
    "strides": (1, 1, 1),
    "kernel": 3,
    "conv_axis": "feature",
    "threshold": "clipped",
    "input_bits": None,
    "input_code": "graded",
    "input_levels": 2,
    "input_events": "ternary",
    "input_rate": 0.1,
    "input_threshold": 0.0,
    "tucker_width": 40,
    "rank": 60,
    "loss_parts": ("triplet", "projection", "reconstruction"),
    "weight_triplet": 0.5,
    "weight_rest": 0.5,
}


def test_every_field_of_the_preset_paper_is_pinned() -> None:
    assert asdict(configure(audio_dim=512, video_dim=512, preset="paper")) == PINNED


@pytest.mark.parametrize(
    ("name", "printed"),
    [("vggsound", (0.2, 0.25)), ("ucf", (0.25, 0.2)), ("activitynet", (0.1, 0.15))],
)
def test_dropouts_of_a_data_set_are_those_of_section_3_e(
    name: str, printed: tuple[float, float]
) -> None:
    c = configure(audio_dim=4, video_dim=4, preset="paper", dropouts=name)
    assert (c.drop_enc, c.drop_dec, c.drop_word) == (*printed, 0.1)


def test_gradients_reach_every_parameter_of_the_preset_paper() -> None:
    for options in ({}, {"cross_depth": 2}, {"cross": "spikformer"}, {"inputs": ["audio"]}):
        model = paper(**options)
        torch.autograd.backward(minimised(model))
        without = [
            name
            for name, p in model.named_parameters()
            if p.grad is None or not bool((p.grad != 0).any())
        ]
        assert without == [], options


def test_without_bits_the_branch_reads_the_numbers_themselves_and_is_not_exported() -> None:
    model = paper(glp="off").eval()
    b = batch(seed=1)
    made = model.prepare(b).chip_input
    assert made is not None
    encoded = model._encode(b)
    for name, read in made.codes.items():
        assert torch.equal(read, encoded[name])
    with pytest.raises(BadInput, match="input 'audio' and input 'video': real numbers, which no"):
        needed_branch(model).spec()
    with pytest.raises(BadInput, match="audio, video: real numbers"):
        made.to_numpy()
    coded = paper(glp="off", input_bits=3)
    assert {c.kind for c in needed_branch(coded).spec().inputs.values()} == {"graded"}
    assert paper(input_bits="none").config == paper().config


LATER = ("ablation", "inputs", "cross", "cross_depth", "dropouts", "lkc_pool")


def test_a_run_that_was_stored_before_these_options_computes_what_it_did() -> None:
    wide = paper(preset="paper-wide")
    stored = {k: v for k, v in wide.options().items() if k not in LATER}
    stored["preset"] = "paper"  # what it was called then
    again = build(**json.loads(json.dumps(stored)))
    again.load_state_dict(wide.state_dict())
    assert {**asdict(again.config), "preset": "paper-wide"} == asdict(wide.config)
    b = batch(seed=2)
    assert torch.equal(wide.eval()(b).heads[0], again.eval()(b).heads[0])
    assert is_stored(stored)
    assert not set(LATER) & set(BranchConfig.__dataclass_fields__)


# ---------------------------------------------------------------- Eq. 14 and Table VI


@pytest.mark.parametrize("depth", [1, 3])
def test_the_transformer_follows_equation_14(depth: int) -> None:
    torch.manual_seed(0)
    unit = CrossModalTransformer(E, heads=2, head_width=3, hidden=5, dropout=0.0, depth=depth)
    unit = unit.double().eval()
    audio, video = draw(B, T, E, seed=1), draw(B, T, E, seed=2)
    fast = unit(torch.from_numpy(audio), torch.from_numpy(video), None)
    for b in range(B):
        y: dict[str, list[F64]] = {"audio": list(audio[b]), "video": list(video[b])}
        for number in range(depth):
            layer: Any = unit.deeper[number - 1] if number else unit
            y = {
                one: [slow_feed(layer.feed, q) for q in slow_attention(layer.attend, y[one], y[k])]
                for one, k in (("audio", "video"), ("video", "audio"))
            }
        slow = np.mean([*y["audio"], *y["video"]], 0)
        np.testing.assert_allclose(value(fast[b]), slow, rtol=1e-9)


def slow_spikes(layer: SpikingLayer, x: F64, more: F64 | None = None) -> F64:
    """Linear, BatchNorm in evaluation, what is added to it, LIF; `(time, width)`."""
    assert layer.norm is not None
    norm: Any = layer.norm.norm
    v, out = np.zeros(layer.size), []
    spread = np.sqrt(value(norm.running_var) + norm.eps)
    for t, row in enumerate(x):
        drive = (linear(layer.linear, row) - value(norm.running_mean)) / spread
        drive = drive * value(norm.weight) + value(norm.bias)
        drive = drive if more is None else drive + more[t]
        v = v + layer.config.kappa * (drive - v)
        out.append((v > layer.config.theta).astype(float))
        v = np.where(out[-1] > 0, 0.0, v)
    return np.array(out)


def test_the_spikformer_attends_with_spikes_across_the_modalities() -> None:
    torch.manual_seed(0)
    neuron = NeuronConfig("lif", 2048, 0.3, "tanh", 1.0)
    unit = SpikingCross(E, heads=2, ratio=2, neuron=neuron).double()
    for layer in (unit.enter, *unit.project):
        assert isinstance(layer, SpikingLayer) and layer.norm is not None
        torch.nn.init.constant_(layer.norm.norm.bias, 0.5)  # enough spikes to meet each other
    for _ in range(5):
        unit(*torch.randn(2, 30, T, E, dtype=torch.float64), None)
    unit.eval()
    audio, video = draw(B, T, E, seed=1) * 2, draw(B, T, E, seed=2) * 2
    fast = value(unit(torch.from_numpy(audio), torch.from_numpy(video), None))
    to_q, to_k, to_v = (layer for layer in unit.project if isinstance(layer, SpikingLayer))
    block, width = unit.block, E // 2
    unit_drive = 2.0 * block.out.config.unit  # a residual spike lifts by two thresholds
    counted = 0.0
    for b in range(B):
        found = []
        entered = [slow_spikes(unit.enter, x[b]) for x in (audio, video)]
        for query, key in (entered, entered[::-1]):
            q, k, v = slow_spikes(to_q, query), slow_spikes(to_k, key), slow_spikes(to_v, key)
            product = np.zeros((T, E))
            for head in range(2):
                part = slice(head * width, (head + 1) * width)
                for i in range(T):
                    for j in range(T):
                        product[i, part] += (q[i, part] @ k[j, part]) * v[j, part]
            mixed, membrane = np.zeros((T, E)), np.zeros(E)
            for t in range(T):
                membrane = membrane + 0.5 * (product[t] - membrane)
                mixed[t] = membrane > 0.5
                membrane = np.where(mixed[t] > 0, 0.0, membrane)
            counted += mixed.sum()
            x = slow_spikes(block.out, mixed, unit_drive * query)
            found.append(slow_spikes(block.down, slow_spikes(block.up, x), unit_drive * x))
        np.testing.assert_array_equal(fast[b], np.mean([*found[0], *found[1]], 0))
    assert counted > 0 and 0 < fast.mean() < 1


def test_a_spikformer_stays_on_the_host_and_says_so() -> None:
    model = paper(preset="deploy", ablation="spikformer_snn")
    model(batch())
    (said,) = model.host_parts()
    assert "spikes with spikes" in said
    assert paper().host_parts() == ()
    names = needed_branch(model).spiking_layers()
    deployed = model.eval().frozen(dict.fromkeys(names, 0.3))
    own, theirs = model.state_dict(), deployed.state_dict()
    kept = [k for k in own if k.startswith("cross.")]
    assert kept and all(torch.equal(own[k], theirs[k]) for k in kept)
    with pytest.raises(BadInput, match="neuron=mlp does not"):
        paper(cross="spikformer", neuron="mlp", threshold="fixed")
    with pytest.raises(BadInput, match="of a Spikformer one"):
        paper(cross="spikformer", cross_depth=2)


# ---------------------------------------------------------------- one modality, rows by name


@pytest.mark.parametrize(("name", "absent"), [("audio_only", "video"), ("video_only", "audio")])
def test_a_unimodal_model_reads_nothing_of_the_other_modality(name: str, absent: str) -> None:
    model = paper(ablation=name, output="linear").eval()
    b = batch()
    sevens: Any = {absent: torch.full_like(getattr(b, absent), 7.0)}
    flipped: Any = {name[:5]: getattr(b, name[:5]).flip(0)}
    assert torch.equal(model(b).heads[0], model(replace(b, **sevens)).heads[0])
    assert not torch.allclose(model(b).heads[0], model(replace(b, **flipped)).heads[0])
    assert model.branch is not None
    assert list(model.branch.codes) == [name[:5]]
    assert list(model.encoders) == [name[:5]]


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_row_changes_what_is_computed_or_minimised_and_is_rebuilt(name: str) -> None:
    whole, row = paper(), paper(ablation=name)
    for key, wanted in ABLATIONS[name].options.items():
        assert getattr(row.config, key) == wanted
    own = row.state_dict()
    shared = {k: v for k, v in whole.state_dict().items() if k in own and v.shape == own[k].shape}
    row.load_state_dict({**own, **shared})
    same = all(SMALL.get(k, PINNED[k]) == v for k, v in ABLATIONS[name].options.items())
    assert same == (name == "slots_2")  # which SMALL has
    assert torch.isclose(minimised(whole), minimised(row)).item() == same
    again = build(**json.loads(json.dumps(row.options())))
    again.load_state_dict(row.state_dict())
    assert torch.equal(row.eval()(batch()).heads[0], again.eval()(batch()).heads[0])


@pytest.mark.parametrize("preset", ["paper", "paper-wide", "deploy"])
def test_every_row_goes_on_top_of_every_preset(preset: str) -> None:
    for name, row in ABLATIONS.items():
        config = configure(audio_dim=10, video_dim=14, preset=preset, ablation=name)
        assert all(getattr(config, key) == wanted for key, wanted in row.options.items())


def test_every_row_names_its_source_and_scores_that_agree_with_each_other() -> None:
    for name, row in ABLATIONS.items():
        assert row.label and row.reading
        assert (row.published is None) == (row.source == "Fig. 3"), name
        if row.published is not None:
            s, u, hm, _ = row.published
            assert math.isnan(s) or abs(2 * s * u / (s + u) - hm) < 0.03, name
    tables = {"Table III", "Table IV", "Table V", "Table VI", "Table VII", "Table IX", "Fig. 3"}
    assert {row.source for row in ABLATIONS.values()} == tables


def test_the_texts_percentages_fit_the_zsl_of_table_vii_and_not_of_table_ii() -> None:
    """Sections IV-C.1 and IV-C.7: what each ablation costs, relative to the whole model."""
    fitting = ABLATIONS["slots_3"].published
    assert fitting is not None
    drops = {"no_tsf": (15.1, 20.3), "no_lp_lr": (28.1, 57.9), "slots_1": (14.48, 4.7)}
    for name, (hm, zsl) in drops.items():
        published = ABLATIONS[name].published
        assert published is not None
        gain = (100 * (fitting[3] / published[3] - 1), 100 * (29.72 / published[3] - 1))
        assert abs(gain[0] - zsl) < 0.15 and abs(gain[1] - zsl) > 2, name
        assert abs(100 * (fitting[2] / published[2] - 1) - hm) < 0.15, name


def test_an_option_that_undoes_a_row_and_a_row_that_is_none_are_refused() -> None:
    with pytest.raises(BadInput, match="'stft': ablation=no_tsf means tsf=False, tsf=True was"):
        configure(audio_dim=4, video_dim=4, ablation="no_tsf", tsf=True)
    with pytest.raises(BadInput, match="'no_wings' is not known; choose one of no_lp_lr"):
        ablation_options("no_wings", {})
    with pytest.raises(BadInput, match="holds nothing of inputs"):
        configure(audio_dim=4, video_dim=4, inputs=["audio"], motion_inputs=["video"])
    with pytest.raises(BadInput, match="inputs='smell'"):
        configure(audio_dim=4, video_dim=4, inputs=["smell"])
