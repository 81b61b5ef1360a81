"""The model card has the numbers of the report, and no name can break it."""

import json
import re
from dataclasses import replace

import pytest

from neurozsl.core import quantities as q
from neurozsl.report import card, render
from neurozsl.report.schema import NetworkReport, RunReport
from tests.report.made_up import HOSTILE


def _plain(text: str) -> str:
    """Without the escapes of Markdown."""
    return re.sub(r"\\([\\|<>*_&`\[\]])", r"\1", text)


def test_a_card_of_a_run_has_what_a_model_hub_shows(example: RunReport) -> None:
    text = card(example)
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    lines = head.splitlines()
    assert "library_name: neurozsl" in lines and "- zero-shot-learning" in lines
    [index] = [x.removeprefix("model-index: ") for x in lines if x.startswith("model-index")]
    [result] = json.loads(index)[0]["results"]
    assert {x["type"]: x["value"] for x in result["metrics"]}["HM"] == example.accuracy.HM
    titles = [x.removeprefix("## ") for x in body.splitlines() if x.startswith("## ")]
    assert titles == [
        "Intended use and limits", "What deployment costs", "What the spikes do",
        "What costs most, and what would cut it", "What it costs in energy",
        "Spikes against a dense pass", "On the frontier", "The host part",
        "Our figures against measured chips", "Where it lies on the chip", "NeuroBench metrics",
        "Verification", "Limits, stated plainly", "How to get the same numbers",
    ]  # fmt: skip
    assert "**PASS-WITH-LOSS.**" in body and "**The data is synthetic.**" in body
    assert "`neurozsl profile made-up --report r.html`" in body


def test_a_card_has_a_row_for_every_layer_step_and_energy(example: RunReport) -> None:
    rows = [x for x in _plain(card(example)).splitlines() if x.startswith("| ")]
    for layer in example.layers:
        counts, sizes = [x for x in rows if x.startswith(f"| {layer.name} |")]
        assert q.share(layer.spike_rate) in counts and q.count(layer.synops) in counts
        assert q.count(layer.parameters) in sizes and q.count(layer.effective_acs) in sizes
    for step in example.deployment:
        [row] = [x for x in rows if x.startswith(f"| {step.step} |")]
        assert f"| {q.percent(step.HM)} | {q.percent(step.ZSL)} |" in row
    for energy in example.energy:
        [row] = [x for x in rows if x.startswith(f"| {energy.name} |") and energy.source in x]
        assert q.si(energy.joules, "J") in row and energy.source in row
        assert q.si(energy.static_joules, "J") in row


def test_classes_whose_names_hold_commas_stay_apart(example: RunReport) -> None:
    names = ("cutting, in kitchen", "clean and jerk")
    classes = example.data.classes.model_copy(update={"unseen": names})
    data = example.data.model_copy(update={"classes": classes})
    report = example.model_copy(update={"data": data})
    assert "unseen classes (2): cutting, in kitchen; clean and jerk" in _plain(card(report))
    assert "<bdi>cutting, in kitchen</bdi>; <bdi>clean and jerk</bdi>" in render(report)


def test_a_step_priced_on_a_chip_that_cannot_run_it_says_so(example: RunReport) -> None:
    steps = [x.model_copy(update={"as_if": x.device is not None}) for x in example.deployment]
    report = example.model_copy(update={"deployment": tuple(steps)})
    devices = {x.device for x in steps if x.device is not None}
    assert devices
    for device in devices:
        assert f"{device} (as-if)" in card(report) and f"{device} (as-if)" not in card(example)
        assert f"{device}<small>as-if</small>" in render(report)


@pytest.mark.parametrize("kind", ["example", "network_example"])
def test_both_cards_state_the_sign_the_unknown_and_how_to_reproduce(
    kind: str, request: pytest.FixtureRequest
) -> None:
    report: RunReport | NetworkReport = request.getfixturevalue(kind)
    text = _plain(card(report))
    assert report.comparison is not None and text.count(report.comparison.sentence) == 2
    assert "energy of the host link (2 of 4 rows)" in text
    assert report.provenance.command in text
    for file, digest in report.provenance.files.items():
        assert f"| {file} | {digest} |" in text
    for note in report.notes:
        assert f"- {note}" in text


def test_a_network_card_states_assumptions_and_fits(network_example: NetworkReport) -> None:
    text = _plain(card(network_example))
    for sentence in network_example.assumptions:
        assert f"- assumed: {sentence}" in text
    assert f"- repaired: {network_example.repairs[0]}" in text
    assert "4 of 16" in text and str(network_example.fits[1].reason) in text
    assert f"{network_example.layers[-1].name} (read-out)" in text
    assert "Accuracy on 100 labelled samples" in text and "task: FAIL" in text
    unlabelled = card(network_example.model_copy(update={"sections": {}}))
    assert "Accuracy" not in unlabelled and "Nothing is known here of its task" in unlabelled
    assert "Nothing is known here of its task" not in text


@pytest.mark.parametrize("kind", ["example", "network_example"])
def test_names_cannot_break_the_card(kind: str, request: pytest.FixtureRequest) -> None:
    report: RunReport | NetworkReport = request.getfixturevalue(kind)
    odd = replace(report.layers[0], name="a|b <script> [x](y)\n# h")
    text = card(report.model_copy(update={"layers": (odd, *report.layers[1:])}))
    rows = [line for line in text.splitlines() if "a\\|b" in line]
    assert len(rows) == 2
    assert all(row.startswith(r"| a\|b \<script\> \[x\](y) # h |") for row in rows)
    outside = text.split("\n---\n", 1)[1].replace(report.provenance.command, "")
    assert HOSTILE not in outside and "\\<script\\>" in outside
    for table in re.findall(r"(?:^\| .*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
