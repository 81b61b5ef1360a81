"""Files of event cameras: one reader a format, one road through which all are read."""
