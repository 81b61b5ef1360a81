"""The host part: its work, its time and its joules; `host` measures them."""

from collections.abc import Iterator

from neurozsl.report.schema import Host, RunReport
from neurozsl.report.sections.context import of_test
from neurozsl.report.sections.energy import HOST, energy_table
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section


def _work(found: Host) -> Iterator[tuple[str, t.Cell]]:
    def figure(field: str, kind: str = "count") -> t.Number:
        return t.Number(getattr(found, field), f"host.{field}", kind)

    if found.flops is not None:
        encoding = (", of which ", figure("encoding_flops"), " prepare the chip's input")
        known = encoding if found.encoding_flops is not None else ()
        yield "Work per inference", t.say(figure("flops"), " FLOPs", *known)
    if found.bytes_moved is not None:
        yield "Memory moved", t.say(figure("bytes_moved", "bytes"))
    if found.link_bytes is not None:
        link = figure("link_bytes", "bytes")
        yield "Between host and chip", t.say(link, ": codes and thresholds there, spikes back")
    if found.seconds_per_inference is not None:
        seconds = figure("seconds_per_inference", "seconds")
        yield "Measured here", t.say(seconds, " per inference")


def _tables(report: RunReport) -> Iterator[t.Table]:
    yield t.facts("work", "Work of the host", _work(report.host), on=t.PAPER)
    yield energy_table(HOST, report.host.energy, "host.energy")


SECTION = Section(
    "host_part", "The host part", ("host",),
    fill=of_test(lambda test: {"host": test.host}), tables=_tables,
)  # fmt: skip
