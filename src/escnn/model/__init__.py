"""What a model file holds: the architecture in plain arithmetic, weights and card."""
