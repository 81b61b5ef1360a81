"""Speck beside our own integers: sinabs' discretisation in a process of its own, and the device."""
