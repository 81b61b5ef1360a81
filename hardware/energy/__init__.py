"""Energy per inference: counts x published figures, each with its source.

    Counts + Chip -> EnergyRow     `estimate`: one chip by one method
    Counts        -> EnergyRows    `estimate_all`: every cost table, families and anchors
    EnergyRows    -> SignRows      `compare`: who is cheaper, on which pair of tables
    sizes, rate   -> Counts        `uniform_counts`: before there is a network to run

Events into the chip and bytes over its link to the host are terms where a chip's file prices them
(`input_event`, `link_byte`), else they are told as unknown. Not counted by any method: the work of
the host, the input encoder, and learning.
"""

from neurozsl.hardware.chips import DEFAULT_CHIPS as DEFAULT_CHIPS
from neurozsl.hardware.chips.keys import Cause as Cause
from neurozsl.hardware.energy.advantage import SignRow as SignRow
from neurozsl.hardware.energy.advantage import StepTime as StepTime
from neurozsl.hardware.energy.advantage import compare as compare
from neurozsl.hardware.energy.advantage import mean_input_rate as mean_input_rate
from neurozsl.hardware.energy.advantage import step_times as step_times
from neurozsl.hardware.energy.estimates import estimate as estimate
from neurozsl.hardware.energy.row import EnergyRow as EnergyRow
from neurozsl.hardware.energy.row import EnergyTerm as EnergyTerm
from neurozsl.hardware.energy.row import Interval as Interval
from neurozsl.hardware.energy.row import SpikeMessages as SpikeMessages
from neurozsl.hardware.energy.tables import ANCHOR as ANCHOR
from neurozsl.hardware.energy.tables import FAMILY as FAMILY
from neurozsl.hardware.energy.tables import estimate_all as estimate_all
from neurozsl.hardware.energy.uniform import uniform_counts as uniform_counts
