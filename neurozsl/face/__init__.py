"""The verbs of a run, with paths where the rooms behind them take opened values."""
