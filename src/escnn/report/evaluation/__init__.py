"""The page of an evaluation, and the files beside it."""
