"""Chips as data: one TOML file per chip beside this file, one line per chip in a list below.

Absent means unknown: an estimate says what it could not count, and nothing is ever filled in. Each
figure is one line with its unit (SI, the one of its key in `chips.keys`), how the number came
about (kind), how it was read (grade), and the key of its reference in `[source]`; low and high
stay absent where nobody published them. A file to copy, for `--device my.toml`:

    schema = 1
    name = "My chip, first silicon"
    scope = "per_term"                # terms add up; "all_in": one figure holds everything
    time_model = "barrier_step"       # or fixed_step, software_step, clocked_step, asynchronous
    energy_methods = ["per_term"]     # or per_spike, per_synop, event_driven, dense_pass
    inherits_limits = "loihi1"        # optional: limits and cores of a registered chip

    [source]                          # the references in full
    paper = "Author et al., Journal 1(2):3, 2026, Table 4"

    [energy.synop]                    # or on one line: synop = { value = 2.4e-11, ... }
    value = 2.4e-11                   # in the unit below
    low = 2.0e-11                     # only where the source has bounds
    high = 3.0e-11
    unit = "J"
    kind = "measured"                 # or simulated, fitted, derived, datasheet, architectural,
    grade = "T"                       #    modelled, peak_bound
    source = "paper"
    note = "at 0.8 V"

    [power]
    static_chip = { value = 0.05, unit = "W", kind = "measured", grade = "T", source = "paper" }

    [time]
    step = { value = 1e-4, unit = "s", kind = "datasheet", grade = "T", source = "paper" }

Cores of its own are [limit] with [memory], and where they are unequal [[core]] and [allowed]; a
topology is [mesh]. `chips.cores` holds every key of these tables; loihi1.toml shows equal
cores, speck2f.toml unequal ones.

A step of kind peak_bound is the shortest that the chip can take: its latency is told as a floor.

Grades: V read in source code or run, T read on the primary page, Q quoted by a third party, D
arithmetic on other figures.
"""

from pathlib import Path
from typing import Final

DEFAULT_CHIPS: Final = (
    "loihi1",
    "loihi1_sanafe",
    "loihi2",
    "speck2f",
    "cmos45_fp32",
    "cmos45_int8",
    "gpu_v100",
    "gpu_h100",
    "gpu_titan_black",
    "cpu_i7_4960x",
    "arm_cortex_a",
)
"""Chips with a row in every report, in its order."""

FURTHER_CHIPS: Final = (
    "xylo_audio2",
    "akida_akd1000",
    "truenorth",
    "truenorth_allin",
    "spinnaker1",
    "spinnaker2",
    "cmos45_fp16",
)
"""Chips that `--device KEY` prices, or that have measured workloads alone."""

CHIPS: Final[dict[str, Path]] = {
    key: Path(__file__).with_name(f"{key}.toml") for key in (*DEFAULT_CHIPS, *FURTHER_CHIPS)
}
"""Every registered chip and its file; one of another package is one more key."""

MEANT: Final = {"lava": "loihi2", "speck": "speck2f"}
"""Names of targets that are written for their chip: errors answer with it."""
