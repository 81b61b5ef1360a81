"""The version of the package, for run folders, bundles and reports."""

__version__ = "0.2.0"
