"""`benchmark --data`: what is planned, refused, summed up and cited."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.runs import run as runs
from neurozsl.scoring.metrics import harmonic_mean
from neurozsl.scoring.published import of_data, published
from neurozsl.studies import benchmark
from neurozsl.studies.benchmark import BenchmarkSettings, footnotes, plan, table
from neurozsl.studies.measured import activity
from neurozsl.training.protocol import train_config
from neurozsl.training.train import make_model
from tests.cli.conftest import run_command

SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}


def test_published_scores_are_those_of_the_papers() -> None:
    rows = published()
    assert len(rows) == 81
    for row in rows:
        assert row.paper and row.table and row.column.endswith("S, U, HM, ZSL")
        # what is printed as HM is the harmonic mean of what is printed as S and U
        assert harmonic_mean(row.S, row.U) == pytest.approx(row.HM, abs=0.04), row
        assert row.model in ("", *models.names())
        assert row.model == row.name.lower().replace("f-vaegan", "fvaegan")
    assert {"avca", "avmst", "fvaegan-d2", "hyper-single", "mdft", "stft", "tcaf"} < {
        row.model for row in rows
    }
    cited = {(r.name, r.column.split(":")[0]): (r.HM, r.ZSL, r.table) for r in rows}
    assert cited["AVCA", "UCF-GZSL"] == (27.15, 20.01, "Table 2")
    assert cited["MDFT", "UCF-GZSL"] == (31.36, 31.53, "Table 1")
    assert cited["STFT", "VGGSound-GZSLcls"] == (10.08, 8.79, "Table XI")


def test_published_rows_belong_to_the_data_set_and_its_features() -> None:
    ucf = of_data("ucf main_split", "main_split")
    assert {(r.dataset, r.features) for r in ucf} == {("ucf", "main")}
    assert of_data("ucf cls_split (synthetic stand-in)", "cls_split")[0].features == "cls"
    assert of_data("scenes and motions", "") == ()


def test_a_run_is_planned_for_every_model_alignment_and_seed(tmp_path: Path) -> None:
    names = models.names()
    settings = BenchmarkSettings(
        tmp_path,
        names,
        seeds=2,
        alignments=("by_name", "legacy"),
        protocol="avca",
        epochs=3,
        options={names[0]: {"hidden": 64}},
    )
    planned = plan(settings, tmp_path / "out")
    assert len(planned) == len(names) * 4
    assert len({p.job.out for p in planned}) == len(planned)
    begin = list(planned[-1].job.begin)
    for name, value in {
        "--model": names[-1],
        "--label-alignment": "legacy",
        "--seed": "1",
        "--protocol": "avca",
        "--epochs": "3",
    }.items():
        assert begin[begin.index(name) + 1] == value
    assert "hidden=64" in planned[0].job.begin
    assert settings.train(1) == train_config("avca", epochs=3, seed=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--models", "mdft", "--study", "motion", "--data", "d"), "--study: only with a study"),
        (("--models", "mdft"), "--models: only with --data"),
        (("--protocol", "avca"), "--protocol: only with --data"),
        (("--device", "cuda"), "--device: only with --data"),
        (
            ("--data", "d", "--scene-bias", "0"),
            "--scene-bias: only with --pareto, --frontier or a study",
        ),
        (("--data", "d", "--models", "nope"), "model nope"),
        (("--data", "d", "--models", "mdft,mdft"), "named twice"),
        (("--data", "d", "--label-alignment", "any"), "by_name, legacy"),
        (("--data", "d", "--seeds", "0"), "0 seeds"),
        (("--data", "d", "--set", "hidden=1"), "MODEL.key=value"),
        (("--data", "d", "--rule", "colour=1"), "unknown rule colour"),
        (("--data", "nowhere"), "no such data set folder"),
    ],
)
def test_a_wrong_option_is_one_error(tmp_path: Path, given: tuple[str, ...], message: str) -> None:
    ran = run_command("benchmark", *given, "--out", tmp_path / "out")
    assert ran.code == 2 and message in ran.err
    assert not (tmp_path / "out").exists()


def test_synthetic_data_has_no_published_order(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="benchmark data alone"):
        benchmark.run(
            BenchmarkSettings(data_dir, ("mdft",), alignments=("legacy",)), out=tmp_path / "out"
        )


def test_a_benchmark_trains_what_is_missing_and_sums_it_up(data_dir: Path, tmp_path: Path) -> None:
    settings = BenchmarkSettings(data_dir, ("mdft",), seeds=2, epochs=1, options={"mdft": SMALL})
    out = tmp_path / "out"
    first = plan(settings, out)[0].job.out
    options = {"preset": "deploy", **SMALL}
    runs.create(first, data_dir=data_dir, model="mdft", options=options, train=settings.train(0))
    runs.train(first)
    trained = (first / "model.safetensors").stat().st_mtime_ns
    labels: list[str] = []
    result = benchmark.run(settings, out=out, progress=lambda d, n, text: labels.append(text))
    assert set(labels) - {""} == {"mdft by_name, seed 1"}  # the other one was there
    assert (first / "model.safetensors").stat().st_mtime_ns == trained
    assert json.loads((out / "benchmark.json").read_text()) == result
    [row] = result["rows"]
    tests = [
        json.loads((p.job.out / "result.json").read_text())["test"] for p in plan(settings, out)
    ]
    for key in ("S", "U", "HM", "ZSL"):
        assert row[key]["mean"] == pytest.approx(mean(t[key] for t in tests))
    assert row["parameters"] == sum(p.numel() for p in runs.load_model(first).parameters())
    assert 0 < row["spike_rate"]["mean"] < 1 and row["zsl_below_u"] == 0
    assert row["host_flops"] > 0 and row["synops"]["mean"] > 0
    assert row["joules"]["mean"] > 0 and "IEEE Micro" in row["energy_source"]
    assert result["comparable"] is False and result["published"] == []
    notes = footnotes(result)
    assert any("estimate" in n and "nothing was measured" in n for n in notes)
    assert "no published figures for this data set" in notes
    with pytest.raises(BadInput, match="epochs 1, asked for 2"):
        benchmark.run(BenchmarkSettings(data_dir, ("mdft",), seeds=2, epochs=2), out=out)


def test_published_rows_stand_beside_stand_in_data_as_not_comparable() -> None:
    spread = {"mean": 10.0, "sd": 1.0}
    row = {"model": "mdft", "label_alignment": "by_name", "parameters": 10, "note": ""}
    row |= {"host_flops": 2e6, "synops": None, "zsl_below_u": 0}
    row |= {k: spread for k in ("S", "U", "HM", "ZSL")}
    row |= {"spike_rate": None, "joules": None, "energy_source": None}
    result: dict[str, Any] = {
        "data": {"name": "ucf main_split", "synthetic": True},
        "protocol": asdict(train_config("avca")),
        "seeds": 2,
        "rows": [row],
        "published": [asdict(r) for r in of_data("ucf", "main_split")],
        "left_out": {},
        "comparable": False,
    }
    shown = table(result)
    assert "synthetic data" in shown.title and "protocol avca" in shown.title
    assert [r[0] for r in shown.rows] == ["mdft", "MDFT (published *)"]
    assert shown.columns[5:7] == ("weights", "FLOPs") and shown.rows[0][5:7] == ("10", "2.00 M")
    assert {len(r) for r in shown.rows} == {len(shown.columns)}
    assert shown.rows[0][1] == "10.0±1.0" and shown.rows[1][3] == "31.36"
    notes = footnotes(result)
    assert any("Table 1, columns UCF-GZSL: S, U, HM, ZSL" in n for n in notes)
    assert any("real features; not comparable" in n for n in notes)
    both = {**result, "rows": [row, {**row, "label_alignment": "legacy"}]}
    assert [r[0] for r in table(both).rows[:2]] == ["mdft (by_name)", "mdft (legacy)"]
    real = {**result, "data": {"name": "ucf main_split", "synthetic": False}, "comparable": True}
    assert table(real).rows[1][0] == "MDFT (published)"
    assert not any("not comparable" in n for n in footnotes(real))


def test_a_branch_that_does_not_spike_has_no_energy(data_dir: Path) -> None:
    data = load(data_dir)
    for options, note in (({"motion": False}, "no spiking branch"), ({"neuron": "mlp"}, "mlp")):
        found = activity(make_model("mdft", data, {**SMALL, **options}), data)
        assert found.spike_rate is None and found.energy is None and note in found.note
