"""Two runs of one program, compared bit for bit."""

from __future__ import annotations

import numpy as np

from neurozsl.core.signals import Trace


def assert_same(found: Trace, wanted: Trace) -> None:
    """Spikes and membranes of every layer, overflows and saturations."""
    for name in wanted.spikes:
        np.testing.assert_array_equal(found.spikes[name], wanted.spikes[name], err_msg=name)
        np.testing.assert_array_equal(found.membrane[name], wanted.membrane[name], err_msg=name)
    assert dict(found.overflow) == dict(wanted.overflow)
    assert dict(found.saturation) == dict(wanted.saturation)
