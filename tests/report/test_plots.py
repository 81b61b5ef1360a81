"""Plots are small, reproducible, accessible, and draw no bound that nobody published."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from neurozsl.report import figures
from neurozsl.report.plots import plots, write_raster
from neurozsl.report.schema import Energy, RunReport, raster

NAMES = ["deployment", "raster", "spike_rate", "energy"]


def test_every_plot_is_drawn_with_a_title_and_a_description(example: RunReport) -> None:
    drawn = plots(example)
    assert [x.name for x in drawn] == NAMES
    for plot in drawn:
        root = ElementTree.fromstring(plot.svg_file)
        children = [x.tag.rpartition("}")[2] for x in root][:2]
        assert children == ["title", "desc"]
        assert root.get("role") == "img"
        assert root[0].text == plot.title
        assert root[1].text == plot.description
        assert plot.png.startswith(b"\x89PNG")


def test_bytes_are_reproducible(example: RunReport) -> None:
    assert plots(example) == plots(example)


def test_a_full_raster_stays_small(example: RunReport) -> None:
    """Six layers of 512 neurons over 100 steps at 10 %: 30,000 spikes, of which 64 rows show."""
    rng = np.random.default_rng(1)
    spikes = {f"{m}.{k}": rng.random((100, 512)) < 0.1 for m in ("audio", "video") for k in "012"}
    large = raster(spikes, sample="s", true_class="a", predicted_class="b")
    drawn = plots(example.model_copy(update={"raster": large}))
    assert sum(len(x.svg) for x in drawn) < 400_000


@pytest.mark.parametrize(("name", "start"), [("r.svg", b"<?xml"), ("r.png", b"\x89PNG")])
def test_a_raster_alone_is_written_in_the_form_of_its_suffix(
    tmp_path: Path, example: RunReport, name: str, start: bytes
) -> None:
    assert example.raster is not None
    path = write_raster(example.raster, tmp_path / "new" / name)
    assert path.read_bytes().startswith(start)


def test_a_layer_that_never_spikes_is_drawn(example: RunReport) -> None:
    silent = raster({"audio.0": np.zeros((10, 4))}, sample="s", true_class="a", predicted_class="b")
    layers = tuple(x.model_copy(update={"spike_rate": 0.0}) for x in example.layers)
    drawn = plots(example.model_copy(update={"raster": silent, "layers": layers}))
    assert [x.name for x in drawn] == NAMES


def test_names_in_any_script_are_drawn(example: RunReport) -> None:
    """Warnings are errors here, so a missing glyph must not warn."""
    layers = tuple(x.model_copy(update={"name": "運動 $x_2$"}) for x in example.layers)
    assert "運動 $x_2$" in plots(example.model_copy(update={"layers": layers}))[2].svg


def test_colours_are_variables_in_the_page_and_plain_in_the_file(example: RunReport) -> None:
    for plot in plots(example):
        assert "var(--ink)" in plot.svg
        assert "#ffffff" not in plot.svg
        assert "var(" not in plot.svg_file
        assert "xmlns" not in plot.svg


@pytest.mark.parametrize(
    ("low", "high", "bars", "word"),
    [(1e-6, 4e-6, 1, "estimate)"), (None, None, 0, "unpublished"), (1e-6, None, 0, "unpublished")],
)
def test_error_bars_stand_for_published_intervals_only(
    example: RunReport, low: float | None, high: float | None, bars: int, word: str
) -> None:
    row = Energy(
        device="d",
        name="d",
        joules_low=low,
        joules=2e-6,
        joules_high=high,
        interval="published" if bars else "unpublished",
        source="s",
    )
    bare = example.model_copy(
        update={
            "energy": (row,),
            "baseline": None,
            "host": example.host.model_copy(update={"energy": ()}),
        }
    )
    figure, _, description = figures.energy(bare)
    lines = [x for x in figure.axes[0].lines if x.get_marker() == "|"]
    assert len(lines) == bars
    assert word in description


def test_labels_that_would_overlap_are_pushed_apart() -> None:
    placed = figures._spread([50.0, 50.1, 50.2, 10.0], 3.0)
    assert np.diff(sorted(placed)).min() >= 3.0 - 1e-6
    assert placed[3] == 10.0
