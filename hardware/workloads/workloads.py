"""Published measurements of chips beside what our figures give for the same workload.

    TrueNorth  P = static + synop x rate x neurons x synapses    `workloads.truenorth`
    Speck      E = resting power x window + spikes x J a spike   `workloads.speck`
    Loihi      P = energy / latency / chips                      `workloads.loihi`

Rows, figures and sources are those of `hardware/chips/*.toml`. Not used: rows whose own figures
contradict each other, and tables computed from constants.
"""

from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.workloads.loihi import anchors, mean_power, static_alone
from neurozsl.hardware.workloads.row import Calibration
from neurozsl.hardware.workloads.speck import speck_band, speck_left_out
from neurozsl.hardware.workloads.truenorth import (
    truenorth_all_in,
    truenorth_ceiling,
    truenorth_sweep,
)


def calibrate() -> tuple[Calibration, ...]:
    """All checks, chip by chip, in a fixed order."""
    truenorth, speck = load_chip("truenorth"), load_chip("speck2f")
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    return (
        *truenorth_sweep(truenorth),
        *truenorth_all_in(truenorth, load_chip("truenorth_allin")),
        *truenorth_ceiling(truenorth),
        *speck_left_out(speck),
        *speck_band(speck),
        *mean_power(loihi1),
        *static_alone(loihi1),
        *mean_power(loihi2),
        *anchors(load_chip("xylo_audio2")),
    )
