"""The tables of the seed papers, row by row: what a row is (TOML), its training, its figures.

`catalogue` reads the TOML files beside it, `plan` makes trainings of rows, `run` trains and sums
up, `show` prints, `draw` plots. Importing this package loads no torch; `run` does.
"""
