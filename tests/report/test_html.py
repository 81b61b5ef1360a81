"""The page is self-contained, escaped, exact and the same every time, for both kinds of report."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from neurozsl.core.quantities import FORMATS
from neurozsl.report import render
from neurozsl.report.schema import NetworkReport, RunReport, to_json
from neurozsl.report.sections.confusion import most_confused
from neurozsl.report.sections.registry import SECTIONS

HOSTILE = "<script>alert(1)</script>"
MAX_BYTES = 1_500_000
EITHER = pytest.mark.parametrize("kind", ["example", "network_example"])
AnyReport = RunReport | NetworkReport
Rendered = Callable[[AnyReport], str]


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


def _leaves(value: Any, path: str) -> Iterator[str]:
    """Paths of the numbers in a part of the JSON."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


@pytest.fixture
def report(kind: str, request: pytest.FixtureRequest) -> AnyReport:
    found: AnyReport = request.getfixturevalue(kind)
    return found


@pytest.fixture
def page(example: RunReport, rendered: Rendered) -> str:
    return rendered(example)


@EITHER
def test_every_number_equals_the_json(report: AnyReport, rendered: Rendered) -> None:
    document = json.loads(to_json(report))
    parsed = _Page(rendered(report))
    elements = sum(tag == "data" for tag, _ in parsed.tags)
    assert len(parsed.numbers) == elements > 150
    for key, value, shown in parsed.numbers:
        truth = _look_up(document, key)
        assert json.loads(value) == truth, key
        assert shown in {text(truth) for text in FORMATS.values()}, key


@EITHER
def test_every_number_of_the_json_that_people_read_is_on_the_page(
    report: AnyReport, rendered: Rendered
) -> None:
    document = json.loads(to_json(report))
    keys = {key for key, _, _ in _Page(rendered(report)).numbers}
    parts = "layers energy baseline comparison calibration neurobench accuracy deployment host"
    parts += " classes verification samples dt_s"
    wanted = {x for part in parts.split() for x in _leaves(document.get(part), part)}
    # Of what a step did the page has what the energy is for: spikes and synaptic operations.
    wanted -= {x for x in wanted if re.search(r"\.operations\.(?!spikes|synops)", x)}
    assert len(wanted) > 150
    assert sorted(wanted - keys) == []
    assert {"provenance.seed", "raster.frames.2.step", "fits.0.placement.cores_used"} <= keys
    assert {f"activity.{k}.spike_rate" for k in range(len(report.activity))} <= keys


def test_numbers_of_placement_and_figures_are_on_the_page(page: str) -> None:
    keys = {key for key, _, _ in _Page(page).numbers}
    wanted = {"mapping.cores_used", "mapping.parts.2.use.synapse_bits.used"}
    wanted |= {"mapping.totals.neurons.used", "beta_curve.chosen", "embedding.total"}
    assert wanted <= keys
    assert any(key.startswith("confusion.counts.") for key in keys)


@EITHER
def test_nothing_is_loaded_from_elsewhere(report: AnyReport, rendered: Rendered) -> None:
    page = rendered(report)
    found = _Page(page)
    assert not [tag for tag, _ in found.tags if tag in {"script", "link", "iframe", "object"}]
    images = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(images) == 3 and all(x["alt"] for x in images)
    for tag, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "data", "srcset"):
            target = attributes.get(name) if tag != "data" else None
            inside = target is None or target.startswith(("#", "data:image/png;base64,"))
            assert inside, (tag, name, target)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]{1})", page)) <= {"#"}


@EITHER
def test_names_are_escaped_everywhere(report: AnyReport, rendered: Rendered) -> None:
    page = rendered(report)
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") >= 5
    assert HOSTILE in _Page(page).text


@EITHER
def test_hostile_layer_and_device_names_are_escaped_in_plots(report: AnyReport) -> None:
    layers = tuple(replace(x, name=f"{HOSTILE}{x.name}") for x in report.layers)
    energy = tuple(replace(x, name=f"{HOSTILE}$a_b$") for x in report.energy)
    page = render(report.model_copy(update={"layers": layers, "energy": energy}))
    assert HOSTILE not in page


def test_the_page_is_small(page: str, large_example: RunReport, rendered: Rendered) -> None:
    assert len(page.encode()) < MAX_BYTES / 2
    assert len(rendered(large_example).encode()) < MAX_BYTES


@EITHER
def test_ids_are_unique_and_references_resolve(report: AnyReport, rendered: Rendered) -> None:
    page = rendered(report)
    ids = [value for _, a in _Page(page).tags for name, value in a.items() if name == "id"]
    assert len(ids) > 20
    assert [x for x, n in Counter(ids).items() if n > 1] == []
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page)) <= set(ids)
    labelled = re.findall(r"aria-labelledby=\"([^\"]+)\"", page)
    assert len(labelled) > 10
    assert {x for names in labelled for x in names.split()} <= set(ids)


@EITHER
def test_what_can_scroll_can_be_reached_and_has_a_name(
    report: AnyReport, rendered: Rendered
) -> None:
    tags = _Page(rendered(report)).tags
    boxes = [a for _, a in tags if "scroll" in (a.get("class") or "").split()]
    assert len(boxes) > 10
    assert all(a.get("tabindex") == "0" and a.get("aria-label") and a.get("role") for a in boxes)
    assert tags.count(("a", {"class": "skip", "href": "#main"})) == 1


