"""The chip's integer neuron, emulated in batches, bit for bit: `emulate`, and `Stepper`.

    batched           all samples and steps: `emulate(program, chip_input) -> Trace`
    steps             one step at a time: `Stepper`
    layers            one layer: its sums, then its neurons
    products, conv    exact integer products of matrices and kernels
    maps              pools, and the order of a map in memory
    kernels           the integer neuron over time, numba; kernels_torch on other devices

The only part of `hardware` (with `speck.emulator`) that imports torch and numba.
"""

from neurozsl.hardware.loihi.emulator.batched import emulate as emulate
from neurozsl.hardware.loihi.emulator.kernels import HAS_NUMBA as HAS_NUMBA
from neurozsl.hardware.loihi.emulator.layers import Kernel as Kernel
from neurozsl.hardware.loihi.emulator.steps import Stepper as Stepper
