"""Data of every origin as the same batches.

batch, index, store   the values, rows of any origin, the file that holds them
sets/                 open any data set by its folder
benchmark/ clips/ synthetic/    where data come from
encoders/ events/     clips to features and to events
"""
