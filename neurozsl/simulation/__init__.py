"""A bundle on one backend: spikes, and the classes they lead to."""
