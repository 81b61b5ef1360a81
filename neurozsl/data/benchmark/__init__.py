"""The AVCA benchmark: layout, features, pickles read safely, one memory-mapped file of it."""
