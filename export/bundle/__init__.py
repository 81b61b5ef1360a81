"""The folder that is shipped: its files, its manifest, its verdict."""
