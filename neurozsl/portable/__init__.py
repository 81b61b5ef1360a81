"""A run that travels: measured where its data lie, packed into one file, opened elsewhere."""
