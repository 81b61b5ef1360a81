"""Chips as data: one TOML file per chip beside this file, one line per chip below.

A figure is a table `{value, low, high, kind, grade, source, note}`; `source` names a line of the
file's `[source]` table, which holds the reference in full. Low and high stay absent where nobody
published them.
"""

from typing import Final

CHIPS: Final = (
    "loihi1",
    "loihi1_sanafe",
    "loihi2",
    "speck2f",
    "xylo_audio2",
    "akida_akd1000",
    "truenorth",
    "truenorth_allin",
    "spinnaker1",
    "spinnaker2",
    "cmos45_fp32",
    "cmos45_fp16",
    "cmos45_int8",
    "cpu_i7_4960x",
    "arm_cortex_a",
    "gpu_titan_black",
    "gpu_v100",
    "gpu_h100",
)
