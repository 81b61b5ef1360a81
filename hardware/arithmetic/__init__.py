"""Integers by chip: quantise, place."""
