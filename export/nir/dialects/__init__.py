"""What each framework means by its files: one file per writer, one line in `registry`."""
