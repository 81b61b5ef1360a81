"""`neurozsl simulate`: run a bundle's spiking branch, or the network of a `.nir` file."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from neurozsl.cli.kinds import Form, call, kind, takes
from neurozsl.cli.simulate_bundle import simulate_bundle
from neurozsl.cli.simulate_network import simulate_network, simulate_network_bundle
from neurozsl.cli.simulate_order import simulate_order
from neurozsl.cli.stands_for import stands_for
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import place
from neurozsl.data.clips.names import is_video

_SCORED: Final = "leave out (`neurozsl evaluate RUN --bundle BUNDLE` scores that of a run)"
_ORDER: Final = "give --event-driven with a .nir file or a classifier's run, or leave out"
FORMS: Final = {
    "bundle": Form("a run's bundle", simulate_bundle),
    "network": Form("a .nir file", simulate_network, _SCORED),
    "network_bundle": Form("the bundle of a .nir file", simulate_network_bundle),
    "order": Form("--event-driven of a .nir file", simulate_order, _ORDER),
}


@takes(FORMS)
def simulate(
    context: typer.Context,
    what: Annotated[
        Path,
        typer.Argument(metavar="WHAT", help="Bundle folder, RUN/deploy/TARGET, or a .nir file."),
    ],
    **options: Any,
) -> None:
    """Run test samples through the simulated chip and name the classes, or run a .nir file.

    With --labels the accuracy of what ran is told, beside that of float. A bundle of a .nir file
    runs its golden samples, or those of --input. --event-driven tells what the order of events
    changes on Speck, which has no clock.
    """
    if is_video(what) and what.is_file():
        raise BadInput(
            f"{what}: is a video, `simulate` runs a bundle or a .nir file; a trained run names it: "
            f"`neurozsl predict RUN {place(what)}`"
        )
    what, options = stands_for(what, options)
    key: str = kind(what, FORMS)
    if key == "network" and options["event_driven"]:
        key = "order"
    where = "--event-driven is given" if key == "order" else ""
    call(context, FORMS, key, what, options=options, where=where)
