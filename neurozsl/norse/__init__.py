"""Norse's cells, the neurons that training runs."""
