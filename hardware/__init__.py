"""What a chip does with a spiking branch: integers, spikes, operations, joules.

The path of a value, one file per verb; a folder holds the parts of a verb or the ways of a chip::

    lower      NIR graph            -> Lowered    float64, input gain folded once (lowering/)
    quantize   Lowered + Chip       -> Program    integers of one chip, with what was lost
               loihi/, speck/: how each makes its integers, what it loses and takes, the way back
    place      Program + Chip       -> Mapping    layers to cores, or what would fit (placing/)
    emulator/  Program + ChipInput  -> Trace      batched, bit for bit (imports torch, numba)
    floatsim   Lowered + ChipInput  -> Trace      the float64 reference
    schedule   layers               -> Stages     which run at once, which step by step
    counts     layers + codes + Trace -> Counts   spikes, synaptic operations, updates
    activity   the same, per step and group of samples; `tally` is the pass that both sum up
    traffic    Trace + Mapping      -> Traffic    messages between cores, hops; `host_link`: bytes
    neurobench/ the same run under NeuroBench's names and definitions, and where they differ
    energy/    Counts + Chip        -> EnergyRow  joules with sources and bounds; who is cheaper
    calibration measured workloads + Chip -> rows  published beside estimated (calibrating/)
    diagnose   Trace                -> dead and saturated layers

`synapse` and `neuron` are what layers consist of, float or integer; `wiring` checks how layers read
each other, `chip_input` what a network is fed, `ranges` how large its sums can become;
`connections` counts what a synapse joins. `chip` reads the figures under `chips/`, where `keys`
says what a figure is, `rules` and `cores` what a file must hold, `agreement` what may not
contradict; `fixedpoint` holds the integer rules, `integers` refuses what no register holds,
`floatsim_rules` are those of the reference; `lowered` and `program` are the values between the
verbs, `archive` and `program_file` how one is saved.
Importing this package imports neither torch nor numba.
"""
