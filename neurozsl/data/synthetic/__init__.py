"""Rendered scenes and motions, and stand-ins of the benchmark: synthetic, and called so."""
