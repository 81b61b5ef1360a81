"""Frames -> the events that a camera without frames would send."""
