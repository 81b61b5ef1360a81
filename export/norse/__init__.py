"""Norse stacks and the branch in Norse cells."""
