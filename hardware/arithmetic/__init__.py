"""Integers by chip: `quantize`, `emulate` and `fit` ask one table, an entry an arithmetic.

base          what an entry says (`Arithmetic`)
loihi, speck  the entries
registry      the table, and the entry of a chip or a program
"""
