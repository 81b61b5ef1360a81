"""What `neurozsl data` prints: the summary of a data set, and the findings of a check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import emit_json, err, next_commands, say, show_table
from neurozsl.core.shell import words

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData
    from neurozsl.data.benchmark.findings import CheckReport


def show_set(data: ZSLData, folder: Path, json_out: bool) -> None:
    """Print the summary and the next command."""
    from neurozsl.data.sets.summary import summarise

    summary = summarise(data)
    if json_out:
        emit_json(summary.to_json())
        return
    origin = "synthetic" if summary.synthetic else "real data"
    show_table(
        f"{summary.name}: {origin}, {summary.classes} classes, {summary.steps} step(s) of "
        f"{summary.step_s:g} s, audio {summary.audio_dim} wide, video {summary.video_dim} wide",
        ("split", "samples", "classes", "per class", "audio", "video", "events", "pixel"),
        [
            (
                part.name,
                str(part.samples),
                str(part.classes),
                f"{part.fewest}-{part.most}",
                f"{part.audio_mean:.2f}",
                f"{part.video_mean:.2f}",
                f"{part.event_density:.1%}",
                "-" if part.pixel_event_density is None else f"{part.pixel_event_density:.1%}",
            )
            for part in summary.splits
        ],
    )
    say(summary.caption)
    if summary.skipped:
        say(f"left out: {len(summary.skipped)} file(s)")
        for skip in summary.skipped:
            say(f"  {skip['file']}: {skip['reason']}")
    run = Path("runs") / f"{folder.resolve().name}-run"
    next_commands("neurozsl train" + words({"data": folder, "model": "mdft", "out": run}))


def show_report(report: CheckReport) -> None:
    """Print findings, the table of label alignment and the verdict."""
    from rich.markup import escape

    colours = {"error": "bold red", "warning": "yellow", "note": "dim"}
    for each in report.findings:
        mark = f"[{colours[each.level]}]{each.level}[/] {each.what}"
        err.print(f"{mark}: {escape(each.line())}", soft_wrap=True)
    if report.alignment:
        show_table(
            "classes to which the label alignment legacy gives another's vector",
            ("split", "other vector", "classes"),
            [(row.split, str(row.wrong), str(row.total)) for row in report.alignment],
        )
    count = Counter(each.level for each in report.findings)
    kind = f"{report.kind}{', synthetic' if report.synthetic else ''}"
    say(
        f"{report.folder} ({kind}): {count['error']} error(s), {count['warning']} warning(s), "
        f"{count['note']} note(s)"
    )
