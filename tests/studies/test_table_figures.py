"""Figures of the papers: their numbers against what they are of, and that they show every row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.data.sets.load import load
from neurozsl.models.base import embed
from neurozsl.report.show.table_figure import draw, write_figures
from neurozsl.scoring import road
from neurozsl.scoring.samples import spread
from neurozsl.studies.tables.pictures import STEP_SAMPLES, averages, embedded, over_time, principal
from neurozsl.training.train import make_model

SMALL = {"embed": 16, "hidden": 16, "heads": 2, "head_width": 8}
MDFT = {**SMALL, "motion_widths": [16, 16, 16]}
STFT = {**SMALL, "channels": [2, 2, 1]}


def made(data_dir: Path, name: str, **options: Any) -> tuple[Any, Any]:
    data = load(data_dir)
    model = make_model(name, data, options)
    model.calibrate(data.splits["train"].batch(range(32)))
    return model, data


def test_a_plane_keeps_distances_of_what_is_flat() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 7))
    flat -= flat.mean(axis=0)
    seen = principal(flat, fit=20)
    wanted = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert np.allclose(np.linalg.norm(seen[:, None] - seen[None], axis=-1), wanted)
    assert seen[:, 0].var() >= seen[:, 1].var()


def test_the_joint_space_is_that_of_the_model(data_dir: Path) -> None:
    model, data = made(data_dir, "mdft", **MDFT, proj=2)  # flat as it is
    found = embedded(model, data)
    assert [x["role"] for x in found["classes"]] == ["seen"] * 3 + ["unseen"] * 2
    assert len(found["class"]) == len(found["before"]) == len(found["after"])
    assert len(found["vectors"]) == 5
    first = found["classes"][0]["id"]
    split = data.stage(2).seen
    rows = np.flatnonzero(split.label == first)
    with road.at_rest(model):
        own = embed(model, split.batch(rows)).heads[0].double().numpy()
        word = road.words(model, data.vectors[[first]]).double().numpy()
    after = np.array(found["after"])[np.array(found["class"]) == 0]
    shown = np.linalg.norm(after - np.array(found["vectors"])[0], axis=1)
    assert shown == pytest.approx(np.linalg.norm(own - word, axis=1), abs=1e-3)


def test_features_are_averaged_over_real_steps_alone(data_dir: Path) -> None:
    split = load(data_dir).stage(2).seen
    batch = split.batch([0])
    mask = torch.zeros_like(batch.mask)
    mask[:, :3] = True

    class Cut:
        def batch(self, rows: Any) -> Any:
            return replace(batch, mask=mask)

    found = averages(Cut(), np.array([0]))  # type: ignore[arg-type]  # its one method
    wanted = torch.cat([batch.audio[0, :3].mean(0), batch.video[0, :3].mean(0)])
    assert found[0] == pytest.approx(wanted.numpy(), abs=1e-6)


def test_thresholds_and_rates_over_time_are_those_of_the_run(data_dir: Path) -> None:
    model, data = made(data_dir, "mdft", **MDFT, threshold="dynamic", theta=0.2)
    found = over_time(model, data)
    assert found is not None
    split = data.stage(2).unseen
    with road.at_rest(model):
        parts = road.prepare(model, split, spread(len(split), STEP_SAMPLES))
        read, trace = road.on_chip(parts, road.trace_of(model, parts))
    assert found["theta"].keys() == found["spike_rate"].keys() == trace.spikes.keys()
    assert read.theta is not None
    for name, spikes in trace.spikes.items():
        assert np.mean(found["spike_rate"][name]) == pytest.approx(spikes.mean(), abs=1e-3)
        assert np.mean(found["theta"][name]) == pytest.approx(read.theta[name].mean(), abs=1e-3)
    assert max(map(max, found["spike_rate"].values())) > 0


def test_a_loop_tells_its_thresholds_and_a_dense_branch_has_none(data_dir: Path) -> None:
    fixed = over_time(*made(data_dir, "stft", **STFT, threshold="fixed", theta=0.75))
    closed = over_time(*made(data_dir, "stft", **STFT, threshold="dynamic", theta=0.75))
    assert fixed is not None and closed is not None
    assert {x for steps in fixed["theta"].values() for x in steps} == {0.75}
    assert len({x for steps in closed["theta"].values() for x in steps}) > 5
    assert over_time(*made(data_dir, "mdft", **MDFT, neuron="mlp")) is None
    assert over_time(*made(data_dir, "ale")) is None


def row(label: str, hm: float, **more: Any) -> dict[str, Any]:
    def of(x: float) -> dict[str, float]:
        return {"mean": x, "min": x - 1, "max": x + 1}

    about: dict[str, Any] = {
        "series": "",
        "place": None,
        "missing": "",
        "published": {},
        "over_time": None,
    }
    return {"label": label, "HM": of(hm), "ZSL": of(hm + 5), **about, **more}


def result(plot: str, *rows: dict[str, Any]) -> dict[str, Any]:
    data = {"name": "scenes", "synthetic": True}
    about = {"table": "x.1", "title": "a title", "axis": "threshold", "comparable": False}
    return {**about, "plot": plot, "data": data, "rows": list(rows)}


def test_figures_show_every_row_that_was_trained(tmp_path: Path) -> None:
    moving = {"theta": {"a": [0.5, 0.25]}, "spike_rate": {"a": [0.1, 0.3]}}
    rows = [row(f"both {x}", 20, series="both", place=x, over_time=moving) for x in (0.5, 1.0)]
    sweep = draw(result("sweep", *rows, row("dynamic", 30), {"label": "gone", "missing": "why"}))
    assert [x.name for x in sweep] == ["x.1", "x.1-time"]
    assert "both 0.5: HM 20.0, ZSL 25.0" in sweep[0].description
    for word in ("both", "dynamic", "threshold", "HM (percent)"):
        assert word in sweep[0].svg, word
    assert "gone" not in sweep[0].svg and "time step" in sweep[1].svg
    points = {"classes": [{"name": "archery", "role": "seen"}], "class": [0, 0]}
    points |= {"before": [[0, 1], [1, 0]], "after": [[0, 1], [1, 0]], "vectors": [[0.5, 0.5]]}
    [plane] = draw(result("embedding", row("MDFT", 20, embedded=points)))
    assert "MDFT, joint space" in plane.svg and "archery (seen)" in plane.svg
    sizes = {"parameters": 12_000_000, "host_flops": 3e6, "published": {"parameters": 5.51e6}}
    [cost] = draw(result("cost", row("MDFT", 20, **sizes)))
    assert "12.0 M" in cost.svg and "5.51 M" in cost.svg and "printed, for other data" in cost.svg
    paths = write_figures(result("cost", row("MDFT", 20, **sizes)), tmp_path)
    assert [x.name for x in paths] == ["x.1.svg", "x.1.png"] and all(x.exists() for x in paths)


def test_what_has_no_figure_draws_none() -> None:
    assert draw(result("", row("MDFT", 20))) == ()
    assert draw(result("sweep", {"label": "gone", "missing": "why"})) == ()
