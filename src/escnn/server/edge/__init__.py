"""What every request passes: who may ask, how much, and how a refusal is told."""
