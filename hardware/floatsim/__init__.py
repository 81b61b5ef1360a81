"""Lowered + ChipInput -> Trace in float64: the reference."""
