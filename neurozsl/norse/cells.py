"""Norse's cells, imported once.

norse 1.1.0 compiles helpers with `torch.jit.script` at import, which recent torch deprecates with a
warning that no caller of ours can act on. The filter covers that import and nothing else.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=DeprecationWarning)
    from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
    from norse.torch.functional.lif import LIFFeedForwardState, LIFParameters
    from norse.torch.functional.lif_box import (
        LIFBoxFeedForwardState,
        LIFBoxParameters,
        lif_box_feed_forward_step,
    )
    from norse.torch.functional.reset import reset_subtract, reset_value
    from norse.torch.functional.threshold import threshold
    from norse.torch.module.iaf import IAFCell
    from norse.torch.module.leaky_integrator import LICell
    from norse.torch.module.leaky_integrator_box import LIBoxCell
    from norse.torch.module.lif import LIF, LIFCell, LIFRecurrentCell
    from norse.torch.module.lif_box import LIFBoxCell
    from norse.torch.module.sequential import SequentialState

__all__ = [
    "LIF",
    "IAFCell",
    "IAFFeedForwardState",
    "IAFParameters",
    "LIBoxCell",
    "LICell",
    "LIFBoxCell",
    "LIFBoxFeedForwardState",
    "LIFBoxParameters",
    "LIFCell",
    "LIFFeedForwardState",
    "LIFParameters",
    "LIFRecurrentCell",
    "SequentialState",
    "iaf_feed_forward_step",
    "lif_box_feed_forward_step",
    "reset_subtract",
    "reset_value",
    "threshold",
]
