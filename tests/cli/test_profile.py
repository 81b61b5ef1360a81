"""`neurozsl profile`: one document behind page and JSON, several in one table, own devices."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

Command = Callable[..., Any]
SAID = ("--dt", 0.001, "--reset", "subtract", "--compare", ">=")
DEVICE = """
schema = 1
name = "A made-up chip"
scope = "per_term"
energy_methods = ["per_term"]
time_model = "barrier_step"

[source]
us = "nobody, nowhere; a chip of this test"

[energy]
synop = { value = 1e-12, unit = "J", kind = "measured", grade = "D", source = "us" }

[power]
static_chip = { value = 0.5, unit = "W", kind = "measured", grade = "D", source = "us" }
"""


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(DEVICE)
    return path


def at(document: Any, key: str) -> Any:
    """The value at `rows.0.name` of a document."""
    for part in key.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def test_the_numbers_of_the_page_are_those_of_the_json_and_of_the_published_schema(
    neurozsl: Command, run_dir: Path, network: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    document = neurozsl("profile", run_dir, "--report", page, "--json").document
    shown = re.findall(r'<data value="([^"]*)" data-key="([^"]*)">', page.read_text())
    assert len(shown) > 50
    for value, key in shown:
        assert float(value) == at(document, key), key
    assert json.loads(page.with_suffix(".json").read_text()) == document
    ran = neurozsl("profile", "--schema")
    assert ran.code == 0 and ran.err == ""
    schema = ran.document
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    jsonschema.validate(
        neurozsl("profile", network, "--poisson", 0.1, *SAID, "--json").document, schema
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "surprise": 1}, schema)


def test_a_bundle_is_profiled_as_its_run_with_it(
    neurozsl: Command, run_dir: Path, lava_bundle: Path
) -> None:
    by_bundle = neurozsl("profile", lava_bundle, "--json").document
    by_run = neurozsl("profile", run_dir, "--bundle", lava_bundle, "--json").document
    changing = ("created", "provenance", "host")
    for key in set(by_run) - set(changing):
        assert by_bundle[key] == by_run[key], key
    assert f"--bundle {lava_bundle}" in by_bundle["provenance"]["command"]


def test_a_bundle_away_from_its_run_names_the_remedy(
    neurozsl: Command, lava_bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(lava_bundle, tmp_path / "a" / "b" / "lava")
    ran = neurozsl("profile", tmp_path / "a" / "b" / "lava")
    assert ran.code == 2 and ran.out == ""
    assert "lies in no run" in ran.err and "neurozsl profile RUN --bundle" in ran.err


def test_the_command_of_a_report_gives_the_same_report_again(
    neurozsl: Command, run_dir: Path, device: Path
) -> None:
    options = ("--device", device, "--step-time", 1e-4)
    first = neurozsl("profile", run_dir, *options, "--json").document
    words = first["provenance"]["command"].split()
    assert words[0] == "neurozsl"
    again = neurozsl(*words[1:], "--json").document
    for key in ("accuracy", "layers", "energy", "comparison", "confusion", "provenance"):
        assert again[key] == first[key], key


@pytest.mark.slow
def test_runs_bundles_networks_and_reports_in_one_table(
    neurozsl: Command, run_dir: Path, network: Path, tmp_path: Path
) -> None:
    stored = tmp_path / "stored.html"
    assert neurozsl("profile", run_dir, "--report", stored).code == 0
    page = tmp_path / "c.html"
    what = (run_dir, run_dir / "deploy" / "sinabs", stored.with_suffix(".json"), network)
    feed = ("--poisson", 0.1, "--dt", 0.001, "--reset", "zero")
    document = neurozsl("profile", *what, "--compare", *feed, "--report", page, "--json").document
    assert [row["what"] for row in document["rows"]] == list(map(str, what))
    assert [row["kind"] for row in document["rows"]] == ["run", "run", "run", "network"]
    assert [row["backend"] for row in document["rows"][:2]] == ["emulator", "sinabs"]
    assert [bool(row["not_comparable"]) for row in document["rows"]] == [False] * 3 + [True]
    first, _, again, _ = document["rows"]
    assert first["scores"] == again["scores"] and first["energy"] == again["energy"]
    shown = re.findall(r'<data value="([^"]*)" data-key="([^"]*)">', page.read_text())
    assert len(shown) > 40
    assert all(float(value) == at(document, key) for value, key in shown)
    told = neurozsl("profile", run_dir, stored.with_suffix(".json"), "--compare")
    assert told.code == 0 and told.out == "" and "Comparison of reports" in told.err
    assert f"{stored.with_suffix('.json')} --compare --report compare.html" in told.err
    fed = neurozsl("profile", network, network, "--compare", *feed, "--samples", 2)
    [after] = [line for line in fed.err.splitlines() if "--report compare.html" in line]
    assert all(str(word) in after.split() for word in (*feed, "--samples", 2))


def test_compare_with_a_comparison_behind_it_is_the_membranes(
    neurozsl: Command, network: Path
) -> None:
    fed = ("--poisson", 0.2, "--dt", 0.001, "--reset", "subtract", "--json")
    one = neurozsl("profile", network, *fed, "--compare", ">=").document
    assert one["kind"] == "network" and "--compare '>='" in one["provenance"]["command"]
    both = neurozsl("profile", network, network, *fed, "--compare", ">=", "--compare").document
    assert both["kind"] == "comparison" and len(both["rows"]) == 2
    assert neurozsl("profile", network, *fed, "--compare=>=").document["layers"] == one["layers"]


@pytest.mark.slow
def test_a_device_of_ones_own_has_a_row_and_the_step_time_its_effect(
    neurozsl: Command, run_dir: Path, device: Path
) -> None:
    long = neurozsl("profile", run_dir, "--device", device, "--step-time", 1e-3, "--json").document
    short = neurozsl("profile", run_dir, "--device", device, "--step-time", 1e-5, "--json").document
    rows = [{row["key"]: row for row in x["energy"]} for x in (long, short)]
    synops = sum(layer["synops"] for layer in long["layers"])
    assert rows[0]["mine"]["joules"] == pytest.approx(synops * 1e-12)
    assert rows[0]["mine"]["static_joules"] == pytest.approx(0.5 * 10 * 1e-3)
    for key in ("mine", "loihi1"):
        assert rows[0][key]["static_joules"] == pytest.approx(100 * rows[1][key]["static_joules"])
        assert rows[0][key]["joules"] == rows[1][key]["joules"]
    assert short["deployment"][-1]["latency_s"] == pytest.approx(1e-4)


def test_layers_are_estimated_before_there_is_a_network(neurozsl: Command, tmp_path: Path) -> None:
    """The case of three layers of 512, ten steps, 5 %: 10.5 uJ and 15.2 uJ against 3.6 uJ."""
    asked = ("--layers", "512-512-512-512", "--rate", 0.05, "--steps", 10)
    document = neurozsl("profile", *asked, "--json").document
    jsonschema.validate(document, neurozsl("profile", "--schema").document)
    joules = {row["key"]: row["joules"] for row in document["energy"]}
    assert joules["loihi1"] == pytest.approx(10.5e-6, abs=0.05e-6)
    assert joules["loihi1_sanafe"] == pytest.approx(15.2e-6, abs=0.05e-6)
    dense = {row["key"]: row["joules"] for row in document["baseline"]["energy"]}
    assert dense["cmos45_fp32/dense_pass"] == pytest.approx(3.6e-6, abs=0.05e-6)
    assert "depends on the cost table" in document["comparison"]["sentence"]
    # Davies 2018 under both readings of "active": 15,360 updates, 768 of them of spiking neurons.
    lower = 393_216 * 23.6e-12 + 768 * (81e-12 + 1.7e-12) + (15_360 - 768) * 52e-12
    assert lower == pytest.approx(10.1e-6, abs=0.05e-6)
    assert f"it takes {lower * 1e6:.1f} µJ" in " ".join(document["notes"])
    assert document["raster"] is None and "nothing ran" in " ".join(document["notes"])
    assert (document["samples"], document["steps"]) == (1, 10)
    for layer in document["layers"]:
        assert layer["input_events"] == pytest.approx(512 * 10 * 0.05)
        assert layer["neuron_updates"] == 512 * 10
    for name in ("x.md", "x.html"):
        page = tmp_path / name
        assert neurozsl("profile", *asked, "--report", page).code == 0
        text = page.read_text()
        assert "512-512-512-512" in text and "is assumed to spike at a mean rate of 5.00" in text
        for untrue in ("network of a file", "The file", "it did on", "counted from execution"):
            assert untrue not in text
    assert "An estimate before training" in page.read_text()
    assert "float network" not in page.read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("profile", "0 of WHAT given, 1 is needed"),
        ("profile RUN RUN", "2 of WHAT given, 1 is profiled at a time; add --compare"),
        ("profile RUN --compare", "1 of WHAT given, 2 or more"),
        ("profile RUN RUN --compare --report DIR/x.pdf", "the name ends in '.pdf'"),
        ("profile RUN RUN --compare --bundle BUNDLE", "give the folder of the bundle as WHAT"),
        ("profile BUNDLE --bundle BUNDLE", "--bundle: only with a run"),
        ("profile RUN --step-time 0", "--step-time 0: expected above 0 s"),
        ("profile RUN --rate 0.1", "--rate: only with --layers, and RUN is none; of a .nir"),
        ("profile RUN --device DIR/none.toml", "none.toml"),
        ("profile RUN --device loihi1", "leave it out"),
        ("profile RUN --poisson 0.1", "only with a .nir file"),
        ("profile DIR/a.json --step-time 1e-5", "--step-time: DIR/a.json was priced when it was"),
        ("profile RUN DIR/a.json --compare --device loihi1", "--device: DIR/a.json was priced"),
        ("profile --layers 512-64", "needs --rate"),
        ("profile --layers 8-99999999999 --rate 0.1", "the widest has 11 digits"),
        ("profile --layers 512-a --rate 0.1", "whole numbers between hyphens"),
        ("profile --layers 512 --rate 0.1", "at least two widths"),
        ("profile --layers 8-8 --rate 1.5", "expected 0..1"),
        ("profile RUN --layers 8-8 --rate 0.5", "stands instead of WHAT"),
        ("profile --layers 8-8 --rate 0.5 --poisson 0.1", "file, and with --layers nothing runs"),
        ("profile DIR/none.json", "none.json"),
        ("profile DIR/none RUN --compare", "no run.json there"),
        ("profile --layers 8-8 --rate 0.5 --clips DIR", "--clips: only with a run or"),
        ("profile RUN --layers 8-8 --rate 0.5", "leave RUN out"),
        ("profile --layers 8-8 --rate 0.5 --compare", "leave --compare out"),
        ("profile RUN --clips DIR/none", "--clips DIR/none: no such folder"),
        ("profile RUN --report BUNDLE/manifest.json/r.html", "manifest.json' is no folder"),
        ("profile DIR/none.nir", "no such file"),
        ("profile RUN --device akida_akd1000", "0 published energies per operation"),
    ],
)
def test_options_that_do_not_belong_together_are_refused_and_nothing_is_written(
    command: str,
    said: str,
    neurozsl: Command,
    run_dir: Path,
    lava_bundle: Path,
    tmp_path: Path,
    listing: Callable[[Path], dict[str, int]],
) -> None:
    before = listing(run_dir)
    places = {"RUN": str(run_dir), "BUNDLE": str(lava_bundle)}
    placed = command.replace("DIR", str(tmp_path)).replace("BUNDLE/", f"{lava_bundle}/")
    ran = neurozsl(*(places.get(word, word) for word in placed.split()))
    assert (ran.code, ran.out) == (2, ""), ran.err
    line = ran.err.splitlines()[-1]
    said = said.replace("DIR", str(tmp_path)).replace("RUN", str(run_dir))
    assert line.startswith("error: ") and said in line
    assert listing(run_dir) == before and list(tmp_path.iterdir()) == []


def test_nothing_runs_where_one_of_several_is_missing_or_has_no_input(
    neurozsl: Command, run_dir: Path, network: Path, tmp_path: Path
) -> None:
    for last, said in ((tmp_path / "none", "no run.json there"), (network, "no input is given")):
        ran = neurozsl("profile", run_dir, last, "--compare")
        assert ran.code == 2 and said in ran.err
        assert "profiling" not in ran.err


@pytest.mark.parametrize(
    ("option", "value"), [("--dt", 0), ("--dt", "nan"), ("--max-spikes", 0), ("--lower-bound", 1)]
)
def test_a_value_that_no_file_can_have_is_named_by_its_option(
    option: str, value: object, neurozsl: Command, network: Path
) -> None:
    ran = neurozsl("profile", network, "--poisson", 0.1, option, value)
    assert ran.code == 2 and f"{option} {value}: expected" in ran.err


def test_a_file_that_is_no_network_is_called_so_before_its_input_is_asked_for(
    neurozsl: Command, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    page.write_text("<!doctype html>")
    ran = neurozsl("profile", page)
    assert ran.code == 2 and "no input" not in ran.err and str(page) in ran.err


def test_a_read_only_folder_is_refused_before_anything_runs(
    neurozsl: Command, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*unused: object, **named: object) -> None:  # root may write everywhere
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path))

    monkeypatch.setattr("neurozsl.core.places.tempfile.TemporaryFile", refuse)
    ran = neurozsl("profile", run_dir, "--report", tmp_path / "new" / "r.html")
    assert ran.code == 2 and f"{tmp_path}: {os.strerror(errno.EROFS)}" in ran.err
    assert "profiling" not in ran.err


def test_a_foreign_network_is_profiled_without_any_other_part(
    neurozsl: Command, shared_data: Path
) -> None:
    path = shared_data / "nir" / "cnn_sinabs.nir"
    document = neurozsl("profile", path, "--poisson", 0.05, "--samples", 2, "--json").document
    assert document["kind"] == "network" and len(document["layers"]) == 5
    assert document["comparison"]["sentence"] and document["activity"]
    raster = document["raster"]
    assert raster["inputs"][0]["events"] and raster["true_class"] == ""
    events = sum(len(x["spikes"]) for x in raster["layers"]) + len(raster["inputs"][0]["events"])
    assert events <= 40_000
    if raster["steps"] < document["steps"]:
        assert f"the first {raster['steps']} of {document['steps']} steps" in raster["frames_note"]


@pytest.mark.slow
def test_a_chip_that_does_not_hold_the_network_is_priced_as_if(
    neurozsl: Command, shared_data: Path, tmp_path: Path
) -> None:
    path, page = shared_data / "nir" / "cnn_sinabs.nir", tmp_path / "n.html"
    asked = ("--poisson", 0.05, "--samples", 2, "--reset", "subtract", "--max-spikes", 255)
    document = neurozsl("profile", path, *asked, "--report", page, "--json").document
    fits = {x["chip"]: x["placement"] is not None for x in document["fits"]}
    assert fits == {"loihi1": False, "loihi2": True, "speck2f": True}
    for row in document["energy"]:
        said = any("does not fit Intel Loihi: as-if" in x for x in row["warnings"])
        assert said == row["device"].startswith("loihi1"), row["device"]
    text = page.read_text()
    assert '<span class="tag warn">as-if</span>' in text
    assert "<dt>network, Intel Loihi 2 (inherited" in text  # the first chip that can run it
