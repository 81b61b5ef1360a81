"""The work of a row, and which models `--models all` names."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.studies.benchmark_all import every_model, own_models
from neurozsl.studies.measured import activity, host_flops
from neurozsl.training.train import make_model

SMALL = {"embed": 16, "hidden": 32}


def test_flops_of_one_linear_map_are_two_per_weight(data_dir: Path) -> None:
    data = load(data_dir)
    width = sum(x.shape[2] for x in (data.splits["train"].audio, data.splits["train"].video))
    assert host_flops(make_model("ale", data, {}), data) == 2 * width * data.vectors.shape[1]


def test_what_spikes_is_counted_in_synops_and_not_in_flops(data_dir: Path) -> None:
    data = load(data_dir)

    def mdft(widths: list[int], **more: object) -> float:
        options = {**SMALL, "motion_widths": widths, **more}
        return host_flops(make_model("mdft", data, options), data)

    # The host reads the last layer alone; the layers before it are the chip's.
    assert mdft([16, 16, 8]) == mdft([64, 32, 8])
    dense = {"neuron": "mlp", "threshold": "fixed"}
    assert mdft([16, 16, 8]) < mdft([16, 16, 8], **dense) < mdft([64, 32, 8], **dense)
    found = activity(make_model("mdft", data, {**SMALL, "motion_widths": [16, 16, 8]}), data)
    steps, inputs = data.splits["train"].audio.shape[1:]
    most = steps * sum(16 * width + 16 * 16 + 16 * 8 for width in (inputs, inputs))
    assert found.synops is not None and 0 < found.synops < most


def test_a_branch_that_no_chip_counts_is_in_the_flops(data_dir: Path) -> None:
    data = load(data_dir)
    steps, inputs = data.splits["train"].audio.shape[1:]

    def mdft(**more: object) -> float:
        options = {**SMALL, "motion_widths": [16, 16, 8], **more}
        return host_flops(make_model("mdft", data, options), data, whole=True)

    real = make_model("mdft", data, {**SMALL, "motion_widths": [16, 16, 8], "input_bits": None})
    assert activity(real, data).synops is None
    products = 2 * steps * 2 * (inputs * 16 + 16 * 16 + 16 * 8)  # 2 inputs, 2 a multiplication
    assert host_flops(real, data, whole=True) - host_flops(real, data) == products
    assert mdft(input_bits=None) == mdft(neuron="mlp", threshold="fixed", input_bits=None)


def test_what_no_chip_can_read_has_a_spike_rate_and_the_reason(data_dir: Path) -> None:
    data = load(data_dir)
    options = {"order": "public", "hidden": 16, "theta": 0.05}  # floats go to the neurons
    found = activity(make_model("avmst", data, options), data)
    assert found.spike_rate is not None and found.spike_rate > 0
    assert found.energy is None and found.synops is None and found.note


def test_all_models_are_those_that_the_data_and_the_protocol_allow(data_dir: Path) -> None:
    every = every_model(data_dir, protocol="ours", options={})
    assert {*every.models, *every.left_out} == set(own_models())
    assert {"ale", "avca", "avmst", "hyper-single", "mdft", "mdst++", "stft"} <= set(every.models)
    assert "no text encoder" in every.left_out["conse"]
    assert set(models.names()) - set(own_models()) == {"mdst"}
    published = every_model(data_dir, protocol="published", options={})
    assert "no published recipe" in published.left_out["mdft"] and "ale" in published.models


def test_a_wrong_option_of_one_model_leaves_it_out_with_the_reason(data_dir: Path) -> None:
    every = every_model(data_dir, protocol="ours", options={"ale": {"colour": 1}})
    assert "colour" in every.left_out["ale"] and "ale" not in every.models


def test_data_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such data set folder"):
        every_model(tmp_path / "nowhere", protocol="ours", options={})
