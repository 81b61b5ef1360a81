"""A trained run -> a bundle for one target, and the scores of what is deployed."""
