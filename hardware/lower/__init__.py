"""Parts of `lower`: metadata and paths of a graph, linear nodes and chains, neurons, order."""
