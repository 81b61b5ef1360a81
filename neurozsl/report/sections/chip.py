"""Where the network lies on a chip: which chips it fits, and what every core holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from neurozsl.hardware.place.placement import Placement
from neurozsl.report import figures
from neurozsl.report.figures.chip import has_limits
from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.schema import Fit, Report, RunReport
from neurozsl.report.sections.context import Context
from neurozsl.report.show import tables as t
from neurozsl.report.show.placement import placement_table
from neurozsl.report.show.section import Line, Section

PLACEMENT = TypeAdapter(Placement)


def _fill(context: Context) -> Mapping[str, Any]:
    fits = () if context.costs is None else context.costs.fits
    opened = None if context.test is None else context.test.opened
    if opened is None or opened.manifest.mapping is None:  # the latter: it holds no integers
        return {"fits": fits}
    return {"fits": fits, "mapping": PLACEMENT.validate_python(opened.manifest.mapping)}


def _cores(fit: Fit, key: str) -> t.Cell:
    cores = t.Number(fit.cores, f"{key}.cores")
    if fit.placement is None:
        return t.say("has ", cores)
    return t.say(t.Number(fit.placement.cores_used, f"{key}.placement.cores_used"), " of ", cores)


_FITS = {False: t.sign("no", "missed"), True: t.sign("yes", "holds")}
FITS = (
    t.Column("chip", lambda fit, _: t.say(fit.name, below=(fit.chip,))),
    t.Column("fits", lambda fit, _: t.say(_FITS[fit.placement is not None])),
    t.Column("cores", _cores, numeric=True),
    t.Column("why not", lambda fit, _: t.say(fit.reason)),
)


def _mapping(report: Report) -> Placement | None:
    return report.mapping if isinstance(report, RunReport) else None


def _tables(report: Report) -> Iterator[t.Table]:
    yield t.table("fits", "Does it fit?", FITS, report.fits, key="fits", on=t.PAPER)
    mapping = _mapping(report)
    if mapping is not None:
        yield placement_table("mapping", mapping)
    for k, fit in enumerate(report.fits):
        if fit.placement is not None and (mapping is None or fit.chip != mapping.chip):
            yield placement_table(f"fits.{k}.placement", fit.placement)


def _cores_of(report: Report) -> Drawn | None:
    """The placement of the bundle, else that on the first chip that it fits."""
    held = (x.placement for x in report.fits if x.placement is not None)
    shown = _mapping(report) or next(held, None)
    return None if shown is None or not has_limits(shown) else figures.cores(shown)


SECTION = Section(
    "chip", "Where it lies on the chip", ("fits", "mapping"),
    fill=_fill, tables=_tables, figures={"cores": _cores_of},
    lines=lambda report: [Line(f"{fit.chip}: {fit}", ("terminal",)) for fit in report.fits],
)  # fmt: skip
