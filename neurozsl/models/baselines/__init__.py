"""Baselines of audio-visual zero-shot learning, as the benchmark's public code trains them."""