def test_a_complete_report_has_every_section(
    example: RunReport, network_example: NetworkReport
) -> None:
    run = {x.key for x in SECTIONS if x.is_in(example)}
    network = {x.key for x in SECTIONS if x.is_in(network_example)}
    stopped = {"anytime"}  # only where samples were stopped: test_anytime_section
    assert run | network == {x.key for x in SECTIONS} - stopped
    assert network - run == {"file", "task"}


def test_cores_that_are_used_alike_share_a_row(page: str) -> None:
    rows = re.findall(r"<tr><th scope=\"row\">(\d[\d-]*)</th><td>(.*?)</td>", page)
    assert [row[0] for row in rows] == ["0-1", "2", "3"]
    assert rows[2][1].startswith("&lt;script&gt;")
    assert "12.50 %" in page and "37.50 %" in page  # 128 of 1024 neurons, 384 of 1024 Kibit
    assert "not counted: neuron state<" in page and "a made-up note<" in page


def test_unpublished_intervals_and_estimates_are_labelled(page: str) -> None:
    rows = re.findall(r"<tr>\s*<th scope=\"row\">Chip A.*?</tr>", page, re.S)
    [row] = [row for row in rows if "unpublished" in row]
    assert "estimate" in row and 'data-key="energy.0.static_joules_high"' in row
    inherited = re.findall(r"<tr>\s*<th scope=\"row\">Chip B.*?</tr>", page, re.S)
    text = _Page(inherited[0]).text
    assert "1.10 µJ to 6.50 µJ" in text
    assert "inherited" in text
    between = re.findall(r"<tr>\s*<th scope=\"row\">Chip E.*?</tr>", page, re.S)
    assert "between sources" in between[0]


def test_the_sign_of_the_advantage_and_what_is_unknown_stand_on_top(
    page: str, example: RunReport
) -> None:
    assert example.comparison is not None
    head = _Page(page[: page.index("<section")]).text
    assert example.comparison.sentence in head
    assert "energy of the host link (2 of 4 rows)" in head
    assert "Of 1 measurements predicted from others, 0 lie inside the interval" in head
    assert "of 1 weaker checks (a bound, a range, rows that a figure rests on), 1 hold" in head


def test_a_network_page_states_what_was_assumed(
    network_example: NetworkReport, rendered: Rendered
) -> None:
    text = _Page(rendered(network_example)).text
    for sentence in (
        *network_example.assumptions,
        *network_example.repairs,
        *network_example.input_notes,
        *network_example.notes,
        network_example.sha256,
        network_example.provenance.command,
    ):
        assert sentence in text
    assert "read-out" in text and "UNVERIFIED" not in text


def test_the_key_number_of_energy_is_of_a_chip_that_can_run_the_network(example: RunReport) -> None:
    first, *rest = example.energy
    unreal = replace(first, as_if=True)
    real = rest[0]
    shown = render(example.model_copy(update={"energy": (unreal, *rest)}))
    cards = _Page(shown[: shown.index("<section")]).text
    assert f"motion branch, {real.name}" in cards and f"motion branch, {first.name}" not in cards
    alone = render(example.model_copy(update={"energy": (unreal,), "comparison": None}))
    assert f"motion branch, {first.name}" in _Page(alone[: alone.index("<section")]).text


def test_confusions_are_listed_largest_first(example: RunReport) -> None:
    found = example.confusion
    assert found is not None
    counts = [found.counts[a][b] for a, b in most_confused(found)]
    assert counts == sorted(counts, reverse=True) and len(counts) > 3
    off = [n for a, row in enumerate(found.counts) for b, n in enumerate(row) if a != b]
    assert counts[0] == max(off)


@EITHER
def test_two_renders_are_the_same_bytes(report: AnyReport, rendered: Rendered) -> None:
    assert rendered(report) == render(report)


def test_a_run_without_optional_parts_renders(example: RunReport) -> None:
    bare = example.model_copy(
        update={
            **dict.fromkeys(
                ("verification", "mapping", "baseline", "raster", "comparison", "neurobench",
                 "confusion", "beta_curve", "embedding")
            ),
            **dict.fromkeys(("deployment", "classes", "notes", "activity", "calibration", "fits"),
                            ()),
            "accuracy": replace(example.accuracy, chance=None),
            "host": example.host.model_copy(
                update={"energy": (), **dict.fromkeys(
                    ("flops", "encoding_flops", "bytes_moved", "link_bytes")
                )}
            ),
        }
    )  # fmt: skip
    text = _Page(render(bare)).text
    assert "UNVERIFIED" in text
    assert "None" not in text
    silent = bare.model_copy(update={"layers": (), "energy": ()})
    assert "Nothing spikes in this model" in _Page(render(silent)).text


def test_a_network_without_optional_parts_renders(network_example: NetworkReport) -> None:
    bare = network_example.model_copy(
        update={
            **dict.fromkeys(("baseline", "raster", "comparison", "neurobench")),
            **dict.fromkeys(("notes", "activity", "calibration", "fits", "assumptions", "repairs",
                             "input_notes", "readouts", "energy"), ()),
        }
    )  # fmt: skip
    text = _Page(render(bare)).text
    assert "None" not in text and "What was mended" not in text
