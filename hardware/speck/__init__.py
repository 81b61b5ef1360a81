"""Speck: its integers (program, quantize), what it takes (rules, cores), and its emulator."""
