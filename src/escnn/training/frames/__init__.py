"""The frame head's training: what a frozen network is taught of when sounds begin and end."""
