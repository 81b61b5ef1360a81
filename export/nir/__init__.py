"""NIR files and graphs, ours and foreign ones, read, repaired and written."""
