"""What the network made of one sound, and why."""
