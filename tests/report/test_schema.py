"""The report refuses what it cannot state, and its JSON is exact."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from neurozsl.core.errors import BadInput
from neurozsl.export.bundle.accuracy import accuracy
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report.schema import (
    Baseline,
    Host,
    NetworkReport,
    RunReport,
    json_schema,
    modality,
    raster,
    read_report,
    to_json,
)


def test_json_gives_back_the_same_report(example: RunReport) -> None:
    assert RunReport.model_validate_json(to_json(example)) == example


def test_json_has_the_keys_that_others_read(example: RunReport) -> None:
    document = json.loads(to_json(example))
    assert {"name", "spike_rate", "synops"} <= document["layers"][0].keys()
    energy_keys = {"key", "device", "joules_low", "joules", "joules_high", "latency_s", "source"}
    assert len(document["energy"]) == len(example.energy) > 3
    assert all(energy_keys <= row.keys() for row in document["energy"])
    assert {"S", "U", "HM", "ZSL"} <= document["accuracy"].keys()
    layer = document["verification"]["backends"]["emulator_vs_lava_fixed"][0]
    assert {"name", "agree", "matched", "spikes", "rate", "differing"} <= layer.keys()


def test_properties_of_hardware_values_stand_beside_their_fields(example: RunReport) -> None:
    document = json.loads(to_json(example))
    for layer, found in zip(document["layers"], example.layers, strict=True):
        assert layer["synops"] == found.synops == layer["effective_acs"] + layer["effective_macs"]
        assert layer["neuron_updates"] == found.neuron_updates
    for row, activity in zip(document["activity"], example.activity, strict=True):
        assert row["spikes"] == list(activity.spikes) and len(row["spikes"]) == len(
            row["spike_sums"]
        )
        assert row["spike_rate"] == activity.spike_rate


def test_unknown_bounds_are_null_in_json(example: RunReport) -> None:
    row = json.loads(to_json(example))["energy"][0]
    assert (row["joules_low"], row["joules_high"], row["interval"]) == (None, None, "unpublished")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_refused(value: float, example: RunReport) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Baseline(name="b", description="d", macs=value)
    fields = dict(example)
    for name in ("layers", "energy"):  # values of hardware are looked at as well
        wrong = tuple(replace(x, **{_FIGURE[name]: value}) for x in fields[name])
        with pytest.raises(ValidationError, match="finite"):
            RunReport(**{**fields, name: wrong})


_FIGURE = {"layers": "spikes", "energy": "joules"}


@pytest.mark.parametrize(
    ("low", "high", "interval", "accepted"),
    [
        (1.0, 3.0, "published", True),
        (None, None, "unpublished", True),
        (1.0, None, "unpublished", True),
        (None, None, "published", False),
        (1.0, None, "published", False),
        (1.0, 3.0, "unpublished", False),
        (2.5, 3.0, "published", False),  # the value lies below its lower bound
        (-1.0, 3.0, "published", False),
    ],
)
def test_an_interval_is_called_published_only_with_both_bounds(
    low: float | None, high: float | None, interval: str, accepted: bool
) -> None:
    row = EnergyRow(
        device="d", key="d", name="d", joules=2.0, source="s", joules_low=low, joules_high=high,
        interval=interval,  # type: ignore[arg-type]
    )  # fmt: skip
    if accepted:
        assert Baseline(name="b", description="d", macs=1.0, energy=(row,)).energy == (row,)
    else:
        with pytest.raises(ValidationError, match="energy row 'd'"):
            Baseline(name="b", description="d", macs=1.0, energy=(row,))


def test_numpy_scalars_become_python_numbers() -> None:
    made = Host.model_validate(
        {
            "device": "d", "motion_backend": "m", "flops": np.float32(0.5),
            "encoding_flops": np.int64(2), "link_bytes": np.float64(3.0),
        }
    )  # fmt: skip
    found = (made.flops, made.encoding_flops, made.link_bytes)
    assert found == (0.5, 2.0, 3.0) and [type(x) for x in found] == [float] * 3


def test_an_unknown_key_is_an_error(example: RunReport) -> None:
    with pytest.raises(ValidationError, match="extra"):
        Host.model_validate({"device": "d", "motion_backend": "m", "acc": 1})
    document = json.loads(to_json(example))
    document["energy"][0]["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        RunReport.model_validate(document)


def test_raster_lists_every_spike_as_step_and_neuron() -> None:
    spikes = np.zeros((10, 70), np.uint8)
    spikes[[0, 9, 9], [69, 0, 1]] = 1
    made = raster({"video.1": spikes}, sample="s", true_class="a", predicted_class="b")
    assert made.steps == 10
    assert made.layers[0].spikes == ((0, 69), (9, 0), (9, 1))
    assert (modality(made.layers[0]), made.layers[0].neurons) == ("video", 70)


def test_raster_of_a_batch_is_refused() -> None:
    with pytest.raises(BadInput, match=r"audio\.0.*\(2, 10, 3\)"):
        raster({"audio.0": np.zeros((2, 10, 3))}, sample="s", true_class="a", predicted_class="b")


def test_reading_a_file_that_is_no_report_says_what_is_wrong(
    tmp_path: Path, example: RunReport
) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_report(tmp_path / "none.json")
    cut = tmp_path / "cut.json"
    cut.write_text(to_json(example)[:-40])
    with pytest.raises(BadInput, match=r"cut\.json"):
        read_report(cut)
    other = tmp_path / "other.json"
    other.write_text(to_json(example).replace('"schema_version": 3', '"schema_version": 4'))
    with pytest.raises(BadInput, match="schema_version is 4, this neurozsl reads 3"):
        read_report(other)
    other.write_text('{"schema_version": 1}')
    with pytest.raises(BadInput, match="schema_version is 1, this neurozsl reads 3; write it ag"):
        read_report(other)
    other.write_text('{"name": "a", "layers": []}')
    with pytest.raises(BadInput, match="is no report: it holds name, layers, and no schema_vers"):
        read_report(other)
    other.write_text('{"schema_version": 3, "kind": "comparison"}')
    with pytest.raises(BadInput, match="is a comparison of reports, expected one report"):
        read_report(other)


def test_the_schema_knows_the_accuracy_on_labelled_samples(network_example: NetworkReport) -> None:
    schema = json_schema()
    kept = schema["$defs"]["NetworkReport"]["properties"]["sections"]["properties"]["task"]
    named = schema["$defs"][kept["$ref"].rpartition("/")[2]]
    document = json.loads(to_json(network_example))["sections"]["task"]
    assert set(named["properties"]) == set(document) and len(document["rows"]) == 3
    rows = schema["$defs"][named["properties"]["rows"]["items"]["$ref"].rpartition("/")[2]]
    assert all(set(row) == set(rows["properties"]) for row in document["rows"])
    found = network_example.own("task", TaskScore)
    assert found is not None and found.shipped.accuracy == accuracy(87, 100)
    # A report of before, which has no such section, reads as it did.
    without = network_example.model_copy(update={"sections": {}})
    assert NetworkReport.model_validate_json(to_json(without)).own("task", TaskScore) is None
