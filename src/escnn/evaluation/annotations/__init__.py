"""How well events that are found agree with what people have heard: their tables, and the figures."""
