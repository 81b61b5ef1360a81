"""Parts of `calibration`: the row, and the checks of TrueNorth, Speck and Loihi."""
