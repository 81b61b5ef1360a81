"""Folders of videos with a labels file -> a data set."""
