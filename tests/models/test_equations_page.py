"""`EQUATIONS.md` names every equation of the papers, and everything that it names is there."""

import importlib
import json
import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.models.paper_dropouts import DROPOUTS
from neurozsl.models.parameter_search import OPEN, PUBLISHED, parameters, readings

PAGE = (Path(models.__file__).parent / "EQUATIONS.md").read_text(encoding="utf-8")
EQUATIONS = {"MDFT": 15, "STFT": 18, "AVCA": 10, "MDST++": 19}
OPTIONS = {"MDFT": "mdft", "STFT": "stft", "AVCA": "avca", "MDST++": "mdst++"}


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return str(found)


def rows(title: str) -> list[list[str]]:
    """Cells of the section's one table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("paper", EQUATIONS)
def test_every_equation_of_the_paper_has_one_row(paper: str) -> None:
    named: list[int] = []
    for number, where, kind, why in rows(paper):
        first, _, last = number.partition("-")
        named += range(int(first), int(last or first) + 1)
        assert re.match(r"`neurozsl/[\w/]+\.py:[\w.]+`$", where), number
        assert kind in ("equal", "reading", "option"), number
        assert why or kind == "equal", number
        assert kind != "option" or re.search(r"`\w+=[\w.]+`", why), number
    assert named == list(range(1, EQUATIONS[paper] + 1))


def test_everything_that_the_page_names_can_be_imported() -> None:
    names = re.findall(r"`neurozsl/([\w/]+)\.py(?::([\w.]+))?`", PAGE)
    assert len(names) > 40
    for file, inner in names:
        module = importlib.import_module(f"neurozsl.{file.replace('/', '.')}")
        found: Any = reduce(getattr, inner.split("."), module) if inner else module
        own = getattr(found, "__module__", module.__name__)
        assert own == module.__name__, f"{file}: {inner} is {own}'s"


@pytest.mark.parametrize("paper", ["MDFT", "STFT", "AVCA"])
def test_every_option_that_a_row_names_is_one_of_the_model_with_that_value(paper: str) -> None:
    asked = re.findall(r"`(\w+)=([\w.]+)`", " ".join(row[3] for row in rows(paper)))
    assert asked
    for key, text in asked:
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        made = models.build(OPTIONS[paper], audio_dim=8, video_dim=8, **{key: value}).options()
        assert made[key] == value


def test_the_dropouts_of_the_page_are_those_of_the_code() -> None:
    found = {name: [float(x) for x in given] for name, *given in rows("Dropouts")}
    assert found == {name: list(given.values()) for name, given in DROPOUTS.items()}


def counted() -> list[tuple[str, dict[str, Any], int, float]]:
    found = []
    for model, told, count, off in rows("Widths, by the published parameter counts"):
        pairs = dict(re.findall(r"`(\w+)=([^`]+)`", told))
        options = {k: json.loads(v) if v[0] in "[0123456789" else v for k, v in pairs.items()}
        found.append((model, options, int(count.replace(",", "")), float(off.removesuffix(" %"))))
    return found


def test_the_parameter_counts_of_the_page_are_those_of_the_models() -> None:
    assert {model for model, *_ in counted()} == set(PUBLISHED)
    for model, options, count, off in counted():
        assert parameters(model, options) == count, options
        assert round(100 * (count / PUBLISHED[model] - 1), 2) == off
    within = {model for model, options, _, off in counted() if abs(off) < 1 and len(options) < 2}
    assert within == {"mdft", "stft"}  # the presets, but for the slots of the data set


@pytest.mark.slow
@pytest.mark.parametrize("model", PUBLISHED)
def test_the_search_finds_the_nearest_counts_of_the_page(model: str) -> None:
    found = readings(model)
    assert len(found) == {"mdft": 272, "stft": 192}[model]
    assert sum(abs(reading.off_percent) < 1 for reading in found) == {"mdft": 9, "stft": 4}[model]
    nearest = [count for name, options, count, _ in counted() if name == model][:-1]
    assert [reading.parameters for reading in found[: len(nearest)]] == nearest


def test_a_model_without_a_published_count_cannot_be_searched() -> None:
    assert set(OPEN) == set(PUBLISHED)
    with pytest.raises(BadInput, match="model 'avca', expected mdft or stft"):
        readings("avca")
