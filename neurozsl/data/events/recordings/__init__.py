"""Labelled recordings as one data set: built from files, stored, checked, read by torch."""
