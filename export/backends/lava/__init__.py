"""lava-nc as an oracle: its environment, the worker that runs in it, and the host side."""
