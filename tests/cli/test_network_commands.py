"""`inspect`, `simulate` and `profile` on `.nir` files of others (synthetic networks)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.export.nir import nirfile
from neurozsl.hardware.network.neuron import NeuronRule
from tests.factories import network_files as files
from tests.hardware.nir_reference import interpret

Command = Callable[..., Any]
SAID = (
    "--dt", files.DT, "--tau-unit", "s", "--discretisation", "euler", "--reset", "zero",
    "--max-spikes", 1,
)  # fmt: skip


@pytest.fixture
def stimulus(tmp_path: Path) -> Path:
    path = tmp_path / "x.npz"
    np.savez(path, **{"in": files.spikes()})
    return path


def slow(graph: Any, x: Any, rule: NeuronRule | None = None) -> dict[str, Any]:
    """Spikes `(batch, time, neuron)` of the interpreter."""
    runs = [
        interpret(graph, {"in": sample}, ["b", "d"], files.DT, rule or NeuronRule())[0]
        for sample in x
    ]
    return {name: np.stack([np.asarray(run[name]) for run in runs]) for name in ("b", "d")}


# ---------------------------------------------------------------- inspect


def test_inspect_tells_nodes_layers_assumptions_and_cores(neurozsl: Command, network: Path) -> None:
    document = neurozsl("inspect", network, "--json").document
    assert [row["name"] for row in document["nodes"]] == ["a", "b", "c", "d", "in", "out"]
    nodes = {row["name"]: row for row in document["nodes"]}
    assert (nodes["a"]["type"], nodes["a"]["shapes"]["weight"]) == ("Affine", [8, 6])
    assert (nodes["in"]["shapes"], nodes["in"]["feeds"]) == ({"shape": [6]}, ["a"])
    first, second = document["layers"]
    assert (first["name"], first["kind"], first["neurons"]) == ("b", ["dense"], 8)
    assert (first["parameters"], first["connections"]) == (48 + 8, 48)
    assert (second["parameters"], second["connections"]) == (32, 32)
    assert [s["source"] for s in second["sources"]] == ["b"]
    assert document["error"] is None and document["repairs"] == []
    assert [text.partition(":")[0] for text in document["assumptions"]] == [
        "dt", "unit of time", "decay", "reset", "threshold",
    ]  # fmt: skip
    chips = {row["chip"]: row for row in document["chips"]}
    assert list(chips) == ["loihi1", "loihi2", "speck2f"]
    assert chips["loihi2"]["fits"] and chips["loihi2"]["cores_used"] == 2
    assert not chips["speck2f"]["fits"] and "leak" in chips["speck2f"]["reason"]


def test_the_time_constant_in_steps_shows_whether_dt_is_right(
    neurozsl: Command, network: Path
) -> None:
    for dt, expected in ((files.DT, 4.0), (1e-4, 40.0)):
        document = neurozsl("inspect", network, "--dt", dt, "--json").document
        assert document["layers"][0]["tau_steps"] == pytest.approx([expected, expected])
        assert not any(text.startswith("dt:") for text in document["assumptions"])
    shown = neurozsl("inspect", network, "--dt", files.DT)
    assert shown.out == "" and re.search(r"│ +4 │", shown.err)
    assert f"neurozsl simulate {network} --poisson 0.05 --dt {files.DT}" in shown.err


def test_the_rule_that_is_asked_for_is_the_rule_that_is_shown(
    neurozsl: Command, network: Path
) -> None:
    options = ("--reset", "subtract", "--compare", ">=", "--max-spikes", 3, "--lower-bound", -1)
    document = neurozsl("inspect", network, *options, "--json").document
    rule = document["layers"][0]["rule"]
    assert (rule["reset"], rule["compare"], rule["max_spikes"]) == ("subtract", ">=", 3)
    assert rule["low"] == -1.0
    shown = neurozsl("inspect", network, *options)
    assert "reset subtract, up to 3 spikes a step where v >= theta, v never below -1" in (
        " ".join(shown.err.split())
    )
    assert "--compare '>=' --max-spikes 3" in shown.err  # can be pasted into a shell


def test_a_file_that_makes_no_network_shows_its_nodes_and_the_error(
    neurozsl: Command, tmp_path: Path
) -> None:
    graph = files.dense()
    graph.nodes["c"].weight = np.ones((4, 5))  # of eight neurons
    path = files.write(tmp_path / "odd.nir", graph)
    ran = neurozsl("inspect", path, "--json")
    assert ran.code == 2
    assert len(ran.document["nodes"]) == 6 and ran.document["layers"] == []
    assert ran.document["error"] and ran.document["error"] in ran.err
    shown = neurozsl("inspect", path)
    assert shown.code == 2 and "Affine" in shown.err and "error: " in shown.err


def test_several_files_are_a_list_of_documents(neurozsl: Command, tmp_path: Path) -> None:
    paths = [files.write(tmp_path / f"{i}.nir", files.dense(seed=i)) for i in range(2)]
    documents = neurozsl("inspect", *paths, "--json").document
    assert [document["file"] for document in documents] == list(map(str, paths))


def test_the_markdown_table_has_a_row_for_every_file(neurozsl: Command, tmp_path: Path) -> None:
    leaky = files.write(tmp_path / "leaky.nir", files.dense())
    plain = files.write(tmp_path / "plain.nir", files.dense("IF"))
    odd = files.dense()
    odd.nodes["c"].weight = np.ones((4, 5))
    wrong = files.write(tmp_path / "wrong.nir", odd)
    ran = neurozsl("inspect", leaky, plain, wrong, "--markdown", "--poisson", 0.5)
    assert ran.code == 0 and ran.err == ""
    head, rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in ran.out.splitlines()
    ]
    assert [row[0] for row in rows] == ["leaky.nir", "plain.nir", "wrong.nir"]
    assert {len(head)} == {len(row) for row in (rule, *rows)}
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert (table[0]["Loihi 2 cores"], table[0]["Speck cores"]) == ("2 of 128", "cannot run it")
    assert table[1]["Speck cores"] == "2 of 9"
    document = neurozsl("simulate", leaky, "--poisson", 0.5, "--json").document
    mean = np.average([x["rate"] for x in document["layers"]], weights=[8, 4])
    assert float(table[0]["spike rate"].rstrip(" %")) == pytest.approx(100 * mean, abs=0.005)
    assert re.fullmatch(r"[\d.]+ [nµ]J \([\d.]+ [nµ]J to [\d.]+ [nµ]J\)", table[0][head[-1]])
    assert "no network" in table[2]["assumed"] and table[2]["spike rate"] == "-"


# ---------------------------------------------------------------- simulate


@pytest.mark.parametrize(
    ("options", "rule"),
    [((), NeuronRule()), (("--backend", "sinabs"), NeuronRule())],
    ids=["floatsim", "sinabs"],
)
def test_simulated_spikes_are_those_of_a_slow_interpreter(
    options: tuple[str, ...],
    rule: NeuronRule,
    neurozsl: Command,
    network: Path,
    stimulus: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "trace.npz"
    ran = neurozsl("simulate", network, "--input", stimulus, "--out", out, *options, *SAID)
    assert ran.code == 0 and ran.out == ""
    expected = slow(nirfile.read(network), files.spikes(), rule)
    with np.load(out) as trace:
        for name, spikes in expected.items():
            assert 0 < spikes.mean() < 0.9
            assert np.array_equal(trace[f"spikes/{name}"], spikes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.nir", "trace.npz", "x.npz"]


def test_simulate_says_per_layer_what_happened(
    neurozsl: Command, network: Path, stimulus: Path
) -> None:
    document = neurozsl("simulate", network, "--input", stimulus, *SAID, "--json").document
    expected = slow(nirfile.read(network), files.spikes())
    assert (document["backend"], document["chip"]) == ("floatsim", None)
    assert (document["samples"], document["steps"]) == (3, 20)
    for layer in document["layers"]:
        spikes = expected[layer["name"]]
        assert layer["rate"] == pytest.approx(spikes.mean())
        assert layer["spikes_per_sample"] == pytest.approx(spikes.sum() / 3)
        assert layer["silent_neurons"] == np.count_nonzero(~spikes.any(axis=(0, 1)))
        assert layer["state"] == "ok"
    assert document["assumptions"] == [] and document["input"] == []


def test_poisson_input_is_the_same_for_a_seed_and_says_that_it_is_synthetic(
    neurozsl: Command, network: Path
) -> None:
    def run(*options: object) -> Any:
        return neurozsl("simulate", network, "--poisson", 0.4, *options, "--json").document

    first, again, other = run("--seed", 3), run("--seed", 3), run("--seed", 4)
    assert first["layers"] == again["layers"] != other["layers"]
    assert (first["samples"], first["steps"]) == (16, 100)
    assert "synthetic" in first["input"][0] and "seed 3" in first["input"][0]
    assert (run("--samples", 2, "--steps", 7)["samples"], run("--steps", 7)["steps"]) == (2, 7)


def test_simulate_limits_the_samples_of_a_file(
    neurozsl: Command, network: Path, stimulus: Path
) -> None:
    options = ("--input", stimulus, "--limit", 2, *SAID, "--json")
    document = neurozsl("simulate", network, *options).document
    expected = slow(nirfile.read(network), files.spikes()[:2])
    assert document["samples"] == 2
    assert document["layers"][0]["rate"] == pytest.approx(expected["b"].mean())


def test_the_emulator_runs_the_integers_of_the_chip_that_is_named(
    neurozsl: Command, tmp_path: Path
) -> None:
    path = files.write(tmp_path / "plain.nir", files.dense("IF"))
    options = ("--poisson", 0.3, "--backend", "emulator", "--json")
    documents = {
        chip: neurozsl("simulate", path, *options, "--chip", chip).document
        for chip in ("loihi2", "speck2f")
    }
    assert {chip: d["chip"] for chip, d in documents.items()} == {
        "loihi2": "loihi2",
        "speck2f": "speck2f",
    }
    assert neurozsl("simulate", path, *options).document["chip"] == "loihi2"
    floats = neurozsl("simulate", path, "--poisson", 0.3, "--json").document
    for document in documents.values():
        for layer, exact in zip(document["layers"], floats["layers"], strict=True):
            assert layer["rate"] == pytest.approx(exact["rate"], abs=0.05)


@pytest.mark.lava
@pytest.mark.usefixtures("lava_python")
def test_lava_gives_the_spikes_of_the_emulator(
    neurozsl: Command, network: Path, stimulus: Path, tmp_path: Path
) -> None:
    traces = []
    for backend in ("emulator", "lava"):
        out = tmp_path / f"{backend}.npz"
        options = ("--backend", backend, "--input", stimulus, "--limit", 1, "--out", out)
        assert neurozsl("simulate", network, *options, *SAID).code == 0
        with np.load(out) as trace:
            traces.append({name: trace[f"spikes/{name}"] for name in ("b", "d")})
    for name in ("b", "d"):
        assert traces[0][name].any() and np.array_equal(traces[0][name], traces[1][name])


def test_a_silent_layer_is_diagnosed(neurozsl: Command, tmp_path: Path) -> None:
    graph = files.dense()
    graph.nodes["d"].v_threshold = np.full(4, 1e3)
    path = files.write(tmp_path / "quiet.nir", graph)
    document = neurozsl("simulate", path, "--poisson", 0.3, *SAID, "--json").document
    assert [layer["state"] for layer in document["layers"]] == ["ok", "dead"]
    assert document["layers"][1]["silent_neurons"] == 4
    [factor] = re.findall(r"multiply the threshold by ([\d.e-]+)", document["layers"][1]["advice"])
    graph.nodes["d"].v_threshold *= float(factor)
    louder = files.write(tmp_path / "louder.nir", graph)
    helped = neurozsl("simulate", louder, "--poisson", 0.3, *SAID, "--json").document
    assert helped["layers"][1]["rate"] > 0.01
    assert "warning: layer 'd' is dead" in neurozsl("simulate", path, "--poisson", 0.3).err


def test_the_raster_lies_beside_the_file(neurozsl: Command, network: Path) -> None:
    ran = neurozsl("simulate", network, "--poisson", 0.3, "--raster")
    picture = network.parent / "raster_net_floatsim.svg"
    assert ran.code == 0 and f"raster in {picture}" in ran.err
    assert "<svg" in picture.read_text()


# ---------------------------------------------------------------- profile


def test_profile_reports_counts_cores_and_cited_estimates(neurozsl: Command, network: Path) -> None:
    options = ("--poisson", 0.3, "--seed", 5, *SAID)
    document = neurozsl("profile", network, *options, "--json").document
    assert (document["kind"], document["backend"]) == ("network", "floatsim")
    assert document["chip"] is None
    assert document["provenance"]["seed"] == 5
    assert document["provenance"]["command"].startswith(f"neurozsl profile {network} --dt")
    ran = neurozsl("simulate", network, *options, "--json").document
    for counted, simulated in zip(document["layers"], ran["layers"], strict=True):
        assert counted["spike_rate"] == pytest.approx(simulated["rate"])
        assert counted["spikes"] == pytest.approx(simulated["spikes_per_sample"])
        assert counted["dead_neurons"] == simulated["silent_neurons"]
    devices = [row["key"] for row in document["energy"]]
    assert {"loihi1", "loihi1_sanafe", "loihi2"} <= set(devices)
    assert sorted(set(devices)) == sorted(devices)
    assert all(row["estimate"] and row["source"] for row in document["energy"])
    assert [row["key"] for row in document["baseline"]["energy"]]
    fits = {row["chip"]: row for row in document["fits"]}
    assert fits["loihi2"]["placement"]["cores_used"] == 2
    assert fits["speck2f"]["placement"] is None and "leak" in fits["speck2f"]["reason"]


def test_profile_of_a_chip_counts_its_integers(neurozsl: Command, tmp_path: Path) -> None:
    graph = files.dense()
    graph.nodes["a"].weight[0, 1] = 1e-4  # rounds to 0, and costs nothing then
    path = files.write(tmp_path / "net.nir", graph)
    options = ("--poisson", 0.5, *SAID, "--json")
    floats = neurozsl("profile", path, *options).document
    integers = neurozsl("profile", path, *options, "--chip", "loihi2").document
    assert (integers["backend"], integers["chip"]) == ("emulator", "loihi2")
    assert 0 < integers["layers"][0]["synops"] < floats["layers"][0]["synops"]


def test_profile_writes_a_page_and_its_json(
    neurozsl: Command, network: Path, stimulus: Path, tmp_path: Path
) -> None:
    page = tmp_path / "out" / "r.md"
    options = ("--input", stimulus, *SAID)
    ran = neurozsl("profile", network, *options, "--report", page)
    assert ran.code == 0 and ran.out == ""
    assert f"report in {page}" in ran.err and f"neurozsl export {network}" in ran.err
    stored = json.loads(page.with_suffix(".json").read_text())
    fresh = neurozsl("profile", network, *options, "--json").document
    assert {**stored, "created": ""} == {**fresh, "created": ""}
    digests = stored["provenance"]["files"]
    assert set(digests) == {str(network), str(stimulus)}
    text = page.read_text()
    assert digests[str(network)] == stored["sha256"]
    assert all(digest in text for digest in digests.values())
    assert "Davies et al." in text and "estimate" in text
    assert sorted(path.name for path in page.parent.iterdir()) == ["r.json", "r.md"]


def test_what_is_printed_as_next_can_be_pasted(neurozsl: Command, tmp_path: Path) -> None:
    """A path with a blank, options in quotes, and a network that stock Lava refuses."""
    path = tmp_path / "my net.nir"
    files.write(path, files.dense())
    asked = ["--dt", "0.001", "--reset", "subtract", "--compare", ">="]
    for command in ("inspect", "simulate", "profile"):
        feed = [] if command == "inspect" else ["--poisson", "0.2", "--samples", "2"]
        text = neurozsl(command, str(path), *asked, *feed).err
        lines = [shlex.split(x) for x in text.split("next:\n")[1].splitlines() if x.strip()]
        assert len(lines) >= 2
        for name, *words in lines:
            assert name == "neurozsl"
            assert words[1] == str(path)
            assert words[words.index("--compare") + 1] == ">="
            if words[0] == "export":
                assert words[words.index("--target") + 1] == "sinabs"
                assert neurozsl(*words, "--out", str(tmp_path / "out")).code == 0
