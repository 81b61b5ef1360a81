"""Work cut into tasks: in this process, in several, or on the machines of a Dask scheduler."""
