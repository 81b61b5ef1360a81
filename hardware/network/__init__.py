"""The values between the verbs: synapses, neurons, layers, their input and their files."""
