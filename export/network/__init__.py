"""The network of a file: its input, its run, its inspection, its bundle."""
