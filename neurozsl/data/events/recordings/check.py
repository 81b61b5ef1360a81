"""`neurozsl data check` of a set of recordings: hashed, opened, and what is odd about it."""

from pathlib import Path

import numpy as np

from neurozsl.data.benchmark.findings import CheckReport, Found
from neurozsl.data.events.recordings.stored import check_digest, load_event_set, read_facts
from neurozsl.data.set_folder import ARRAYS


def check_event_set(folder: Path) -> CheckReport:
    """Returns every deviation; the arrays are hashed whatever their time says."""
    found = Found()
    with found.refused("unusable", folder.name):
        facts = read_facts(folder)
        data = load_event_set(folder)
        check_digest(folder / ARRAYS, facts["arrays"])
        trained = set(data.labels[data.rows("train")].tolist())
        for name in ("val", "test"):
            others = set(data.labels[data.rows(name)].tolist()) - trained
            found.some(
                "warning",
                "untrained",
                name,
                "{n} class(es) without a training recording; none of them can be right",
                [data.classes[i] for i in sorted(others)],
            )
        if not len(data.rows("test")):
            found.add("note", "no-test", folder.name, "no recording for testing; name some")
        empty = [data.names[i] for i in np.flatnonzero(data.events == 0)]
        found.some("warning", "no-events", folder.name, "{n} recording(s) without events", empty)
        left = [each["file"] for each in data.meta.get("skipped", ())]
        found.some("note", "left-out", folder.name, "{n} file(s) were left out", left)
        mended = [each["file"] for each in data.meta.get("repaired", ())]
        found.some("note", "repaired", folder.name, "{n} file(s) were repaired", mended)
        share = data.clipped.sum() / max(1, data.events.sum())
        if share > 0.01:
            text = f"{share:.1%} of the events are above the largest count of a cell; use more bins"
            found.add("note", "clipped", folder.name, text)
    return CheckReport(str(folder), "events", False, found.ordered())
