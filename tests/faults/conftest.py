"""The command line in this process, for what the machine does to it."""

from __future__ import annotations

from tests.cli.conftest import network as network
from tests.cli.conftest import neurozsl as neurozsl
from tests.cli.conftest import own_run as own_run
