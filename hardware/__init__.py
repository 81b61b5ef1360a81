"""What a chip does with a spiking branch: integers, spikes, operations, joules.

The path of a value, one file per verb::

    lower      NIR graph            -> Lowered    float64, input gain folded once
    quantize   Lowered + Chip       -> Program    integers of one chip, with what was lost
               loihi_quantize, loihi_bias, loihi_loss: one layer; dequantize: the way back
    place      Program + Chip       -> Mapping    layers to cores, or what would fit
    emulator   Program + ChipInput  -> Trace      batched, bit for bit (imports torch, numba)
    speck, speck_rules, speck_cores, speck_quantize, speck_emulator: the same path for Speck
    floatsim   Lowered + ChipInput  -> Trace      the float64 reference
    schedule   layers               -> Stages     which run at once, which step by step
    counts     layers + codes + Trace -> Counts   spikes, synaptic operations, updates
    energy     Counts + Chip        -> EnergyRow  joules with sources and bounds
    diagnose   Trace                -> dead and saturated layers

`chip` reads the figures under `chips/`; `fixedpoint` holds the integer rules; `program` the value
that is saved. Importing this package imports neither torch nor numba.
"""
