"""What `escnn listen` shows, writes and starts while it hears."""
