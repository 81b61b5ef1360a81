"""Baselines that published tables of audio-visual zero-shot learning compare with, one file each.

Each is written from its equations and tested against numbers that the public code gave (golden
files); where the two differ, or a paper is silent, the file's docstring says what was read.
"""
