"""Target `sinabs`: layers of the Sinabs simulator, float; not the chip, which has no leak.

Layers that we build (`export.backends.sinabs_layers`), run against the trained branch.
"""

from typing import Final

from neurozsl.export.targets.base import Check, Target, with_reset

SINABS: Final = Target(
    name="sinabs",
    chip=None,
    fidelity=("float",),
    backends=("sinabs", "floatsim", "norse"),
    checks=(Check("norse_vs_sinabs", "norse", "sinabs"),),
    features={
        "lif": "yes",
        "cuba": "yes",
        "if": "yes",
        "graded": "yes",
        "ternary": "yes",
        "frozen": "yes",
        "table": "stepwise",
        "dynamic": "stepwise",
        "integers": "no",
        "oracle": "sinabs 3.1.3",
    },
    nearest=lambda rule: with_reset(rule, ("zero", "subtract", "none", "subtract-late")),
)
