"""`python examples/04_energy_report.py`: spikes, operations and joules beside the accuracy.

Needs the bundle of `02_export.py`. Prints what one inference of the deployed branch would cost by
the published figures of several chips, and writes the page with all sources:

    S 12.3  U 12.3  HM 12.3  ZSL 12.3  on the emulator, verdict PASS-WITH-LOSS
    audio.0   12.34 % spikes      1234 synaptic operations
    ...
      1.23 uJ  interval unpublished  Intel Loihi 2 (inherited: Loihi 1 constants)
    ...
    The sign of the advantage depends on the cost table chosen: ...
    report in runs/examples/report.html

Every joule is an estimate: a count of this run times a figure of somebody's measurement.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import neurozsl as nz


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Profile a deployed run.")
    parser.add_argument("--run", type=Path, default=Path("runs/examples"), help="run folder")
    parser.add_argument("--target", default="lava", help="whose bundle to profile")
    return parser.parse_args()


def main() -> None:
    """Build the report from one pass over the test splits, print its core, write the page."""
    given = arguments()
    bundle = given.run / "deploy" / given.target
    report = nz.profile(given.run, bundle)
    scores = report.accuracy
    print(
        f"S {scores.S:.1f}  U {scores.U:.1f}  HM {scores.HM:.1f}  ZSL {scores.ZSL:.1f}  "
        f"on the {report.host.motion_backend}, verdict {report.verdict}"
    )
    for layer in report.layers:
        print(
            f"{layer.name:<9}{100 * layer.spike_rate:6.2f} % spikes "
            f"{layer.synops:9.0f} synaptic operations"
        )
    for row in report.energy:
        bounds = "interval unpublished"
        if row.joules_low is not None:
            bounds = f"{nz.si(row.joules_low, 'J')} to {nz.si(row.joules_high, 'J')}"
        print(f"{nz.si(row.joules, 'J'):>9}  {bounds:<20}  {row.name}")
    if report.comparison is not None:
        print(report.comparison.sentence)
    page = given.run / "report.html"
    nz.write_report(report, page)
    print(f"report in {page}")


if __name__ == "__main__":
    main()
