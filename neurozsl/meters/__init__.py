"""Meters of the host: what a piece of repeated work takes, read from the machine's own counters.

    nvml     an NVIDIA GPU, the whole board
    rapl     the processor's packages and their memory, on Linux

A meter is a function `measure(work, ...) -> Measured | Refused` in a file beside this one; why
nothing could be read is a reason, not an error. `report.sections.host` asks them in turn.
"""
