"""Target `nir`: the float graph in a file, for any NIR reader.

The `.nir` file is the product; it is read back and run against the trained branch.
"""

from typing import Final

from neurozsl.export.targets.base import Check, Target

NIR: Final = Target(
    name="nir",
    chip=None,
    fidelity=("float",),
    backends=("floatsim", "norse"),
    checks=(Check("norse_vs_nir_file", "norse", "floatsim"),),
    features={
        "lif": "yes",
        "cuba": "yes",
        "if": "yes",
        "graded": "code in metadata",
        "ternary": "code in metadata",
        "frozen": "yes",
        "table": "in metadata",
        "dynamic": "rule in metadata",
        "integers": "no",
        "oracle": "no",
    },
)
