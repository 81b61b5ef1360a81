"""Any data set by its folder: open, convert, summarise, fingerprint."""
