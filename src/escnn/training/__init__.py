"""Training a network, from settings and clips to a finished run."""
