"""Plots are small, reproducible, accessible, and draw no bound that nobody published."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.hardware.energy import EnergyRow, StepTime
from neurozsl.report import figures, plots
from neurozsl.report.figures.drawing import short, spread
from neurozsl.report.schema import BetaCurve, NetworkReport, RunReport, raster
from neurozsl.report.show.plots import write_raster
from neurozsl.scoring.metrics import Scores
from tests.report import made_up

Drawn = Callable[[RunReport | NetworkReport], tuple[Any, ...]]
NAMES = [
    "deployment", "spike_rate", "activity", "raster", "energy", "energy_split", "advantage",
    "step_time", "cores", "confusion", "beta_curve", "embedding",
]  # fmt: skip
OF_A_NETWORK = [x for x in NAMES if x not in ("deployment", "confusion", "beta_curve", "embedding")]


def test_every_plot_is_drawn_with_a_title_and_a_description(
    example: RunReport, drawn_once: Drawn
) -> None:
    drawn = drawn_once(example)
    assert [x.name for x in drawn] == NAMES
    for plot in drawn:
        root = ElementTree.fromstring(plot.svg_file)
        children = [x.tag.rpartition("}")[2] for x in root][:2]
        assert children == ["title", "desc"]
        assert root.get("role") == "img"
        assert root[0].text == plot.title
        assert root[1].text == plot.description
        assert plot.png().startswith(b"\x89PNG")


def test_a_network_has_the_plots_that_need_no_classes(
    network_example: NetworkReport, drawn_once: Drawn
) -> None:
    assert [x.name for x in drawn_once(network_example)] == OF_A_NETWORK


def test_bytes_are_reproducible(example: RunReport, drawn_once: Drawn) -> None:
    assert drawn_once(example) == plots(example)


def test_a_full_raster_stays_small(example: RunReport) -> None:
    """Six layers of 512 neurons over 100 steps at 10 %: 30,000 spikes, of which 64 rows show."""
    rng = np.random.default_rng(1)
    spikes = {f"{m}.{k}": rng.random((100, 512)) < 0.1 for m in ("audio", "video") for k in "012"}
    large = raster(spikes, sample="s", true_class="a", predicted_class="b")
    drawn = plots(example.model_copy(update={"raster": large}))
    assert sum(len(x.svg) for x in drawn if x.name == "raster") < 250_000


@pytest.mark.parametrize(("name", "start"), [("r.svg", b"<?xml"), ("r.png", b"\x89PNG")])
def test_a_raster_alone_is_written_in_the_form_of_its_suffix(
    tmp_path: Path, example: RunReport, name: str, start: bytes
) -> None:
    assert example.raster is not None
    path = write_raster(example.raster, tmp_path / "new" / name)
    assert path.read_bytes().startswith(start)


def test_a_layer_that_never_spikes_is_drawn(example: RunReport) -> None:
    silent = raster({"audio.0": np.zeros((10, 4))}, sample="s", true_class="a", predicted_class="b")
    layers = tuple(replace(x, spike_rate=0.0) for x in example.layers)
    drawn = plots(example.model_copy(update={"raster": silent, "layers": layers}))
    assert [x.name for x in drawn] == NAMES


def test_names_in_any_script_are_drawn(example: RunReport) -> None:
    """Warnings are errors here, so a missing glyph must not warn."""
    layers = tuple(replace(x, name="運動 $x_2$") for x in example.layers)
    assert "運動 $x_2$" in plots(example.model_copy(update={"layers": layers}))[1].svg


def test_colours_are_variables_in_the_page_and_plain_in_the_file(
    example: RunReport, drawn_once: Drawn
) -> None:
    for plot in drawn_once(example):
        assert "var(--ink)" in plot.svg
        assert "#ffffff" not in plot.svg
        assert "var(" not in plot.svg_file
        assert "xmlns" not in plot.svg


@pytest.mark.parametrize(
    ("low", "high", "bars", "word"),
    [(1e-6, 4e-6, 1, "estimate)"), (None, None, 0, "unpublished"), (1e-6, None, 0, "unpublished")],
)
def test_error_bars_stand_for_published_intervals_only(
    low: float | None, high: float | None, bars: int, word: str
) -> None:
    row = EnergyRow(
        device="d",
        key="d",
        name="d",
        joules_low=low,
        joules=2e-6,
        joules_high=high,
        interval="published" if bars else "unpublished",
        source="s",
    )
    figure, _, description = figures.energy([("motion branch", (row,))])
    lines = [x for x in figure.axes[0].lines if x.get_marker() == "|"]
    assert len(lines) == bars
    assert word in description


def test_labels_that_would_overlap_are_pushed_apart() -> None:
    placed = spread([50.0, 50.1, 50.2, 10.0], 3.0)
    assert np.diff(sorted(placed)).min() >= 3.0 - 1e-6
    assert placed[3] == 10.0


@pytest.mark.parametrize("classes", [1, 5, 12, 13, 41, 70])
def test_confusion_is_drawn_for_few_and_many_classes(classes: int) -> None:
    names = [f"class {k} $x_2$" for k in range(classes)]
    figure, _, description = figures.confusion(made_up.confusion(names, samples=30))
    [axes] = figure.axes
    assert len(axes.get_yticklabels()) == classes
    assert all(float(x.get_fontsize()) > 6 for x in axes.get_yticklabels())
    assert f"{classes} classes, {30 * classes} samples" in description
    assert figure.get_figheight() < 11
    assert bool(axes.texts) is (classes <= 12)


def test_a_class_without_samples_and_a_perfect_matrix_are_drawn() -> None:
    empty = made_up.confusion(["a", "b"]).model_copy(
        update={"counts": ((3, 0), (0, 0)), "elsewhere": (0, 0)}
    )
    assert "3 called by their class, 0 by another" in figures.confusion(empty)[2]


def test_a_curve_of_one_point_and_of_zeros_is_drawn(example: RunReport) -> None:
    point = Scores(0.0, 0.0, 0.0, 0.0, beta=0.0)
    curve = BetaCurve(points=(point,), chosen=0.0)
    drawn = plots(example.model_copy(update={"beta_curve": curve}))
    assert "1 values of beta" in next(x.description for x in drawn if x.name == "beta_curve")


def test_a_network_that_never_spikes_is_drawn(network_example: NetworkReport) -> None:
    energy = tuple(
        replace(
            x, joules=0.0, joules_low=None, joules_high=None, interval="unpublished",
            static_joules=None, static_joules_low=None, static_joules_high=None,
        )
        for x in network_example.energy
    )  # fmt: skip
    silent = network_example.model_copy(
        update={"energy": energy, "baseline": None} | {"comparison": None}
    )
    text = next(x.description for x in plots(silent) if x.name == "energy")
    assert "Chip A (made up): 0 J" in text


def test_no_line_is_drawn_where_a_step_costs_nothing() -> None:
    def paces(device: str, dynamic: float) -> tuple[StepTime, ...]:
        return tuple(
            StepTime(device, device, x, x, dynamic_joules=dynamic, static_joules=x)
            for x in (1e-5, 1e-3)
        )

    drawn, _, _ = figures.step_time((*paces("one", 1e-9), *paces("silent", 0.0)))
    drawn.canvas.draw()  # a label at 10^-18 would leave no room for the axes: a warning
    assert {x.get_text() for x in drawn.axes[0].texts} == {
        "one, static", "one, dynamic", "silent, static"
    }  # fmt: skip


def test_activity_of_a_layer_without_a_row_is_drawn(example: RunReport) -> None:
    layers = tuple(replace(x, name=f"other {x.name}") for x in example.layers)
    assert len(plots(example.model_copy(update={"layers": layers}))) == len(NAMES)


def test_the_text_beside_a_point_stays_inside_the_figure() -> None:
    """Whatever the energies: labels are measured by matplotlib, the axis is ours."""
    for far in (1e-6, 1e-2, 10.0):
        rows = (
            EnergyRow(device="a", key="a", name="A" * 60, joules=1e-7, source="s"),
            EnergyRow(
                device="b",
                key="b",
                name="B",
                joules=far,
                source="s",
                inherited=True,
                static_joules=far,
            ),
        )
        figure, _, _ = figures.energy([("network", rows)])
        figure.draw_without_rendering()
        width = figure.bbox.width
        ends = [x.get_window_extent().x1 for x in figure.axes[0].texts]
        assert len(ends) == 2 and max(ends) <= width + 1


def test_a_long_name_is_cut_and_never_lost() -> None:
    assert short("<script>alert(1)</script>", 12) == "<script>ale …"
    assert short("a\n b", 12) == "a b"
