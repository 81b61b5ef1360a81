"""What a chip does with a spiking branch: integers, spikes, operations, joules.

The path of a value, one folder per verb::

    lower/       NIR graph            -> Lowered    float64, input gain folded once
    arithmetic/  Lowered + Chip       -> Program    integers of one chip, with what was lost
                 Program + ChipInput  -> Trace      batched, bit for bit (imports torch, numba)
    place/       Program + Chip       -> Mapping    layers to cores, or what would fit
    floatsim/    Lowered + ChipInput  -> Trace      the float64 reference
    count/       layers + codes + Trace -> Counts   spikes, operations, messages, bytes
    neurobench/  the same run under NeuroBench's names and definitions, and where they differ
    energy/      Counts + Chip        -> EnergyRow  joules with sources and bounds; who is cheaper
    workloads/   measured workloads + Chip -> rows  published beside estimated

`network/` holds the values between the verbs, `chips/` one file of figures a chip, `loihi/` and
`speck/` how each chip makes its integers and computes. Importing this package imports neither torch
nor numba.
"""
