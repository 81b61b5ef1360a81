"""`neurozsl simulate`: run a bundle's spiking branch, or the network of a `.nir` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from neurozsl.cli.kinds import Form, call, kind, takes
from neurozsl.cli.simulate_bundle import simulate_bundle
from neurozsl.cli.simulate_network import simulate_network, simulate_network_bundle
from neurozsl.cli.simulate_order import simulate_order
from neurozsl.cli.stands_for import stands_for
from neurozsl.core.errors import BadInput

_SCORED: Final = "leave out (`neurozsl evaluate RUN --bundle BUNDLE` scores that of a run)"
FORMS: Final = {
    "bundle": Form("a run's bundle", simulate_bundle),
    "network": Form("a .nir file", simulate_network, _SCORED),
    "network_bundle": Form("the bundle of a .nir file", simulate_network_bundle),
    "order": Form("--event-driven", simulate_order),
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
    what, options = stands_for(what, options)
    key = _form(kind(what, FORMS), what, options)
    where = "--event-driven is given" if key == "order" else ""
    call(context, FORMS, key, what, options=options, where=where)


def _form(key: str, what: Path, options: Mapping[str, Any]) -> str:
    """The form of the command; event by event runs the network of a file alone."""
    if not options["event_driven"]:
        if options["events"] is not None:
            raise BadInput(
                f"--events {options['events']}: says the order of events; add --event-driven, or "
                "leave it out"
            )
        return key
    if key != "network":
        raise BadInput(
            f"--event-driven: runs a .nir file or a classifier's run, {what} is a bundle; give its "
            "network.nir"
        )
    return "order"
