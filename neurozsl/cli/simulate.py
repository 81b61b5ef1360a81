"""`neurozsl simulate`: run a bundle's spiking branch, or the network of a `.nir` file."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from neurozsl.cli.kinds import Form, call, kind, takes
from neurozsl.cli.simulate_bundle import simulate_bundle
from neurozsl.cli.simulate_network import simulate_network

FORMS: Final = {
    "bundle": Form("a bundle", simulate_bundle),
    "network": Form("a .nir file", simulate_network),
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
    """Run test samples through the simulated chip and name the classes, or run a .nir file."""
    call(context, FORMS, kind(what, FORMS), what, options=options)
