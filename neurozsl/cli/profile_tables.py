"""`neurozsl profile A B --compare`, and `--layers` before there is a network."""

from __future__ import annotations

import shlex
from pathlib import Path

from neurozsl.cli.console import emit, next_commands, say
from neurozsl.cli.profile_wanted import Wanted
from neurozsl.cli.profile_what import check_there, kind, report_of, show
from neurozsl.core.errors import BadInput

STEPS = 10  # of --layers, where --steps says nothing


def side_by_side(what: list[Path], wanted: Wanted, page: Path | None, as_json: bool) -> None:
    """Profile all of them and show one table."""
    from neurozsl.report import check_page
    from neurozsl.report.schema import to_json
    from neurozsl.report.schema.version_2 import read_for_comparison
    from neurozsl.report.show import compare, compare_text

    if page is not None:
        check_page(page)
    for path in what:  # all of them, before the first one takes its minutes
        check_there(path, wanted)
    wanted.chips()
    found = []
    for path in what:
        say(f"profiling {path}")
        stored = kind(path) == "report"
        report = read_for_comparison(path) if stored else report_of(path, wanted)[0]
        found.append(compare.compared(str(path), report))
    compared = compare.compare(found)
    if page is not None:
        beside = compare_text.write_comparison(compared, page)
        say(f"comparison in {page}" + ("" if page == beside else f", its numbers in {beside}"))
    if as_json:
        emit(to_json(compared))
        return
    compare_text.print_comparison(compared)
    names = " ".join(shlex.quote(str(path)) for path in what)
    on_chip = "" if wanted.chip is None else f" --chip {wanted.chip}"
    again = f"{wanted.asked}{on_chip}{wanted.words()}"
    next_commands(f"neurozsl profile {names} --compare{again} --report compare.html")


def before_training(
    layers: str,
    rate: float | None,
    steps: int | None,
    wanted: Wanted,
    page: Path | None,
    as_json: bool,
) -> None:
    """Estimate dense layers that nobody has trained: counts by arithmetic, joules from tables."""
    from neurozsl.report import check_page
    from neurozsl.report.sections.uniform import report_of_sizes

    if page is not None:
        check_page(page)
    sizes = _sizes(layers)
    if rate is None:
        raise BadInput(f"--layers {layers}: needs --rate, spikes per neuron and step, e.g. 0.05")
    steps = STEPS if steps is None else steps
    command = f"neurozsl profile --layers {layers} --rate {rate!r} --steps {steps}{wanted.words()}"
    report = report_of_sizes(
        sizes, rate, steps, command=command, devices=wanted.chips(), step_s=wanted.step_s
    )
    show(report, page, as_json, (f"{command} --report estimate.html",))


def _sizes(layers: str) -> tuple[int, ...]:
    """Widths between hyphens.

    Raises:
        BadInput: one of them is no whole number.
    """
    words = layers.split("-")
    if not all(word.isascii() and word.isdigit() for word in words):
        raise BadInput(
            f"--layers {layers}: expected whole numbers between hyphens, the input's width first, "
            "e.g. 512-512-64"
        )
    return tuple(map(int, words))
