"""Model + evaluation splits -> S, U, HM, ZSL, with the spiking branch on any backend."""
