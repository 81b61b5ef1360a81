"""The papers' tables: whole, with rows that build, cited as printed, trained and summed up."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.models.mdft_ablations import ablations
from neurozsl.runs import run as runs
from neurozsl.scoring.metrics import harmonic_mean
from neurozsl.scoring.published import published
from neurozsl.studies.tables import catalogue, run, show
from neurozsl.studies.tables.catalogue import PaperTable, TableRow, find, system, tables
from neurozsl.studies.tables.plan import TableSettings, jobs_of, plan
from tests.cli.conftest import run_command

ROWS = [(table.key, row) for table in tables().values() for row in table.rows]
READY = [(key, row) for key, row in ROWS if not row.missing]
_AVCA = {"hidden": 16, "embed": 300, "head_width": 8}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("avmst", "hyper-alignment", "hyper-single", "hyper-multiple"), _AVCA),
    "mdft": {"embed": 16, "hidden": 16, "heads": 2, "head_width": 8, "motion_widths": [16, 16, 16]},
    "stft": {"embed": 16, "hidden": 16, "heads": 2, "head_width": 8, "channels": [2, 2, 1]},
    "avca": _AVCA,
}
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")


def test_every_table_and_figure_of_results_is_there() -> None:
    wanted = [f"mdft.{x}" for x in (1, 2, 3, 4, "fig5", "fig6")]
    wanted += [f"stft.{x}" for x in (*ROMAN, "fig3a", "fig3b", "fig3c", "fig4", "fig5")]
    wanted += [f"avca.{x}" for x in (1, 2, 3, 4, 5, 6, "fig3")]
    assert list(tables()) == wanted
    for table in tables().values():
        assert bool(table.nothing) != bool(table.rows), table.key
        assert not table.rows or (table.columns and table.datasets)
        assert bool(table.plot) or "fig" not in table.key
        labels = [row.label for row in table.rows]
        assert len(set(labels)) == len(labels)
    # rows of the papers' own tables, counted in print
    counts = {table.key: len(table.rows) for table in tables().values() if "fig" not in table.key}
    assert counts == {
        "mdft.1": 9, "mdft.2": 4, "mdft.3": 4, "mdft.4": 6,
        "stft.I": 0, "stft.II": 14, "stft.III": 4, "stft.IV": 5, "stft.V": 5, "stft.VI": 3,
        "stft.VII": 6, "stft.VIII": 0, "stft.IX": 3, "stft.X": 4, "stft.XI": 12,
        "avca.1": 0, "avca.2": 8, "avca.3": 3, "avca.4": 4, "avca.5": 4, "avca.6": 6,
    }  # fmt: skip


def test_every_ready_row_is_options_that_build_its_model() -> None:
    built: dict[str, Any] = {}
    for key, row in READY:
        small = {k: v for k, v in SMALL.get(row.model, {}).items() if k not in row.options}
        options = {**system(row.model, "").options, **small, **row.options}
        told = json.dumps([row.model, options], sort_keys=True)
        if told not in built:
            model = models.build(row.model, audio_dim=12, video_dim=12, **options)
            built[told] = json.loads(json.dumps(model.options()))
        for name, value in row.options.items():
            assert built[told][name] == value, (key, row.label, name)
    assert len(built) > 60


def test_the_options_of_every_data_set_build_their_model() -> None:
    for model in {row.model for _, row in READY}:
        for data in ("ucf_main", "vggsound_main", "activitynet_main", "ucf_cls", "activitynet_cls"):
            how = system(model, data)
            options = {**how.options, **how.of_protocol}
            small = SMALL.get(model, {})
            model_of = models.build(model, audio_dim=12, video_dim=12, **options, **small)
            assert {k: model_of.options()[k] for k in options} == options


def test_rows_of_one_table_are_different_computations() -> None:
    for table in tables().values():
        told = [json.dumps([x.model, x.options, x.train, x.protocol]) for x in table.rows]
        assert len(set(told)) == len(told), table.key


def test_what_no_model_has_yet_is_listed_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {row.needs for _, row in ROWS if row.needs}
    assert named == set(catalogue.missing_options())  # no line that no row reads, no row without
    for key, row in ROWS:
        gone = row.needs in catalogue.missing_options() or row.model not in models.names()
        assert bool(row.missing) == gone, (key, row.label)
    listed = show.listing_notes(tables())
    assert any("stft.I: nothing to run" in x for x in listed)
    absent = TableRow("x", "no-such-model")
    assert absent.missing == "model 'no-such-model' is not in this version"
    monkeypatch.setattr(catalogue, "missing_options", lambda: {"wings": "avca has no wings yet"})
    table = toy(TableRow("flying", "avca", needs="wings"), TableRow("standing", "avca"))
    assert show.listing_notes({table.key: table}) == [
        "missing: avca has no wings yet: toy.1 flying"
    ]


def test_printed_figures_are_harmonic_means_and_agree_with_each_other() -> None:
    known = {(r.name.lower(), r.dataset, r.features): r for r in published()}
    checked = 0
    for table in tables().values():
        for row in table.rows:
            assert set(row.published) <= set(table.datasets)
            assert row.published or "fig" in table.key, (table.key, row.label)
            for dataset, figures in row.published.items():
                assert tuple(figures) == table.columns
                if "S" in figures:
                    mean = harmonic_mean(figures["S"], figures["U"])
                    assert mean == pytest.approx(figures["HM"], abs=0.07), (table.key, row.label)
                cited = known.get((row.model, dataset, table.features))
                whole = row.options == {} or (table.key == "stft.VII" and _slots(row, dataset))
                if cited and whole:
                    checked += 1
                    assert figures["HM"] == cited.HM, (table.key, row.label, dataset)
                    other = ("mdft.4", "ucf"), ("stft.VII", "ucf")  # another ZSL, said in its note
                    same = (table.key, dataset) not in other
                    assert (figures["ZSL"] == cited.ZSL) == same
                    assert same or f"{figures['ZSL']:.2f}" in table.note
    assert checked > 80
    assert {k for k, r in ROWS if not r.published} == {k for k in tables() if "fig" in k}


def _slots(row: TableRow, dataset: str) -> bool:
    return bool(row.options["slots"] == {"vggsound": 4, "ucf": 3, "activity": 5}[dataset])


def test_ablations_of_mdft_are_cited_as_the_model_has_them() -> None:
    found = ablations()
    rows = [
        (key, row) for key, row in ROWS if key in ("mdft.2", "mdft.3", "mdft.4") and row.options
    ]
    assert {str(row.options["ablation"]) for _, row in rows} == {
        name for name, x in found.items() if x.published
    }
    for key, row in rows:
        its = found[str(row.options["ablation"])]
        assert its.source == f"Table {key.removeprefix('mdft.')}" and its.published
        assert tuple(row.published["ucf"].values()) == its.published


def test_how_a_model_is_trained_follows_the_data_set() -> None:
    assert system("avca", "ucf_main").protocol == "published"
    mdft, stft = system("mdft", "vggsound_main"), system("stft", "activitynet_cls")
    assert (mdft.options["drop_enc"], mdft.train["lr"]) == (0.20, 1e-4)
    assert (stft.options["slots"], stft.train["epochs"]) == (5, 60)
    assert {system(x, "").protocol for x in ("cjme", "hyper-multiple", "tcaf")} == {"published"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--table", "mdft.9", "--data", "d"), "table 'mdft.9' is not known; choose from mdft.1,"),
        (("--table", "stft.VIII", "--data", "d"), "nothing to run, statistics of the data"),
        (("--table", "mdft.2,mdft.2", "--data", "d"), "name each table once"),
        (("--table", "mdft.2"), "give --data DIR"),
        (("--table", "mdft.2", "--data", "d", "--models", "avca"), "--models: only with --data"),
        (("--table", "mdft.2", "--data", "d", "--pareto"), "give one"),
        (("--list-tables", "--data", "d"), "--list-tables is given"),
        (("--table", "mdft.2", "--data", "nowhere"), "no such data set folder"),
        (("--table", "mdft.2", "--data", "d", "--set", "ale.dropout=0"), "no row is of that model"),
        (("--table", "mdft.2", "--data", "d", "--targets", "lava"), "exports nothing"),
        (("--table", "mdft.2", "--data", "d", "--label-alignment", "by_name,legacy"), "one of"),
    ],
)
def test_a_wrong_option_is_one_error(tmp_path: Path, given: tuple[str, ...], message: str) -> None:
    ran = run_command(
        "benchmark", *given, *(() if "list" in given[0] else ("--out", tmp_path / "o"))
    )
    assert ran.code == 2 and message in " ".join(ran.err.split())
    assert not (tmp_path / "o").exists()


def test_the_list_names_every_table_as_json_too() -> None:
    ran = run_command("benchmark", "--list-tables", "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert [x["table"] for x in document["tables"]] == list(tables())
    by_key = {x["table"]: x for x in document["tables"]}
    assert by_key["mdft.2"]["rows"][0]["published"]["ucf"]["ZSL"] == 13.65
    assert not any(row["missing"] for row in by_key["stft.VI"]["rows"])
    shown = run_command("benchmark", "--list-tables")
    assert all(key in shown.out + shown.err for key in tables())


# ---------------------------------------------------------------- trained


def toy(*rows: TableRow) -> PaperTable:
    return PaperTable("toy.1", "a paper", "two rows", ("HM",), ("ucf",), rows=rows)


def settings(data: Path, *found: PaperTable, **more: Any) -> TableSettings:
    return TableSettings(data, found, **{"seeds": 1, "epochs": 1, "protocol": "ours", **more})


def test_rows_that_are_the_same_run_share_it_in_every_table(data_dir: Path, tmp_path: Path) -> None:
    data, asked = load(data_dir), settings(data_dir, *find("mdft.2,mdft.3,mdft.4,mdft.fig6"))
    planned = [row for x in asked.tables for row in plan(asked, x, data, None, tmp_path)]
    assert len(planned) == 16
    assert len(jobs_of(planned)) == 12  # MDFT itself is in all four, without MIM in two
    longer = plan(replace(asked, epochs=2), asked.tables[0], data, None, tmp_path)
    assert not {job.out for job in jobs_of(longer)} & {job.out for job in jobs_of(planned)}
    other = replace(asked, options={"mdft": {"embed": 16}})
    assert plan(other, asked.tables[0], data, None, tmp_path)[0].options["embed"] == 16


def test_each_row_is_trained_by_its_own_rules_unless_others_are_given(
    data_dir: Path, tmp_path: Path
) -> None:
    data, asked = load(data_dir), settings(data_dir, *find("stft.X"), protocol="", epochs=None)
    avca, avmst, mdft, stft = plan(asked, asked.tables[0], data, None, tmp_path)
    assert [x.train.epochs for x in (avca, avmst, mdft, stft)] == [50, 50, 50, 60]
    assert [x.train.lr for x in (avca, avmst, mdft, stft)] == [1e-3, 1e-3, 1e-4, 1e-4]
    assert avca.train.protocol.name == "published" and mdft.train.protocol.name == "avca"
    begin = list(stft.jobs[0].begin)
    assert begin[begin.index("--lr") + 1] == "0.0001" and 'preset="paper"' in begin
    ours = plan(replace(asked, protocol="ours"), asked.tables[0], data, None, tmp_path)
    assert avmst.options["passes"] == "apart" and ours[1].options.get("passes", "joint") == "joint"
    assert {(x.train.epochs, x.train.lr, x.train.protocol.name) for x in ours} == {
        (20, 3e-3, "ours")
    }


def test_a_row_that_the_data_do_not_allow_is_missing_with_the_reason(
    data_dir: Path, tmp_path: Path
) -> None:
    table = toy(TableRow("a", "conse"), TableRow("b", "nope"))
    asked = settings(data_dir, table)
    a, b = plan(asked, table, load(data_dir), None, tmp_path)
    assert "no text encoder" in a.missing and "not in this version" in b.missing
    with pytest.raises(BadInput, match=r"no row can be run: a: .*; b: "):
        run.run(asked, out=tmp_path / "out")
    wrong = settings(data_dir, find("mdft.2")[0], options={"mdft": {"colour": 1}})
    with pytest.raises(BadInput, match="colour"):
        run.run(wrong, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_is_trained_once_and_stands_beside_what_is_printed(
    data_dir: Path, tmp_path: Path
) -> None:
    fast, printed = TableRow("fast", "ale"), {"ucf": {"HM": 31.36}}
    # Integers that a chip can count, other than the preset paper's.
    counted = {**SMALL["mdft"], "preset": "paper-wide"}
    spiking = TableRow("spiking", "mdft", options=counted, published=printed)
    table, out = toy(fast, spiking, TableRow("later", "nope")), tmp_path / "out"
    asked = settings(data_dir, table)
    rows = plan(asked, table, load(data_dir), None, out)
    first = rows[0].jobs[0].out
    runs.create(first, data_dir=data_dir, model="ale", options=rows[0].options, train=rows[0].train)
    runs.train(first)
    trained = (first / "model.safetensors").stat().st_mtime_ns
    [result] = run.run(asked, out=out)
    assert (first / "model.safetensors").stat().st_mtime_ns == trained
    assert json.loads((out / "toy.1.json").read_text()) == result
    assert result["comparable"] is False and result["column"] == "UCF-GZSL: HM"
    ale, mdft, later = result["rows"]
    for row, job in ((ale, rows[0].jobs[0]), (mdft, rows[1].jobs[0])):
        test = json.loads((job.out / "result.json").read_text())["test"]
        assert {k: row[k]["mean"] for k in test if k in ("S", "U", "HM", "ZSL")} == {
            k: test[k] for k in ("S", "U", "HM", "ZSL")
        }
        assert row["ZSL"]["mean"] >= row["U"]["mean"] and row["zsl_below_u"] == 0
    assert ale["spike_rate"] is None and 0 < mdft["spike_rate"]["mean"] < 1
    assert mdft["joules"]["mean"] > 0 and mdft["host_flops"] > 0
    assert "HM" not in later and later["missing"]
    scores, work = show.tables(result)
    assert "synthetic data" in scores.title
    assert scores.rows[1][3].endswith(" (31.36*)") and scores.rows[2][3] == "-"
    assert {len(r) for r in work.rows} == {len(work.columns)}
    notes = show.footnotes(result)
    assert any("a paper, Table 1, columns UCF-GZSL: HM" in x for x in notes)
    assert any("not comparable" in x for x in notes)
    assert any("later is missing" in x for x in notes)
    other = tmp_path / "copied"
    shutil.copytree(data_dir, other)
    with pytest.raises(BadInput, match="holds another study"):
        run.run(settings(other, table), out=out)


def test_printed_figures_stand_beside_their_own_data_set_alone(data_dir: Path) -> None:
    data = load(data_dir)
    [table] = find("stft.II")
    assert run.printed_for(table, data) == ("ucf", False)

    def named(name: str, split: str) -> Any:
        return replace(data, name=name, meta={**data.meta, "split": split})

    assert run.printed_for(table, named("activity main_split", "main_split")) == ("activity", True)
    assert run.printed_for(table, named("activity cls_split", "cls_split")) == ("activity", False)
    [slots] = find("stft.X")
    assert run.printed_for(slots, named("ucf main_split", "main_split")) == ("vggsound", False)


FAST = ("--epochs", 1, "--seeds", 1, "--protocol", "ours", "--rule", "epoch_batches=2")


@pytest.fixture(scope="module")
def tables_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tables, so that a row of several is trained once."""
    return tmp_path_factory.mktemp("tables") / "out"


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key, table in tables().items() if table.rows])
def test_every_table_runs(key: str, data_dir: Path, tables_out: Path) -> None:
    compared = {row.model for row in tables()[key].rows}
    varied = {name for row in tables()[key].rows for name in row.options}
    options = [
        f"{model}.{name}={json.dumps(value)}"
        for model, small in SMALL.items()
        for name, value in small.items()
        if model in compared and name not in varied
    ]
    sets = [part for option in options for part in ("--set", option)]
    asked = ("benchmark", "--table", key, "--data", data_dir, "--out", tables_out, *FAST, *sets)
    ran = run_command(*asked, "--json")
    assert ran.code == 0, ran.err
    [result] = json.loads(ran.out)["tables"]
    assert [x["label"] for x in result["rows"]] == [x.label for x in tables()[key].rows]
    trained = [x for x in result["rows"] if not x["missing"]]
    assert trained
    for row in trained:
        assert row["ZSL"]["mean"] >= row["U"]["mean"] and row["zsl_below_u"] == 0
        assert row["parameters"] > 0 and row["host_flops"] > 0
        assert (row["joules"] is None) == (row["synops"] is None)
    drawn = {x.name for x in tables_out.glob(f"{key}*.svg")}
    assert (f"{key}.svg" in drawn) == bool(tables()[key].plot)
