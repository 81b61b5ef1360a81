"""The sections of a report, in reading order: one line each."""

from importlib import import_module
from typing import Final

from neurozsl.report.show.section import Section

NAMES: Final = (
    "file",
    "task",
    "deployment",
    "anytime",
    "layers",
    "clip",
    "savings",
    "energy",
    "comparison",
    "frontier",
    "host_part",
    "calibration",
    "chip",
    "classes",
    "confusion",
    "stacking",
    "embedding",
    "neurobench",
    "verification",
    "limits",
    "origin",
)

SECTIONS: tuple[Section, ...] = tuple(
    import_module(f"neurozsl.report.sections.{name}").SECTION for name in NAMES
)
