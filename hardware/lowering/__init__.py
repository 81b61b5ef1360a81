"""Parts of `lower`: what a NIR graph says (metadata), neurons, chains of linear nodes, order."""
