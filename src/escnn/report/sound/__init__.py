"""The page of one sound, and the files beside it."""
