"""Layers on cores: `place` is the verb, `mapping` its values, `split` and `assign` its rules."""
