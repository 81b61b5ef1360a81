"""Values of a wrong type: every option of every model refuses them, and says what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.models.options import check_known

NOT_OPTIONS = {"audio_dim", "video_dim", "codes", "thetas"}  # widths, and what `calibrate` fixes

NONE_MEANS = {"audio_bits", "input_bits"}  # float inputs


@cache
def options_of(name: str) -> Mapping[str, Any]:
    if name == "conse":  # made for a set with pretrained encoders alone
        return {"top_k": 10, "temperature": 1.0}
    found = models.build(name, audio_dim=6, video_dim=6).options()
    place = {"encode"} if name == "avmst" else set()  # of `build`, whatever the data are
    return {k: v for k, v in found.items() if k not in NOT_OPTIONS | place}


def wrong(value: Any) -> list[Any]:
    """Values that are not of the type of this one, as `--set` reads them from a command line."""
    table = {"a": 1}
    if isinstance(value, bool):
        return ["abc", 1, None, [True], table]
    if isinstance(value, int):
        return ["abc", 2.5, True, None, [1], table]
    if isinstance(value, float):
        return ["abc", True, None, float("nan"), float("inf"), [0.5], table]
    if isinstance(value, str):
        return [7, True, None, ["abc"], table]
    assert isinstance(value, tuple)
    return ["abc", 7, True, None, [None], [table], table]


@pytest.mark.parametrize("name", models.names())
def test_every_option_refuses_values_of_a_wrong_type(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "entry_points", lambda group: ())  # slow, and asked each time
    options = options_of(name)
    assert options
    for key, value in options.items():
        for bad in wrong(value):
            if key in NONE_MEANS and bad is None:
                continue
            try:
                with pytest.raises(BadInput) as caught:
                    models.build(name, audio_dim=6, video_dim=6, **{key: bad})
            except Exception as error:
                raise AssertionError(f"{name}: {key}={bad!r} ended in {error!r}") from error
            assert f"model '{ {'mdst': 'mdft'}.get(name, name) }'" in str(caught.value)
            assert key in str(caught.value) and "expected" in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(models.names()) - {"conse"}))
def test_every_option_takes_what_it_has(name: str) -> None:
    """Lists for tuples, as JSON has them; and whole numbers for numbers."""
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options_of(name).items()}
    options = {
        k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in options.items()
    }
    assert models.build(name, audio_dim=6, video_dim=6, **options)


@dataclass(frozen=True)
class Config:
    whole: int | None = None
    either: Literal["none"] | int = 4
    names: tuple[Literal["a", "b"], ...] = ()
    anything: Any = None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"whole": "none"}, "model 'm': whole='none', expected a whole number or null"),
        ({"whole": True}, "whole=True, expected a whole number or null"),
        ({"either": "some"}, "either='some', expected one of none or a whole number"),
        ({"names": "a"}, "names='a', expected a list, each one of a, b"),
        ({"names": ["a", "c"]}, "names='c', expected one of a, b"),
        ({"names": ["a", ["b"]]}, r"names=\['b'\], expected one of a, b"),
        ({"widht": 1}, "unknown option widht; options are anything, either, names, whole"),
    ],
)
def test_a_wrong_type_is_said_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_known("m", Config, options)


def test_types_with_more_than_one_reading_take_each() -> None:
    for whole in (None, 3):
        for either in ("none", 7):
            given: dict[str, Any] = {"whole": whole, "either": either, "names": ["a", "b"]}
            check_known("m", Config, given | {"anything": {}})
