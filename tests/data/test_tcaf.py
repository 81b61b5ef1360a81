"""TCaF's temporal features: one time grid for two rates, padded, cut, refused where hostile."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca import load_avca
from neurozsl.data.benchmark.check_folder import check_folder
from neurozsl.data.benchmark.tcaf import common_steps, on_grid, read_class
from neurozsl.data.sets.load import convert, load
from tests.data.trap import Trap

Temporal = Callable[..., Path]


def slow_grid(sequence: list[float], period: int, step: int, steps: int) -> list[float]:
    """The definition, with exact fractions of milliseconds as doubled integers."""
    out = []
    for k in range(steps):
        inside = [
            x
            for i, x in enumerate(sequence)
            if 2 * k * step <= (2 * i + 1) * period < 2 * (k + 1) * step
        ]
        middle = (2 * k + 1) * step
        covering = [
            x
            for i, x in enumerate(sequence)
            if 2 * i * period <= middle < 2 * (i + 1) * period or i == len(sequence) - 1
        ]
        out.append(sum(inside) / len(inside) if inside else covering[0])
    return out


@pytest.mark.parametrize("period", [640, 960, 1000, 1500])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16])
def test_the_grid_is_its_definition(period: int, length: int) -> None:
    steps = max(1, length * period // 960)
    values = np.random.default_rng(length).random((length, 1)).astype(np.float32)
    expected = slow_grid(values[:, 0].tolist(), period, 960, steps)
    np.testing.assert_allclose(on_grid(values, period, 960, steps)[:, 0], expected, rtol=1e-6)


def test_three_picture_vectors_fall_into_two_steps_of_sound() -> None:
    # middles at 0.32, 0.96, 1.60, 2.24 s; steps of 0.96 s
    grid = on_grid(np.array([[1.0], [2.0], [4.0], [8.0]], np.float32), 640, 960, 3)
    assert grid[:, 0].tolist() == [1.0, 3.0, 8.0]
    assert common_steps(10, 15, "cls_temporal") == 10
    assert common_steps(10, 9, "cls_temporal") == 6
    assert common_steps(7, 9, "main_temporal") == 7


def test_videos_are_joined_on_the_name_and_padded_with_a_mask(temporal: Temporal) -> None:
    data = load_avca(temporal(lengths=(4, 3)), feature_name="main_temporal")
    assert data.step_s == 1.0 and data.meta["averaged"] is False and data.synthetic
    train = data.splits["train"]
    assert train.audio.shape == (6, 4, 5) and train.video.shape == (6, 4, 6)
    assert train.names[:2] == ("Archery_stage_1_train_0", "Archery_stage_1_train_1")
    assert train.mask.tolist()[:2] == [[True] * 3 + [False], [True] * 4]  # 3 and 4 s of picture
    assert train.audio[0, :, 0].tolist() == [0, 1, 2, 0]
    assert train.video[1, :, 0].tolist() == [1, 2, 3, 4]


def test_both_rates_of_cls_features_meet_on_steps_of_960_ms(temporal: Temporal) -> None:
    data = load_avca(temporal("cls", lengths=(2, 3)), feature_name="cls_temporal")
    assert data.step_s == 0.96
    train = data.splits["train"]  # 2 x 0.96 s = 3 x 0.64 s
    assert train.mask[0].tolist() == [True, True, False]
    assert train.video[0, :, 0].tolist() == [0.0, 1.5, 0.0]


def test_long_videos_are_cut_to_their_middle_in_both_modalities(temporal: Temporal) -> None:
    data = load_avca(temporal(lengths=(9, 9)), feature_name="main_temporal", max_steps=4)
    train = data.splits["train"]
    assert train.audio.shape[1] == 4 and train.mask.all()
    assert train.audio[0, :, 0].tolist() == [2, 3, 4, 5]  # of 0..8
    assert train.video[1, :, 0].tolist() == [4, 5, 6, 7]  # of 1..10


def test_the_folder_name_of_the_published_script_is_taken_too(temporal: Temporal) -> None:
    root = temporal(folder="main_features_no_averaged")
    assert load_avca(root, feature_name="main_temporal").splits["train"].audio.shape[1] == 4


def test_averaged_features_come_first_and_temporal_ones_convert(
    temporal: Temporal, tmp_path: Path
) -> None:
    root = temporal()
    assert load(root).meta["averaged"] is True
    one = convert(root, tmp_path / "one", feature_name="main_temporal")
    direct = load(root, feature_name="main_temporal")
    for name, split in direct.splits.items():
        np.testing.assert_array_equal(one.splits[name].audio, split.audio)
        np.testing.assert_array_equal(one.splits[name].mask, split.mask)
    assert one.stage(2).train.mask.shape == (14, 4)
    assert check_folder(root).usable


def test_a_hostile_class_file_is_refused_and_not_executed(
    temporal: Temporal, tmp_path: Path
) -> None:
    root = temporal()
    path = root / "features/main_features_non_averaged/audio/stage_1_train/Archery.pkl"
    with path.open("wb") as file:
        pickle.dump({"features": [Trap(tmp_path / "trap")], "video_names": [b"v"]}, file)
    with pytest.raises(BadInput, match="refused"):
        read_class(path)
    with pytest.raises(BadInput, match=r"Archery\.pkl: is not a plain .*refused"):
        load_avca(root, feature_name="main_temporal")
    with pytest.raises(BadInput, match="refused"):
        convert(root, tmp_path / "one", feature_name="main_temporal")
    report = check_folder(root)
    assert not report.usable
    assert [f.where for f in report.findings if f.what == "pickle"] == [
        "main_features_non_averaged/audio/stage_1_train/Archery.pkl"
    ]
    assert not (tmp_path / "trap").exists()
    with path.open("rb") as file:  # the trap does work
        pickle.load(file)
    assert (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "a dict with features and video_names is needed"),
        ({"features": [np.ones((2, 3))], "video_names": [b"a", b"b"]}, "1 features for 2"),
        ({"features": [np.ones((2, 3))] * 2, "video_names": [b"a", b"a"]}, "1 of them different"),
        ({"features": [np.ones(3)], "video_names": [b"a"]}, r"float64 \(3,\)"),
        ({"features": [np.ones((0, 3))], "video_names": [b"a"]}, "steps >= 1"),
        ({"features": [np.ones((2, 3)), np.ones((2, 4))], "video_names": [b"a", b"b"]}, "widths"),
        ({"features": [np.array([["x"]])], "video_names": [b"a"]}, "numbers"),
        ({"features": "abc", "video_names": [b"a"]}, "0 features for 1"),
    ],
)
def test_a_class_file_of_another_form_is_named(value: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        pickle.dump(value, file)
    with pytest.raises(BadInput, match=message):
        read_class(path)
