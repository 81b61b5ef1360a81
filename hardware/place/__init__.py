"""Parts of `place`: shapes and mappings, layers cut over equal cores, layers on unequal ones."""
