"""Parts of `lower`: what a graph says (metadata), its paths, linear nodes, chains, neurons, order."""
