"""Loihi's integers of one layer: quantise, correct biases, count what was lost, and go back."""
