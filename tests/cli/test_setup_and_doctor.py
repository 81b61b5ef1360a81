"""`neurozsl setup lava` and `neurozsl doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from neurozsl.cli import setup
from neurozsl.core.errors import MissingPart
from neurozsl.export.backends.lava import environment as lava
from neurozsl.meters import rapl
from tests.meters.counters import Counters


@pytest.fixture(name="app")
def _app() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(setup.app, name="setup")
    app.command("doctor")(setup.doctor)
    return app


@pytest.fixture(name="bare")
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Lava and without any Python 3.10."""
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", str(tmp_path))
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)
    monkeypatch.setattr(lava, "_places", lambda: iter(()))


@pytest.mark.usefixtures("bare")
def test_the_doctor_prints_one_document_and_a_remedy_for_what_is_missing(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    document = json.loads(result.stdout)
    found = {row["name"]: row for row in document["checks"]}
    assert found["python"]["status"] == "ok"
    assert found["nir"]["detail"] == "1.0.4 (needs ==1.0.4)"
    assert found["lava-nc"]["status"] == "note"
    assert "neurozsl setup lava" in found["lava-nc"]["remedy"]
    assert document["healthy"] and result.exit_code == 0


@pytest.mark.usefixtures("bare")
def test_people_read_the_doctor_on_stderr(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0 and result.stdout == ""
    assert "lava-nc" in result.stderr


@pytest.mark.usefixtures("bare")
def test_the_doctor_names_the_meter_of_the_host_or_why_there_is_none(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def found() -> dict[str, str]:
        result = CliRunner().invoke(app, ["doctor", "--json"])
        return next(x for x in json.loads(result.stdout)["checks"] if x["name"] == "energy meter")

    monkeypatch.setattr(rapl, "ROOT", tmp_path / "nowhere")
    none = found()
    assert none["status"] == "note" and "estimated from FLOPs" in none["detail"]
    assert "no CUDA device" in none["remedy"] and "no RAPL counters" in none["remedy"]
    counters = Counters(tmp_path, monkeypatch, {"package-0": 5_000_000})
    real = rapl.measure
    monkeypatch.setattr(
        rapl, "measure", lambda work, **settings: real(counters.around(work), **settings)
    )
    assert (found()["status"], found()["detail"][:8]) == ("ok", "RAPL on ")


@pytest.mark.usefixtures("bare")
def test_a_package_outside_its_range_is_a_problem(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "_declared", lambda: {"nir": "==1.0.8"})
    result = CliRunner().invoke(app, ["doctor", "--json"])
    rows = {row["name"]: row for row in json.loads(result.stdout)["checks"]}
    assert (
        rows["nir"]["status"] == "problem" and rows["nir"]["remedy"] == "pip install 'nir==1.0.8'"
    )
    assert result.exit_code == 5


@pytest.mark.usefixtures("bare")
def test_setup_without_an_interpreter_says_how_to_get_one(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["setup", "lava"])
    assert isinstance(result.exception, MissingPart)
    assert "uv python install 3.10" in str(result.exception)


@pytest.mark.parametrize(
    ("version", "specifier", "fits"),
    [
        ("2.15.0+cpu", ">=2.10,<3", True),
        ("3.0.0", ">=2.10,<3", False),
        ("2.9", ">=2.10", False),
        ("1.0.4", "==1.0.4", True),
        ("1.0.4.post1", "==1.0.4", True),
        ("0.30.0", ">=0.15,<0.30", False),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, specifier: str, fits: bool) -> None:
    assert setup.in_range(version, specifier) is fits


def test_the_ranges_come_from_the_installed_package() -> None:
    ranges = setup._declared()
    assert ranges["norse"] == "==1.1.0" and "pytest" not in ranges
