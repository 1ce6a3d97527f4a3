"""Self-contained pages about results, a folder each, and their pictures."""
