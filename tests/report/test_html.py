"""The page is self-contained, escaped, exact and the same every time."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from neurozsl.report.html import FORMATS, render, write_report
from neurozsl.report.schema import RunReport, to_json

HOSTILE = "<script>alert(1)</script>"
MAX_BYTES = 1_500_000


class _Page(HTMLParser):
    """Collects tags with attributes, `<data>` elements and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[str, str, str]] = []  # key, exact value, shown text
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
        tag, attrs = self.tags[-1] if self.tags else ("", {})
        if tag == "data" and attrs.get("data-key") and "shown" not in attrs:
            attrs["shown"] = data
            self.numbers.append((str(attrs["data-key"]), str(attrs["value"]), data))


def _look_up(document: Any, key: str) -> Any:
    """The value at a dotted path; list places are numbers."""
    for part in key.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


@pytest.fixture
def page(example: RunReport) -> str:
    return render(example)


def test_every_number_equals_the_json(page: str, example: RunReport) -> None:
    document = json.loads(to_json(example))
    numbers = _Page(page).numbers
    assert len(numbers) > 150
    for key, value, shown in numbers:
        truth = _look_up(document, key)
        assert json.loads(value) == truth, key
        assert shown in {text(truth) for text in FORMATS.values()}, key
    keys = {key for key, _, _ in numbers}
    wanted = {f"accuracy.{x}" for x in ("S", "U", "HM", "ZSL", "beta", "chance")}
    for place in range(len(example.layers)):
        wanted |= {f"layers.{place}.{x}" for x in ("spike_rate", "synops", "spikes", "dense")}
    wanted |= {"energy.0.joules", "energy.1.joules", "host.energy.0.joules"}
    wanted |= {"baseline.energy.0.joules", "deployment.2.HM", "classes.1.recall"}
    wanted |= {"mapping.cores_used", "mapping.parts.2.use.synapse_bits.used"}
    wanted |= {"mapping.totals.neurons.used"}
    assert wanted <= keys


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    found = _Page(page)
    assert not [tag for tag, _ in found.tags if tag in {"script", "link", "iframe", "img"}]
    for tag, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "data", "srcset"):
            target = attributes.get(name) if tag != "data" else None
            assert target is None or target.startswith("#"), (tag, name, target)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]{1})", page)) <= {"#"}


def test_names_are_escaped_everywhere(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3  # class list, recall table, raster caption
    assert HOSTILE in _Page(page).text


def test_hostile_layer_and_device_names_are_escaped_in_plots(example: RunReport) -> None:
    layers = tuple(x.model_copy(update={"name": f"{HOSTILE}{x.name}"}) for x in example.layers)
    energy = tuple(x.model_copy(update={"name": f"{HOSTILE}$a_b$"}) for x in example.energy)
    page = render(example.model_copy(update={"layers": layers, "energy": energy}))
    assert HOSTILE not in page


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < MAX_BYTES


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    ids = [value for _, a in _Page(page).tags for name, value in a.items() if name == "id"]
    assert len(ids) > 20
    assert [x for x, n in Counter(ids).items() if n > 1] == []
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page)) <= set(ids)


def test_cores_that_are_used_alike_share_a_row(page: str) -> None:
    rows = re.findall(r"<tr><th scope=\"row\">(\d[\d-]*)</th><td>(.*?)</td>", page)
    assert [row[0] for row in rows] == ["0-1", "2", "3"]
    assert rows[2][1].startswith("&lt;script&gt;")
    assert "12.50 %" in page and "37.50 %" in page  # 128 of 1024 neurons, 384 of 1024 Kibit
    assert "Not counted: neuron state." in page and "a made-up note." in page


def test_unpublished_intervals_and_estimates_are_labelled(page: str) -> None:
    rows = re.findall(r"<tr>\s*<th scope=\"row\">Chip A.*?</tr>", page, re.S)
    assert len(rows) == 1
    assert "unpublished" in rows[0]
    assert "estimate" in rows[0]
    inherited = re.findall(r"<tr>\s*<th scope=\"row\">Chip B.*?</tr>", page, re.S)
    assert "1.10 µJ to 6.50 µJ" in inherited[0]
    assert "inherited" in inherited[0]
    missing = re.findall(r"<tr>\s*<th scope=\"row\">Chip D.*?</tr>", page, re.S)
    assert "n/a" in missing[0]
    assert "data-key" not in missing[0]


def test_two_renders_are_the_same_bytes(page: str, example: RunReport) -> None:
    assert render(example) == page


def test_a_report_without_optional_parts_renders(example: RunReport) -> None:
    bare = example.model_copy(
        update={
            "verification": None,
            "mapping": None,
            "baseline": None,
            "raster": None,
            "deployment": (),
            "classes": (),
            "notes": (),
            "accuracy": example.accuracy.model_copy(update={"chance": None}),
            "host": example.host.model_copy(update={"energy": (), "flops": None}),
        }
    )
    text = _Page(render(bare)).text
    assert "UNVERIFIED" in text
    assert "None" not in text


def test_write_report_leaves_the_page_the_json_and_the_plots(
    tmp_path: Path, example: RunReport
) -> None:
    files = write_report(example, tmp_path / "run" / "r.html", plot_folder=tmp_path / "plots")
    assert files.html.read_text(encoding="utf-8") == render(example)
    assert files.json == tmp_path / "run" / "r.json"
    assert RunReport.model_validate_json(files.json.read_bytes()) == example
    assert sorted(x.name for x in files.html.parent.iterdir()) == ["r.html", "r.json"]
    assert len(files.plots) == 8
    assert all(x.stat().st_size > 1000 for x in files.plots)
