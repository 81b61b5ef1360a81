"""Values of options that mean nothing are refused: every option of every command is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from neurozsl.cli import app
from neurozsl.cli.bounds import MOST
from tests.cli.conftest import Ran, run_command

HUGE = (MOST + 1, 2**31, 2**63, 2**64, int("9" * 40))


def options(*kinds: type) -> Iterator[tuple[tuple[str, ...], str]]:
    """(words of a command, option) of every option whose value is of one of these kinds."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))
        for option in command.params:
            annotation = option.type_descriptor.annotation
            if annotation in kinds and option.opts[0].startswith("--") and words:
                yield words, option.opts[0]

    yield from walk(typer.main.get_command(app), ())


def plain(ended: Ran) -> str:
    """The message in one line, without the frame."""
    return " ".join(word for word in ended.err.split() if word.strip("│─╭╮╰╯"))


def arguments(words: tuple[str, ...], folder: Path) -> tuple[object, ...]:
    takes_a_place = ("evaluate", "export", "simulate", "profile", "inspect", "verify")
    return (*words, *([folder / "nothing.nir"] if words[0] in takes_a_place else []))


def refused(ended: Ran, option: str) -> None:
    assert ended.code == 2 and ended.out == "", ended
    assert "Traceback" not in ended.err and option in ended.err, ended.err


@pytest.mark.parametrize(("words", "option"), list(options(int)), ids=str)
def test_no_count_is_beyond_all_memory(words: tuple[str, ...], option: str, tmp_path: Path) -> None:
    for value in HUGE if option != "--seed" else (-1, 2**63, 2**64):
        refused(run_command(*arguments(words, tmp_path), option, value), option)
    assert list(tmp_path.iterdir()) == []


# These two say themselves what they expect, once there is a file to use them on.
OWN_WORDS = ("--dt", "--poisson")


@pytest.mark.parametrize(
    ("words", "option"), [x for x in options(float) if x[1] not in OWN_WORDS], ids=str
)
def test_nan_is_no_number(words: tuple[str, ...], option: str, tmp_path: Path) -> None:
    refused(run_command(*arguments(words, tmp_path), option, "nan"), option)


@pytest.mark.parametrize(("words", "option"), list(options(str, Path)), ids=str)
def test_an_empty_value_is_none(words: tuple[str, ...], option: str, tmp_path: Path) -> None:
    for given in ((option, ""), (f"{option}=",)):
        ended = run_command(*arguments(words, tmp_path), *given)
        assert ended.code == 2 and f"{option} '': is empty" in ended.err, ended.err


def test_an_empty_argument_is_none() -> None:
    ended = run_command("evaluate", "")
    assert ended.code == 2 and "argument '': is empty" in ended.err


@pytest.mark.parametrize("value", [-1, 0, 3, 9])
def test_bits_that_no_weight_has_are_refused_where_none_are_used(network: Path, value: int) -> None:
    ended = run_command("export", network, "--target", "nir", "--bits", value)
    refused(ended, "--bits")


@pytest.mark.parametrize("option", ["--bits", "--steps"])
def test_lists_of_counts_have_the_same_limit(option: str, tmp_path: Path) -> None:
    ended = run_command("benchmark", "--pareto", option, f"4,{10**30}", "--out", tmp_path / "p")
    refused(ended, option)
