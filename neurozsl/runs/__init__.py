"""A run folder: what was asked for, what came out, and how it is opened again."""
