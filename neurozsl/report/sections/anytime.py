"""Anytime inference: what it does to stop every sample once the margin of its class is reached."""

from collections.abc import Iterator, Mapping
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.report import figures
from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.schema import Report
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

_KEY = "sections.anytime"


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    return {} if test.anytime is None else {"anytime": test.anytime}


def _facts(found: AnytimeScore) -> Iterator[tuple[str, t.Cell]]:
    def figure(field: str, kind: str = "count") -> t.Number:
        return t.Number(getattr(found, field), f"{_KEY}.{field}", kind)

    threshold = t.say("no margin stops a sample")
    if found.threshold is not None:
        first = f" from step {found.min_steps} on" if found.min_steps > 1 else ""
        threshold = t.say(figure("threshold", "number"), f"{first}, {_chosen(found)}")
    yield "Margin", threshold
    yield "Steps used, mean", t.say(figure("mean_steps"), f" of {found.steps}")
    hm = (figure("HM", "percent"), "; over all steps ", figure("full_HM", "percent"))
    yield "HM", t.say(*hm, f" ({q.points(-found.loss)})")
    synops = (figure("synops"), "; over all steps ", figure("full_synops"))
    yield "SynOps", t.say(*synops, f" ({q.share(found.saved)} saved)")


def _chosen(found: AnytimeScore) -> str:
    if found.validated is None:
        return "as given"
    v = found.validated
    return (
        f"chosen on validation data, where it costs at most {v.max_loss:g} points of HM "
        f"({v.full_HM:.1f} to {v.HM:.1f})"
    )


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.own("anytime", AnytimeScore)
    if found is None:
        return
    yield t.facts("anytime", "Stopped at a margin", _facts(found))
    columns = (t.Column("steps", _steps), t.Column("samples", _samples, numeric=True))
    title = "Steps after which samples stopped"
    yield t.table("stopped", title, columns, enumerate(found.stopped), key=f"{_KEY}.stopped")


def _steps(value: tuple[int, int], _: str) -> t.Cell:
    return t.say(str(value[0] + 1))


def _samples(value: tuple[int, int], key: str) -> t.Cell:
    return t.figure(value[1], key)


def _lines(report: Report) -> Iterator[Line]:
    found = report.own("anytime", AnytimeScore)
    if found is not None:
        yield Line(host_work(found), t.EVERYWHERE)


def host_work(found: AnytimeScore) -> str:
    """What stopping costs on the other side."""
    return (
        f"The host prepares and finishes a sample after every step until it stops, "
        f"{found.mean_steps:.3g} times on average; the figures of the host are for once."
    )


def _figure(report: Any) -> Drawn | None:
    found = report.own("anytime", AnytimeScore)
    return None if found is None else figures.stopped(found.stopped)


SECTION = Section(
    "anytime", "Stopped early", ("anytime",),
    fill=_fill, tables=_tables, lines=_lines, figures={"stopped": _figure},
)  # fmt: skip
