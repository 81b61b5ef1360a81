"""Spikes, operations, messages and bytes of a run."""
